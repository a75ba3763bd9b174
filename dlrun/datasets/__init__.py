"""Data sets as tensors: sources give `Samples`, `split` makes `Splits` of them."""

from dlrun.datasets.presence import available
from dlrun.datasets.reconstruction import to_reconstruct
from dlrun.datasets.splits import (
    Inputs,
    Objective,
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
    "Objective",
    "Samples",
    "Scaling",
    "Split",
    "Splits",
    "Streamed",
    "Task",
    "available",
    "split",
    "to_reconstruct",
]
