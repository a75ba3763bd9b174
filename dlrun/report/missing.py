"""What a report cannot show of a sweep, and what it would take."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

# By the file of a picture what it shows, and what it takes.
PICTURES = {
    "ranking": ("ranking", "it takes two settings"),
    "best_curves": ("learning curves", "no completed run has figures of two epochs"),
    "sensitivity": (
        "sensitivity",
        "it takes two learning rates, or three values of another number, with completed runs",
    ),
    "lr_batch_size": (
        "learning rate × batch size",
        "it takes two values of each, and most of their pairs",
    ),
    "optimizers": ("performance, speed and tuneability", "it takes two optimizers"),
    "importance": ("importance", "it takes two hyper-parameters, or one and several seeds"),
    "parallel_coordinates": (
        "all settings at once",
        "it takes two hyper-parameters and four settings",
    ),
}


def missing(ranked: pandas.DataFrame, metric: str, drawn: Collection[str]) -> dict[str, str]:
    """By what the report lacks the reason for it.

    ranked: what `settings` says. drawn: names of the pictures that there are.
    """
    finished = ranked[ranked["n"] > 0]
    if finished.empty:
        return {"ranking and pictures": f"no run has completed with {metric}"}
    reasons = {}
    if finished["n"].max() < 2:
        reasons["intervals and the test of the lead"] = (
            "no setting has two completed seeds (type seed=range(5))"
        )
    known = {"sensitivity" if "sensitivity" in name else name for name in drawn}
    reasons |= dict(PICTURES[name] for name in PICTURES if name not in known)
    return reasons
