"""Predictions as lines of text: CSV, JSON lines, or aligned columns for a person to read.

Each function takes batches as they come and gives lines one by one, so that their number takes no
memory. Where a sample comes from is a tuple of cells: its file, its row, or both.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from dlrun.describe import StoredData
from dlrun.errors import printable
from dlrun.predict.model import Predicted

Where = tuple[str | int, ...]
Batches = Iterable[tuple[Sequence[Where], Predicted]]

SHOWN_CODES = 6  # numbers of a code that fit into a line for a person
WIDEST_CLASS, LEAST_CLASS = 20, 5


def csv_lines(where: Sequence[str], data: StoredData, batches: Batches) -> Iterator[str]:
    """A header and a line a sample; probabilities stand in one column a class, `p_CLASS`.

    where: names of the columns that say where a sample comes from.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")

    def line(cells: Iterable[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(_encodable(cell) for cell in cells)
        return buffer.getvalue()

    header: list[str] | None = None
    for places, predicted in batches:
        names, rows = _columns(predicted, data)
        if header is None:
            header = [*where, *names]
            yield line(header)
        for place, row in zip(places, rows, strict=True):
            yield line((*place, *row))


def jsonl_lines(where: Sequence[str], data: StoredData, batches: Batches) -> Iterator[str]:
    """An object a sample, in a line each: where it comes from, prediction, probabilities."""
    for places, predicted in batches:
        answers = _answers(predicted, data)
        for place, answer in zip(places, answers, strict=True):
            yield json.dumps({**dict(zip(where, place, strict=True)), **answer}) + "\n"


def table_lines(
    where: Sequence[str], data: StoredData, batches: Batches, *, file_width: int = 32
) -> Iterator[str]:
    """Aligned columns with a header, of widths that are fixed before the first sample."""
    widths = [file_width if name == "file" else 9 for name in where]
    class_width = max((cell_len(printable(name)) for name in data.classes), default=0)
    class_width = min(max(class_width, LEAST_CLASS), WIDEST_CLASS)
    header = [
        _cell(name, width) if name == "file" else f"{name:>{width}}"
        for name, width in zip(where, widths, strict=True)
    ]
    first = True
    for places, predicted in batches:
        titles, rows = _told(predicted, data, class_width)
        if first:
            yield "  ".join([*header, *titles]).rstrip() + "\n"
            first = False
        for place, row in zip(places, rows, strict=True):
            cells = [
                f"{cell:>{width}}" if isinstance(cell, int) else _cell(cell, width)
                for cell, width in zip(place, widths, strict=True)
            ]
            yield "  ".join([*cells, *row]).rstrip() + "\n"


def _columns(predicted: Predicted, data: StoredData) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """Names of the columns and the rows below them. Probabilities have six digits, values all."""
    if predicted.values is not None:
        return ["prediction"], ([value] for value in predicted.values[:, 0].tolist())
    if predicted.labels is not None:
        names = [data.classes[k] for k in predicted.labels.tolist()]
        if predicted.probabilities is None:
            return ["prediction"], ([name] for name in names)
        rows = zip(names, predicted.probabilities.tolist(), strict=True)
        columns = ["prediction", *(f"p_{name}" for name in data.classes)]
        return columns, ([name, *(f"{p:.6g}" for p in row)] for name, row in rows)
    assert predicted.mse is not None
    errors = [f"{value:.6g}" for value in predicted.mse.tolist()]
    if predicted.codes is None:
        return ["mse"], ([error] for error in errors)
    codes = predicted.codes.tolist()
    columns = ["mse", *(f"code_{k}" for k in range(1, len(codes[0]) + 1))]
    coded = zip(errors, codes, strict=True)
    return columns, ([error, *(f"{number:.6g}" for number in code)] for error, code in coded)


def _answers(predicted: Predicted, data: StoredData) -> Iterator[dict[str, Any]]:
    """What is said of each sample, by name."""
    names, rows = _columns(predicted, data)
    for row in rows:
        if predicted.probabilities is not None:
            shares = {name: float(p) for name, p in zip(data.classes, row[1:], strict=True)}
            yield {"prediction": row[0], "probabilities": shares}
        elif predicted.mse is not None:
            code = {"code": [float(number) for number in row[1:]]} if len(row) > 1 else {}
            yield {"mse": float(row[0]), **code}
        else:
            yield {names[0]: row[0]}


def _told(
    predicted: Predicted, data: StoredData, class_width: int
) -> tuple[list[str], Iterator[list[str]]]:
    """Titles of the columns and the cells below them, for a person."""
    if predicted.values is not None:
        decimals = _decimals(data)
        width = max(cell_len(printable(data.target_name)), 12)
        title = f"{printable(data.target_name):>{width}}"
        return [title], ([f"{v:>{width},.{decimals}f}"] for v in predicted.values[:, 0].tolist())
    if predicted.labels is not None:
        return _told_classes(predicted, data, class_width)
    assert predicted.mse is not None
    titles = [f"{'mse':>9}"]
    codes: list[list[str]] = [[] for _ in predicted.mse]
    if predicted.codes is not None:
        titles.append("code")
        codes = [[_code(code)] for code in predicted.codes.tolist()]
    errors = predicted.mse.tolist()
    return titles, ([f"{error:>9.4g}", *code] for error, code in zip(errors, codes, strict=True))


def _told_classes(
    predicted: Predicted, data: StoredData, width: int
) -> tuple[list[str], Iterator[list[str]]]:
    """The class and its probability, and the next two."""
    assert predicted.labels is not None
    names = [_cell(name, width) for name in data.classes]
    labels = predicted.labels.tolist()
    if predicted.probabilities is None:
        return [_cell("class", width)], ([names[k]] for k in labels)
    best = predicted.probabilities.topk(min(3, len(names)))
    titles = [_cell("class", width), "probability", "  next"]

    def rows() -> Iterator[list[str]]:
        for order, shares in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            first = f"{100 * shares[0]:>9.1f} %"
            others = zip(order[1:], shares[1:], strict=True)
            yield [
                names[order[0]],
                first,
                *(f"  {names[k]} {100 * share:>5.1f} %" for k, share in others),
            ]

    return titles, rows()


def _code(code: Sequence[float]) -> str:
    more = f"  … {len(code) - SHOWN_CODES} more" if len(code) > SHOWN_CODES else ""
    return " ".join(f"{number:>8.3f}" for number in code[:SHOWN_CODES]) + more


def _decimals(data: StoredData) -> int:
    """Decimals that tell a thousandth of the target's standard deviation, four without one."""
    if data.target_scaling is None:
        return 4
    spread = float(data.target_scaling.std.reshape(-1)[0])
    size = len(f"{int(spread)}") if spread >= 1 else 0
    return max(0, 4 - size)


def _cell(text: str, width: int) -> str:
    """The text in exactly so many columns of a terminal; of a longer one its end.

    >>> _cell("abc", 5), _cell("abcdef", 4)
    ('abc  ', '…def')
    """
    text = printable(text).replace("\n", "\\n")
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    while cell_len(text) > width - 1:
        text = text[1:]
    return set_cell_size("…" + text, width)


def _encodable(cell: Any) -> Any:
    """The cell with what is no UTF-8 in a file's name written out."""
    if isinstance(cell, str):
        return cell.encode("utf-8", "backslashreplace").decode("utf-8")
    return cell
