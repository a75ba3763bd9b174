"""From overrides to a run: composes the config with Hydra, checks it, claims a directory, trains.

Hydra's own entry point makes the directory before the config has been looked at, prints
tracebacks, and lets two runs of one second share a directory; so its parts are put together here.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import hydra
import hydra.version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

import dlrun
from dlrun.errors import UserError, nearest, shown
from dlrun.help import help_text
from dlrun.hydra_session import (
    chosen,
    hydra_session,
    readable_errors,
    without_hydra,
    writable,
)
from dlrun.overrides import spell_out, to_override
from dlrun.run_dirs import claim_directory

if TYPE_CHECKING:
    from dlrun.result import Result
    from dlrun.targets import Trust

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
    if args.shell_completion:
        from dlrun.completion.command import print_for_hydra

        print_for_hydra(args.overrides)
        return 0
    overrides: list[str] = args.overrides
    trust: Trust = "all" if args.trust else "own"
    with (
        hydra_session(args.config_path, args.config_dir, trust) as app,
        readable_errors(app, overrides),
    ):
        config_name = args.config_name or CONFIG_NAME
        require_known(app, overrides)
        if args.help:
            print(help_text(app.config_loader, parser), end="")
        elif args.hydra_help:
            app.hydra_help(config_name, parser, args)
        elif args.cfg:
            show_config(app, config_name, overrides, args)
        elif args.info:
            app.show_info(args.info, config_name, overrides)
        elif args.multirun or multirun_is_asked_for(app, config_name, overrides):
            from dlrun.sweeps import sweep

            return sweep.start(app, config_name, overrides, trust)
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
    run_dir = claim_directory(config, "hydra.run.dir")
    with writable(config):
        config.hydra.run.dir = str(run_dir)
    context = HydraContext(config_loader=app.config_loader, callbacks=Callbacks(config))
    context.callbacks.on_run_start(config=config, config_name=config_name)
    job = run_job(partial(train_job, trust=trust), config, "hydra.run.dir", None, context)
    context.callbacks.on_run_end(config=config, config_name=config_name, job_return=job)
    if isinstance(job._return_value, Exception):  # `return_value` would print Hydra's own banner
        raise job._return_value
    result: Result = job._return_value
    return result


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


def multirun_is_asked_for(app: Hydra, config_name: str, overrides: list[str]) -> bool:
    """Whether the config itself (a sweep preset, hydra.mode=MULTIRUN) makes this a sweep."""
    if "hydra.sweeper.dry_run=true" in overrides:
        return True
    if not any(word.startswith(("sweep=", "+sweep=", "hydra.mode=")) for word in overrides):
        return False  # the usual case is not composed twice
    from dlrun.sweeps.points import chooses

    words = [word for word in overrides if chooses(word, app.config_loader)]
    return bool(app.get_mode(config_name, words) == RunMode.MULTIRUN)


def require_known(app: Hydra, overrides: list[str]) -> None:
    """Raises UserError for a sweep or an experiment that is not there: Hydra would go without."""
    for word in overrides:
        group, _, name = word.lstrip("+").partition("=")
        if group in ("sweep", "experiment") and name not in ("", "null"):
            names = app.config_loader.get_group_options(group, ObjectType.CONFIG)
            if name.isidentifier() and name not in names:
                other = {"sweep": "experiment", "experiment": "sweep"}[group]
                if name in app.config_loader.get_group_options(other, ObjectType.CONFIG):
                    raise UserError(f"{shown(word)}: is one of the group {other} ({other}={name})")
                hint = nearest(name, names) or " (dlrun experiments lists them)"
                raise UserError(f"{shown(word)}: expected one of {', '.join(names)}{hint}")


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
