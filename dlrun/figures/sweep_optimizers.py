"""Optimizers judged as DeepOBS does: performance, speed, tuneability (Schneider et al. 2019)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from dlrun.figures import measures, style, sweep_axes

MAX_OPTIMIZERS = 20


def performance_speed_tuneability(
    table: pd.DataFrame, metric: str, higher_is_better: bool
) -> Figure:
    """A row an optimizer, a panel for each of the three that could be measured.

    table: best first, columns optimizer, n, performance, performance_low, performance_high,
        threshold, speed, num_reached, num_started, tuneability, lr_low, lr_high, band_open.
    metric: what performance is measured in, such as `accuracy/val`.
    """
    table = table[table["performance"].notna()].head(MAX_OPTIMIZERS).reset_index(drop=True)
    assert len(table), "no optimizer has a value"
    draw = {"performance": _performance}
    if table["speed"].notna().any():
        draw["speed"] = _speed
    if table["tuneability"].notna().any():
        draw["tuneability"] = _tuneability
    figure = style.new_figure(1.6 + 3.1 * len(draw), 1.25 + 0.36 * len(table))
    panels = figure.subplots(1, len(draw), sharey=True, squeeze=False)[0]
    panels[0].set_ylim(len(table) - 0.4, -0.6)
    names = [measures.one_line(str(name), 24) for name in table["optimizer"]]
    for axes, draw_panel in zip(panels, draw.values(), strict=True):
        draw_panel(axes, table, metric, higher_is_better)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(table)), names, parse_math=False)
    return figure


def _performance(axes: Axes, table: pd.DataFrame, metric: str, higher_is_better: bool) -> None:
    style.dress(axes, "performance", measures.metric_label(metric), "")
    columns = ["performance", "performance_low", "performance_high"]
    numbers = table[columns].to_numpy(np.float64)
    ends = np.clip(numbers[:, 1:], *measures.bounds(metric))
    axes.set_xlim(*sweep_axes.interval_window(numbers[:, 0], ends, metric, higher_is_better))
    left, right = axes.get_xlim()
    for row, (mean, (low, high)) in enumerate(zip(numbers[:, 0], ends, strict=True)):
        if not left <= mean <= right:
            shown = measures.metric_text(metric, mean)
            _remark(axes, row, f"◂ {shown}" if mean < left else f"{shown} ▸", mean < left)
            continue
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([low, high], [row, row], "|-", color=style.VALIDATION, ms=6, lw=1.6)
        axes.plot([mean], [row], "o", color=style.VALIDATION, ms=6.5)
    sweep_axes.format_metric_axis(axes.xaxis, metric, num_ticks=5)


def _speed(axes: Axes, table: pd.DataFrame, metric: str, higher_is_better: bool) -> None:
    threshold = float(table["threshold"].iloc[0])
    goal = measures.metric_text(metric, threshold)
    style.dress(axes, "speed", f"first epoch at {goal}", "")
    finite = [value for value in table["speed"] if math.isfinite(value)]
    axes.set_xlim(0, 1.18 * max([*finite, 1.0]))
    columns = [table[name] for name in ("speed", "num_reached", "num_started")]
    for row, (speed, reached, n) in enumerate(zip(*columns, strict=True)):
        if math.isfinite(speed):
            axes.barh(row, speed, height=0.5, color=style.TRAIN)
            axes.text(
                speed,
                row,
                f" {speed:.3g}",
                va="center",
                fontsize=style.TICK_SIZE - 1,
                color=style.GUIDE,
            )
        elif math.isinf(speed):
            _remark(axes, row, f"reached by {int(reached)} of {int(n)}", True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _tuneability(axes: Axes, table: pd.DataFrame, metric: str, higher_is_better: bool) -> None:
    style.dress(axes, "tuneability", "good learning rates (log scale)", "")
    axes.set_xscale("log")
    lows, highs = table["lr_low"], table["lr_high"]
    known = [*lows.dropna(), *highs.dropna()]
    low, high = (min(known), max(known)) if known else (0.1, 1.0)
    room = max(math.log10(high / low), 1.0)
    axes.set_xlim(low / 10 ** (0.12 * room), high * 10 ** (0.5 * room))
    columns = [table[name] for name in ("lr_low", "lr_high", "tuneability", "band_open")]
    for row, (left, right, decades, is_open) in enumerate(zip(*columns, strict=True)):
        if not (math.isfinite(left) and math.isfinite(right)):
            if decades == 0:
                _remark(axes, row, "none is good", True)
            continue
        axes.plot([left, right], [row, row], color="#009E73", lw=7, solid_capstyle="butt")
        axes.plot([left, right], [row, row], "|", color="#009E73", ms=11, mew=2)
        axes.text(
            right,
            row,
            f"  {'≥ ' if is_open else ''}{decades:.1f} decades",
            va="center",
            fontsize=style.TICK_SIZE - 1,
            color=style.GUIDE,
        )
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(measures.number_text))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _remark(axes: Axes, row: int, text: str, left: bool) -> None:
    axes.text(
        0.02 if left else 0.98,
        row,
        text,
        transform=axes.get_yaxis_transform(),
        ha="left" if left else "right",
        va="center",
        fontsize=style.TICK_SIZE - 1,
        color=style.GUIDE,
    )
