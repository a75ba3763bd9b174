"""Which hyper-parameters mattered, and which values go together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dlrun.figures import measures, style, sweep_axes

MAX_AXES = 8
MAX_NAMED_VALUES = 12  # numbers: of more, three along their axis are named
MAX_LABELS = 20
SHARED = "#9CC9E8"


def importance(table: pd.DataFrame, metric: str) -> Figure:
    """Bars: the share of the metric's variance that each hyper-parameter explains.

    table: the most important first, columns hyper_parameter (a name to show), share, and
        share_with_interactions (NaN where it was not measured), both 0 to 1.
    """
    table = table.head(15)
    names = [measures.one_line(str(name), 40) for name in table["hyper_parameter"]]
    figure = style.new_figure(6.4, 1.35 + 0.36 * len(table))
    axes = figure.subplots()
    shares = table["share"].to_numpy(np.float64)
    totals = np.fmax(table["share_with_interactions"].to_numpy(np.float64), shares)
    rows = np.arange(len(table))
    axes.barh(rows, 100 * totals, height=0.6, color=SHARED)
    axes.barh(rows, 100 * shares, height=0.6, color=style.TRAIN)
    for row, (share, total) in enumerate(zip(shares, totals, strict=True)):
        text = f"{100 * share:.0f}" + (f" – {100 * total:.0f}" if total - share > 0.005 else "")
        axes.text(
            100 * total, row, f" {text} %", va="center", fontsize=style.TICK_SIZE, color=style.GUIDE
        )
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(0, max(112 * float(totals.max(initial=0.0)), 5.0))
    title = "what mattered"
    style.dress(axes, title, f"share of the variance of {measures.metric_name(metric)} (%)", "")
    axes.grid(visible=False, axis="y")
    axes.set_yticks(rows, names, parse_math=False)
    axes.tick_params(axis="y", length=0)
    if not (totals - shares > 0.005).any():
        return figure
    handles = [
        Patch(color=style.TRAIN, label="by itself"),
        Patch(color=SHARED, label="together with the others"),
    ]
    style.legend(figure, handles)
    return figure


def parallel_coordinates(
    settings: pd.DataFrame,
    names: Mapping[str, str],
    metric: str,
    higher_is_better: bool,
) -> Figure:
    """A line a setting through its values of all hyper-parameters to the metric; the best thick.

    settings: best first, the hyper-parameters' columns, mean and num_diverged; a NaN mean ends at
        `diverged`.
    names: by column what its axis is called, at most 8 are drawn.

    Lines through one value are fanned out a little, ordered by the metric, so that each is seen.
    A value that is missing stands at `none`.
    """
    keys = list(names)[:MAX_AXES]
    finite, colours, norm = sweep_axes.colour_scale(list(settings["mean"]), higher_is_better)
    figure = style.new_figure(2.0 + 1.55 * len(keys), 4.4)
    axes = figure.subplots()
    order = np.argsort(np.argsort(_goodness(settings["mean"], higher_is_better)))
    heights = np.stack(
        [
            *(_heights(axes, k, settings[key], order) for k, key in enumerate(keys)),
            _metric_heights(axes, len(keys), settings["mean"], metric, higher_is_better),
        ],
        axis=1,
    )  # (settings, axes)
    steps = np.linspace(0, 1, 25)
    ease = steps * steps * (3 - 2 * steps)  # an S from axis to axis: crossings can be followed
    for row in np.argsort(order):  # the best last, on top
        mean = float(settings["mean"].iloc[row])
        xs = np.concatenate([k + steps for k in range(len(keys))])
        ys = np.concatenate(
            [
                heights[row, k] + ease * (heights[row, k + 1] - heights[row, k])
                for k in range(len(keys))
            ]
        )
        is_best = row == 0
        diverged = settings["num_diverged"].iloc[row] > 0
        axes.plot(
            xs,
            ys,
            color=sweep_axes.BEST if is_best else "#999999" if diverged else colours(norm(mean)),
            lw=3.2 if is_best else 1.3,
            ls=":" if diverged else "-",
            alpha=1.0 if is_best else 0.75,
            zorder=4 if is_best else 2,
        )
    _frame(axes, [names[key] for key in keys], metric)
    sweep_axes.add_colour_bar(figure, ScalarMappable(norm, colours), axes, metric, finite)
    handles = [Line2D([], [], color=sweep_axes.BEST, lw=3.2, label="the best setting")]
    if (settings["num_diverged"] > 0).any():
        handles.append(Line2D([], [], color="#999999", ls=":", label="some or all runs diverged"))
    style.legend(figure, handles)
    return figure


def _goodness(means: pd.Series[float], higher_is_better: bool) -> NDArray[np.float64]:
    """The means, turned so that larger is better; without one at the very bottom."""
    values = means.to_numpy(np.float64)
    return np.where(np.isfinite(values), values if higher_is_better else -values, -np.inf)


def _heights(
    axes: Axes, position: int, values: pd.Series[Any], order: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Where each setting crosses a hyper-parameter's axis, 0 to 1; draws that axis' values."""
    present = [value for value in values if not measures.is_missing(value)]
    numeric = all(
        isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
        for value in present
    )
    if numeric and len(set(present)) > MAX_NAMED_VALUES:
        return _continuous(axes, position, values)
    distinct = sorted(set(present), key=lambda value: value if numeric else str(value))
    missing = [None] if len(present) < len(values) else []
    texts = ["none"] * len(missing) + [measures.value_text(value) for value in distinct]
    places = np.linspace(0.06, 0.94, len(texts)) if len(texts) > 1 else np.array([0.5])
    index = {value: k + len(missing) for k, value in enumerate(distinct)}
    slots = np.array([0 if measures.is_missing(v) else index[v] for v in values])
    heights: NDArray[np.float64] = places[slots]
    fan = min(0.07, 0.6 / max(len(texts), 1) / 2)
    for slot in range(len(texts)):
        rows = np.flatnonzero(slots == slot)
        if len(rows) > 1:
            ranks = np.argsort(np.argsort(order[rows]))
            heights[rows] += fan * (2 * ranks / (len(rows) - 1) - 1)
    every = -(-len(texts) // MAX_LABELS)
    for place, text in list(zip(places, texts, strict=True))[::every]:
        _write_value(axes, position, float(place), text)
    return heights


def _continuous(axes: Axes, position: int, values: pd.Series[Any]) -> NDArray[np.float64]:
    """Heights of many numbers, by their logarithm when they span a decade; missing at 0."""
    numbers = values.to_numpy(np.float64)
    known = numbers[np.isfinite(numbers)]
    log = sweep_axes.spread_decades(known)
    scaled = np.log(numbers) if log else numbers
    low, high = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    bottom = 0.14 if np.isnan(numbers).any() else 0.04
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        text = measures.number_text(float(f"{math.exp(value) if log else value:.2g}"))
        _write_value(axes, position, bottom + share * (0.96 - bottom), text)
    if bottom > 0.1:
        _write_value(axes, position, 0.0, "none")
    heights = bottom + (0.96 - bottom) * (scaled - low) / (high - low)
    return np.where(np.isfinite(heights), heights, 0.0)


def _metric_heights(
    axes: Axes, position: int, means: pd.Series[float], metric: str, higher_is_better: bool
) -> NDArray[np.float64]:
    """Where each setting ends on the metric's axis, the better the higher; draws its values.

    The better settings have most of the axis; those far behind share its lower part.
    """
    values = means.to_numpy(np.float64)
    known = values[np.isfinite(values)]
    low, high = sweep_axes.better_part(known.tolist(), higher_is_better)
    best, worst = (high, low) if higher_is_better else (low, high)
    diverged = bool(np.isnan(values).any())
    behind = bool(((known < low) | (known > high)).any())
    bottom = 0.04 + 0.1 * diverged + 0.15 * behind
    for share in (0.0, 0.5, 1.0) if best != worst else (1.0,):
        text = measures.metric_text(metric, worst + share * (best - worst))
        _write_value(axes, position, bottom + share * (0.96 - bottom), text, right=True)
    if behind:
        text = measures.metric_text(metric, worst)
        sign = "<" if higher_is_better else ">"
        _write_value(axes, position, bottom - 0.11, f"{sign} {text}", right=True)
    if diverged:
        _write_value(axes, position, 0.0, "diverged", right=True)
    goodness = np.where(values == best, 1.0, -1.0)
    if best != worst:
        goodness = (values - worst) / (best - worst)
    heights = bottom + (0.96 - bottom) * goodness
    fallen = np.isfinite(values) & (heights < bottom - 1e-9)
    order = np.argsort(np.argsort(heights[fallen]))
    heights[fallen] = bottom - 0.13 + 0.05 * order / max(len(order) - 1, 1)
    return np.where(np.isfinite(values), heights, 0.0)


def _write_value(axes: Axes, position: int, height: float, text: str, right: bool = False) -> None:
    axes.text(
        position + (0.04 if right else -0.04),
        height,
        measures.one_line(text, 16),
        ha="left" if right else "right",
        va="center",
        fontsize=style.TICK_SIZE - 1,
        parse_math=False,
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0},
    )


def _frame(axes: Axes, names: Sequence[str], metric: str) -> None:
    """Upright axes with their names below."""
    labels = [measures.one_line(name, 22) for name in names] + [measures.metric_label(metric)]
    for position in range(len(labels)):
        axes.axvline(position, color="#444444", lw=1.0, zorder=3)
    axes.set_xlim(-0.35, len(names) + 0.35)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([])
    wrapped = [label.replace(" ", "\n", 1) for label in labels]
    axes.set_xticks(range(len(labels)), wrapped, parse_math=False, fontsize=style.LABEL_SIZE)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
