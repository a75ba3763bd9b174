"""A Hydra that knows dlrun's schema and where configs lie: packaged ones and the user's own."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra.version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.conf import HydraConf
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from dlrun.compose_errors import USER_PROVIDER, concerns_config, explain
from dlrun.errors import Failure, UserError, shown
from dlrun.launcher_settings import LAUNCHERS
from dlrun.run_dirs import file_stem, register_resolvers
from dlrun.schema import GROUPS, Config, Sweeper
from dlrun.targets import Trust, find_target

# What a logging config may have made: by name, since one may walk from a module into others.
LOGGING_CLASS = re.compile(r"(logging|logging\.handlers|colorlog)\.[A-Z]\w*")
LOGGING_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")


@contextmanager
def hydra_session(
    config_path: str | None = None, config_dir: str | None = None, trust: Trust = "own"
) -> Iterator[Hydra]:
    """A Hydra with dlrun's and the user's config folders; a Hydra of the caller's is put back.

    What it composes calls nothing that `trust` does not allow.
    """
    saved = Singleton.get_state()
    root_logger = logging.getLogger()
    handlers, level = list(root_logger.handlers), root_logger.level
    GlobalHydra.instance().clear()
    hydra.version.setbase("1.3")
    store = ConfigStore.instance()
    store.store(name="dlrun_schema", node=Config, provider="dlrun")
    store.store(group="hydra/sweeper", name="dlrun", node=Sweeper, provider="dlrun")
    launchers: dict[str, Any] = {}
    register_resolvers()
    try:
        app = Hydra.create_main_hydra2("dlrun", search_path(config_path, config_dir))
        launchers |= store.repo["hydra"]["launcher"]  # as plugins have registered them by now
        for name, settings in LAUNCHERS.items():
            store.store(group="hydra/launcher", name=name, node=settings, provider="dlrun")
        load = app.config_loader.load_configuration

        def load_checked(*args: Any, **options: Any) -> DictConfig:
            config = load(*args, **options)
            refuse_foreign_calls(config, trust)
            return config

        # All that Hydra does with a config begins here; some of it before dlrun gets to see it.
        app.config_loader.load_configuration = load_checked  # type: ignore[method-assign]
        yield app
    finally:
        if launchers:
            store.repo["hydra"]["launcher"] = launchers
        Singleton.set_state(saved)
        for handler in [h for h in root_logger.handlers if h not in handlers]:
            handler.close()  # train.log of the last run
        root_logger.handlers, root_logger.level = handlers, level


@contextmanager
def readable_errors(app: Hydra, overrides: list[str]) -> Iterator[None]:
    """Turns what Hydra, OmegaConf and YAML raise about a config into a UserError of a line."""
    if os.environ.get("HYDRA_FULL_ERROR"):
        yield
        return
    try:
        yield
    except (UserError, Failure):
        raise
    except Exception as error:
        if not concerns_config(error):
            raise
        raise UserError(explain(error, overrides, app.config_loader)) from error


def refuse_foreign_calls(config: DictConfig, trust: Trust) -> None:
    """Raises UserError where Hydra's own part of a config names something for it to call.

    Hydra calls what callbacks name, and Python's logging what `()` and `class` name, both long
    before dlrun looks at a config. Launchers and sweepers are plugins, as Hydra itself sees to.
    """
    if trust == "all":
        return
    callbacks = OmegaConf.to_container(config.hydra.callbacks, resolve=True)
    assert isinstance(callbacks, dict)
    for name, node in callbacks.items():
        find_target(f"hydra.callbacks.{shown(name)}", node if isinstance(node, dict) else {}, trust)
    for kind in ("job_logging", "hydra_logging"):
        logged = OmegaConf.to_container(config.hydra[kind], resolve=False)
        faults = _logging_faults(logged, f"hydra.{kind}")
        if faults:
            raise UserError("\n".join(faults))


def _logging_faults(node: object, path: str) -> list[str]:
    """A line for everything that Python's logging would import or call and that is not its own."""
    if isinstance(node, str) and node.startswith("ext://") and node not in LOGGING_STREAMS:
        return [f"{path}={shown(node)}: expected {' or '.join(LOGGING_STREAMS)}"]
    items = list(node.items()) if isinstance(node, Mapping) else []
    if isinstance(node, list):
        items = list(enumerate(node))
    faults = []
    for key, value in items:
        here = f"{path}.{shown(key)}"
        if key in ("()", "class") and not LOGGING_CLASS.fullmatch(str(value)):
            faults.append(
                f"{here}={shown(value)}: expected a class of Python's logging (or --trust)"
            )
        faults += _logging_faults(value, here)
    return faults


def search_path(config_path: str | None, config_dir: str | None) -> ConfigSearchPath:
    """dlrun's configs (or --config-path), ./conf of the directory one runs from, --config-dir."""
    packaged = packaged_conf() if config_path is None else Path(config_path).absolute()
    if not os.path.isdir(packaged):  # False too for what no name of a file could be
        raise UserError(f"--config-path={shown(config_path)}: no such directory")
    path = create_config_search_path(str(packaged))
    own = Path("conf").absolute()
    extra = [own] if own.is_dir() and own.resolve() != packaged.resolve() else []
    if config_dir is not None:
        extra.append(Path(config_dir).absolute())
        if not os.path.isdir(extra[-1]):
            raise UserError(f"--config-dir={shown(config_dir)}: no such directory")
    for folder in extra:
        for file in sorted(folder.rglob("*.yaml")):
            name = file.relative_to(folder)
            # The same file hides nothing: so it is in a checkout of dlrun with dlrun installed.
            hidden = packaged / name
            if not (hidden.is_file() and file.is_file()):
                continue
            if hidden.read_bytes() != file.read_bytes():
                raise UserError(
                    f"{file}: dlrun has a {name.with_suffix('')} of its own, which this would hide "
                    f"(rename it, for example to my_{name.name})"
                )
        # Hydra wants the source of its schemas to be the last one.
        path.prepend(USER_PROVIDER, f"file://{folder}", SearchPathQuery(provider="schema"))
    return path


def packaged_conf() -> Path:
    """The folder of dlrun's own configs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def chosen(hydra_config: HydraConf) -> dict[str, str | list[str] | None]:
    """What was chosen of each group: a name, or a list of names as in regularization=[dropout,l1].

    Hydra's own record of the choices leaves out the groups with a list.
    """
    choices: dict[str, Any] = dict(hydra_config.runtime.choices)
    lists = set(GROUPS) - choices.keys()
    if lists:
        loader = GlobalHydra.instance().config_loader()
        files = loader.compute_defaults_list(
            hydra_config.job.config_name, list(hydra_config.overrides.task), RunMode.RUN
        )
        paths = [entry.config_path.split("/") for entry in files.defaults if entry.config_path]
        for group in lists:
            choices[group] = [path[1] for path in paths if path[0] == group]
    return {group: file_stem(choice) for group, choice in choices.items()}


def without_hydra(config: DictConfig) -> DictConfig:
    """The config less Hydra's own node."""
    copy = config.copy()
    with writable(copy):
        del copy["hydra"]
    return copy


@contextmanager
def writable(config: DictConfig) -> Iterator[None]:
    with flag_override(config, ["struct", "readonly"], [False, False]):
        if "hydra" in config:
            with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
                yield
        else:
            yield
