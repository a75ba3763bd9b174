"""Data sets as tensors: sources give `Samples`, `split` makes `Splits` of them."""

from dlrun.datasets.presence import available
from dlrun.datasets.splits import (
    Inputs,
    Samples,
    Scaling,
    Split,
    Splits,
    Streamed,
    Task,
    split,
)

__all__ = [
    "Inputs",
    "Samples",
    "Scaling",
    "Split",
    "Splits",
    "Streamed",
    "Task",
    "available",
    "split",
]
