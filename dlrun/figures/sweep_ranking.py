"""The ranking of a sweep's settings: a dot and its interval each, test beside validation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dlrun.figures import measures, style, sweep_axes

# Further settings are in the table only: a taller picture would not fit a page.
MAX_RANKED = 20
TEST = "#333333"
SPLITS = {"": (style.VALIDATION, "o", 0.16), "test_": (TEST, "D", -0.16)}


def ranking(settings: pd.DataFrame, metric: str, higher_is_better: bool) -> Figure:
    """Mean and 95 % interval of the metric, a row a setting, the best on top; at most 20 rows.

    settings: best first, columns label, n, mean, low, high, test_mean, test_low, test_high,
        num_diverged; means and intervals that are NaN are not drawn.
    metric: such as `accuracy/val`; the test split's is drawn beside it.

    A setting far behind the rest stands as an arrow at the edge with its value.
    """
    ranked = settings[settings["mean"].notna()].head(MAX_RANKED)
    assert len(ranked), "no setting has a value"
    labels = [measures.one_line(str(label), 60) for label in ranked["label"]]
    has_test = bool(ranked["test_mean"].notna().any())
    figure = style.new_figure(5.4 + 0.065 * max(map(len, labels)), 1.3 + 0.34 * len(ranked))
    axes = figure.subplots()
    axes.set_ylim(len(ranked) - 0.45, -0.55)
    axes.axhspan(-0.5, 0.5, color=style.VALIDATION, alpha=0.08, lw=0)

    numbers = ranked[["mean", "low", "high", "test_mean", "test_low", "test_high"]].to_numpy()
    parts = np.concatenate([numbers[:, :3], numbers[:, 3:]]).astype(np.float64)  # (2 N, 3)
    axes.set_xlim(*sweep_axes.interval_window(parts[:, 0], parts[:, 1:], metric, higher_is_better))
    for prefix, (colour, marker, lift) in SPLITS.items():
        if prefix and not has_test:
            continue
        rows = np.arange(len(ranked)) - (lift if has_test else 0.0)
        _draw_split(axes, ranked, prefix, rows, colour, marker, metric)

    title = f"the best {len(ranked)} of {len(settings)} settings on validation"
    if len(ranked) == len(settings):
        title = f"all {len(settings)} settings, the best on validation first"
    x_label = measures.metric_label(metric)
    if has_test:
        x_label = x_label.removeprefix("validation ")
    style.dress(axes, title, x_label, "")
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(ranked)), labels, parse_math=False)
    axes.tick_params(axis="y", length=0)
    sweep_axes.format_metric_axis(axes.xaxis, metric)
    for row, (n, diverged) in enumerate(zip(ranked["n"], ranked["num_diverged"], strict=True)):
        text = f"n = {n}" + (f", {diverged} diverged" if diverged else "")
        axes.text(
            1.01,
            row,
            text,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=style.TICK_SIZE,
            color=style.GUIDE,
        )
    _legend(figure, has_test, bool((ranked["n"] > 1).any()))
    return figure


def _draw_split(
    axes: Axes,
    ranked: pd.DataFrame,
    prefix: str,
    rows: np.ndarray,
    colour: str,
    marker: str,
    metric: str,
) -> None:
    """Whisker and dot in each row; an arrow with the value where the dot is off the axis."""
    left, right = axes.get_xlim()
    columns = [f"{prefix}{name}" for name in ("mean", "low", "high")]
    for row, values in zip(rows, ranked[columns].to_numpy(dtype=np.float64), strict=True):
        mean = float(values[0])
        low, high = np.clip(values[1:], *measures.bounds(metric)).tolist()
        if not math.isfinite(mean):
            continue
        if not left <= mean <= right:
            below = mean < left
            axes.annotate(
                ("◂ " if below else "")
                + measures.metric_text(metric, mean)
                + ("" if below else " ▸"),
                (left if below else right, row),
                xytext=(4 if below else -4, 0),
                textcoords="offset points",
                ha="left" if below else "right",
                va="center",
                fontsize=style.TICK_SIZE - 1.5,
                color=colour,
            )
            continue
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([low, high], [row, row], color=colour, lw=1.6, solid_capstyle="butt")
            axes.plot([low, high], [row, row], "|", color=colour, ms=6, mew=1.4)
        face = colour if not prefix else "white"
        axes.plot([mean], [row], marker, color=colour, mfc=face, ms=6.5 if not prefix else 5.5)


def _legend(figure: Figure, has_test: bool, has_intervals: bool) -> None:
    colour, marker, _ = SPLITS[""]
    interval = ", mean with 95 % interval" if has_intervals else ", mean"
    handles = [Line2D([], [], color=colour, marker=marker, label=f"validation{interval}")]
    if has_test:
        colour, marker, _ = SPLITS["test_"]
        handles.append(Line2D([], [], color=colour, marker=marker, mfc="white", label="test"))
    style.legend(figure, handles)
