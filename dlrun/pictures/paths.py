"""The way of an optimizer over a test function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlrun import figures
from dlrun.figures.animation import Frame
from dlrun.pictures.shown import Shown
from dlrun.surfaces import Surface, contour, surface

Values: TypeAlias = NDArray[np.floating[Any]]


def path(run: Shown) -> Iterator[tuple[str, Figure]]:
    data = run.data
    if data.in_shape != (2,):
        return
    found = surface_of(run)
    title = f"{found.name}: {len(run.fitted.history) - 1:,} steps"
    figure = figures.surface_paths(*grid(found), {label(run): way(run)}, title=title, **look(found))
    yield "path", figure


def race(run: Shown) -> list[Frame]:
    found = surface_of(run)
    losses = np.array([line["loss/val"] for line in run.fitted.history], dtype=np.float64)
    ways, by_name = {label(run): way(run)}, {label(run): losses}
    return figures.race_frames(*grid(found), ways, by_name, title=found.name, **look(found))


def grid(found: Surface) -> tuple[Values, Values, Values]:
    """Positions along x and y, and the surface's values (Y, X) over them."""
    x, y, values = (part.numpy() for part in contour(found))
    return x, y, values


def look(found: Surface) -> dict[str, Any]:
    """What is marked on a surface, and how its levels are spaced."""
    return {"minima": [(at[0], at[1]) for at in found.minima], "log_levels": found.log_levels}


def label(run: Shown) -> str:
    """The optimizer with its learning rate."""
    optimizer = run.settings.optimizer
    name = str(optimizer["_target_"]).rpartition(".")[2]
    return f"{name} lr={optimizer['lr']:g}" if "lr" in optimizer else name


def way(run: Shown) -> NDArray[np.float64]:
    """Positions (T, 2) after each epoch."""
    lines = run.fitted.history
    return np.array([[line["x/val"], line["y/val"]] for line in lines], dtype=np.float64)


def surface_of(run: Shown) -> Surface:
    dataset = run.settings.dataset
    return surface(dataset["name"], condition_number=dataset["condition_number"])
