"""Optimizers on a loss surface of two parameters: the ways they take, and their race."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import animation, measures, style

# From paper to slate: the coloured ways stand out on all of it.
COLOURS = LinearSegmentedColormap.from_list("slate", ["#FBFBF7", "#D5DCE4", "#97A6B8"])
NUM_LEVELS = 20
MAX_DECADES = 8  # of logarithmic levels, below the highest
MAX_LOSS_DECADES = 16
# Beyond this a coordinate counts as not finite: the drawing library would overflow.
TOO_FAR = 1e30
# Of a race's steps so many are drawn boldly behind each optimizer.
TAIL = 0.08

Path = NDArray[np.float64]  # (T, 2)


def surface_paths(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    paths: Mapping[str, ArrayLike],
    *,
    minima: Sequence[tuple[float, float]],
    title: str,
    log_levels: bool,
) -> Figure:
    """The surface as filled contours and on it one way for each name, start and end marked.

    x: (W,), y: (H,), values: (H, W). paths: (T, 2) positions by name, the start first; T may
    differ. log_levels: contours at a constant ratio instead of a constant difference.

    A cross marks where a way leaves the view for good or stops being finite, and the legend says
    at which step.
    """
    figure = style.new_figure(7.0, 5.6)
    axes = figure.subplots()
    filled = _draw_surface(axes, x, y, values, minima, log_levels)
    style.dress(axes, title, "first parameter", "second parameter", grid=False)
    handles: list[Artist] = []
    for (name, path), colour in zip(_ways(paths).items(), style.colours(len(paths)), strict=True):
        label = measures.one_line(name, 24)
        if len(path):
            axes.plot(path[:, 0], path[:, 1], color=colour, lw=1.8, zorder=3)
            axes.plot(*path[0], "o", ms=7, mfc="white", mec=colour, mew=1.6, zorder=5)
        label += _mark_end(axes, path, colour)
        handles.append(Line2D([], [], color=colour, lw=1.8, label=label))
    handles += _mark_legend(axes, minima)
    _add_colour_bar(figure, axes, filled)
    style.legend(figure, handles)
    return figure


def race_frames(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    paths: Mapping[str, ArrayLike],
    losses: Mapping[str, ArrayLike],
    *,
    minima: Sequence[tuple[float, float]],
    log_levels: bool,
    title: str,
    max_frames: int = 80,
) -> list[animation.Frame]:
    """Frames of all optimizers running at once, and beside the surface their losses so far.

    losses: (T,) by name, the loss at each position of its path; the axis is logarithmic when all
    of them are positive. All else as for `surface_paths`. Of more steps than max_frames, evenly
    spaced ones are drawn, the first and the last among them.
    """
    ways = _ways(paths)
    curves = {name: np.asarray(losses[name], dtype=np.float64).reshape(-1) for name in ways}
    figure = style.new_figure(9.6, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    _draw_surface(left, x, y, values, minima, log_levels)
    style.dress(left, measures.one_line(title, 60), "first parameter", "second parameter", False)
    style.dress(right, " ", "step", "loss")
    num_steps = max((max(len(ways[name]), len(curves[name])) for name in ways), default=1)
    _scale_losses(right, curves, max(num_steps - 1, 1))

    counter = right.set_title(" ", fontsize=style.TITLE_SIZE, loc="left")
    runners = {
        name: _new_runner(left, right, colour)
        for name, colour in zip(ways, style.colours(len(ways)), strict=True)
    }
    handles: list[Artist] = [
        Line2D([], [], color=lines[0].get_color(), lw=2.2, label=measures.one_line(name, 24))
        for name, lines in runners.items()
    ]
    style.legend(figure, [*handles, _minimum_mark()] if minima else handles)

    length = max(3, round(TAIL * num_steps))

    def show(step: int) -> None:
        for name, lines in runners.items():
            _move(lines, ways[name], curves[name], step, length)
        counter.set_text(f"step {step:,} of {num_steps - 1:,}")

    chosen = np.linspace(0, num_steps - 1, max(1, min(num_steps, max_frames))).round()
    moving = [counter, *(line for lines in runners.values() for line in lines)]
    return animation.film(figure, moving, [int(step) for step in chosen], show)


def _new_runner(surface: Axes, losses: Axes, colour: str) -> list[Line2D]:
    """One optimizer's lines: its trace, tail and head on the surface, its curve and dot beside."""
    edge: dict[str, Any] = {"mec": "white", "mew": 1.2}
    return [
        *surface.plot([], [], color=colour, lw=1.0, alpha=0.55, zorder=3),
        *surface.plot([], [], color=colour, lw=2.8, zorder=4),
        *surface.plot([], [], "o", color=colour, ms=9, zorder=6, **edge),
        *losses.plot([], [], color=colour, lw=1.8, zorder=3),
        *losses.plot([], [], "o", color=colour, ms=6, zorder=4, **edge),
    ]


