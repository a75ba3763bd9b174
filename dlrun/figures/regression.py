"""Regression: predictions against targets, and what is left over."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import style


def predictions(targets: ArrayLike, outputs: ArrayLike, target_name: str) -> Figure:
    """Prediction against target with the diagonal on the left, residuals on the right.

    targets, outputs: (N,) or (N, 1) in the target's own unit. Title: R² and mean absolute error.
    Samples whose prediction is not finite are left out, and the title says how many.
    """
    true = np.asarray(targets, dtype=np.float64).reshape(-1)  # (N,)
    predicted = np.asarray(outputs, dtype=np.float64).reshape(-1)  # (N,)
    assert true.shape == predicted.shape, (true.shape, predicted.shape)
    finite = np.isfinite(true) & np.isfinite(predicted)
    left_out = int((~finite).sum())
    true, predicted = true[finite], predicted[finite]
    name = style.shorten(target_name, 40)

    figure = style.new_figure(9.0, 4.4)
    left, right = figure.subplots(1, 2)
    title = _scores(true, predicted)
    if left_out > 0:
        title += f"\n{left_out:,} of {len(finite):,} predictions not finite, left out"
    style.dress(left, title, f"true {name}", f"predicted {name}")
    style.dress(right, "residuals", f"predicted − true {name}", "number of samples")
    if len(true) == 0:
        style.mark_empty(left)
        style.mark_empty(right)
        return figure
    _scatter(left, true, predicted)
    _residuals(right, predicted - true)
    return figure


def _scores(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> str:
    if len(true) == 0:
        return "no predictions"
    error = np.abs(predicted - true).mean()
    with np.errstate(over="ignore"):  # squares of a diverged run; R² is -inf then
        unexplained = ((predicted - true) ** 2).sum()
        spread = ((true - true.mean()) ** 2).sum()
    if spread == 0:
        return f"R² undefined, MAE = {error:.4g}, n = {len(true):,}"
    r_squared = 1 - unexplained / spread
    return f"R² = {r_squared:.4g}, MAE = {error:.4g}, n = {len(true):,}"


def _scatter(axes: Axes, true: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
    low = min(true.min(), predicted.min())
    high = max(true.max(), predicted.max())
    margin = 0.05 * (high - low) if high > low else 0.05 * max(1.0, abs(high))
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=style.GUIDE, lw=1.0, ls="--", label="prediction = target")
    opacity = float(np.clip(60 / np.sqrt(len(true)) / 10, 0.15, 0.8))
    size = 18 if len(true) <= 1000 else 8
    axes.scatter(true, predicted, s=size, color=style.TRAIN, alpha=opacity, linewidths=0)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.legend(frameon=False, fontsize=style.TICK_SIZE)


def _residuals(axes: Axes, residuals: NDArray[np.float64]) -> None:
    low, high = residuals.min(), residuals.max()
    bins = int(np.clip(np.sqrt(len(residuals)), 10, 60))
    largest = max(abs(low), abs(high))
    if high - low <= 1e-9 * largest or largest == 0:  # numpy cannot part such a range into bins
        pad = 0.05 * largest if largest > 0 else 0.5
        low, high, bins = low - pad, high + pad, 11  # odd: the middle bin holds them all
    axes.hist(residuals, bins=bins, range=(low, high), color=style.TRAIN, alpha=0.85)
    axes.axvline(0, color=style.GUIDE, lw=1.0, ls="--", label="no error")
    mean = residuals.mean()
    axes.axvline(mean, color=style.VALIDATION, lw=1.4, label=f"mean {mean:.3g}")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axes.legend(frameon=False, fontsize=style.TICK_SIZE)
