"""The way of an optimizer over a test function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlrun import figures, schema
from dlrun.figures.animation import Frame
from dlrun.pictures.shown import Shown
from dlrun.surfaces import Surface, contour, surface


def path(run: Shown) -> Iterator[tuple[str, Figure]]:
    data = run.data
    if data.in_shape != (2,):
        return
    found = surface_of(run.settings)
    x, y, values = (part.numpy() for part in contour(found))
    figure = figures.surface_paths(
        x,
        y,
        values,
        {label(run): way(run)},
        minima=[(at[0], at[1]) for at in found.minima],
        title=f"{found.name}: {len(run.fitted.history) - 1:,} steps",
        log_levels=found.log_levels,
    )
    yield "path", figure


def race(run: Shown) -> list[Frame]:
    found = surface_of(run.settings)
    x, y, values = (part.numpy() for part in contour(found))
    losses = np.array([line["loss/val"] for line in run.fitted.history], dtype=np.float64)
    return figures.race_frames(
        x,
        y,
        values,
        {label(run): way(run)},
        {label(run): losses},
        minima=[(at[0], at[1]) for at in found.minima],
        log_levels=found.log_levels,
        title=found.name,
    )


def label(run: Shown) -> str:
    """The optimizer with its learning rate."""
    optimizer = run.settings.optimizer
    name = str(optimizer["_target_"]).rpartition(".")[2]
    return f"{name} lr={optimizer['lr']:g}" if "lr" in optimizer else name


def way(run: Shown) -> NDArray[np.float64]:
    """Positions (T, 2) after each epoch."""
    lines = run.fitted.history
    return np.array([[line["x/val"], line["y/val"]] for line in lines], dtype=np.float64)


def surface_of(settings: schema.Config) -> Surface:
    options = {"condition_number": settings.dataset["condition_number"]}
    return surface(settings.dataset["name"], **options)