def _move(
    lines: Sequence[Line2D], way: Path, losses: NDArray[np.float64], step: int, length: int
) -> None:
    """Sets the lines of one optimizer to where it is at the step; one that has arrived stays."""
    trace, tail, head, curve, dot = lines
    gone = way[: step + 1]
    trace.set_data(gone[:, 0], gone[:, 1])
    behind = way[max(0, step - length) : step + 1]
    tail.set_data(behind[:, 0], behind[:, 1])
    head.set_data(gone[-1:, 0], gone[-1:, 1])
    so_far = losses[: step + 1]
    curve.set_data(np.arange(len(so_far)), so_far)
    dot.set_data(np.arange(len(so_far))[-1:], so_far[-1:])


def _ways(paths: Mapping[str, ArrayLike]) -> dict[str, Path]:
    """The paths as (T, 2), NaN where a position is not finite or too far to draw."""
    ways = {}
    for name, path in paths.items():
        positions = np.asarray(path, dtype=np.float64).reshape(-1, 2)
        near = np.isfinite(positions) & (np.abs(positions) < TOO_FAR)
        ways[name] = np.where(near.all(axis=1, keepdims=True), positions, np.nan)
    return ways


def _draw_surface(
    axes: Axes,
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    minima: Sequence[tuple[float, float]],
    log_levels: bool,
) -> QuadContourSet:
    """Fills the panel with the contours and marks the minima; the view is the grid's extent."""
    along_x, along_y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    heights = np.ma.masked_invalid(np.asarray(values, dtype=np.float64))
    assert heights.shape == (len(along_y), len(along_x)), heights.shape
    levels, norm = _levels(heights.compressed(), log_levels)
    heights = np.ma.clip(heights, levels[0], levels[-1])
    filled = axes.contourf(along_x, along_y, heights, levels, cmap=COLOURS, norm=norm)
    axes.contour(along_x, along_y, heights, levels, colors="white", linewidths=0.5, linestyles="-")
    for minimum in minima:
        axes.plot(*minimum, "*", ms=13, color=style.INK, mec="white", mew=0.8, zorder=4)
    axes.set_xlim(along_x.min(), along_x.max())
    axes.set_ylim(along_y.min(), along_y.max())
    return filled


def _levels(
    heights: NDArray[np.float64], log_levels: bool
) -> tuple[NDArray[np.float64], Normalize]:
    """Heights of the contours from the lowest to the highest, and the colours' scale.

    heights: all finite ones. Logarithmic levels begin at the hundredth part of the plane that is
    lowest; what is lower still, or not positive, belongs to the lowest level.
    """
    positive = heights[heights > 0]
    if log_levels and len(positive) and positive.max() > positive.min():
        high = positive.max()
        # The floor of a narrow valley would take most levels for itself.
        low = max(float(np.quantile(positive, 0.01)), high * 10.0**-MAX_DECADES)
        low = low if low < high else positive.min()
        return np.geomspace(low, high, NUM_LEVELS), LogNorm(low, high)
    low, high = (heights.min(), heights.max()) if len(heights) else (0.0, 1.0)
    high = high if high > low else low + max(abs(low), 1.0) * 1e-6
    locator = MaxNLocator(nbins=NUM_LEVELS, steps=[1, 2, 2.5, 5, 10])
    levels = np.asarray(locator.tick_values(low, high), dtype=np.float64)
    return levels, Normalize(levels[0], levels[-1])


