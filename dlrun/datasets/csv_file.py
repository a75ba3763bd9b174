"""A user's own table: a CSV file becomes numbers, or an error that says what to type."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dlrun.datasets.columns import as_numbers, inputs_of, targets_of
from dlrun.datasets.samples import Samples
from dlrun.errors import UserError, nearest, shown

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {"tab": "\t", "\\t": "\t"}


def csv(
    data_dir: Path,
    seed: int,
    *,
    path: str,
    target: str | None,
    task: Literal["auto", "regression", "binary", "multiclass"],
    separator: str,
    header: bool,
    encoding: str,
    ignore: Sequence[str],
    categorical: Sequence[str],
    missing: Literal["error", "drop", "mean"],
) -> Samples:
    """The rows of a CSV file, (N, D) floats: numeric columns in order, then one-hot columns.

    target: a column's name, None for the last one. Without `header` columns are called column1,
    column2, ….
    task: `auto` takes text, true/false and at most 20 distinct integers, each twice on average,
    for classes (two: binary), all other numbers for regression.
    missing: `error`; `drop` leaves out rows with an empty cell; `mean` leaves inputs to be
    filled with the mean of the training split (a one-hot column: its share).
    Rows are counted from 1 below the header. Raises UserError for whatever is not a table of
    numbers and is not declared otherwise.
    """
    file = Path(path).expanduser()
    table, notes = _read(file, separator, header, encoding)
    table, target = _choose_columns(table, path, target, ignore, categorical)
    table, dropped = _without_missing(table, target, missing)
    notes += dropped

    features = [name for name in table.columns if name != target]
    inputs, input_names = inputs_of(table[features], set(categorical), path)
    targets, classes, chosen = targets_of(table[target], task)
    if task == "auto":
        notes.append(f"task: {chosen}, by the values of '{target}' (dataset.task=... to choose)")
    return Samples(
        inputs=inputs,
        targets=targets,
        task=chosen,
        classes=classes,
        features=input_names,
        target_name=target,
        fill_missing=missing == "mean",
        notes=tuple(notes),
    )


def _read(
    file: Path, separator: str, header: bool, encoding: str
) -> tuple[pd.DataFrame, list[str]]:
    """The table with a name for every column, and notes on the names."""
    fault = f"dataset.path={shown(file)}"
    _check_file(file, fault)
    separator = SEPARATORS.get(separator, separator)
    if len(separator) != 1:
        raise UserError(
            f"dataset.separator={shown(separator)}: expected one character, or tab "
            "(for example dataset.separator=';')"
        )
    first, table = _parse(file, fault, separator, header, encoding)
    if len(table) == 0:
        raise UserError(f"{fault}: only a header; expected rows of numbers below it")
    table.columns, notes = _column_names(first, header, fault)
    return table, notes


def _check_file(file: Path, fault: str) -> None:
    if file.is_dir():
        raise UserError(f"{fault}: a folder; expected a CSV file (or type dataset=image_folder)")
    if not file.is_file():
        near = (
            [p.name for p in file.parent.glob("*") if p.is_file()] if file.parent.is_dir() else []
        )
        raise UserError(f"{fault}: no such file{nearest(file.name, near)}")


def _parse(
    file: Path, fault: str, separator: str, header: bool, encoding: str
) -> tuple[pd.Series, pd.DataFrame]:
    """The cells of the first row as text, and the table as pandas reads it."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the first
            first = pd.read_csv(
                file, sep=separator, header=None, nrows=1, dtype=str, encoding=encoding
            )
            table = pd.read_csv(
                file,
                sep=separator,
                header=0 if header else None,
                encoding=encoding,
                index_col=False,
                low_memory=False,
            )
    except (LookupError, ValueError, OSError, pd.errors.ParserWarning) as error:
        raise _unreadable(error, fault, encoding) from None
    return first.iloc[0], table


def _unreadable(error: Exception, fault: str, encoding: str) -> UserError:
    """What to tell the user about an error that pandas raised while reading."""
    import pandas as pd

    if isinstance(error, pd.errors.EmptyDataError):
        return UserError(f"{fault}: the file is empty; expected rows of numbers")
    if isinstance(error, UnicodeDecodeError):
        return UserError(
            f"{fault}: not {encoding} text (byte {error.object[error.start]:#04x}); "
            "expected another encoding (for example dataset.encoding=latin-1)"
        )
    if isinstance(error, LookupError):
        return UserError(
            f"dataset.encoding={shown(encoding)}: unknown (for example dataset.encoding=utf-8)"
        )
    if isinstance(error, OSError):
        return UserError(f"{fault}: cannot be read ({error.strerror or error})")
    detail = str(error).strip().splitlines()[-1].removeprefix("Error tokenizing data. ")
    if isinstance(error, pd.errors.ParserWarning):
        detail = "rows with more cells than the first"
    return UserError(
        f"{fault}: not a table ({detail}); expected as many cells in every row as in the first"
    )


