"""How the result depends on one number, such as the learning rate: a curve for each optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from dlrun.figures import measures, style, sweep_axes

# With more values than this, of one run each, points are drawn without a line: a random search.
MAX_ON_A_LINE = 12


def sensitivity(
    points: pd.DataFrame,
    seeds: pd.DataFrame,
    x_name: str,
    panel_name: str | None,
    series: Sequence[str],
    metric: str,
    higher_is_better: bool,
    log: bool = True,
) -> Figure:
    """The metric over a hyper-parameter, a curve a series with its band, a panel a facet.

    points: columns panel, series, x, rank (of its setting), mean, low, high (ends of the band),
        num_diverged; one row a drawn point. Where the mean is NaN and runs diverged there is but a
        cross at the worse edge of the axis.
    seeds: columns panel, series, x, value; the single runs, drawn as faint dots.
    panel_name: what panels differ in, "" where there is one; None for a panel a series, with all
        others in grey behind it.
    series: names of the curves, the best first; at most 6, but any number for a panel each.
    """
    own_panels = panel_name is None and len(series) > 1
    panels = list(series) if own_panels else list(dict.fromkeys(points["panel"]))
    figure, grid = _grid(len(panels))
    num_columns = len(grid[0])
    drawn_values = np.concatenate([points["mean"], seeds["value"]]).astype(np.float64)
    y_limits, y_log = sweep_axes.value_window(drawn_values, metric, higher_is_better)
    y_label = measures.metric_label(metric) + (", log scale" if y_log else "")
    x_label = x_name + (" (log scale)" if log else "")
    for number, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
        axes.set_yscale("log" if y_log else "linear")
        axes.set_ylim(*y_limits)
        sweep_axes.scale_value_axis(axes, list(points["x"]), log)
        if own_panels:
            title, column, drawn = panel, "series", [panel]
            for _, line in points.groupby("series"):
                line = line.sort_values("x")
                axes.plot(line["x"], line["mean"], color=sweep_axes.OTHERS, lw=1.0, zorder=1)
        else:
            title, column, drawn = f"{panel_name} {panel}", "panel", list(series)
        part = points[points[column] == panel].sort_values("x")
        _draw_panel(axes, part, seeds[seeds[column] == panel], drawn, higher_is_better)
        bottom, left = number + num_columns >= len(panels), number % num_columns == 0
        title = measures.one_line(title, 40)
        style.dress(axes, title, x_label if bottom else "", y_label if left else "")
        axes.tick_params(labelbottom=bottom, labelleft=left)
        sweep_axes.format_metric_axis(axes.yaxis, metric)
    _legend(figure, points, series, own_panels)
    return figure


def _grid(num_panels: int) -> tuple[Figure, NDArray[Any]]:
    """A figure with as many panels, axes shared, (rows, columns); those left over are gone."""
    num_columns = 3 if num_panels in (5, 6) else min(num_panels, 4 if num_panels <= 8 else 5)
    num_rows = -(-num_panels // num_columns)
    width = 6.2 if num_panels == 1 else 1.0 + 3.1 * num_columns
    figure = style.new_figure(width, 0.9 + (3.6 if num_rows == 1 else 2.4 * num_rows))
    grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[num_panels:]:
        axes.remove()
    return figure, grid


def _draw_panel(
    axes: Axes,
    points: pd.DataFrame,
    seeds: pd.DataFrame,
    series: Sequence[str],
    higher_is_better: bool,
) -> None:
    """The curves of one panel, each with its crosses in a line of its own."""
    num_crosses = 0
    for number, name in enumerate(series):
        part = points[points["series"] == name]
        _draw_curve(axes, part, seeds[seeds["series"] == name], number)
        if (part["num_diverged"] > 0).any():
            at, colour = part.loc[part["num_diverged"] > 0, "x"], sweep_axes.COLOURS[number]
            sweep_axes.mark_diverged(axes, at, colour, num_crosses, higher_is_better)
            num_crosses += 1


def _draw_curve(axes: Axes, part: pd.DataFrame, dots: pd.DataFrame, number: int) -> None:
    colour = sweep_axes.COLOURS[number]
    finite = part[part["mean"].notna()]
    if finite.empty:
        return
    scattered = len(finite) > MAX_ON_A_LINE and len(dots) < 1.5 * len(finite)
    if not scattered:
        axes.fill_between(
            finite["x"], finite["low"], finite["high"], color=colour, alpha=0.16, lw=0
        )
        axes.plot(dots["x"], dots["value"], ".", color=colour, ms=5.5, alpha=0.55, mew=0)
    axes.plot(
        finite["x"],
        finite["mean"],
        marker=sweep_axes.MARKERS[number],
        ls="" if scattered else "-",
        ms=5,
        lw=1.8,
        color=colour,
        zorder=3,
    )
    best = finite.sort_values("rank").iloc[0]
    axes.plot([best["x"]], [best["mean"]], "o", ms=11, mfc="none", mec=colour, mew=1.4)


def _legend(figure: Figure, points: pd.DataFrame, series: Sequence[str], own_panels: bool) -> None:
    handles = []
    if own_panels:
        handles.append(Line2D([], [], color=sweep_axes.OTHERS, lw=1.0, label="the others"))
    elif len(series) > 1:
        handles = [
            Line2D(
                [], [], color=colour, marker=marker, lw=1.8, ms=5, label=measures.one_line(name, 30)
            )
            for name, colour, marker in zip(
                series, sweep_axes.COLOURS, sweep_axes.MARKERS, strict=False
            )
        ]
    if points["low"].notna().any():
        handles.append(
            Line2D([], [], color=style.GUIDE, lw=8, alpha=0.25, label="± 1 standard deviation")
        )
    handles.append(
        Line2D([], [], ls="", marker="o", ms=9, mfc="none", color=style.GUIDE, label="best")
    )
    if (points["num_diverged"] > 0).any():
        handles.append(sweep_axes.diverged_handle())
    style.legend(figure, handles)
