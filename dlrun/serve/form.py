"""One row of a table as the page's form has it: a field a column, and what the run makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlrun.describe import StoredData
from dlrun.errors import UserError, printable
from dlrun.predict.cells import numbers, one_hot
from dlrun.predict.columns import columns_of
from dlrun.trained import Trained

MOST_FIELDS = 60  # more are no form any more


@dataclass(frozen=True)
class Field:
    """One column: its name to be shown and the text that the form begins with.

    choices: each value that may be chosen, and how it is shown; None where a number is typed.
    """

    name: str
    value: str
    choices: tuple[tuple[str, str], ...] | None = None


def fields(trained: Trained) -> list[Field]:
    """The fields for a run's table, in the order of its features.

    They begin with the mean over the training split where the run knows it (with a logarithm the
    geometric mean), a category with the most frequent one.
    """
    means = known_means(trained.data)
    found: list[Field] = []
    feature = 0
    for column in columns_of(trained):
        name = printable(column.name)
        if column.values is None:
            found.append(Field(name, "0" if means is None else _typed(float(means[feature]))))
            feature += 1
            continue
        end = feature + len(column.values)
        most_frequent = 0 if means is None else int(means[feature:end].argmax())
        choices = tuple((value, printable(value)) for value in column.values)
        found.append(Field(name, column.values[most_frequent], choices))
        feature = end
    return found


def row_inputs(trained: Trained, cells: Sequence[object]) -> Tensor:
    """The row (1, D) float64 in the table's own unit from one text a field, NaN for a missing one.

    Raises UserError, with the column, for what is no number or none of its values.
    """
    columns = columns_of(trained)
    texts = [cell for cell in cells if isinstance(cell, str)]
    if len(texts) != len(columns) or len(texts) != len(cells):
        raise UserError(f"expected {len(columns)} texts, one for each column")
    fills, transform = trained.data.fill is not None, trained.data.transform
    parts = [
        numbers([text], column.name, 0, fills=fills, transform=transform).unsqueeze(1)
        if column.values is None
        else one_hot([text], column, 0, fills=fills)
        for column, text in zip(columns, texts, strict=True)
    ]
    return torch.cat(parts, dim=1)  # (1, D)


def known_means(data: StoredData) -> Tensor | None:
    """The mean of each feature over the training split, (D,), in its column's own unit."""
    means = data.fill if data.input_scaling is None else data.input_scaling.mean
    if means is None or means.shape != data.in_shape:
        return None
    means = means.double().cpu()
    return {"tenth": means * 10, "log": means.exp(), "none": means}[data.transform]


def _typed(value: float) -> str:
    """A number as one would type it, with four digits.

    >>> _typed(0.55469), _typed(408.2), _typed(12653.1), _typed(-0.0)
    ('0.5547', '408.2', '12650', '0')
    """
    if value == 0 or not math.isfinite(value):
        return "0"
    rounded = float(f"{value:.4g}")
    return f"{rounded:.0f}" if 1e4 <= abs(rounded) < 1e15 else f"{rounded:g}"
