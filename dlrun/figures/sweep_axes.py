"""Axes and colours that the pictures of a sweep share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray

from dlrun.figures import measures, style
from dlrun.figures.measures import bounds, number_text

# Two series are told apart by colour and by marker. Okabe and Ito's colours, the yellow left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#4D4D4D")
MARKERS = ("o", "s", "^", "D", "v", "P")
OTHERS = "#CCCCCC"  # of series beyond these
BEST = "#D55E00"
BRIGHTNESS = "cividis"  # looks alike with any colour vision
DIVERGED = "x"
MAX_RATIO = 30.0  # of the worst value on a log axis to the worst of the better ones
# More values of a hyper-parameter than this are not each written at the axis.
MAX_VALUE_TICKS = 8


def colour_scale(
    values: Sequence[float], higher_is_better: bool
) -> tuple[list[float], Colormap, Normalize]:
    """The finite values, and colours for them: the better the brighter.

    Colours tell the better values apart; all others share the last one.
    """
    finite = [value for value in values if math.isfinite(value)]
    worst, best = better_part(finite, higher_is_better)
    norm = Normalize(worst, best if best > worst else worst + 1e-9)
    return finite, colormaps[BRIGHTNESS if higher_is_better else f"{BRIGHTNESS}_r"], norm


def add_colour_bar(
    figure: Figure,
    mappable: ScalarMappable,
    axes: Axes | list[Axes],
    metric: str,
    values: Sequence[float],
) -> None:
    """A bar for the mean of the metric; pointed at an end beyond which there are values."""
    low, high = (end or 0.0 for end in mappable.get_clim())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (min(values) < low, max(values) > high), "neither"
    )
    bar = figure.colorbar(mappable, ax=axes, extend=extend, aspect=30, pad=0.02)
    format_metric_axis(bar.ax.yaxis, metric)
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    bar.outline.set_visible(False)
    bar.set_label(f"mean {measures.metric_label(metric)}", fontsize=style.LABEL_SIZE)


def format_metric_axis(axis: Axis, metric: str, num_ticks: int = 8) -> None:
    """Writes the axis' numbers in the metric's unit; on a log axis 1, 2 and 5 of each decade."""
    scale = 100.0 if metric.startswith("accuracy/") else 1.0
    if axis.get_scale() == "log":
        low, high = sorted(axis.get_view_interval())
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 150 * low else (1,)))
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(lambda value, _: number_text(scale * value)))
    else:
        axis.set_major_locator(MaxNLocator(nbins=num_ticks, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{scale * value:.6g}"))


def spread_decades(values: NDArray[np.float64]) -> bool:
    """Whether all values are positive and span more than a decade."""
    return bool(len(values) and values.min() > 0 and values.max() > 10 * values.min())


def scale_value_axis(axes: Axes, values: Sequence[float], log: bool) -> None:
    """The x axis of a hyper-parameter, a tick at each value while there are few.

    On a logarithmic one a zero, such as no weight decay, stands a little left of all others.
    """
    distinct = sorted(set(values))
    if log and distinct[0] > 0:
        axes.set_xscale("log")
    elif log:
        smallest = next((value for value in distinct if value > 0), 1.0)
        axes.set_xscale("symlog", linthresh=smallest, linscale=0.5)
    if len(distinct) <= MAX_VALUE_TICKS:
        axes.set_xticks(distinct, [number_text(value) for value in distinct])
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(number_text))
        axes.xaxis.set_minor_formatter(NullFormatter())


def format_log_axis(axis: Axis) -> None:
    """Writes powers of ten at a logarithmic axis, and 2 and 5 of each where they are few."""
    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 150 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(number_text))
    axis.set_minor_formatter(NullFormatter())


def mark_diverged(
    axes: Axes, at: pd.Series[float], colour: str, line: int, higher_is_better: bool
) -> None:
    """A cross at each x where a run diverged, so many lines from the panel's worse edge."""
    height = 0.035 + 0.05 * line
    axes.plot(
        at,
        np.full(len(at), height if higher_is_better else 1 - height),
        DIVERGED,
        transform=axes.get_xaxis_transform(),
        color=colour,
        ms=7,
        mew=2.0,
        zorder=4,
    )


def diverged_handle() -> Line2D:
    """What a legend shows for such crosses."""
    return Line2D([], [], ls="", marker=DIVERGED, mew=2.0, color=style.GUIDE, label="diverged")


def value_window(
    values: NDArray[np.float64], metric: str, higher_is_better: bool
) -> tuple[tuple[float, float], bool]:
    """Ends of the metric's axis around the finite values, and whether it is logarithmic."""
    values = values[np.isfinite(values)]
    assert len(values), "no finite value"
    log = not higher_is_better and spread_decades(values)
    low, high = float(values.min()), float(values.max())
    if log:
        # What explodes leaves the panel, or all that is any good would lie at its bottom.
        high = min(high, MAX_RATIO * better_part(values.tolist(), False)[1])
        return log_limits(low, high), True
    if metric.startswith("r2/"):
        low = max(low, min(-1.0, high - 1.0))  # worse than that is all the same: no use at all
    room = 0.08 * (high - low) if high > low else 0.05 * max(abs(high), 1e-6)
    top = bounds(metric)[1] + 0.3 * room
    return (low - room, min(high + room, top)), False


def better_part(values: Sequence[float], higher_is_better: bool) -> tuple[float, float]:
    """The range of values worth the room on an axis: the better 60 % of them and what lies close.

    A few hopeless settings would otherwise press all good ones into one point. Values beyond are
    to be drawn at the axis' edge.

    >>> better_part([0.97, 0.96, 0.95, 0.94, 0.10], higher_is_better=True)
    (0.94, 0.97)
    >>> better_part([0.97, 0.96, 0.95, 0.93], higher_is_better=True)
    (0.93, 0.97)
    """
    ordered = sorted((v for v in values if math.isfinite(v)), reverse=higher_is_better)
    assert ordered, "no finite value"
    best, last_kept = ordered[0], ordered[math.ceil(0.6 * len(ordered)) - 1]
    room = max(2.5 * abs(best - last_kept), 1e-3 * abs(best))
    kept = [v for v in ordered if abs(v - best) <= room]
    return min(kept), max(kept)


def log_limits(low: float, high: float) -> tuple[float, float]:
    """Ends of a logarithmic axis from low to high with some room, at most twelve decades.

    What has exploded beyond leaves the panel.
    """
    high = min(high, 1e12 * low)
    room = (high / low) ** 0.06
    return low / room, high * room


def interval_window(
    means: NDArray[np.float64], ends: NDArray[np.float64], metric: str, higher_is_better: bool
) -> tuple[float, float]:
    """Ends of an axis for means (N,) and their intervals (N, 2), either of which may be NaN.

    The better means have room, and of their intervals what is not much wider than the others.
    """
    known = means[np.isfinite(means)]
    low, high = better_part(known.tolist(), higher_is_better)
    kept = ends[np.isfinite(ends).all(axis=1) & (means >= low) & (means <= high)]
    reach = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-12)
    if len(kept):
        reach = max(reach, float(np.median(kept[:, 1] - kept[:, 0])))
    inside = np.clip(kept, low - reach, high + reach)
    least, most = bounds(metric)
    left = max(float(min(inside.min(initial=low), low)), least)
    right = min(float(max(inside.max(initial=high), high)), most)
    margin = 0.04 * max(right - left, 0.1 * reach)
    return left - margin, right + margin
