"""`dlrun resume RUN_DIR`: goes on with a run from its last checkpoint, as if it had never stopped.

What stands in the run directory is data that anybody may have written: it is read as plain values,
and names nothing outside dlrun and torch unless --trust is given.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig

from dlrun.check import check
from dlrun.checkpoint import newest_checkpoint
from dlrun.errors import UserError, shown
from dlrun.failures import failures_told
from dlrun.hydra_app import make_own_modules_importable
from dlrun.overrides import spell_out
from dlrun.result import Result
from dlrun.run_files import locked, read_summary
from dlrun.runs.find import find_run
from dlrun.stored import (
    FREE,
    merged,
    require_ours,
    require_plain_files,
    require_run,
    stored_config,
)
from dlrun.targets import Trust
from dlrun.terminal import typed_path
from dlrun.train import train
from dlrun.verbs import RUN_HELP, TRUST_HELP, VerbParser

SPANS_THE_RUN = ("cosine", "one_cycle", "linear_warmup")  # schedules made for a number of epochs
OVER = ("completed", "diverged", "pruned")  # status of a run that has come to its end


def resume(words: Sequence[str]) -> int:
    """Exit code of `dlrun resume WORDS`: that of the run, also when it was over before."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(words))
    # A job of a sweep lies in a directory with `=` in its name.
    places = [word for word in args.words if "=" not in word or os.path.isdir(word)]
    if len(places) != 1:
        parser.error(f"expected one run, got {len(places)}")
    overrides = [spell_out(word) for word in args.words if word != places[0]]
    overrides += ["quiet=true"] if args.quiet else []
    if args.trust:  # else nothing that lies in the current directory is ever imported
        make_own_modules_importable()
    run_dir = find_run(places[0])
    trust: Trust = "all" if args.trust else "data"
    if (run_dir / "sweep.yaml").exists():
        from dlrun.sweeps import sweep

        return sweep.resume(run_dir, overrides, trust, args.retry_failed)
    if args.retry_failed:
        parser.error(f"--retry-failed: is for sweeps, and {shown(places[0])} is none")
    result = resume_run(run_dir, overrides, trust=trust)
    if isinstance(result, int):
        return result
    if result.advice is not None:
        print(result.advice, file=sys.stderr)
    return result.exit_code