def _mark_end(axes: Axes, path: Path, colour: str) -> str:
    """Marks where the path ends or leaves the view for good; what the legend adds to its name."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, high = np.array([left, bottom]), np.array([right, top])
    inside = np.flatnonzero(((path >= low) & (path <= high)).all(axis=1))  # NaN is not inside
    if not len(inside):
        return " (never in view)"
    last = int(inside[-1])
    if last == len(path) - 1:
        axes.plot(*path[last], "o", ms=8, color=colour, mec="white", mew=1.2, zorder=6)
        return ""
    outside = path[last + 1]
    finite = bool(np.isfinite(outside).all())
    at = _crossing(path[last], outside, low, high) if finite else path[last]
    axes.plot(*at, "X", ms=10, color=colour, mec="white", mew=1.0, zorder=6, clip_on=False)
    what = "leaves the view" if finite else "not finite"
    return f" ({what} at step {last + 1:,})"


def _crossing(inside: Path, outside: Path, low: Path, high: Path) -> Path:
    """Where the way from a point in the view to one outside meets the edge; all of shape (2,)."""
    step = outside - inside
    edge = np.where(step > 0, high, low)
    shares = np.divide(edge - inside, step, out=np.full(2, np.inf), where=step != 0)
    return np.asarray(inside + min(1.0, float(shares.min())) * step)


def _mark_legend(axes: Axes, minima: Sequence[tuple[float, float]]) -> list[Artist]:
    grey = style.GUIDE
    markers = {line.get_marker() for line in axes.lines}
    start = Line2D([], [], marker="o", ms=7, mfc="white", mec=grey, mew=1.6, ls="", label="start")
    handles: list[Artist] = [start]
    end = Line2D([], [], marker="o", ms=8, color=grey, mec="white", ls="", label="end")
    handles.append(end)
    if "X" in markers:
        lost = Line2D([], [], marker="X", ms=9, color=grey, mec="white", ls="", label="last seen")
        handles.append(lost)
    if minima:
        handles.append(_minimum_mark())
    return handles


def _minimum_mark() -> Line2D:
    return Line2D([], [], ls="", marker="*", ms=12, color=style.INK, mec="white", label="minimum")


def _add_colour_bar(figure: Figure, axes: Axes, filled: QuadContourSet) -> None:
    bar = figure.colorbar(filled, ax=axes, aspect=30, pad=0.02)
    levels = np.asarray(filled.levels)
    ticks = levels[:: max(1, len(levels) // 7)]
    if isinstance(filled.norm, LogNorm):
        decades = LogLocator(numticks=8).tick_values(levels[0], levels[-1])
        decades = decades[(decades >= levels[0]) & (decades <= levels[-1])]
        ticks = decades if len(decades) >= 3 else ticks
    bar.set_ticks(list(ticks))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(measures.number_text))
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    bar.outline.set_visible(False)
    bar.set_label("loss", fontsize=style.LABEL_SIZE)


def _scale_losses(axes: Axes, curves: Mapping[str, NDArray[np.float64]], last_step: int) -> None:
    """Fixes the axes of the losses: a run that diverges leaves them above."""
    axes.set_xlim(-0.02 * last_step, 1.02 * last_step)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    values = np.concatenate([*curves.values(), np.empty(0)])
    values = values[np.isfinite(values)]
    if not len(values):
        style.note(axes, "no finite value", 0.5, 0.5, align="center")
        return
    starts = [curve[0] for curve in curves.values() if len(curve) and math.isfinite(curve[0])]
    start = max(starts, default=float(np.median(values)))
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high > 0:
        positive = values[values > 0]
        high = min(high, 30 * start) if start > 0 else high
        low = max(float(positive.min()), high * 10.0**-MAX_LOSS_DECADES)
        axes.set_yscale("log")
        room = max((high / low) ** 0.05, 1.1)
        axes.set_ylim(low / room, high * room)
        few = high / low < 150
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(measures.number_text))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("loss (log scale)")
        return
    high = min(high, start + 3 * max(start - low, 1e-12))
    margin = 0.05 * (high - low) if high > low else 0.5
    axes.set_ylim(low - margin, high + margin)
