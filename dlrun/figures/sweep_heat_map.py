"""Learning rate against batch size: which pairs work, and whether their ratio decides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from dlrun.figures import measures, style, sweep_axes

ABSENT = "#EEEEEE"


def lr_batch_size(
    cells: pd.DataFrame,
    series: Sequence[str],
    metric: str,
    higher_is_better: bool,
) -> Figure:
    """Mean of the metric by learning rate (row) and batch size (column), a panel a series.

    cells: columns series, lr, batch_size, rank (of its setting), mean, num_diverged; at most one
        row a cell. A batch size that is infinite stands for the whole training set.

    The dashed line goes through each panel's best cell at constant lr / batch size. A cross says
    that runs diverged; without a number beside it, all did. Colours tell the better settings
    apart; all others share the last one.
    """
    rates = sorted(set(cells["lr"]), reverse=True)
    sizes = sorted(set(cells["batch_size"]))
    num_columns = min(len(series), 3)
    num_rows = -(-len(series) // num_columns)
    panel_width = max(2.2, 0.72 * len(sizes)) + 0.9
    panel_height = max(1.6, 0.36 * len(rates)) + 0.7
    figure = style.new_figure(1.2 + panel_width * num_columns, 0.5 + panel_height * num_rows)
    grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(series) :]:
        axes.remove()
    values, colours, norm = sweep_axes.colour_scale(list(cells["mean"]), higher_is_better)
    image, any_rule = None, False
    for number, (axes, name) in enumerate(zip(grid.flat, series, strict=False)):
        part = cells[cells["series"] == name]
        means = _table(part, rates, sizes, "mean")
        diverged = _table(part, rates, sizes, "num_diverged") > 0
        axes.set_facecolor(ABSENT)
        image = axes.imshow(means, cmap=colours, norm=norm, aspect="auto")
        _write_cells(axes, means, diverged, image, metric)
        if _frame_best(axes, part, rates, sizes):
            any_rule = True
        bottom, left = number + num_columns >= len(series), number % num_columns == 0
        style.dress(
            axes,
            measures.one_line(str(name), 40),
            "batch size (samples)" if bottom else "",
            "learning rate" if left else "",
            grid=False,
        )
        axes.spines[:].set_visible(False)
        names = ["full" if math.isinf(size) else measures.number_text(size) for size in sizes]
        axes.set_xticks(range(len(sizes)), names)
        axes.set_yticks(range(len(rates)), [measures.number_text(rate) for rate in rates])
        axes.tick_params(length=0, labelbottom=bottom, labelleft=left)
    assert image is not None, "no series"
    panels = list(grid.flat[: len(series)])
    sweep_axes.add_colour_bar(figure, image, panels, metric, values)
    _legend(figure, any_rule, bool((cells["num_diverged"] > 0).any()))
    return figure


def _table(
    part: pd.DataFrame, rates: Sequence[float], sizes: Sequence[float], column: str
) -> NDArray[np.float64]:
    """The column's values as (learning rates, batch sizes), NaN where there is none."""
    table = np.full((len(rates), len(sizes)), np.nan)
    for rate, size, value in zip(part["lr"], part["batch_size"], part[column], strict=True):
        table[rates.index(rate), sizes.index(size)] = value
    return table


def _write_cells(
    axes: Axes,
    means: NDArray[np.float64],
    diverged: NDArray[np.bool_],
    image: AxesImage,
    metric: str,
) -> None:
    """The value in each cell, a cross where all diverged, both where some did."""
    size = 9.0 if max(means.shape) <= 8 else 8.0 if max(means.shape) <= 12 else 6.5
    for row, column in np.ndindex(means.shape):
        value = means[row, column]
        words = ["×"] if diverged[row, column] else []
        colour = "#B22222"
        if math.isfinite(value):
            words = [_cell_text(metric, float(value)), *words]
            face = image.cmap(image.norm(value))
            red, green, blue, _ = face
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            colour = "white" if dark else "#222222"
        if words:
            text = axes.text(
                column, row, " ".join(words), ha="center", va="center", fontsize=size, zorder=4
            )
            text.set_color(colour)
            if math.isfinite(value):  # parts the dashed line, which may run below
                text.set_bbox({"facecolor": face, "edgecolor": "none", "pad": 1.2})


def _cell_text(metric: str, value: float) -> str:
    """The value in three digits.

    >>> _cell_text("accuracy/val", 0.97251), _cell_text("loss/val", 0.08123)
    ('97.3', '0.0812')
    """
    if metric.startswith("accuracy/"):
        return f"{100 * value:.1f}"
    return measures.number_text(value)


def _frame_best(
    axes: Axes, part: pd.DataFrame, rates: Sequence[float], sizes: Sequence[float]
) -> bool:
    """Frames the best cell and draws the line through it; whether there can be one."""
    known = part[part["mean"].notna()]
    if known.empty:
        return False
    best = known.sort_values("rank").iloc[0]
    row, column = rates.index(best["lr"]), sizes.index(best["batch_size"])
    corner = (column - 0.47, row - 0.45)
    axes.add_patch(Rectangle(corner, 0.94, 0.9, fill=False, ec=sweep_axes.BEST, lw=2.4, zorder=3))
    numbered = [size for size in sizes if math.isfinite(size)]
    if column >= len(numbered) or len(numbered) < 2 or len(rates) < 2 or rates[-1] <= 0:
        return False
    _draw_rule(axes, row, column, rates, numbered)
    return True


def _draw_rule(
    axes: Axes, row: int, column: int, rates: Sequence[float], sizes: Sequence[float]
) -> None:
    """A line through the cell along which lr / batch size stays the same."""
    log_ratio = math.log(rates[row] / sizes[column])
    columns = np.linspace(-0.5, len(sizes) - 0.5, 401)
    log_sizes = _along(columns, np.log(sizes))
    rows = np.linspace(-0.5, len(rates) - 0.5, 401)
    log_rates = _along(rows, np.log(rates))  # falls from row to row
    at = np.interp(log_ratio + log_sizes, log_rates[::-1], rows[::-1], left=np.nan, right=np.nan)
    line = axes.plot(columns, at, color="white", lw=1.8, ls=(0, (4, 2)))[0]
    line.set_path_effects([patheffects.withStroke(linewidth=3.4, foreground="#222222")])


def _along(at: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values between the centres 0, 1, … of cells, and on straight to the outermost edges."""
    first, last = 2 * values[0] - values[1], 2 * values[-1] - values[-2]
    between: NDArray[np.float64] = np.interp(
        at, np.arange(-1.0, len(values) + 1), np.concatenate([[first], values, [last]])
    )
    return between


def _legend(figure: Figure, any_rule: bool, any_diverged: bool) -> None:
    colour = sweep_axes.BEST
    handles = [
        Line2D([], [], ls="", marker="s", ms=10, mfc="none", mec=colour, mew=2, label="best")
    ]
    if any_rule:
        rule = Line2D([], [], color="white", lw=1.8, ls=(0, (4, 2)))
        rule.set_label("constant lr / batch size")
        rule.set_path_effects([patheffects.withStroke(linewidth=3.4, foreground="#222222")])
        handles.append(rule)
    if any_diverged:
        handles.append(Line2D([], [], ls="", marker="x", color="#B22222", label="diverged"))
    style.legend(figure, handles)
