"""One job of a sweep: run from its start or from its checkpoint, in whatever process it lands."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from dlrun import schema
from dlrun.checkpoint import newest_checkpoint
from dlrun.datasets import Splits
from dlrun.errors import UserError, shown
from dlrun.evaluation import Line
from dlrun.loading import load_data
from dlrun.provenance import Origin
from dlrun.run_files import locked, read_summary, replace_text, write_summary
from dlrun.signals import Requests
from dlrun.stored import require_ours, require_plain_files
from dlrun.sweeps.shared import SharedData
from dlrun.targets import Trust
from dlrun.train import Host, train

OVER = ("completed", "diverged", "pruned")  # a job that came to its end; failed ones did not
SECONDS_TO_LEAVE = 10.0  # within which another process lets go of a job that it is stopping
# What every summary has, for a job that never came to write its own.
NOTHING_YET: Mapping[str, Any] = {"hparams": {}, "metrics": {}, "resumed": []}


@dataclass(frozen=True)
class Work:
    """All that a job needs; it travels to any process.

    prune: called with the line of each epoch, says whether its search gives the job up. origin: of
    the sweep.
    """

    run_dir: Path
    config: DictConfig
    choices: dict[str, Any]
    overrides: list[str]
    trust: Trust = "own"
    prune: Callable[[Line], bool] | None = None
    origin: Origin | None = None


# Jobs that one worker does one after another: a single one, or a trial's, a seed each.
Task = tuple[Work, ...]

# What a run writes into its directory.
OWN_FILE = re.compile(
    r"summary\.json|damaged-summary\.json|(metrics|diagnostics)\.jsonl|train\.log|\.lock|\.room|"
    r"\..*\.tmp|events\.out\.tfevents\..*|checkpoints|figures|profile|\.hydra"
)

# Of this process: what one job has loaded the next one need not.
shared_data = SharedData(load_data)


def do_all(task: Task, requests: Requests | None = None) -> None:
    """Does what of a task is not over yet. When one job is pruned, so are those after it."""
    for position, work in enumerate(task):
        if status_of(work.run_dir) in OVER:
            continue
        do(work, requests)
        if status_of(work.run_dir) == "pruned":
            for rest in task[position + 1 :]:
                mark(rest.run_dir, rest.overrides, status="pruned", stopped_by="pruned")
            return


def do(work: Work, requests: Requests | None = None) -> None:
    """Trains a job to its end; how that was, its summary.json tells.

    Raises nothing but Interrupted, and OSError where not even a failure can be written down.
    """
    try:
        with locked(_made(work.run_dir), seconds=SECONDS_TO_LEAVE):
            checkpoint = take_up(work)
            try:
                train(
                    work.config,
                    run_dir=work.run_dir,
                    choices=work.choices,
                    overrides=work.overrides,
                    checkpoint=checkpoint,
                    trust=work.trust,
                    host=Host(_load, requests, work.prune),
                    origin=work.origin,
                )
            except SystemExit as error:
                raise UserError(f"the job called sys.exit({error.code})") from error
    except Exception as error:  # its own code may raise anything; the other jobs go on
        if status_of(work.run_dir) != "failed":
            mark_failed(work.run_dir, work.overrides, f"{type(error).__name__}: {error}")


def take_up(work: Work) -> dict[str, Any] | None:
    """The checkpoint that a job goes on from; without one its directory is emptied.

    Raises UserError where a link lies in it, or a checkpoint of some other config.
    """
    folder = work.run_dir
    if work.trust != "all":
        require_plain_files(folder)
    try:
        checkpoint, _ = newest_checkpoint(folder / "checkpoints")
    except UserError:  # none yet, or none that is whole: nothing was there to lose
        clear(folder)
        write_overrides(work)
        return None
    require_ours(checkpoint, folder, work.trust)
    if checkpoint["config"] != OmegaConf.to_container(work.config, resolve=True):
        raise UserError(
            f"{shown(folder)}: its checkpoint is of another config than the sweep's job "
            "(remove the folder to run the job anew)"
        )
    return checkpoint


def require_own_folder(run_dir: Path) -> None:
    """Raises UserError where a job's directory is a link, to what may be anybody's."""
    if run_dir.is_symlink():
        raise UserError(f"{shown(run_dir)}: is a link; a job lies in a folder of its sweep")


def clear(run_dir: Path) -> None:
    """Takes away what a run has written, so that it can begin anew; nothing else.

    Raises UserError where there are other files as well: then it is no run's directory.
    """
    foreign = [path.name for path in run_dir.iterdir() if not OWN_FILE.fullmatch(path.name)]
    if foreign:
        raise UserError(
            f"{shown(run_dir)}: holds {shown(foreign[0])}, which no run writes; a job begins in an "
            "empty folder (take it away)"
        )
    for path in run_dir.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()


def write_overrides(work: Work) -> None:
    """.hydra/overrides.yaml, as Hydra itself writes it."""
    (work.run_dir / ".hydra").mkdir(exist_ok=True)
    text = yaml.safe_dump(work.overrides, allow_unicode=True, width=1000)
    replace_text(work.run_dir / ".hydra" / "overrides.yaml", text)


def summary_of(run_dir: Path) -> dict[str, Any]:
    """What summary.json says; where there is none, or none that can be read, status pending."""
    try:
        return read_summary(run_dir) or {"status": "pending"}
    except UserError:
        return {"status": "pending"}


def status_of(run_dir: Path) -> str:
    """How a job stands, by its own record."""
    return str(summary_of(run_dir).get("status"))


def mark_failed(run_dir: Path, overrides: list[str], error: str) -> None:
    """Writes down why a job that could not do so itself has failed."""
    mark(run_dir, overrides, status="failed", error=error)


def mark(run_dir: Path, overrides: list[str], **entries: Any) -> None:
    """Changes a job's summary, or makes one."""
    run_dir.mkdir(parents=True, exist_ok=True)
    empty = {**NOTHING_YET, "overrides": overrides, "stopped_by": None}
    write_summary(run_dir, {**empty, **summary_of(run_dir), **entries})


def _made(run_dir: Path) -> Path:
    os.makedirs(run_dir, exist_ok=True)
    return run_dir


def _load(settings: schema.Config) -> Splits:
    return shared_data(settings)
