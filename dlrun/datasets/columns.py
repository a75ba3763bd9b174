"""Columns of a pandas table as tensors: features, and targets by what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlrun.datasets.samples import Task
from dlrun.errors import UserError, shown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MOST_CLASSES = 20  # more distinct integers than this are taken for quantities
MOST_CATEGORIES = 1000


def inputs_of(
    table: pd.DataFrame, categorical: set[str], path: str
) -> tuple[Tensor, tuple[str, ...]]:
    """Features (N, D) float64 and their names: numeric columns, then one column a category.

    NaN stands for a missing value. Raises UserError for text that is not declared categorical.
    """
    numeric = {
        str(name): as_numbers(table[name]) for name in table.columns if name not in categorical
    }
    texts = [name for name, numbers in numeric.items() if isinstance(numbers, str)]
    if texts:
        names = ",".join(texts)
        raise UserError(
            f"dataset.path={shown(path)}: column '{texts[0]}' has text where numbers belong: "
            f"{numeric[texts[0]]};\n"
            f"correct it, or type dataset.categorical=[{names}] (one column a value), "
            f"or dataset.ignore=[{names}]"
        )
    columns, names_out = [], []
    for name, numbers in numeric.items():
        columns.append(torch.tensor(numbers))
        names_out.append(str(name))
    for name in (name for name in table.columns if name in categorical):
        values = sorted(table[name].dropna().unique(), key=str)
        if len(values) > MOST_CATEGORIES:
            raise UserError(
                f"dataset.categorical=[{name}]: {len(values)} different values; expected at most "
                f"{MOST_CATEGORIES} (dataset.ignore=[{name}] leaves it out)"
            )
        absent = torch.tensor(table[name].isna().to_numpy())
        for value in values:
            one_hot = torch.tensor((table[name] == value).to_numpy(dtype="float64"))
            columns.append(one_hot.masked_fill(absent, torch.nan))
            names_out.append(f"{name}={value}")
    return torch.stack(columns, dim=1), tuple(names_out)  # (N, D)


def as_numbers(column: pd.Series) -> NDArray[np.float64] | str:
    """The column as float64, or its first cell that is no number: `'12k' in row 2`."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype="float64")
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[column.notna() & numbers.isna()]
    if len(wrong) == 0:
        return numbers.to_numpy(dtype="float64")
    return f"'{wrong.iloc[0]}' in row {wrong.index[0] + 1}"


def targets_of(column: pd.Series, task: str) -> tuple[Tensor, tuple[str, ...], Task]:
    """Targets, the names of the classes, and the task that `auto` stands for.

    Regression (N, 1) float64; classes (N,) int64, numbered in the order of their values.
    """
    import pandas as pd

    is_bool = pd.api.types.is_bool_dtype(column)
    numbers = "true or false" if is_bool else as_numbers(column)
    cells = column.tolist() if isinstance(numbers, str) else numbers.tolist()
    values = sorted(set(cells), key=str if isinstance(numbers, str) else None)
    whole = not isinstance(numbers, str) and all(float(value).is_integer() for value in values)
    few_integers = whole and len(values) <= MOST_CLASSES and 2 * len(values) <= len(cells)
    if isinstance(numbers, str):
        some_numbers = not is_bool and pd.to_numeric(column, errors="coerce").notna().any()
        if task == "regression" or (task == "auto" and some_numbers):
            raise UserError(
                f"dataset.task={task}: the target '{column.name}' has text where numbers belong: "
                f"{numbers} (dataset.task=multiclass for classes)"
            )
        if task == "auto" and len(values) > max(len(cells) // 2, 2):
            raise UserError(
                f"dataset.target={column.name}: text with {len(values)} different values in "
                f"{len(cells)} rows; expected numbers or classes\n"
                "(dataset.task=multiclass if these are classes, dataset.target=... if not)"
            )
    elif task == "regression" or (task == "auto" and not few_integers):
        return torch.tensor(numbers).unsqueeze(1), (), "regression"
    if task == "binary" and len(values) != 2:
        raise UserError(
            f"dataset.task=binary: the target '{column.name}' has {len(values)} different values; "
            "expected two (dataset.task=multiclass for more)"
        )
    number = {value: k for k, value in enumerate(values)}
    names = tuple(str(int(value)) if whole else str(value) for value in values)
    chosen: Task = "binary" if len(values) == 2 and task != "multiclass" else "multiclass"
    return torch.tensor([number[cell] for cell in cells]), names, chosen
