"""From overrides to a run: composes the config with Hydra, checks it, claims a directory, trains.

Hydra's own entry point makes the directory before the config has been looked at, prints
tracebacks, and lets two runs of one second share a directory; so its parts are put together here.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
import hydra.version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

import dlrun
from dlrun.errors import UserError, shown
from dlrun.help import help_text
from dlrun.hydra_session import hydra_session, readable_errors
from dlrun.overrides import spell_out, to_override
from dlrun.schema import GROUPS

if TYPE_CHECKING:
    from dlrun.targets import Trust
    from dlrun.train import Result

CONFIG_NAME = "config"


def run_hydra(words: Sequence[str]) -> int:
    """Exit code of `dlrun WORDS`: Hydra's flags (--help, --cfg, -m, …) or a run."""
    make_own_modules_importable()
    parser = flag_parser()
    args = parser.parse_intermixed_args([spell_out(word) for word in words])
    if args.experimental_rerun is not None:
        raise UserError(
            "--experimental-rerun: reads a pickle, which can run anybody's code "
            "(type dlrun with the overrides that stand in RUN/.hydra/overrides.yaml)"
        )
    overrides: list[str] = args.overrides
    trust: Trust = "all" if args.trust else "own"
    with (
        hydra_session(args.config_path, args.config_dir, trust) as app,
        readable_errors(app, overrides),
    ):
        config_name = args.config_name or CONFIG_NAME
        if args.help:
            print(help_text(app.config_loader, parser), end="")
        elif args.hydra_help:
            app.hydra_help(config_name, parser, args)
        elif args.cfg:
            show_config(app, config_name, overrides, args)
        elif args.shell_completion:
            complete_shell(app, config_name, overrides)
        elif args.info:
            app.show_info(args.info, config_name, overrides)
        elif args.multirun or multirun_is_asked_for(app, config_name, overrides):
            run_sweep(app, config_name, overrides, trust)
        else:
            result = run_once(app, config_name, overrides, trust)
            if result.advice is not None:
                print(result.advice, file=sys.stderr)
            return result.exit_code
    return 0


def flag_parser() -> argparse.ArgumentParser:
    """Hydra's parser of flags, with dlrun's name and version, and errors of one line."""
    parser = get_args_parser()
    parser.prog = "dlrun"
    for action in parser._actions:
        if isinstance(action, argparse._VersionAction):
            action.version = f"dlrun {dlrun.__version__} (Hydra {hydra.__version__})"
            action.help = "Show the versions of dlrun and Hydra"
        elif action.dest == "experimental_rerun":
            action.help = None  # refused, see run_hydra

    parser.add_argument(
        "--trust",
        action="store_true",
        help="Call whatever a _target_ names, also outside of dlrun, torch and this directory",
    )

    def error(message: str) -> NoReturn:
        raise UserError(f"{shown(message)} (dlrun --help lists all flags)")

    parser.error = error  # type: ignore[method-assign]
    return parser


def run_from_python(overrides: Sequence[str], settings: Mapping[str, Any]) -> Result:
    """The result of a run with these overrides and top-level settings."""
    words = [spell_out(word) for word in overrides]
    words += [f"{spell_out(key)}={to_override(value)}" for key, value in settings.items()]
    make_own_modules_importable()
    with hydra_session() as app, readable_errors(app, words):
        return run_once(app, CONFIG_NAME, words)


def run_once(app: Hydra, config_name: str, overrides: list[str], trust: Trust = "own") -> Result:
    """The result of one run in a new directory of its own; nothing is made if the config is bad."""
    config = app.compose_config(config_name, overrides, RunMode.RUN, with_log_configuration=True)
    from dlrun.check import check

    check(without_hydra(config), chosen(config.hydra), trust)
    run_dir = claim_run_dir(config)
    with _writable(config):
        config.hydra.run.dir = str(run_dir)
    context = HydraContext(config_loader=app.config_loader, callbacks=Callbacks(config))
    context.callbacks.on_run_start(config=config, config_name=config_name)
    job = run_job(partial(train_job, trust=trust), config, "hydra.run.dir", None, context)
    context.callbacks.on_run_end(config=config, config_name=config_name, job_return=job)
    if isinstance(job._return_value, Exception):  # `return_value` would print Hydra's own banner
        raise job._return_value
    result: Result = job._return_value
    return result