def flag_parser() -> VerbParser:
    """The parser of what follows `dlrun resume`."""
    parser = VerbParser(
        "resume",
        usage="dlrun resume [-q] [--trust] RUN [key=value ...]\n"
        "       dlrun resume [-q] [--trust] [--retry-failed] SWEEP_DIR [hydra/launcher=local ...]",
        description="Go on with an interrupted run from its last checkpoint, as if it had never "
        "stopped, or train one that is over for more epochs (epochs=N, in all).",
        example="dlrun resume RUN, a directory below outputs/runs, or last",
    )
    parser.epilog = (
        f"{RUN_HELP} Keys that may change: {', '.join(FREE)}. Anything else would be another "
        "experiment: start a new run for it."
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("-q", "--quiet", action="store_true", help="no output but errors")
    parser.add_argument(
        "--retry-failed", action="store_true", help="of a sweep: run the failed jobs again"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    return parser


@failures_told()
def resume_run(run_dir: Path, overrides: Sequence[str], trust: Trust) -> Result | int:
    """The result of going on with the run, or its exit code where there is nothing left to do.

    Raises UserError for what is no run, for one without a whole checkpoint, and for overrides that
    would make another experiment of it; then the directory is as it was.
    """
    require_run(run_dir)
    changes = parse(overrides)
    if trust != "all":
        require_plain_files(run_dir)
    with locked(run_dir):
        checkpoint, faults = newest_checkpoint(run_dir / "checkpoints")
        for fault in faults:
            print(f"{fault}; going on from previous.pt", file=sys.stderr)
        require_ours(checkpoint, run_dir, trust)
        config = merged(checkpoint["config"], stored_config(run_dir, trust), changes, run_dir)
        check(config, checkpoint["choices"], trust, resumed=True)
        summary = sound_summary(run_dir)
        longer = lengthened(config, checkpoint, summary, run_dir)
        if summary.get("status") in OVER and not longer:
            return tell_finished(config, summary, run_dir)
        if longer:
            checkpoint["stopped_by"] = None
        if not summary and (run_dir / "summary.json").exists():
            os.replace(run_dir / "summary.json", run_dir / "damaged-summary.json")
        return train(
            config,
            run_dir=run_dir,
            choices=checkpoint["choices"],
            overrides=overrides,
            checkpoint=checkpoint,
            trust=trust,
        )


def sound_summary(run_dir: Path) -> dict[str, Any]:
    """What summary.json says; nothing where it is lost, since the run writes it anew."""
    try:
        return read_summary(run_dir) or {}
    except UserError as error:
        print(f"{error}; it is written anew", file=sys.stderr)
        return {}


def tell_finished(config: DictConfig, summary: Mapping[str, Any], run_dir: Path) -> int:
    """Says that the run is over and how to lengthen it; the exit code that it ended with."""
    status, epochs, stopped_by = (summary.get(k) for k in ("status", "epochs", "stopped_by"))
    text = f"{shown(run_dir)}: finished ({status}, {epochs} epochs, stopped by {stopped_by})"
    if stopped_by == "epochs" and why_not_longer(config) is None:
        more = max(1, 2 * config.epochs)
        text += f"\nto train on, type dlrun resume {typed_path(run_dir)} epochs={more}"
    print(text)
    return 3 if status == "diverged" else 0


def parse(overrides: Sequence[str]) -> dict[str, Any]:
    """Keys and values of the overrides. Raises UserError for one that is not free to change."""
    words = OverridesParser.create()
    changes = {}
    for word in overrides:
        try:
            override = words.parse_override(word)
        except HydraException as error:
            raise UserError(f"{shown(word)}: expected key=value (for example epochs=50)") from error
        key = override.key_or_group
        if key not in FREE:
            raise UserError(
                f"{shown(word)}: would make another experiment of it; what may change is "
                f"{', '.join(FREE)}\n(for another experiment start a new run: dlrun key=value ...)"
            )
        plain = override.type == OverrideType.CHANGE and override.package is None
        if not plain or override.is_sweep_override():
            raise UserError(f"{shown(word)}: expected {key}= and one value: {FREE[key]}")
        changes[key] = override.value()
    return changes


def lengthened(
    config: DictConfig,
    checkpoint: Mapping[str, Any],
    summary: Mapping[str, Any],
    run_dir: Path,
) -> bool:
    """Whether there are epochs to train beyond those after which the run was over.

    Raises UserError for fewer epochs than have begun, and where another number of epochs would
    have changed what is done already, or would change nothing.
    """
    epochs, cap, begun = config.epochs, config.debug.max_epochs, checkpoint["epoch"]
    done = begun if checkpoint["pass"] is None else begun - 1
    ended = summary.get("stopped_by") if summary.get("status") in OVER else None
    ended = ended or checkpoint["stopped_by"]
    if epochs != checkpoint["config"]["epochs"]:
        if epochs < begun:
            raise UserError(
                f"epochs={epochs}: {shown(run_dir)} is in epoch {begun} already "
                f"(type epochs={begun} or more)"
            )
        if (reason := why_not_longer(config)) is not None:
            raise UserError(f"epochs={epochs}: {reason}")
        if ended not in (None, "epochs"):
            raise UserError(
                f"epochs={epochs}: {shown(run_dir)} was stopped by {shown(ended)}, "
                "which more epochs do not change (for other settings start a new run)"
            )
    until = epochs if cap is None else min(epochs, cap)
    return bool(until > done) and ended in (None, "epochs")


def why_not_longer(config: DictConfig) -> str | None:
    """Why a run with this config cannot be given another number of epochs; None where it can."""
    if config.scheduler.name in SPANS_THE_RUN:
        return (
            f"scheduler={config.scheduler.name} is laid out for the number of epochs that the run "
            "began with\n(for another number start a new run: "
            f"dlrun scheduler={config.scheduler.name} epochs=N ...)"
        )
    if config.debug.max_epochs is not None:
        return f"debug.max_epochs={config.debug.max_epochs} ends this run before"
    return None
