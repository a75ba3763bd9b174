"""The files of sweeps and runs as plain values; what cannot be read is told, never fatal."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
WORDS = {"true": True, "false": False, "null": None}
LARGEST_EXACT = 2**53  # beyond, a float no longer holds every integer
LARGEST = 1e150  # no run has such a figure, and squares of larger ones overflow


@dataclass(frozen=True)
class Job:
    """One run that is to be, is, or was: folder as it is shown, path where it lies, if it does.

    values: swept keys as typed; empty when no sweep.yaml tells them.
    """

    number: int
    folder: str
    path: Path | None
    values: dict[str, Any]


@dataclass(frozen=True)
class Source:
    """One folder with runs; metric and direction are None where no sweep.yaml tells them."""

    name: str
    folder: Path
    jobs: list[Job]
    metric: str | None = None
    higher_is_better: bool | None = None
    planned: bool = False  # there is a sweep.yaml: its values tell the settings


def read_source(folder: Path, damaged: list[str]) -> Source | None:
    """The sweep or the runs in a folder, or the run that it is itself; None when it is neither."""
    if (folder / "sweep.yaml").is_file():
        plan = _load_plan(folder / "sweep.yaml", damaged)
        if plan is not None:
            return _planned(folder, plan, damaged)
    if (folder / "summary.json").is_file():
        name = text(folder.resolve().name)
        return Source(name, folder, [Job(0, name, folder, {})])
    jobs = [Job(k, text(path.name), path, {}) for k, path in enumerate(run_directories(folder))]
    return Source(text(folder.resolve().name), folder, jobs) if jobs else None


def run_directories(folder: Path) -> list[Path]:
    """Folders in this one that hold a summary.json, by name."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if os.path.isfile(path / "summary.json")]


def _load_plan(path: Path, damaged: list[str]) -> Mapping[str, Any] | None:
    import yaml

    from dlrun.yaml_files import load_yaml

    try:
        plan = load_yaml(path.read_bytes())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        damaged.append(f"sweep.yaml: {_one_line(error)}")
        return None
    if not isinstance(plan, Mapping) or not isinstance(plan.get("jobs"), list):
        damaged.append("sweep.yaml: expected a mapping with a list `jobs`")
        return None
    return plan


def _planned(folder: Path, plan: Mapping[str, Any], damaged: list[str]) -> Source:
    """The sweep as planned, and run directories that the plan does not know after it."""
    jobs: dict[int, Job] = {}
    for position, entry in enumerate(plan["jobs"]):
        entry = entry if isinstance(entry, Mapping) else {}
        index, name, values = entry.get("number"), entry.get("folder"), entry.get("values")
        if not isinstance(values, Mapping) or not _is_count(index) or index in jobs:
            damaged.append(
                f"sweep.yaml: entry {position} of jobs: expected a number of its own, and values"
            )
            continue
        path = folder / name if isinstance(name, str) and "\0" not in name else None
        swept = {text(key): hyper_parameter(value) for key, value in values.items()}
        jobs[index] = Job(index, "" if path is None else text(name), path, swept)
    listed = {job.path for job in jobs.values()}
    for path in run_directories(folder):
        if path not in listed:
            index = _free_number(path.name, jobs)
            jobs[index] = Job(index, text(path.name), path, {})
    metric, direction = plan.get("metric"), plan.get("direction")
    return Source(
        name=text(plan.get("name") or folder.resolve().name),
        folder=folder,
        jobs=[jobs[index] for index in sorted(jobs)],
        metric=metric if isinstance(metric, str) and metric else None,
        higher_is_better={"maximize": True, "minimize": False}.get(str(direction)),
        planned=True,
    )


def _free_number(name: str, taken: Collection[int]) -> int:
    """The number that a folder's name begins with when it is free, else the next after all."""
    start = re.match(r"\d{1,9}", name)
    if start and int(start.group()) not in taken:
        return int(start.group())
    return max(taken, default=-1) + 1


def read_summary(job: Job, damaged: list[str]) -> dict[str, Any]:
    """The summary.json of a run; without one its status is pending, with a broken one damaged."""
    try:
        if job.path is None:
            return {"status": "pending"}
        summary = json.loads((job.path / "summary.json").read_bytes())
        if not isinstance(summary, dict) or not isinstance(summary.get("status"), str):
            raise ValueError("expected an object with a `status`")
    except (FileNotFoundError, NotADirectoryError):
        return {"status": "pending"}
    except (OSError, ValueError, RecursionError) as error:
        damaged.append(f"{job.folder}/summary.json: {_one_line(error)}")
        return {"status": "damaged", "error": f"summary.json cannot be read: {_one_line(error)}"}
    for name in ("hparams", "metrics"):
        entries = summary.get(name)
        summary[name] = entries if isinstance(entries, dict) else {}
    return summary


