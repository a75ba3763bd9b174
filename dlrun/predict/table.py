"""Rows of a CSV file as the features of a run, some thousand at a time, however long the file is.

Columns are found by name, in any order, and read with the run's own settings: its separator,
encoding, header and categories. The column of the target and those that the run was told to
ignore may be there and are passed over.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from dlrun.datasets.csv_file import SEPARATORS
from dlrun.errors import UserError, shown
from dlrun.predict.cells import Column, numbers, one_hot
from dlrun.predict.columns import columns_of, names_without_header, positions
from dlrun.trained import Trained

CSV = "dlrun.datasets.csv_file.csv"  # whose settings say how a file is to be read
ROWS = 8 * 1024  # read at a time


def chunks(
    file: Path | BinaryIO,
    trained: Trained,
    *,
    ignore: Sequence[str] = (),
    separator: str | None = None,
    rows: int = ROWS,
    say: Callable[[str], None] | None = None,
) -> Iterator[Tensor]:
    """Values (n, D) float64 as they stand in the file, in the order of the model's features.

    At most `rows` of them at a time. NaN is a missing value, which the run fills; a category is 1
    in its own column. file: a path, also of a .gz, or bytes being read.
    ignore: columns to leave out. separator: None for the run's, or the tab of a .tsv.
    say: is told what is passed over. Rows are counted from 1 below the header.
    Raises UserError, in a line without the file's name, for whatever is not such a table.
    """
    settings = trained.settings.dataset
    is_csv = settings.get("_target_") == CSV
    encoding = settings.get("encoding", "utf-8") if is_csv else "utf-8"
    delimiter = _delimiter(file, separator, settings.get("separator", ",") if is_csv else ",")
    header = bool(settings.get("header", True)) if is_csv else True
    with _text(file, encoding) as text, _faults_told(encoding):
        records: Iterator[list[str]] = filter(
            None, csv.reader(text, delimiter=delimiter, strict=True)
        )
        first = next(records, None)
        if first is None:
            raise UserError("the file is empty; expected rows of numbers")
        columns = columns_of(trained)
        if header:
            names = [name or f"column{k}" for k, name in enumerate(first, start=1)]
        else:
            names = names_without_header(len(first), trained, len(columns))
            records = chain([first], records)
        places = positions(names, trained, columns, ignore, delimiter, say)
        count = 0
        while batch := list(islice(records, rows)):
            _check_lengths(batch, len(names), count)
            yield _values(batch, trained, columns, places, count)
            count += len(batch)
        if count == 0:
            raise UserError("only a header; expected rows of numbers below it")


def _delimiter(file: Path | BinaryIO, typed: str | None, stored: str) -> str:
    if typed is None:
        is_tsv = isinstance(file, Path) and file.name.lower().endswith((".tsv", ".tsv.gz"))
        return "\t" if is_tsv else SEPARATORS.get(stored, stored)
    separator = SEPARATORS.get(typed, typed)
    if len(separator) != 1 or separator in '\r\n"':
        raise UserError(f"--separator {shown(typed)}: expected one character, or tab")
    return separator


@contextmanager
def _text(file: Path | BinaryIO, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The file's text; bytes that were open before stay so."""
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"  # the mark at the beginning is not part of the first name
    try:
        if not isinstance(file, Path):
            binary: BinaryIO = file
        elif file.suffix.lower() == ".gz":
            binary = gzip.GzipFile(file)  # type: ignore[assignment]  # has all that is read here
        else:
            binary = file.open("rb")
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})") from error
    try:
        text = io.TextIOWrapper(binary, encoding=encoding, newline="")
    except LookupError as error:
        raise UserError(f"the run's dataset.encoding={shown(encoding)} is unknown") from error
    try:
        yield text
    finally:
        text.detach()
        if binary is not file:
            binary.close()


@contextmanager
def _faults_told(encoding: str) -> Iterator[None]:
    """Raises UserError for what cannot be read as text in rows."""
    try:
        yield
    except UnicodeError as error:
        byte = ""
        if isinstance(error, UnicodeDecodeError):
            byte = f" (byte {error.object[error.start]:#04x})"
        raise UserError(
            f"not {encoding} text{byte}; expected a table in the encoding of the run's own data"
        ) from error
    except csv.Error as error:
        raise UserError(f"not a table ({error}); expected rows of as many cells each") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _check_lengths(batch: Sequence[Sequence[str]], expected: int, count: int) -> None:
    """Raises UserError for a row that has not as many cells as there are columns."""
    if set(map(len, batch)) == {expected}:
        return
    number, row = next((k, row) for k, row in enumerate(batch, 1) if len(row) != expected)
    raise UserError(
        f"row {count + number}: {len(row)} cells; expected {expected}, as in the first row"
    )


def _values(
    batch: Sequence[Sequence[str]],
    trained: Trained,
    columns: Sequence[Column],
    places: Sequence[int],
    count: int,
) -> Tensor:
    """Values (n, D) of rows; the first one is row `count` + 1 of the file."""
    data = trained.data
    values = torch.empty((len(batch), *data.in_shape), dtype=torch.float64)
    feature = 0
    for column, place in zip(columns, places, strict=True):
        cells = [row[place] for row in batch]
        if column.values is None:
            values[:, feature] = numbers(
                cells, column.name, count, fills=data.fill is not None, transform=data.transform
            )
            feature += 1
        else:
            end = feature + len(column.values)
            values[:, feature:end] = one_hot(cells, column, count, fills=data.fill is not None)
            feature = end
    return values
