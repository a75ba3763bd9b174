"""What the jobs of a sweep come to: how many stand how, what they share, which is best."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlrun.runs.summaries import Damaged, is_held, read_file, read_summary, status_now

PLAN = "sweep.yaml"
LARGEST_PLAN = 64 * 2**20  # bytes; 10,000 jobs have 5 MB
HIGHER_IS_BETTER = ("accuracy", "r2")
JOB = re.compile(r"\d{4,}-")
# A sweep stands as the first of these that one of its jobs has: what there is to do about it.
URGENT = ("running", "killed", "interrupted", "pending", "failed", "damaged")


@dataclass(frozen=True)
class Jobs:
    """The jobs of a sweep, taken together.

    overrides, hparams: what all that have begun share. metrics: of the best one. seconds: of
    training, of all. summary: `jobs` (their number by status), `swept` (keys that they differ
    in), `metric` (by which they are compared), `best_job` (the folder of the best, or None).
    """

    status: str
    seconds: float | None
    overrides: tuple[str, ...]
    hparams: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    summary: Mapping[str, Any]


def read_jobs(folder: str) -> Jobs:
    """The jobs in a sweep's folder, also where its plan is damaged. Raises OSError."""
    plan = read_file(f"{folder}/{PLAN}", LARGEST_PLAN)
    summaries: dict[str, dict[str, Any]] = {}  # by folder
    statuses: Counter[str] = Counter()
    for job in job_folders(folder):
        try:
            summaries[job] = read_summary(job)
            statuses[status_now(job, summaries[job])] += 1
        except Damaged as fault:
            statuses["pending" if fault.is_missing else "damaged"] += 1
    num_planned = len(re.findall(rb"^- number: ", plan, re.MULTILINE))
    statuses["pending"] += max(0, num_planned - sum(statuses.values()))
    metric = _metric(plan, summaries.values())
    best = _best(summaries, metric, maximized=_is_maximized(plan, metric))
    words = [summary["overrides"] for summary in summaries.values()]
    shared = _shared([dict.fromkeys(overrides) for overrides in words])
    seconds = [s["train_seconds"] for s in summaries.values() if s["train_seconds"] is not None]
    return Jobs(
        status=_status(folder, statuses),
        seconds=sum(seconds) if seconds else None,
        overrides=tuple(shared),
        hparams=_shared([summary["hparams"] for summary in summaries.values()]),
        metrics={} if best is None else summaries[best]["metrics"],
        summary={
            "jobs": {status: number for status, number in statuses.items() if number},
            "swept": _keys(word for overrides in words for word in overrides if word not in shared),
            "metric": metric,
            "best_job": None if best is None else os.path.basename(best),
        },
    )


def job_folders(folder: str) -> list[str]:
    """The directories of a sweep's jobs, in their order. Raises OSError."""
    return [
        entry.path
        for entry in sorted_entries(folder)
        if entry.is_dir(follow_symlinks=False)
        and (JOB.match(entry.name) or os.path.lexists(f"{entry.path}/summary.json"))
    ]


def sorted_entries(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _metric(plan: bytes, summaries: Collection[Mapping[str, Any]]) -> str:
    """What the plan compares by; where it does not say, or no job has it, what they do have."""
    found = re.search(rb"^metric: ([\w/.-]+)$", plan, re.MULTILINE)
    names = [found[1].decode(errors="replace")] if found else []
    for name in (*names, "accuracy/val"):
        if not name.endswith("/test") and any(name in job["metrics"] for job in summaries):
            return name
    return "loss/val"


def _best(
    summaries: Mapping[str, Mapping[str, Any]], metric: str, *, maximized: bool
) -> str | None:
    """The folder of the best job; one that has diverged or failed is none."""
    figures = {
        folder: summary["metrics"][metric]
        for folder, summary in summaries.items()
        if summary["metrics"].get(metric) is not None
        and summary["status"] not in ("diverged", "failed")
    }
    choose = max if maximized else min
    return choose(figures, key=figures.__getitem__) if figures else None


def _is_maximized(plan: bytes, metric: str) -> bool:
    found = re.search(rb"^direction: (maximize|minimize)$", plan, re.MULTILINE)
    return found[1] == b"maximize" if found else is_higher_better(metric)


def is_higher_better(metric: str) -> bool:
    """Whether more of a metric is better; of losses, errors and seconds, less is."""
    return metric.partition("/")[0] in HIGHER_IS_BETTER


def _status(folder: str, statuses: Mapping[str, int]) -> str:
    """How the sweep stands: a job that diverged or was pruned is a result like any other."""
    if is_held(folder):
        return "running"
    return next((status for status in URGENT if statuses.get(status)), "completed")


def _shared(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that are in each of the mappings."""
    first, *others = mappings or [{}]
    nothing = object()
    return {
        key: value
        for key, value in first.items()
        if all(other.get(key, nothing) == value for other in others)
    }


def _keys(words: Iterable[str]) -> list[str]:
    """The keys of overrides, each once, in their order."""
    return list(dict.fromkeys(word.lstrip("+~").partition("=")[0] for word in words))
