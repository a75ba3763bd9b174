"""Curves in a terminal, eight dots a character; told apart without colours too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

# Bits of a braille character by the dot's row and column within it.
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BLANK = 0x2800
LOG_FROM = 50.0  # largest value over least, from which a logarithmic axis tells more

Dot = tuple[int, int]  # column from the left, row from the top


@dataclass(frozen=True)
class Curve:
    """One value an epoch, None where there is none; a dashed one has every other cell drawn."""

    name: str
    values: Sequence[float | None]
    style: str
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """The range of values that a plot shows, from its bottom to its top."""

    low: float
    high: float
    is_log: bool

    def share(self, value: float) -> float:
        """How high a value lies: 0 at the bottom, 1 at the top.

        >>> Axis(0.01, 1.0, is_log=True).share(0.1)
        0.5
        """
        if self.is_log:
            low = math.log(self.low)
            return (math.log(value) - low) / (math.log(self.high) - low)
        # Halves, since the difference of the largest floats would be infinite.
        return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def middle(self) -> float:
        if self.is_log:
            return math.exp((math.log(self.low) + math.log(self.high)) / 2)
        return self.low / 2 + self.high / 2


def plot(
    title: str,
    epochs: Sequence[int],
    curves: Sequence[Curve],
    *,
    width: int,
    height: int,
    best: int | None = None,
    may_be_log: bool = True,
) -> list[Text]:
    """The lines of a plot over epochs, each `width` columns: title, `height` rows, axis, labels.

    epochs: increasing, one for each value. best: an epoch to mark on the axis. may_be_log: values
    far apart get a logarithmic axis. Where there is no value, the only line says so.
    """
    values = [value for curve in curves for value in curve.values if value is not None]
    axis = value_axis(values, may_be_log)
    if axis is None:
        return [_filled(Text(f"{title}: no finite value"), width)]
    labels = [value_text(value) for value in (axis.high, axis.middle(), axis.low)]
    margin = max(map(len, labels))
    columns = width - margin - 1
    spread = max(epochs[-1] - epochs[0], 1)
    at = [round((epoch - epochs[0]) / spread * (2 * columns - 1)) for epoch in epochs]
    cells: dict[Dot, tuple[int, str]] = {}
    for curve in curves:
        for x, y in dots(curve, at, axis, 4 * height):
            bits = cells.get((x // 2, y // 4), (0, ""))[0]
            cells[x // 2, y // 4] = bits | BITS[y % 4][x % 2], curve.style
    marked = dict(zip((0, (height - 1) // 2, height - 1), labels, strict=True))
    lines = [_legend(title + (" (log)" if axis.is_log else ""), curves, width)]
    for row in range(height):
        line = Text(f"{marked.get(row, ''):>{margin}}{'┤' if row in marked else '│'}", "dim")
        for column in range(columns):
            bits, style = cells.get((column, row), (0, ""))
            line.append(chr(BLANK + bits) if bits else " ", style)
        lines.append(line)
    place = at[epochs.index(best)] // 2 if best is not None and best in epochs else None
    return [*lines, *_epoch_axis(epochs, margin, columns, place, best)]


def value_axis(values: Sequence[float], may_be_log: bool = True) -> Axis | None:
    """From the least to the largest value, None where there is none; logarithmic when far apart.

    >>> value_axis([0.5, 0.2]), value_axis([1.0, 100.0]), value_axis([])
    (Axis(low=0.2, high=0.5, is_log=False), Axis(low=1.0, high=100.0, is_log=True), None)
    """
    if not values:
        return None
    low, high = min(values), max(values)
    if low == high:  # a straight line, in the middle
        room = abs(low) / 2 or 1.0
        return Axis(low - room, high + room, is_log=False)
    return Axis(low, high, is_log=may_be_log and low > 0 and high / LOG_FROM >= low)


def dots(curve: Curve, at: Sequence[int], axis: Axis, rows: int) -> Iterator[Dot]:
    """The dots of a curve whose values lie in the columns `at`, on so many rows of dots.

    Where several values share a column it is drawn from the least to the largest; where a value
    is missing the curve has a gap.
    """
    columns: dict[int, list[int]] = {}
    for x, value in zip(at, curve.values, strict=True):
        found = columns.setdefault(x, [])
        if value is not None:
            found.append(round((1 - axis.share(value)) * (rows - 1)))
    before: Dot | None = None
    dashed = curve.dashed and sum(map(bool, columns.values())) > 1
    for x, found in columns.items():
        if not found:
            before = None
            continue
        column = [(x, y) for y in range(min(found), max(found) + 1)]
        for dot in column if before is None else [*_line(before, (x, found[0])), *column]:
            if not dashed or dot[0] // 2 % 2 == 0:
                yield dot
        before = (x, found[-1])


def _line(start: Dot, end: Dot) -> Iterator[Dot]:
    """The dots between two in different columns, without a gap."""
    last = start[1]
    for x in range(start[0] + 1, end[0] + 1):
        y = round(start[1] + (end[1] - start[1]) * (x - start[0]) / (end[0] - start[0]))
        step = 1 if y >= last else -1
        yield from ((x, between) for between in range(last + step, y, step))
        yield x, y
        last = y


def value_text(value: float) -> str:
    """A value at an axis, in three digits.

    >>> value_text(0.12345), value_text(4.7e13)
    ('0.123', '4.7e+13')
    """
    return f"{value:.3g}"


def _legend(title: str, curves: Sequence[Curve], width: int) -> Text:
    line = Text(title, "bold")
    for curve in curves:
        line.append("  ").append("⠤ ⠤" if curve.dashed else "⠤⠤⠤", f"not bold {curve.style}")
        line.append(f" {curve.name}", "not bold")
    return _filled(line, width)


def _epoch_axis(
    epochs: Sequence[int], margin: int, columns: int, place: int | None, best: int | None
) -> Iterator[Text]:
    """The axis with the best epoch marked, and below it the first, the best and the last epoch."""
    rule = ["─"] * columns
    first, last = str(epochs[0]), f"{epochs[-1]} epoch{'' if epochs[-1] == 1 else 's'}"
    if len(epochs) == 1:
        first, last = "", f"epoch {epochs[0]}"
    text = list(f"{first}{last:>{columns - len(first)}}")
    if place is not None and len(epochs) > 1:
        rule[place] = "┴"
        told = f"best {best}"
        start = min(
            max(place - len(told) // 2, len(first) + 1), columns - len(last) - 1 - len(told)
        )
        if start > len(first):
            text[start : start + len(told)] = told
    yield Text(f"{'':>{margin}}└{''.join(rule)}", "dim")
    yield Text(f"{'':>{margin}} {''.join(text)}", "dim")


def _filled(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis", pad=True)
    return line
