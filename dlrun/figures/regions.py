"""Decision regions: what a classifier of two features says at every point of the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import animation, measures, style

# How strongly a region is coloured where the model guesses, and where it is sure.
FAINTEST, STRONGEST = 0.08, 0.6
MARKERS = ("o", "^", "s", "D")  # train, validation, test, …

Points = Mapping[str, tuple[ArrayLike, ArrayLike]]


def decision_regions(
    x: ArrayLike,
    y: ArrayLike,
    probabilities: ArrayLike,
    points: Points,
    classes: Sequence[str],
    features: tuple[str, str],
    *,
    title: str = "decision regions",
) -> Figure:
    """The plane coloured by the likeliest class, the boundary between them, the data on top.

    x: (W,), y: (H,) evenly spaced coordinates of the grid, in the features' own units.
    probabilities: (H, W, K); the surer the model, the stronger the colour.
    points: by split name, inputs (N, 2) and class numbers (N,); each split has its own marker.
    """
    figure, axes = _new_panel(x, y, points, classes, features)
    _colour_regions(axes, x, y, probabilities, len(classes))
    axes.set_title(title, fontsize=style.TITLE_SIZE, loc="left", parse_math=False)
    return figure


def region_frames(
    x: ArrayLike,
    y: ArrayLike,
    probabilities: Sequence[ArrayLike],
    epochs: Sequence[int],
    points: Points,
    classes: Sequence[str],
    features: tuple[str, str],
) -> list[animation.Frame]:
    """One frame for each of the recorded epochs: the regions as they grow.

    probabilities: (H, W, K) of each epoch; all else as for `decision_regions`.
    """
    assert len(probabilities) == len(epochs), (len(probabilities), len(epochs))
    figure, axes = _new_panel(x, y, points, classes, features)
    frames = []
    for number, (values, epoch) in enumerate(zip(probabilities, epochs, strict=True)):
        drawn = _colour_regions(axes, x, y, values, len(classes))
        title = f"epoch {epoch:,}"
        axes.set_title(title, fontsize=style.TITLE_SIZE, loc="left", parse_math=False)
        if number == 0:
            animation.settle(figure)
        frames.append(animation.frame(figure))
        for artist in drawn:
            artist.remove()
    return frames


def _new_panel(
    x: ArrayLike,
    y: ArrayLike,
    points: Points,
    classes: Sequence[str],
    features: tuple[str, str],
) -> tuple[Figure, Axes]:
    """A figure with the points, the names and the legend, and its panel."""
    figure = style.new_figure(6.4, 4.8)
    axes = figure.subplots()
    names = [measures.one_line(name, 40) for name in features]
    style.dress(axes, " ", names[0], names[1], grid=False)
    left, right, bottom, top = _extent(np.asarray(x), np.asarray(y))
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    colours = np.array([to_rgb(colour) for colour in style.colours(len(classes))])  # (K, 3)
    total = sum(len(np.asarray(labels)) for _, labels in points.values())
    size = 30 if total <= 300 else 14 if total <= 2000 else 6
    for marker, (inputs, labels) in zip(_markers(points), points.values(), strict=True):
        at = np.asarray(inputs, dtype=np.float64).reshape(-1, 2)
        face = colours[np.asarray(labels, dtype=np.int64).reshape(-1)]  # (N, 3)
        axes.scatter(
            at[:, 0],
            at[:, 1],
            s=size,
            c=face,
            marker=marker,
            edgecolors="white",
            linewidths=0.6 if size > 6 else 0.2,
            zorder=3,
        )
    entries = _legend(points, classes)
    style.legend(figure, entries)
    return figure, axes


def _markers(points: Points) -> list[str]:
    return [MARKERS[k % len(MARKERS)] for k in range(len(points))]


def _extent(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of an image whose pixels' middles are x and y."""
    half_x = (x[-1] - x[0]) / max(len(x) - 1, 1) / 2
    half_y = (y[-1] - y[0]) / max(len(y) - 1, 1) / 2
    return x[0] - half_x, x[-1] + half_x, y[0] - half_y, y[-1] + half_y


def _colour_regions(
    axes: Axes, x: ArrayLike, y: ArrayLike, probabilities: ArrayLike, num_classes: int
) -> list[Artist]:
    """Draws the regions and the boundary below the points; what it drew."""
    along_x, along_y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    shares = np.asarray(probabilities, dtype=np.float64)
    assert shares.shape == (len(along_y), len(along_x), num_classes), shares.shape
    image = axes.imshow(
        shade(shares, style.colours(num_classes)),
        extent=_extent(along_x, along_y),
        origin="lower",
        aspect="auto",
        interpolation="bilinear",
        zorder=0,
    )
    lines = _boundaries(axes, along_x, along_y, shares)
    return [image, *lines]


def shade(probabilities: NDArray[np.float64], colours: Sequence[str]) -> NDArray[np.float64]:
    """The colour of each point, (H, W, 3): its likeliest class', nearly white where it is a guess.

    Where a probability is not finite the point is grey.
    """
    num_classes = len(colours)
    palette = np.array([to_rgb(colour) for colour in colours])  # (K, 3)
    finite = np.isfinite(probabilities.sum(axis=-1))  # (H, W)
    known = np.where(finite[..., None], probabilities, 0.0)  # (H, W, K)
    chance = 1 / num_classes if num_classes > 1 else 0.0
    sureness = np.clip((known.max(axis=-1) - chance) / (1 - chance), 0, 1)[..., None]  # (H, W, 1)
    strength = FAINTEST + (STRONGEST - FAINTEST) * sureness
    mixed = 1 - strength * (1 - palette[known.argmax(axis=-1)])  # (H, W, 3)
    return np.where(finite[..., None], mixed, np.array(to_rgb(style.ABSENT)))


def _boundaries(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    probabilities: NDArray[np.float64],
) -> list[QuadContourSet]:
    """Where a class and the best of all others are equally likely, a line for each class."""
    num_classes = probabilities.shape[-1]
    if num_classes < 2 or min(len(x), len(y)) < 2:
        return []
    lines = []
    for k in range(num_classes if num_classes > 2 else 1):
        others = np.delete(probabilities, k, axis=-1).max(axis=-1)
        lead = probabilities[..., k] - others  # (H, W)
        if np.nanmin(lead, initial=0.0) < 0 < np.nanmax(lead, initial=0.0):
            masked = np.ma.masked_invalid(lead)
            line = axes.contour(x, y, masked, [0.0], colors=style.INK, linewidths=1.2, zorder=1)
            lines.append(line)
    return lines


def _legend(points: Points, classes: Sequence[str]) -> list[Artist]:
    colours = style.colours(len(classes))
    handles: list[Artist] = [
        Patch(color=colour, label=measures.one_line(name, 18))
        for colour, name in zip(colours, classes, strict=True)
    ]
    for marker, split in zip(_markers(points), points, strict=True):
        look: dict[str, Any] = {"marker": marker, "mfc": style.GUIDE, "mec": "white", "ms": 8}
        handles.append(Line2D([], [], ls="", label=measures.one_line(split, 18), **look))
    if len(classes) > 1:
        handles.append(Line2D([], [], color=style.INK, lw=1.2, label="boundary"))
    return handles
