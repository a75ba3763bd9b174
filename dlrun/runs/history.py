"""What a run's metrics.jsonl tells, epoch by epoch, and its curves for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from dlrun.runs.plot import Curve, plot
from dlrun.runs.summaries import read_file

LARGEST = 128 * 2**20  # bytes; a line has about 300
LARGEST_EPOCH = 2**53
HIGHEST = 1e150  # no run has such a figure
FIGURES = ("accuracy", "r2", "mae")  # the first that a run has is drawn beside the loss
SPLITS = {"train": ("train", "dodger_blue1", True), "val": ("validation", "dark_orange", False)}
NARROW, WIDE = 34, 66  # columns of one plot
HEIGHT = 9
GAP = 2  # columns between two plots

Line = Mapping[str, float | None]


def read_history(run_dir: Path) -> tuple[list[Line], str]:
    """The lines of metrics.jsonl by epoch, numbers finite or None, and what is wrong with it.

    Lines that cannot be read are left out; the second is empty where all could be.
    """
    try:
        rows = read_file(f"{run_dir}/metrics.jsonl", LARGEST).split(b"\n")
    except FileNotFoundError:
        return [], "there is no metrics.jsonl"
    except OSError as error:
        return [], f"metrics.jsonl: {error.strerror}"
    lines: dict[int, Line] = {}
    bad = 0
    for row in rows[:-1]:  # what follows the last line feed is being written
        line = _line(row)
        if line is None:
            bad += 1
        else:
            lines[int(line["epoch"] or 0)] = line
    ordered = [lines[epoch] for epoch in sorted(lines)]
    return ordered, f"metrics.jsonl: {bad} of its lines cannot be read" if bad else ""


def _line(row: bytes) -> Line | None:
    try:
        content = json.loads(row)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    epoch = content.get("epoch")
    if type(epoch) is not int or not 0 <= epoch < LARGEST_EPOCH:
        return None
    return {name: finite(value) for name, value in content.items()}


def finite(value: Any) -> float | None:
    """The value where it is a number that a run can have, else None.

    >>> finite(3), finite("3"), finite(float("nan")), finite(10**400)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= HIGHEST else None


def history_plots(lines: Sequence[Line], width: int, best: int | None) -> list[Text]:
    """Loss and one more figure over the epochs, side by side where there is room.

    best: the epoch to mark. Nothing where the lines have no figure.
    """
    names = [name for name in FIGURES if _has(lines, name)][:1]
    names = [name for name in ("loss", *names) if _has(lines, name)]
    beside = len(names) == 2 and width >= 2 * NARROW + GAP
    each = min(WIDE, (width - GAP) // 2 if beside else width)
    if each < NARROW // 2:
        return []
    epochs = [int(line["epoch"] or 0) for line in lines]
    plots = [
        plot(
            name,
            epochs,
            _curves(lines, name),
            width=each,
            height=HEIGHT,
            best=best,
            may_be_log=name in ("loss", "mae"),
        )
        for name in names
    ]
    if not beside:
        return [line for one in plots for line in (*one, Text())]
    height = max(map(len, plots))
    for one in plots:
        one += [Text(" " * each)] * (height - len(one))
    return [Text(" " * GAP).join(pair) for pair in zip(*plots, strict=True)] + [Text()]


def _curves(lines: Sequence[Line], name: str) -> list[Curve]:
    return [
        Curve(told, [line.get(f"{name}/{split}") for line in lines], style, dashed)
        for split, (told, style, dashed) in SPLITS.items()
        if any(f"{name}/{split}" in line for line in lines)
    ]


def _has(lines: Sequence[Line], name: str) -> bool:
    return any(f"{name}/{split}" in line for line in lines for split in SPLITS)
