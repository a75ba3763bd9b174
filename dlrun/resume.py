"""`dlrun resume RUN_DIR`: goes on with a run from its last checkpoint, as if it had never stopped.

What stands in the run directory is data that anybody may have written: it is read as plain values,
and names nothing outside dlrun and torch unless --trust is given.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlrun import schema
from dlrun.check import check
from dlrun.checkpoint import newest_checkpoint
from dlrun.errors import UserError, shown
from dlrun.failures import failures_told
from dlrun.hydra_app import make_own_modules_importable
from dlrun.overrides import spell_out
from dlrun.result import Result
from dlrun.run_files import locked, read_summary
from dlrun.stored import require_ours, require_plain_files, require_run, stored_config
from dlrun.targets import Trust
from dlrun.terminal import typed_path
from dlrun.train import train

# What may differ from before without making another experiment of it, and what it accepts.
FREE = {
    "epochs": "a whole number (epochs=50)",
    "quiet": "true or false",
    "figures": "true or false",
    "animations": "true or false",
    "data_dir": "a folder",
    "dataset.path": "a file or folder, and a data set that has a path",
    "device.name": "the name of a device (device.name=cpu)",
    "device.threads": "a whole number (device.threads=2)",
    "debug.traceback": "true or false",
    "checkpoint.every_epochs": "a whole number or null",
    "checkpoint.every_steps": "a whole number or null",
    "checkpoint.every_minutes": "a number or null",
}
SPANS_THE_RUN = ("cosine", "one_cycle", "linear_warmup")  # schedules made for a number of epochs
OVER = ("completed", "diverged", "pruned")  # status of a run that has come to its end


def resume(words: Sequence[str]) -> int:
    """Exit code of `dlrun resume WORDS`: that of the run, also when it was over before."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(words))
    # A job of a sweep lies in a directory with `=` in its name.
    places = [word for word in args.words if "=" not in word or os.path.isdir(word)]
    if len(places) != 1:
        parser.error(f"dlrun resume: expected one directory of a run, got {len(places)}")
    overrides = [spell_out(word) for word in args.words if word != places[0]]
    overrides += ["quiet=true"] if args.quiet else []
    if args.trust:  # else nothing that lies in the current directory is ever imported
        make_own_modules_importable()
    if os.path.exists(os.path.join(places[0], "sweep.yaml")):
        from dlrun.sweeps import sweep

        trust: Trust = "all" if args.trust else "data"
        return sweep.resume(Path(places[0]), overrides, trust, args.retry_failed)
    if args.retry_failed:
        parser.error(f"--retry-failed: is for sweeps, and {shown(places[0])} is none")
    result = resume_run(Path(places[0]), overrides, trust="all" if args.trust else "data")
    if isinstance(result, int):
        return result
    if result.advice is not None:
        print(result.advice, file=sys.stderr)
    return result.exit_code


def flag_parser() -> argparse.ArgumentParser:
    """The parser of what follows `dlrun resume`."""
    parser = argparse.ArgumentParser(
        prog="dlrun resume",
        usage="dlrun resume [-q] [--trust] RUN_DIR [key=value ...]\n"
        "       dlrun resume [-q] [--trust] [--retry-failed] SWEEP_DIR [hydra/launcher=local ...]",
        description="Go on with an interrupted run from its last checkpoint, as if it had never "
        "stopped, or train one that is over for more epochs (epochs=N, in all).",
        epilog=f"Keys that may change: {', '.join(FREE)}. Anything else would be another "
        "experiment: start a new run for it.",
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("-q", "--quiet", action="store_true", help="no output but errors")
    parser.add_argument(
        "--retry-failed", action="store_true", help="of a sweep: run the failed jobs again"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="call whatever the stored config names, also code that is not dlrun's or torch's",
    )

    def error(message: str) -> NoReturn:
        raise UserError(f"{message} (type dlrun resume RUN_DIR, a directory below outputs/runs)")

    parser.error = error  # type: ignore[method-assign]
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


def merged(
    before: Mapping[str, Any],
    stored: Mapping[str, Any] | None,
    changes: Mapping[str, Any],
    run_dir: Path,
) -> DictConfig:
    """The checkpoint's config with the changes: those of earlier resumes, and the new ones.

    Raises UserError where the stored config is not the checkpoint's, or a change has a wrong type.
    """
    old, new = dict(entries(before)), dict(entries(stored or before))
    differing = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    if names := sorted(set(differing) - set(FREE)):
        raise UserError(
            f"{shown(run_dir)}: .hydra/config.yaml has another {shown(', '.join(names[:5]))} than "
            "the checkpoint was made with: it would be another experiment (undo the change)"
        )
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema.Config), dict(before))
    except OmegaConfBaseException as error:
        raise UserError(
            f"{shown(run_dir)}: in its checkpoint {error.full_key or 'config'}: "
            f"{shown(str(error).splitlines()[0])}"
        ) from error
    assert isinstance(config, DictConfig)
    for key, value in {**{key: new.get(key) for key in differing}, **changes}.items():
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        try:
            if name not in node or isinstance(value, (list, dict)) or "${" in str(value):
                raise UserError(f"{key}={shown(value)}: expected {FREE[key]}")
            node[name] = value
        except OmegaConfBaseException as error:
            raise UserError(f"{key}={shown(value)}: expected {FREE[key]}") from error
    return config


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


def entries(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested dicts; a list is one value."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from entries(item, f"{path}.{name}" if path else str(name))
    else:
        yield path, value
