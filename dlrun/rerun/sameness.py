"""Whether a run came out as another one did: figures of each epoch, the best weights, the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dlrun.checkpoint import load_checkpoint
from dlrun.errors import UserError, shown
from dlrun.run_files import METRICS

BEST = Path("checkpoints") / "best.pt"
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    rows: name, then, now of each metric at the best epoch. best: that epoch, then and now. same:
    whether nothing differs as far as both go. sentence: the same in words.
    """

    rows: list[tuple[str, float | None, float | None]]
    best: tuple[int | None, int | None]
    same: bool
    sentence: str


def compare(
    then: Path, now: Path, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Comparison:
    """What the run in the directory `then` and the one in `now` have alike; and their summaries."""
    figures, new_figures = (metrics_of(summary) for summary in (before, after))
    names = dict.fromkeys([*figures, *new_figures])
    rows = [(name, figures.get(name), new_figures.get(name)) for name in names]
    best, new_best = (epoch_of(summary.get("best_epoch")) for summary in (before, after))
    same, sentence = told(then, now, rows if best == new_best else [])
    return Comparison(rows, (best, new_best), same, sentence)


def told(then: Path, now: Path, rows: Sequence[tuple[str, Any, Any]]) -> tuple[bool, str]:
    """Whether the files of two runs agree as far as both go, and that in a sentence."""
    lines, new_lines = history(then), history(now)
    common = min(len(lines), len(new_lines))
    if common == 0:
        return False, f"nothing to compare: {METRICS} has no epoch {'then' if new_lines else 'now'}"
    if (found := first_difference(lines, new_lines)) is not None:
        epoch, name, value, new_value = found
        return False, (
            f"not the same: they first differ in epoch {epoch}, {shown(name)}: "
            f"{value!r} then, {new_value!r} now"
        )
    epochs = f"{common - 1} epoch{'s' if common != 2 else ''} of {METRICS} (times aside)"
    equal, weights = same_weights(then, now)
    if not equal:
        return False, f"not the same: {epochs} are equal, but {weights}"
    if differing := [row for row in rows if row[1] != row[2]]:
        name, value, new_value = differing[0]
        return False, (
            f"not the same: {epochs} are equal, but {shown(name)} is {value!r} then, "
            f"{new_value!r} now"
        )
    if len(lines) == len(new_lines):
        joined = f"{epochs} and {weights}" if weights == EQUAL else f"{epochs} are equal; {weights}"
        return True, f"the same, bit for bit: {joined}"
    lengths = f"{len(lines) - 1} epochs then, {len(new_lines) - 1} now"
    return True, (
        f"the same, bit for bit, as far as both go: {epochs} are equal ({lengths}); {weights}"
    )


EQUAL = "the best weights are equal"


def same_weights(then: Path, now: Path) -> tuple[bool, str]:
    """False where the best weights are of one epoch and differ; and what there is to say."""
    try:
        old, new = (load_checkpoint(run_dir / BEST) for run_dir in (then, now))
    except UserError as error:
        return True, f"the best weights are not compared ({error})"
    epoch, new_epoch = epoch_of(old.get("epoch")), epoch_of(new.get("epoch"))
    if epoch != new_epoch:
        return True, f"the best weights are of epoch {epoch} then, {new_epoch} now"
    weights, new_weights = old.get("model"), new.get("model")
    if not isinstance(weights, dict) or not isinstance(new_weights, dict):
        return False, "there are no weights in best.pt"
    if weights.keys() != new_weights.keys():
        return False, "the best weights have other names"
    for name, values in weights.items():
        if not same_bits(values, new_weights[name]):
            return False, f"{shown(name)} among the best weights differs"
    return True, EQUAL


def same_bits(values: Any, others: Any) -> bool:
    """Whether two tensors are the same bit for bit, so that NaN is what it is.

    >>> same_bits(torch.tensor([float("nan")]), torch.tensor([float("nan")]))
    True
    """
    if not isinstance(values, torch.Tensor) or not isinstance(others, torch.Tensor):
        return bool(values == others)
    if values.dtype != others.dtype or values.shape != others.shape:
        return False
    a, b = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (values, others))
    return torch.equal(a, b)


def first_difference(
    lines: Sequence[Figures], others: Sequence[Figures]
) -> tuple[int, str, float | None, float | None] | None:
    """Epoch, metric and both values where two histories first differ, times aside.

    >>> first_difference([{"loss/val": 1.0, "time/epoch": 2.0}], [{"loss/val": 1.5}])
    (0, 'loss/val', 1.0, 1.5)
    """
    for epoch, (line, other) in enumerate(zip(lines, others, strict=False)):
        for name in dict.fromkeys([*line, *other]):
            if not name.startswith("time/") and line.get(name) != other.get(name):
                return epoch, name, line.get(name), other.get(name)
    return None


def history(run_dir: Path) -> list[Figures]:
    """The lines of metrics.jsonl as far as they are sound, none where there is no such file."""
    lines: list[Figures] = []
    try:
        with (run_dir / METRICS).open(encoding="utf-8") as file:
            for text in file:
                line = json.loads(text)
                if not isinstance(line, dict) or line.get("epoch") != len(lines):
                    break
                lines.append(figures_in(line))
    except FileNotFoundError:
        pass
    except (ValueError, RecursionError):  # torn by a power cut, or no JSON at all
        pass
    return lines


def metrics_of(summary: Mapping[str, Any]) -> Figures:
    """The figures of a summary, times aside."""
    metrics = summary.get("metrics")
    found = figures_in(metrics) if isinstance(metrics, dict) else {}
    return {name: value for name, value in found.items() if not name.startswith("time/")}


def figures_in(values: Mapping[Any, Any]) -> Figures:
    """What of it is a figure, or null, under a name; a stranger may have written anything."""
    figures: Figures = {}
    for name, value in values.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is None or isinstance(value, float) or number and abs(value) < 2**63:
            figures[str(name)] = value
    return figures


def epoch_of(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**63 else None
