"""Runs and sweeps as their files tell them, without torch and without trust in what they say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dlrun.runs.jobs import job_folders, read_jobs, sorted_entries
from dlrun.runs.summaries import (
    Damaged,
    begun,
    last_names,
    read_summary,
    read_tags,
    status_now,
)

TRASH = Path("outputs/trash")
DEEPEST = 6  # folders below the one that is searched
NO_SUMMARY = "summary.json: No such file or directory"
RUN_MARKS = {"metrics.jsonl", "checkpoints"}  # beside .hydra: a run that has lost its summary


@dataclass(frozen=True)
class Record:
    """One run or sweep as its files tell it, without a trained model.

    status: as the run wrote it; `damaged` where summary.json cannot be read; `killed` where it
    says running, but no process does so. begun: seconds since 1970. seconds: of training.
    metrics: figures at the best epoch. tags: the words in the file `tags`. summary: all of
    summary.json, empty where damaged. reason: what is wrong with the files.

    A sweep has the overrides and hparams that all its jobs share, the metrics of the best job and
    the seconds of all. Its summary: `jobs` (number by status), `swept` (keys that the jobs differ
    in), `metric` (by which they are compared), `best_job` (the folder of the best, or None).
    """

    path: Path
    name: str
    kind: Literal["run", "sweep"]
    status: str
    begun: float | None
    seconds: float | None
    overrides: tuple[str, ...]
    hparams: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    tags: tuple[str, ...]
    summary: Mapping[str, Any]
    reason: str = ""


def records(folders: Sequence[Path]) -> Iterator[Record]:
    """Runs and sweeps below the folders, by path; the trash and hidden folders are left out.

    A sweep is one record, its jobs are none; but where its own folder is named, they are.
    """
    for folder in folders:
        if os.path.lexists(folder / "sweep.yaml"):
            yield from (read_record(Path(job)) for job in job_folders(str(folder)))
        else:
            yield from _below(str(folder), DEEPEST)


def read_record(path: Path) -> Record:
    """The run or the sweep in a directory; status damaged where its files tell nothing."""
    folder = str(path)
    if os.path.lexists(path / "sweep.yaml"):
        return _sweep(folder)
    try:
        return _run(folder, read_summary(folder))
    except Damaged as fault:
        return _damaged(folder, str(fault))


def best_figure(record: Record) -> tuple[str, float] | None:
    """Name and value of the figure that tells how good the record is, if it has one.

    Never one of the test split: who compares runs by that chooses by it.
    """
    asked = (record.summary.get("metric"), record.summary.get("monitor"))
    for name in (*asked, "accuracy/val", "loss/val", "loss/train"):
        value = record.metrics.get(name) if isinstance(name, str) else None
        if isinstance(name, str) and value is not None and not name.endswith("/test"):
            return name, value
    return None


def _below(folder: str, depth: int) -> Iterator[Record]:
    """The runs and sweeps in a folder, which may be one itself."""
    try:  # first, since nearly all folders are runs: to list each would take twice as long
        summary = read_summary(folder)
    except Damaged as fault:
        if not fault.is_missing:
            yield _damaged(folder, str(fault))
            return
    else:
        yield _run(folder, summary)
        return
    try:
        entries = sorted_entries(folder)
    except FileNotFoundError:  # thrown away a moment ago
        return
    except OSError as error:
        yield _damaged(folder, f"cannot be listed: {error.strerror}")
        return
    if any(entry.name == "sweep.yaml" for entry in entries):
        yield _sweep(folder)
    elif is_run(entries):
        yield _damaged(folder, NO_SUMMARY)
    elif depth:
        for entry in entries:
            if is_searched(entry):
                yield from _below(entry.path, depth - 1)


def is_run(entries: Sequence[os.DirEntry[str]]) -> bool:
    """Whether these are the files of a run, of one that has lost its summary too."""
    names = {entry.name for entry in entries}
    return "summary.json" in names or (".hydra" in names and not RUN_MARKS.isdisjoint(names))


def is_searched(entry: os.DirEntry[str]) -> bool:
    """Whether there may be runs below: in no link, no hidden folder and not in the trash."""
    if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
        return False
    return entry.name != TRASH.name or os.path.abspath(entry.path) != os.path.abspath(TRASH)


def _run(folder: str, summary: Mapping[str, Any]) -> Record:
    tags, reason = read_tags(folder)
    return Record(
        path=Path(folder),
        name=_name(folder),
        kind="run",
        status=status_now(folder, summary),
        begun=begun(folder, summary),
        seconds=summary["train_seconds"],
        overrides=tuple(summary["overrides"]),
        hparams=summary["hparams"],
        metrics=summary["metrics"],
        tags=tags,
        summary=summary,
        reason=reason,
    )


def _damaged(folder: str, reason: str, kind: Literal["run", "sweep"] = "run") -> Record:
    return Record(
        path=Path(folder),
        name=_name(folder, with_parent=kind == "sweep"),
        kind=kind,
        status="damaged",
        begun=begun(folder, {}),
        seconds=None,
        overrides=(),
        hparams={},
        metrics={},
        tags=read_tags(folder)[0],
        summary={},
        reason=reason,
    )


def _name(folder: str, *, with_parent: bool = False) -> str:
    """A run's directory; of a sweep, which is called by its date, also the folder above."""
    names = last_names(folder)
    return "/".join(names) if with_parent else names[-1]


def _sweep(folder: str) -> Record:
    """A sweep as the summaries of its jobs and the head of sweep.yaml tell it."""
    try:
        jobs = read_jobs(folder)
    except OSError as error:
        return _damaged(folder, f"sweep.yaml: {error.strerror}", "sweep")
    tags, reason = read_tags(folder)
    return Record(
        path=Path(folder),
        name=_name(folder, with_parent=True),
        kind="sweep",
        status=jobs.status,
        begun=begun(folder, {}),
        seconds=jobs.seconds,
        overrides=jobs.overrides,
        hparams=jobs.hparams,
        metrics=jobs.metrics,
        tags=tags,
        summary=jobs.summary,
        reason=reason,
    )
