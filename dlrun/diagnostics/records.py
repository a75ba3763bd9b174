"""What was seen of a step, as a line of a file, as arrays to draw, as scalars for TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from dlrun.errors import UserError, printable

# Of a layer, in each record: its number of weights; L2 norms of their gradient, of themselves after
# the step and of their change by it; change / weights; shares of dead ReLUs, of saturated ones.
FIGURES = ("size", "grad", "weight", "update", "ratio", "dead", "saturated")
Layer = dict[str, float | None]

TAGS = {
    "grad": "gradients",
    "weight": "weights",
    "update": "updates",
    "ratio": "update_ratio",
    "dead": "dead_relus",
    "saturated": "saturated",
}


class Record(TypedDict):
    """What one step did to each layer: step (from 1), and by layer, input first, its FIGURES.

    A figure is None where there is none: grad of a frozen layer, dead of a layer without ReLU.
    """

    step: int
    layers: dict[str, Layer]


def to_line(record: Record) -> str:
    """The record as one line of JSON, numbers that JSON does not have as "inf", "-inf", "nan"."""
    layers = {
        name: {
            figure: str(value) if value is not None and not math.isfinite(value) else value
            for figure, value in layer.items()
        }
        for name, layer in record["layers"].items()
    }
    return json.dumps({"step": record["step"], "layers": layers}, allow_nan=False)


def read_records(path: Path) -> list[Record]:
    """The records that stand in a file as lines of `to_line`, none where there is no file.

    Raises UserError when a line is anything else.
    """
    if not path.exists():
        return []
    records: list[Record] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            records.append(_from_line(line))
            whole = records[-1]["layers"].keys() == records[0]["layers"].keys()
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            whole = False
        if not whole:
            raise UserError(
                f"{printable(str(path))}: damaged, line {number} is no record of diagnostics "
                "(delete the file, or put it back as it was)"
            )
    return records


def _from_line(line: bytes) -> Record:
    content = json.loads(line)
    layers = {
        str(name): {
            figure: None if layer[figure] is None else float(layer[figure]) for figure in FIGURES
        }
        for name, layer in content["layers"].items()
    }
    return {"step": int(content["step"]), "layers": layers}


class Arrays(NamedTuple):
    """Figures of L layers, input first, at T steps: (L, T) each, NaN where there is none."""

    layers: list[str]
    steps: NDArray[np.int64]
    grad_norms: NDArray[np.float64]
    ratios: NDArray[np.float64]
    dead: NDArray[np.float64]
    saturated: NDArray[np.float64]


def arrays(records: Sequence[Record]) -> Arrays:
    """The records of one run as arrays to draw; layers are those of the first record."""
    layers = list(records[0]["layers"]) if records else []

    def table(figure: str) -> NDArray[np.float64]:
        rows = [[record["layers"][name][figure] for record in records] for name in layers]
        return np.array(rows, dtype=np.float64).reshape(len(layers), len(records))  # None: NaN

    return Arrays(
        layers=layers,
        steps=np.array([record["step"] for record in records], dtype=np.int64),
        grad_norms=table("grad"),
        ratios=table("ratio"),
        dead=table("dead"),
        saturated=table("saturated"),
    )


def scalars(record: Record) -> dict[str, float]:
    """The figures of a record by TensorBoard tag, such as `gradients/layers.hidden_1`."""
    return {
        f"{tag}/{name}": value
        for name, layer in record["layers"].items()
        for figure, tag in TAGS.items()
        if (value := layer[figure]) is not None
    }
