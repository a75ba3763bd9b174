"""A Hydra that knows dlrun's schema and where configs lie: packaged ones and the user's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra.version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton

from dlrun.compose_errors import CONFIG_ERRORS, USER_PROVIDER, explain
from dlrun.errors import UserError
from dlrun.run_dirs import register_resolvers
from dlrun.schema import Config


@contextmanager
def hydra_session(config_path: str | None = None, config_dir: str | None = None) -> Iterator[Hydra]:
    """A Hydra with dlrun's and the user's config folders; a Hydra of the caller's is put back."""
    saved = Singleton.get_state()
    root_logger = logging.getLogger()
    handlers, level = list(root_logger.handlers), root_logger.level
    GlobalHydra.instance().clear()
    hydra.version.setbase("1.3")
    ConfigStore.instance().store(name="dlrun_schema", node=Config, provider="dlrun")
    register_resolvers()
    try:
        yield Hydra.create_main_hydra2("dlrun", search_path(config_path, config_dir))
    finally:
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
    except CONFIG_ERRORS as error:
        raise UserError(explain(error, overrides, app.config_loader)) from error


def search_path(config_path: str | None, config_dir: str | None) -> ConfigSearchPath:
    """dlrun's configs (or --config-path), ./conf of the directory one runs from, --config-dir."""
    packaged = packaged_conf() if config_path is None else Path(config_path).absolute()
    if not packaged.is_dir():
        raise UserError(f"--config-path={config_path}: no such directory")
    path = create_config_search_path(str(packaged))
    own = Path("conf").absolute()
    extra = [own] if own.is_dir() and own.resolve() != packaged.resolve() else []
    if config_dir is not None:
        extra.append(Path(config_dir).absolute())
        if not extra[-1].is_dir():
            raise UserError(f"--config-dir={config_dir}: no such directory")
    for folder in extra:
        for file in sorted(folder.rglob("*.yaml")):
            name = file.relative_to(folder)
            # The same file hides nothing: so it is in a checkout of dlrun with dlrun installed.
            hidden = packaged / name
            if hidden.exists() and hidden.read_bytes() != file.read_bytes():
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
