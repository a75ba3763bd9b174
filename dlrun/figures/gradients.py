"""How gradients, updates and activations fare layer by layer: vanishing and exploding, seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import measures, style

COLOURS = "viridis"  # told apart with any colour vision, and in grey
# Colours spread over so many decades around the median norm; what lies beyond shares the last.
MAX_DECADES = 24
MAX_LAYERS_NAMED = 40
MAX_LINES_NAMED = 12
LONGEST_NAME = 24
HEALTHY_RATIO = 1e-3


def gradient_heat_map(
    layers: Sequence[str], steps: ArrayLike, norms: ArrayLike, *, verdict: str
) -> Figure:
    """The gradient's norm by layer and step as colours, and by layer at three of the steps.

    layers: L names, the one at the input first, drawn at the top. steps: (T,) in rising order.
    norms: (L, T), one that is zero or not finite is grey. verdict: the title.
    """
    along, table = _table(layers, steps, norms)
    size = len(layers)
    figure = style.new_figure(9.6, float(np.clip(0.34 * size + 1.5, 3.2, 9.0)))
    left, right = figure.subplots(1, 2, width_ratios=[2.3, 1], sharey=True)
    usable = np.isfinite(table) & (table > 0)
    logs = np.log10(table, where=usable, out=np.full(table.shape, np.nan))
    low, high = _decades(logs[usable])
    colours = matplotlib.colormaps[COLOURS].with_extremes(bad=style.ABSENT)
    rows = np.arange(size + 1) - 0.5
    masked = np.ma.masked_invalid(logs)
    image = left.pcolormesh(_edges(along), rows, masked, cmap=colours, vmin=low, vmax=high)
    style.dress(left, verdict, "step", "layer, from input to output", grid=False)
    left.set_ylim(size - 0.5, -0.5)
    stride = -(-size // MAX_LAYERS_NAMED)
    names = _layer_names(layers)
    left.set_yticks(range(0, size, stride), names[::stride], parse_math=False)
    left.tick_params(axis="y", length=0)
    _whole_steps(left, along)
    if not usable.all():
        _say_grey(left, table, usable)

    below, above = bool((logs[usable] < low).any()), bool((logs[usable] > high).any())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}
    bar = figure.colorbar(
        image, ax=left, extend=extend.get((below, above), "neither"), aspect=25, pad=0.02
    )
    bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=high - low > 3))
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    bar.outline.set_visible(False)
    bar.set_label("log₁₀ of the gradient's norm", fontsize=style.LABEL_SIZE)
    room = 0.06 * (high - low)
    limits = (10 ** (low - room), 10 ** (high + room))
    _profile(right, along, np.where(usable, table, np.nan), limits)
    return figure


def _layer_names(layers: Sequence[str]) -> list[str]:
    """The names on one line; of long ones the dotted parts that all share are left out.

    >>> _layer_names(["model.encoder.linear.0.weight", "model.encoder.linear.1.weight"])
    ['0', '1']
    >>> _layer_names(["0.weight", "1.weight"])
    ['0.weight', '1.weight']
    """
    if max(map(len, layers)) > LONGEST_NAME and len(set(layers)) == len(layers) > 1:
        parts = [name.split(".") for name in layers]
        # At least one part of each name remains.
        spare = min(map(len, parts)) - 1
        head = next((k for k in range(spare) if len({part[k] for part in parts}) > 1), spare)
        tail = next(
            (k for k in range(spare - head) if len({p[-1 - k] for p in parts}) > 1), spare - head
        )
        layers = [".".join(part[head : len(part) - tail]) for part in parts]
    return [measures.one_line(name, LONGEST_NAME) for name in layers]


def _table(
    layers: Sequence[str], steps: ArrayLike, values: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    along = np.asarray(steps, dtype=np.float64).reshape(-1)  # (T,)
    table = np.asarray(values, dtype=np.float64)  # (L, T)
    assert table.shape == (len(layers), len(along)), (table.shape, len(layers), len(along))
    assert table.size > 0, "no layer or no step"
    return along, table


def _decades(logs: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the colours' scale in powers of ten, at least half a decade apart."""
    if not len(logs):
        return -1.0, 0.0
    middle = float(np.median(logs))
    # Powers of ten beyond 300 would overflow as the ends of an axis.
    low = float(np.clip(max(logs.min(), middle - MAX_DECADES / 2), -300, 300))
    high = float(np.clip(min(logs.max(), middle + MAX_DECADES / 2), -300, 300))
    room = max(0.0, 0.5 - (high - low)) / 2
    return low - room, high + room


