"""What runs were given otherwise and what came of it, as rows: of config, metrics, environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlrun.runs.config import RECORDED, flat_config, read_config
from dlrun.runs.history import finite
from dlrun.runs.jobs import is_higher_better
from dlrun.runs.records import Record

COUNTS = ("best_epoch", "steps", "parameters", "train_seconds")  # entries of summary.json
# Figures of which neither less nor more is better.
NOT_COMPARED = ("lr", "grad_norm", "time", *COUNTS)
ENVIRONMENT = ("device", "host", "versions", "git", "data")  # entries of summary.json

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """Values by key, then by the letter of the run; a run without the key has no entry.

    best: by key the letters of the best; note: what to know of it.
    """

    title: str
    rows: Mapping[str, Values]
    best: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""


def compare(runs: Mapping[str, Record]) -> tuple[list[str], list[Rows]]:
    """What could not be read, and the rows of config, metrics and environment.

    Of config and environment only what differs, of metrics all.
    """
    faults, configs = [], {}
    for letter, record in runs.items():
        config, fault = read_config(record.path)
        configs[letter] = {**_choices(record), **flat_config(config)}
        if fault:
            faults.append(f"{letter}: {fault}; hyper-parameters of summary.json are compared")
    if faults:  # like with like
        configs = {letter: dict(record.hparams) for letter, record in runs.items()}
    config = {key: row for key, row in _by_key(configs).items() if differs(row, runs)}
    about = {letter: _environment(record) for letter, record in runs.items()}
    environment = {key: row for key, row in _by_key(about).items() if differs(row, runs)}
    return faults, [
        Rows("config", _by_group(config)),
        _metrics(runs),
        Rows("environment", environment),
    ]


def _by_group(rows: Mapping[str, Values]) -> dict[str, Values]:
    """Rows of a group next to one another; without targets whose choice says it in a word."""
    groups = {key: key.partition(".")[0] for key in rows}
    order = list(dict.fromkeys(groups.values()))
    told = [key for key in rows if not (key.endswith("._target_") and groups[key] in rows)]
    return {key: rows[key] for key in sorted(told, key=lambda key: order.index(groups[key]))}


def _metrics(runs: Mapping[str, Record]) -> Rows:
    """All figures, with the best marked where runs were judged on the same data by the same."""
    columns = {}
    for letter, record in runs.items():
        counts = {name: finite(record.summary.get(name)) for name in COUNTS}
        present = {name: value for name, value in counts.items() if value is not None}
        columns[letter] = {**record.metrics, **present}
    rows = _by_key(columns)
    ordered = {key: rows[key] for key in sorted(rows, key=_order)}
    if len({_data(record) for record in runs.values()}) > 1:
        return Rows("metrics", ordered, note="no best is marked: the runs have different data")
    same_loss = len({repr(record.hparams.get("loss")) for record in runs.values()}) == 1
    compared = [key for key in ordered if same_loss or not key.startswith("loss/")]
    best = {key: found for key in compared if (found := best_of(key, ordered[key]))}
    note = "" if same_loss else "losses are not compared: the runs minimise different ones"
    return Rows("metrics", ordered, best, note)


def _data(record: Record) -> str:
    """What tells the data of runs apart: the checksum, or the name in older runs."""
    data = record.summary.get("data")
    checksum = data.get("checksum") if isinstance(data, Mapping) else None
    return repr(checksum or record.hparams.get("dataset"))


def _choices(record: Record) -> dict[str, Any]:
    return {group: record.hparams[group] for group in RECORDED if group in record.hparams}


def _environment(record: Record) -> dict[str, Any]:
    told = record.summary
    present = {key: told[key] for key in ENVIRONMENT if told.get(key) is not None}
    return {"status": record.status, **flat_config(present)}


def _by_key(columns: Mapping[str, Values]) -> dict[str, dict[str, Any]]:
    """Rows out of columns, in the order in which keys come up."""
    rows: dict[str, dict[str, Any]] = {}
    for letter, column in columns.items():
        for key, value in column.items():
            rows.setdefault(key, {})[letter] = value
    return rows


def differs(row: Values, runs: Mapping[str, Record]) -> bool:
    first, *others = row.values()
    return len(row) < len(runs) or any(not _is_same(value, first) for value in others)


def _is_same(a: Any, b: Any) -> bool:
    """Whether two values mean the same: 1 and 1.0 do, 1 and true do not.

    >>> _is_same(1, 1.0), _is_same(1, True), _is_same([0.5], [0.5])
    (True, False, True)
    """
    return repr(a) == repr(b) or a == b and isinstance(a, bool) == isinstance(b, bool)


def _order(metric: str) -> tuple[bool, bool, str]:
    """Losses first, then what else is compared, by name and split, times last."""
    name, _, split = metric.partition("/")
    place = {"train": "0", "val": "1", "test": "2"}.get(split, split)
    if metric in COUNTS:
        return True, True, f"~{COUNTS.index(metric)}"
    return name in NOT_COMPARED, name != "loss", f"{name}/{place}"


def best_of(metric: str, row: Values) -> list[str]:
    """Letters of the runs with the best value; none where all are the same, or none is better.

    >>> best_of("loss/val", {"A": 0.2, "B": 0.1, "C": 0.1})
    ['B', 'C']
    >>> best_of("accuracy/val", {"A": 0.9, "B": 0.9}), best_of("lr", {"A": 1.0, "B": 2.0})
    ([], [])
    """
    if metric.partition("/")[0] in NOT_COMPARED:
        return []
    present = {letter: value for letter, value in row.items() if value is not None}
    if len(set(present.values())) < 2:
        return []
    best = (max if is_higher_better(metric) else min)(present.values())
    return [letter for letter, value in present.items() if value == best]
