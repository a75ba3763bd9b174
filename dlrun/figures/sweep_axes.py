"""Axes and colours that the pictures of a sweep share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray

from dlrun.figures.measures import bounds, number_text

# Two series are told apart by colour and by marker. Okabe and Ito's colours, the yellow left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#4D4D4D")
MARKERS = ("o", "s", "^", "D", "v", "P")
# More values of a hyper-parameter than this are not each written at the axis.
MAX_VALUE_TICKS = 8


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
