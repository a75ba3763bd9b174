"""Cells of a table as numbers, or an error that names row and column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dlrun.datasets.samples import Transform
from dlrun.errors import UserError, shown

# What pandas, which reads tables for training, takes for a missing value.
MISSING = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN")
    + ("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)
LARGEST = float(np.finfo(np.float32).max)
MOST_NAMED = 8  # categories that an error lists


@dataclass(frozen=True)
class Column:
    """A column of a table. values: its categories, each a feature of its own; None: numbers."""

    name: str
    values: tuple[str, ...] | None = None


def numbers(
    cells: Sequence[str], name: str, count: int, *, fills: bool, transform: Transform = "none"
) -> Tensor:
    """The cells of a column as float64 (n,); NaN for a missing one, if the run `fills` those.

    count: rows before the first of these. Raises UserError for any that is no finite number, or
    not above 0 where the run takes logarithms.

    >>> numbers(["1", "2.5"], "age", 0, fills=False)
    tensor([1.0000, 2.5000], dtype=torch.float64)
    """
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        values = np.array([_number(cell) for cell in cells])
    wrong = ~(np.abs(values) <= LARGEST)
    if transform == "log":
        wrong |= ~(values > 0)
    for k in np.flatnonzero(wrong).tolist():
        if fills and cells[k].strip() in MISSING:
            continue
        raise UserError(f"row {count + k + 1}, column '{shown(name)}': {_fault(cells[k])}")
    return torch.from_numpy(values)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _fault(cell: str) -> str:
    """What is wrong with a cell that is not such a number as is expected."""
    if cell.strip() in MISSING:
        return "no value" + (f" ({shown(cell)})" if cell.strip() else "") + "; expected a number"
    value = _number(cell)
    if math.isnan(value):
        return f"'{shown(cell, 40)}' is text; expected a number"
    if abs(value) <= LARGEST:
        return f"{shown(cell, 40)}; expected a number > 0, since the run takes its logarithm"
    return f"{shown(cell, 40)}; expected a finite number, at most 3.4e38"


def one_hot(cells: Sequence[str], column: Column, count: int, *, fills: bool) -> Tensor:
    """One column a category (n, V) float64, 1 where a cell says it; NaN where one is missing.

    Raises UserError for a category that the run has never seen.

    >>> one_hot(["red", "blue"], Column("colour", ("blue", "red")), 0, fills=False)
    tensor([[0., 1.],
            [1., 0.]], dtype=torch.float64)
    """
    assert column.values is not None
    known: dict[str, list[float]] = {}
    rows = []
    for k, cell in enumerate(cells):
        row = known.get(cell)
        if row is None:
            place = _place(cell, column.values)
            if place is None and not (fills and cell in MISSING):
                raise UserError(
                    f"row {count + k + 1}, column '{shown(column.name)}': {_unknown(cell, column)}"
                )
            row = known[cell] = [
                math.nan if place is None else float(k == place) for k in range(len(column.values))
            ]
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def _place(cell: str, values: Sequence[str]) -> int | None:
    """Which category a cell means: by its text, or as a number, 1 for 1.0.

    >>> _place("1", ("0.0", "1.0"))
    1
    """
    if cell in values:
        return values.index(cell)
    for same in (_number, str.lower):  # pandas reads TRUE as True
        for k, value in enumerate(values):
            if same(value) == same(cell):
                return k
    return None


def _unknown(cell: str, column: Column) -> str:
    values = column.values or ()
    some = ", ".join(shown(value, 40) for value in values[:MOST_NAMED])
    some += f" and {len(values) - MOST_NAMED} more" if len(values) > MOST_NAMED else ""
    if cell in MISSING:
        return f"no value; expected one of {some}"
    return f"'{shown(cell, 40)}' was never seen in training; expected one of {some}"