def read_lines(
    job: Job, running: bool, damaged: list[str]
) -> tuple[list[str], NDArray[np.float64]]:
    """Names and values (epochs, names) of metrics.jsonl, NaN for what `number` has none for.

    The last line of a run that is running may be half written; it is left out silently.
    """
    import numpy as np

    rows = _parse_lines(job, damaged)
    names = list(rows[0]) if rows and isinstance(rows[0], dict) else []
    if all(isinstance(row, dict) and list(row) == names for row in rows):
        table = [list(row.values()) for row in rows]
    else:
        rows = [row if isinstance(row, dict) else {} for row in rows]
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = [[row.get(name) for name in names] for row in rows]
    try:
        values = np.array(table, dtype=np.float64).reshape(len(rows), len(names))
    except (TypeError, ValueError, OverflowError):  # something in it is no number
        table = [[number(value) for value in row] for row in table]
        values = np.array(table, dtype=np.float64).reshape(len(rows), len(names))
    values[~(np.abs(values) <= LARGEST)] = np.nan
    epoch = values[:, names.index("epoch")] if "epoch" in names else np.full(len(rows), np.nan)
    bad = np.flatnonzero(np.isnan(epoch)).tolist()
    if bad and not (running and bad == [len(rows) - 1]):
        told = ", ".join(str(k + 1) for k in bad[:5]) + (", …" if len(bad) > 5 else "")
        damaged.append(f"{job.folder}/metrics.jsonl: cannot read line {told}")
    return [text(name) for name in names], values[~np.isnan(epoch)]


def _parse_lines(job: Job, damaged: list[str]) -> list[Any]:
    """What each line of metrics.jsonl holds, None where it is not JSON."""
    assert job.path is not None
    try:
        lines = (job.path / "metrics.jsonl").read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        damaged.append(f"{job.folder}/metrics.jsonl: {_one_line(error)}")
        return []
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")  # twice as fast as line by line
    except (ValueError, RecursionError):
        return [_parse_line(line) for line in lines]
    return rows if len(rows) == len(lines) else [_parse_line(line) for line in lines]


def _parse_line(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def override_values(overrides: Any) -> dict[str, Any]:
    """Keys and values of overrides such as `optimizer.lr=0.1`, as a sweep.yaml has them.

    >>> override_values(["optimizer=adam", "+model.bias=true", "~loss=mse"])
    {'optimizer': 'adam', 'model.bias': True}
    """
    words = overrides if isinstance(overrides, list) else []
    words = [word for word in words if isinstance(word, str)]
    pairs = (word.lstrip("+").partition("=") for word in words if "=" in word and word[0] != "~")
    return {text(key): hyper_parameter(value) for key, _, value in pairs}


def hyper_parameter(value: Any) -> Any:
    """A number, a truth value, a text or None: what texts spell is meant, lists become texts.

    >>> hyper_parameter("1e-3"), hyper_parameter("32"), hyper_parameter("False")
    (0.001, 32, False)
    >>> hyper_parameter("null"), hyper_parameter([64, 64])
    (None, '[64,64]')
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)):
        return text(str(list(value)).replace(", ", ",").replace("'", ""))
    if isinstance(value, str) and value.lower() in WORDS:  # in any case, as Hydra reads them
        return WORDS[value.lower()]
    if isinstance(value, str) and len(value) < 40 and NUMBER.fullmatch(value):
        value = float(value) if re.search(r"[.eE]", value) else int(value)
    if isinstance(value, (int, float)) and abs(value) < LARGEST_EXACT:
        return value
    return text(value)


def number(value: Any) -> float:
    """The value as a float; NaN for what is no number, or one that only a damaged file has.

    >>> number(3), number("3"), number(None), number(float("inf")), number(10**400)
    (3.0, nan, nan, nan, nan)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    return float(value) if abs(value) <= LARGEST else math.nan


def text(value: Any) -> str:
    r"""The value as a text that can be written as UTF-8: bytes that were none are spelt out.

    >>> text("a\udc80é")
    'a\\udc80é'
    """
    told = str(value)
    return told if told.isascii() else told.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_EXACT


def _one_line(error: Exception) -> str:
    return text(" ".join(str(error).split())) or type(error).__name__