def run_sweep(app: Hydra, config_name: str, overrides: list[str], trust: Trust) -> None:
    """Runs every combination of the listed values, in order, each in a folder of one sweep."""
    job = partial(sweep_job, trust=trust)
    batches = app.multirun(config_name, job, [*overrides, "hydra.mode=MULTIRUN"])
    jobs = [job for batch in batches for job in batch]
    if not jobs:
        raise UserError("-m: the lists of values leave nothing to run (for example optim=sgd,adam)")
    if jobs[0].cfg is not None and jobs[0].cfg.quiet:
        return
    folder = os.path.relpath(Path(jobs[0].hydra_cfg.hydra.runtime.output_dir).parent)
    print(f"\n{len(jobs)} jobs in {folder}\nTensorBoard  tensorboard --logdir {folder}")


def make_own_modules_importable() -> None:
    """Puts the current directory on sys.path: `_target_: mynet.Net` means mynet.py there."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def train_job(config: DictConfig, *, trust: Trust) -> Result:
    """The result of training with a composed config, inside a Hydra job."""
    from dlrun.train import train

    hydra_config = HydraConfig.get()
    return train(
        config,
        run_dir=Path(hydra_config.runtime.output_dir),
        choices=chosen(hydra_config),
        overrides=list(hydra_config.overrides.task),
        trust=trust,
    )


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
    return choices


def sweep_job(config: DictConfig, *, trust: Trust) -> float | None:
    """The monitored metric at the best epoch of one job of a sweep; the model is let go."""
    return train_job(config, trust=trust).best_value


def claim_run_dir(config: DictConfig) -> Path:
    """The run's directory, made by this process alone; an existing one is never written over."""
    tried: set[Path] = set()
    while True:
        run_dir = Path(OmegaConf.select(config, "hydra.run.dir"))
        try:
            run_dir.mkdir(parents=True)
        except FileExistsError:
            if run_dir.is_dir() and not any(run_dir.iterdir()):
                return run_dir
            if run_dir in tried:
                raise UserError(
                    f"hydra.run.dir={run_dir}: exists and is not empty; a run never writes over "
                    "another (name a new directory)"
                ) from None
            tried.add(run_dir)
        except OSError as error:
            raise UserError(
                f"hydra.run.dir={run_dir}: cannot be made: {error.strerror} "
                "(for example hydra.run.dir=/tmp/run1)"
            ) from error
        else:
            return run_dir


def multirun_is_asked_for(app: Hydra, config_name: str, overrides: list[str]) -> bool:
    """Whether the config itself (a sweep preset, hydra.mode=MULTIRUN) makes this a sweep."""
    if not any(word.startswith(("sweep=", "+sweep=", "hydra.mode=")) for word in overrides):
        return False  # the usual case is not composed twice
    return bool(app.get_mode(config_name, overrides) == RunMode.MULTIRUN)


def show_config(
    app: Hydra, config_name: str, overrides: list[str], args: argparse.Namespace
) -> None:
    """Print the config instead of running it, or the part of it that --package names."""
    try:
        with redirect_stderr(io.StringIO()):  # Hydra's own line on a part that is not there
            app.show_cfg(config_name, overrides, args.cfg, args.package, args.resolve)
    except SystemExit:
        raise UserError(
            f"--package={shown(args.package)}: no such part of the config (for example -p model)"
        ) from None


def complete_shell(app: Hydra, config_name: str, overrides: list[str]) -> None:
    """Print completions for the line that the shell hands over; `optim` completes as typed."""
    typed = os.environ.get("COMP_LINE", "")
    alias = " optim=" in typed or " optim." in typed
    if alias:
        os.environ["COMP_LINE"] = typed.replace(" optim=", " optimizer=").replace(
            " optim.", " optimizer."
        )
    answer = io.StringIO()
    with redirect_stdout(answer):
        app.shell_completion(config_name, overrides)
    text = answer.getvalue()
    print(text.replace("optimizer", "optim") if alias else text, end="")


def without_hydra(config: DictConfig) -> DictConfig:
    """The config less Hydra's own node."""
    copy = config.copy()
    with _writable(copy):
        del copy["hydra"]
    return copy


@contextmanager
def _writable(config: DictConfig) -> Iterator[None]:
    with flag_override(config, ["struct", "readonly"], [False, False]):
        if "hydra" in config:
            with flag_override(config.hydra, ["struct", "readonly"], [False, False]):
                yield
        else:
            yield