def _edges(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of cells around the steps, half-way between neighbours.

    >>> _edges(np.array([0.0, 10.0, 30.0])).tolist()
    [-5.0, 5.0, 20.0, 40.0]
    >>> _edges(np.array([7.0])).tolist()
    [6.5, 7.5]
    """
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middles = (steps[1:] + steps[:-1]) / 2
    first, last = 2 * steps[0] - middles[0], 2 * steps[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def _whole_steps(axes: Axes, steps: NDArray[np.float64]) -> None:
    locator = MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _say_grey(axes: Axes, table: NDArray[np.float64], usable: NDArray[np.bool_]) -> None:
    zero, bad = bool((table == 0).any()), bool((~np.isfinite(table)).any())
    what = " or ".join(word for word, any_is in (("zero", zero), ("not finite", bad)) if any_is)
    if not usable.any():
        what += " everywhere"
    style.note(axes, f"grey: {what}", 0.985, 0.05)


def _profile(
    axes: Axes,
    steps: NDArray[np.float64],
    norms: NDArray[np.float64],
    limits: tuple[float, float],
) -> None:
    """The norm by layer at the first, the middle and the last step; shares the layers' axis."""
    style.dress(axes, " ", "gradient norm (log scale)", "")
    axes.set_title(
        "at three steps" if len(steps) > 2 else " ", fontsize=style.LABEL_SIZE, loc="left"
    )
    axes.tick_params(axis="y", length=0, labelleft=False)
    chosen = sorted({0, (len(steps) - 1) // 2, len(steps) - 1})
    if not np.isfinite(norms[:, chosen]).any():
        style.note(axes, "no finite value", 0.5, 0.5, align="center")
        return
    axes.set_xscale("log")
    # Before anything is drawn: a diverged run's norms would overflow the search for limits.
    axes.set_xlim(*limits)
    _plain_decades(axes, "x", *limits, num_ticks=5)
    rows = np.arange(len(norms))
    dots = "o" if len(rows) <= MAX_LAYERS_NAMED else ""
    for number, (k, colour) in enumerate(zip(chosen, style.SERIES, strict=False)):
        look: dict[str, Any] = {"marker": dots, "ms": 6 - number, "lw": 1.6, "color": colour}
        axes.plot(norms[:, k], rows, label=f"step {steps[k]:,.0f}", **look)
    axes.legend(frameon=False, fontsize=style.TICK_SIZE, loc="best")


def _plain_decades(axes: Axes, which: str, low: float, high: float, num_ticks: int) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,), numticks=num_ticks)
    )
    axis.set_major_formatter(FuncFormatter(measures.number_text))
    axis.set_minor_formatter(NullFormatter())


def update_ratios(layers: Sequence[str], steps: ArrayLike, ratios: ArrayLike) -> Figure:
    """The size of each layer's update relative to its weights over the steps, on a log axis.

    layers: L names, the one at the input first. steps: (T,). ratios: (L, T), norm of the update
    over norm of the weights; what is zero or not finite leaves a gap. The guide at 1e-3 is a rule
    of thumb: far below, a layer hardly learns, far above, it is thrown about.
    """
    along, table = _table(layers, steps, ratios)
    figure = style.new_figure(7.4, 4.4)
    axes = figure.subplots()
    style.dress(axes, "update / weight, by layer", "step", "‖update‖ / ‖weights‖ (log scale)")
    usable = np.isfinite(table) & (table > 0)
    axes.set_yscale("log")
    values = table[usable]
    low = min(values.min(initial=HEALTHY_RATIO), HEALTHY_RATIO)
    high = max(values.max(initial=HEALTHY_RATIO), HEALTHY_RATIO)
    low, high = max(low, 1e-15), min(high, 1e9)
    room = max((high / low) ** 0.06, 1.3)
    axes.set_ylim(low / room, high * room)
    _plain_decades(axes, "y", low, high, num_ticks=9)
    axes.axhline(HEALTHY_RATIO, color=style.GUIDE, lw=1.2, ls="--", zorder=1)
    guide = Line2D([], [], color=style.GUIDE, lw=1.2, ls="--", label="rule of thumb: 0.001")
    _layer_lines(figure, axes, layers, along, np.where(usable, table, np.nan), [guide])
    return figure


def unit_shares(layers: Sequence[str], steps: ArrayLike, shares: ArrayLike, name: str) -> Figure:
    """The share of each layer's units that are of no use over the steps.

    layers: L names, the one at the input first. steps: (T,). shares: (L, T) in [0, 1], NaN leaves
    a gap. name: which units these are, such as `dead ReLUs` or `saturated sigmoids`.
    """
    along, table = _table(layers, steps, shares)
    figure = style.new_figure(7.4, 4.4)
    axes = figure.subplots()
    label = measures.one_line(name, 40)
    style.dress(axes, f"{label}, by layer", "step", f"{label} (%)")
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    _layer_lines(figure, axes, layers, along, np.where(np.isfinite(table), table, np.nan), [])
    return figure


def _layer_lines(
    figure: Figure,
    axes: Axes,
    layers: Sequence[str],
    steps: NDArray[np.float64],
    values: NDArray[np.float64],
    guides: Sequence[Artist],
) -> None:
    """A line for each layer, dark at the input and light at the output; of many some are named."""
    rainbow = matplotlib.colormaps[COLOURS]
    last = max(len(layers) - 1, 1)
    stride = math.ceil(len(layers) / MAX_LINES_NAMED)
    dots = "o" if len(steps) <= 30 else ""
    handles: list[Artist] = []
    for k, (name, line) in enumerate(zip(_layer_names(layers), values, strict=True)):
        look: dict[str, Any] = {
            "color": to_hex(rainbow(0.9 * k / last)),
            "lw": 1.7,
            "marker": dots,
            "ms": 3.5,
        }
        axes.plot(steps, line, zorder=3, **look)
        if k % stride == 0 or k == len(layers) - 1:
            handles.append(Line2D([], [], label=name, **look))
    _whole_steps(axes, steps)
    if not np.isfinite(values).any():
        style.note(axes, "no finite value", 0.5, 0.5, align="center")
    style.legend(figure, [*handles, *guides])
