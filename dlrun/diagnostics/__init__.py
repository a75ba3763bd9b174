"""Gradients, weights and activations of each layer every few steps, and whether they are sound."""

from dlrun.diagnostics.records import (
    FIGURES,
    Arrays,
    Record,
    arrays,
    read_records,
    scalars,
    to_line,
)
from dlrun.diagnostics.verdict import Verdict, verdict
from dlrun.diagnostics.watch import Watch

__all__ = [
    "FIGURES",
    "Arrays",
    "Record",
    "Verdict",
    "Watch",
    "arrays",
    "read_records",
    "scalars",
    "to_line",
    "verdict",
]
