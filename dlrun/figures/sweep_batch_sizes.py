"""Whether batch sizes agree once the learning rate is divided by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dlrun.figures import measures, style, sweep_axes

X_LABELS = {
    "lr": "learning rate (log scale)",
    "ratio": "learning rate / batch size (log scale)",
}
DARKEST, BRIGHTEST = 0.0, 0.88  # of viridis; its yellow is too bright for a line on white


def lr_over_batch_size(
    points: pd.DataFrame, series: Sequence[str], metric: str, higher_is_better: bool
) -> Figure:
    """The metric over the learning rate, and over learning rate / batch size: a curve a batch size.

    points: columns series, batch_size, lr and ratio (> 0), mean, low, high (ends of the 95 %
        interval, NaN where there is none), num_diverged. Where the mean is NaN and runs diverged
        there is but a cross at the worse edge of the panel.
    series: a row of two panels each, optimizers say.

    Batch sizes are the brighter the larger.
    """
    sizes = sorted(set(points["batch_size"]))
    least, most = measures.bounds(metric)  # an interval of t may reach beyond
    points = points.assign(low=points["low"].clip(least), high=points["high"].clip(upper=most))
    colours = _colours(len(sizes))
    height = 0.9 + (3.6 if len(series) == 1 else 2.9 * len(series))
    figure = style.new_figure(9.4, height)
    grid = figure.subplots(len(series), 2, sharey=True, sharex="col", squeeze=False)
    limits, y_log = sweep_axes.value_window(
        points["mean"].to_numpy(np.float64), metric, higher_is_better
    )
    y_label = measures.metric_label(metric) + (", log scale" if y_log else "")
    for row, name in enumerate(series):
        for axes, (x_name, x_label) in zip(grid[row], X_LABELS.items(), strict=True):
            part = points[points["series"] == name]
            axes.set_xscale("log")
            axes.set_yscale("log" if y_log else "linear")
            axes.set_ylim(*limits)
            _draw(axes, part, x_name, sizes, colours, higher_is_better)
            first, last = x_name == "lr", row == len(series) - 1
            title = measures.one_line(name, 40) if first and len(series) > 1 else ""
            style.dress(axes, title, x_label if last else "", y_label if first else "")
            sweep_axes.format_log_axis(axes.xaxis)
            axes.tick_params(labelbottom=last, labelleft=first)
            sweep_axes.format_metric_axis(axes.yaxis, metric)
    style.legend(figure, _handles(points, sizes, colours))
    return figure


def _colours(number: int) -> list[str]:
    shades = np.linspace(DARKEST, BRIGHTEST, max(number, 2))
    return [to_hex(colormaps["viridis"](shade)) for shade in shades][:number]


def _draw(
    axes: Axes,
    points: pd.DataFrame,
    x_name: str,
    sizes: Sequence[float],
    colours: Sequence[str],
    higher_is_better: bool,
) -> None:
    num_crosses = 0
    for number, (size, colour) in enumerate(zip(sizes, colours, strict=True)):
        part = points[points["batch_size"] == size].sort_values(x_name)
        known = part[part["mean"].notna()]
        axes.fill_between(
            known[x_name], known["low"], known["high"], color=colour, alpha=0.15, lw=0
        )
        marker = sweep_axes.MARKERS[number % len(sweep_axes.MARKERS)]
        axes.plot(known[x_name], known["mean"], marker=marker, ms=5, lw=1.8, color=colour)
        diverged = part.loc[part["num_diverged"] > 0, x_name]
        if len(diverged):
            sweep_axes.mark_diverged(axes, diverged, colour, num_crosses, higher_is_better)
            num_crosses += 1


def _handles(points: pd.DataFrame, sizes: Sequence[float], colours: Sequence[str]) -> list[Artist]:
    handles: list[Artist] = []
    for number, (size, colour) in enumerate(zip(sizes, colours, strict=True)):
        marker = sweep_axes.MARKERS[number % len(sweep_axes.MARKERS)]
        label = f"batch size {measures.number_text(size)}"
        handles.append(Line2D([], [], color=colour, marker=marker, ms=5, lw=1.8, label=label))
    if points["low"].notna().any():
        interval = "95 % interval of the mean"
        handles.append(Line2D([], [], color=style.GUIDE, lw=8, alpha=0.25, label=interval))
    if (points["num_diverged"] > 0).any():
        handles.append(sweep_axes.diverged_handle())
    return handles
