"""A row from the page's form, or a CSV file dropped there: what the network answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from torch import Tensor

from dlrun.describe import StoredData
from dlrun.errors import UserError, printable
from dlrun.predict.model import Predicted, network_inputs, predict_inputs
from dlrun.predict.table import chunks
from dlrun.predict.writers import Where, csv_lines
from dlrun.serve.form import row_inputs
from dlrun.serve.result import number, result
from dlrun.trained import Trained

Predict = Callable[[Tensor], Predicted]


def answer_row(trained: Trained, content: BinaryIO) -> dict[str, Any]:
    """What the page shows for one row: its `result`; of a reconstruction also the `values`.

    content: a JSON list with one text for each of `dlrun.serve.form.fields`.
    Raises UserError for anything else, and for a cell that is no value of its column.
    """
    try:
        cells = json.load(content)
    except (ValueError, RecursionError) as error:
        raise UserError("expected JSON: a list of texts, one for each column") from error
    if not isinstance(cells, list):
        raise UserError("expected JSON: a list of texts, one for each column")
    inputs = row_inputs(trained, cells)
    predicted = predict_inputs(trained, inputs)
    told = result(trained, predicted)
    if predicted.images is not None:
        told["values"] = side_by_side(trained.data, inputs, predicted.images)
    return told


def side_by_side(data: StoredData, inputs: Tensor, outputs: Tensor) -> list[tuple[str, str, str]]:
    """Each feature's name, value and reconstruction for one row, in the unit of the features.

    inputs (1, D) in the table's own unit, outputs (1, D) as the network gives them.
    """
    seen = network_inputs(data, inputs)
    if data.input_scaling is not None:
        seen, outputs = data.input_scaling.undo(seen), data.input_scaling.undo(outputs)
    names = data.features or [f"column{k + 1}" for k in range(len(seen[0]))]
    pairs = zip(names, seen[0].tolist(), outputs[0].tolist(), strict=True)
    return [(printable(name), number(before), number(after)) for name, before, after in pairs]


def answer_table(
    trained: Trained,
    content: BinaryIO,
    options: Mapping[str, str],
    predict: Predict,
    out: BinaryIO,
) -> int:
    """How many rows a CSV file has; their predictions go to `out`, as CSV of `dlrun predict`.

    options: separator and ignore (names with commas between them), as those of `dlrun predict`.
    predict: what the model says of inputs (n, D). A few thousand rows are held at a time.
    Raises UserError, of one line, for what is no table of the run's columns.
    """
    ignored = [name.strip() for name in options.get("ignore", "").split(",") if name.strip()]
    count = 0

    def batches() -> Iterator[tuple[list[Where], Predicted]]:
        nonlocal count
        separator = options.get("separator")
        for inputs in chunks(content, trained, ignore=ignored, separator=separator):
            rows: list[Where] = [(count + k,) for k in range(1, len(inputs) + 1)]
            count += len(inputs)
            yield rows, predict(inputs)

    out.writelines(line.encode() for line in csv_lines(["row"], trained.data, batches()))
    return count
