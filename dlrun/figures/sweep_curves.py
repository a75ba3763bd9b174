"""Learning curves of the best settings, averaged over seeds: over epochs and over seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dlrun.figures import measures, style, sweep_axes

X_LABELS = {
    "epoch": "epoch",
    "seconds": "training time (s)",
    "evaluations": "evaluations of the loss (log scale)",
}


def best_curves(
    averages: pd.DataFrame,
    series: Sequence[str],
    labels: Mapping[str, str],
    metrics: Mapping[str, bool],
) -> Figure:
    """Mean over seeds with a band: a row a metric, a column for all that curves are against.

    averages: columns series, metric, against (`epoch`, `seconds`, or `evaluations`, whose x are
        > 0), x, mean, low, high (the ends of the band).
    series: names of the curves, the best first; those after the sixth are grey.
    labels: what the legend calls each of the first six. metrics: by metric whether higher is
        better.

    The start of training may lie outside a panel, so that the end can be told apart; against
    evaluations alone all is seen.
    """
    columns = [name for name in X_LABELS if (averages["against"] == name).any()]
    width = 6.4 if len(columns) == 1 else 0.6 + 4.2 * len(columns)
    figure = style.new_figure(width, 1.1 + 2.9 * len(metrics))
    grid = figure.subplots(len(metrics), len(columns), sharex="col", sharey="row", squeeze=False)
    for row, (metric, higher_is_better) in enumerate(metrics.items()):
        shown = averages[averages["metric"] == metric]
        y_log = _scale(grid[row, 0], shown, metric, higher_is_better)
        for column, against in enumerate(columns):
            axes = grid[row, column]
            for rank in reversed(range(len(series))):  # the best is drawn last, on top
                part = shown[(shown["series"] == series[rank]) & (shown["against"] == against)]
                _draw(axes, part, rank)
            bottom = row == len(metrics) - 1
            style.dress(
                axes,
                "",
                X_LABELS[against] if bottom else "",
                (measures.metric_label(metric) + (", log scale" if y_log else ""))
                if column == 0
                else "",
            )
            _scale_x(axes, shown, against)
            sweep_axes.format_metric_axis(axes.yaxis, metric)
    _legend(figure, series, labels, bool(averages["low"].notna().any()))
    return figure


def _scale_x(axes: Axes, shown: pd.DataFrame, against: str) -> None:
    if against == "evaluations":
        axes.set_xscale("log")
        sweep_axes.format_log_axis(axes.xaxis)
        return
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=against == "epoch")
    )
    axes.xaxis.set_major_formatter(FuncFormatter(measures.number_text))
    last = _last(shown, against)
    axes.set_xlim(-0.02 * last, 1.02 * last)


def _last(shown: pd.DataFrame, against: str) -> float:
    """Where the axis ends: with the longest curve, unless it is ten times longer than the others.

    One very slow optimizer would otherwise press all others into the left edge.
    """
    ends = shown[shown["against"] == against].groupby("series")["x"].max().sort_values()
    last = float(ends.iloc[-1])
    if len(ends) > 1:
        last = min(last, 10 * float(ends.iloc[-2]))
    return last if last > 0 else 1.0


def _scale(axes: Axes, shown: pd.DataFrame, metric: str, higher_is_better: bool) -> bool:
    """Sets the ends of the axis, and tells whether it is logarithmic."""
    values = shown["mean"].dropna().to_numpy(np.float64)
    if not len(values):
        return False
    if not higher_is_better and sweep_axes.spread_decades(values):
        axes.set_yscale("log")
        axes.set_ylim(*sweep_axes.log_limits(float(values.min()), float(values.max())))
        return True
    started = shown.loc[shown["x"] > 0, "mean"].dropna().tolist()
    if set(shown["against"]) == {"evaluations"}:  # of what is slow the beginning is all there is
        low, high = float(values.min()), float(values.max())
    else:
        low, high = sweep_axes.better_part(started or values.tolist(), higher_is_better)
    ends = shown.sort_values("x").groupby("series").last()
    ends = ends[ends["low"].notna() & (ends["mean"] >= low) & (ends["mean"] <= high)]
    low, high = min([low, *ends["low"]]), max([high, *ends["high"]])
    room = 0.06 * (high - low) if high > low else 0.05 * max(abs(high), 1e-6)
    axes.set_ylim(low - room, min(high + room, measures.bounds(metric)[1] + 0.3 * room))
    return False


def _draw(axes: Axes, part: pd.DataFrame, rank: int) -> None:
    if rank >= len(sweep_axes.COLOURS):
        axes.plot(part["x"], part["mean"], color=sweep_axes.OTHERS, lw=1.2)
        return
    colour = sweep_axes.COLOURS[rank]
    axes.fill_between(part["x"], part["low"], part["high"], color=colour, alpha=0.13, lw=0)
    num_points = int(part["mean"].notna().sum())
    axes.plot(
        part["x"],
        part["mean"],
        marker=sweep_axes.MARKERS[rank],
        markevery=(rank % 3, max(1, num_points // 8)),
        ms=4.5,
        lw=1.8,
        color=colour,
    )


def _legend(
    figure: Figure, series: Sequence[str], labels: Mapping[str, str], has_bands: bool
) -> None:
    handles = [
        Line2D(
            [], [], color=colour, marker=marker, ms=4.5, label=measures.one_line(labels[name], 80)
        )
        for name, colour, marker in zip(
            series, sweep_axes.COLOURS, sweep_axes.MARKERS, strict=False
        )
    ]
    if len(series) > len(sweep_axes.COLOURS):
        handles.append(Line2D([], [], color=sweep_axes.OTHERS, lw=1.2, label="the others"))
    if has_bands:
        handles.append(
            Line2D([], [], color=style.GUIDE, lw=8, alpha=0.25, label="± 1 standard deviation")
        )
    style.legend(figure, handles)