def _column_names(first: pd.Series, header: bool, fault: str) -> tuple[list[str], list[str]]:
    """A name for each cell of the first row, columnK where it holds none, and notes."""
    import pandas as pd

    names = [str(name) if header and name == name else "" for name in first]
    for name in names:
        if name and names.count(name) > 1:
            raise UserError(
                f"{fault}: two columns are called '{name}'; expected different names "
                "(dataset.header=false if the first row has values)"
            )
    unnamed = [f"column{k}" for k, name in enumerate(names, start=1) if not name and header]
    note = "has no name; if it holds row numbers, leave it out with dataset.ignore="
    notes = [f"{name} {note}[{name}]" for name in unnamed]
    if header and not isinstance(as_numbers(pd.Series(names)), str):
        notes.append("the first row, taken for names, has numbers only (dataset.header=false?)")
    return [name or f"column{k}" for k, name in enumerate(names, start=1)], notes


def _choose_columns(
    table: pd.DataFrame,
    path: str,
    target: str | None,
    ignore: Sequence[str],
    categorical: Sequence[str],
) -> tuple[pd.DataFrame, str]:
    """The table without the ignored columns, and the name of the target among the others."""
    for key, names in (("ignore", ignore), ("categorical", categorical)):
        for name in names:
            _check_column(table, f"dataset.{key}=[{shown(name)}]", name)
    if target is not None:
        _check_column(table, f"dataset.target={shown(target)}", target)
    if target in categorical:
        raise UserError(
            f"dataset.categorical=[{target}]: this column is the target; "
            "expected dataset.task=multiclass to make classes of it"
        )
    if target in ignore:
        raise UserError(f"dataset.ignore=[{target}]: this column is the target; expected another")
    table = table.drop(columns=list(ignore))
    if len(table.columns) < 2:
        raise UserError(
            f"dataset.path={shown(path)}: {len(table.columns)} column; expected at least two, "
            f"a feature and the target{_other_separator(table)}"
        )
    return table, str(table.columns[-1]) if target is None else target


def _check_column(table: pd.DataFrame, fault: str, name: str) -> None:
    if name not in table.columns:
        names = ", ".join(list(table.columns)[:12]) + (", …" if len(table.columns) > 12 else "")
        hint = nearest(name, table.columns)
        raise UserError(f"{fault}: no such column{hint or f'; expected one of {names}'}")


def _other_separator(table: pd.DataFrame) -> str:
    text = str(table.columns[0]) if len(table.columns) else ""
    other = next(
        (name for sep, name in ((";", "';'"), ("\t", "tab"), ("|", "'|'")) if sep in text), ""
    )
    return f"; the separator looks like dataset.separator={other}" if other else ""


def _without_missing(
    table: pd.DataFrame, target: str, missing: str
) -> tuple[pd.DataFrame, list[str]]:
    """The rows that can be used, and a note on the others. Row labels stay those of the file."""
    counts = table.isna().sum()
    if not counts.any():
        return table, []
    by_column = ", ".join(f"{count} in '{name}'" for name, count in counts.items() if count)
    num_rows = int(table.isna().any(axis=1).sum())
    if missing == "error" or (missing == "mean" and counts[target]):
        why = f" (the target '{target}' cannot be filled)" if missing == "mean" else ""
        offer = f"dataset.missing=drop leaves out {num_rows} of {len(table)} rows"
        if not counts[target]:
            offer += ", dataset.missing=mean fills them with the training split's mean"
        raise UserError(f"dataset.missing={missing}: missing values: {by_column}{why};\n{offer}")
    if missing == "mean":
        return table, [f"missing values filled with the training split's mean: {by_column}"]
    if num_rows == len(table):
        raise UserError(
            f"dataset.missing=drop: every row has a missing value ({by_column}); "
            "expected at least one without (dataset.ignore=[...] leaves out a column)"
        )
    note = f"{num_rows} of {len(table)} rows left out for missing values: {by_column}"
    return table.dropna(), [note]
