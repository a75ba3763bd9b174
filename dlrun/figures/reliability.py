"""Reliability: how often a network is right, against how sure it was."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import style

FEW = 10  # samples in a bin below which its accuracy is mostly chance
OPACITY, PALE = 0.6, 0.25

Values = NDArray[np.float64]


def reliability_diagram(
    edges: ArrayLike,
    counts: ArrayLike,
    confidence: ArrayLike,
    accuracy: ArrayLike,
    ece: float,
    num_classes: int,
) -> Figure:
    """Accuracy of each bin of confidence above, how many samples it holds below.

    edges: (B + 1,). counts, confidence, accuracy: (B,), the latter two NaN in an empty bin. ece:
    the expected calibration error, for the title.
    Hatched is the gap between accuracy and mean confidence; the bars of a network that is
    perfectly calibrated end at the diagonal. Bars of fewer than ten samples are pale. Confidences
    below 1 / num_classes cannot be, and the axis begins there. Source: Guo et al. 2017.
    """
    bounds, sizes = np.asarray(edges, np.float64), np.asarray(counts, np.int64)
    sure, right = np.asarray(confidence, np.float64), np.asarray(accuracy, np.float64)
    assert bounds.shape == (len(sizes) + 1,) and sure.shape == right.shape == sizes.shape

    figure = style.new_figure(6.0, 6.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    total = int(sizes.sum())
    title = "no samples"
    if total > 0:
        title = f"expected calibration error {100 * ece:.2f} %, {total:,} samples"
    style.dress(above, title, "", "accuracy (%)")
    style.dress(below, "", "confidence in the predicted class (%)", "samples")
    left = float(bounds[bounds <= 1 / num_classes].max())
    above.set_xlim(left, 1.0)
    above.set_ylim(0.0, 1.02)
    if total == 0:
        style.mark_empty(above)
        return figure
    _bars(above, bounds, sizes, sure, right)
    _counts(below, bounds, sizes)
    for axis, step in ((above.yaxis, 0.2), (above.xaxis, 0.2 if left < 0.3 else 0.1)):
        axis.set_major_locator(MultipleLocator(step))
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f}"))
    means = [float(np.nansum(sizes * values) / total) for values in (sure, right)]
    below.axvline(means[0], color=style.VALIDATION, lw=1.6)
    below.axvline(means[1], color=style.INK, lw=1.6, ls=":")
    _legend(figure, *means, pale=bool(((sizes > 0) & (sizes < FEW)).any()))
    return figure


def _bars(
    axes: Axes, bounds: Values, sizes: NDArray[np.int64], sure: Values, right: Values
) -> None:
    """A bar of accuracy for each bin, and on it the gap to the mean confidence."""
    for chosen, opacity in ((sizes >= FEW, OPACITY), ((sizes > 0) & (sizes < FEW), PALE)):
        middle, width = (bounds[:-1] + bounds[1:])[chosen] / 2, np.diff(bounds)[chosen]
        low, high = np.minimum(sure, right)[chosen], np.maximum(sure, right)[chosen]
        axes.bar(middle, right[chosen], width, color=style.TRAIN, alpha=opacity, ec="white", lw=0.8)
        axes.bar(
            *(middle, high - low, width, low),
            facecolor="none",
            edgecolor=style.VALIDATION,
            hatch="////",
            linewidth=0.8,
            alpha=min(1.0, opacity + 0.25),
        )
    axes.plot([0, 1], [0, 1], color=style.GUIDE, lw=1.4, ls="--")


def _counts(axes: Axes, bounds: Values, sizes: NDArray[np.int64]) -> None:
    """How many samples each bin holds, on a log scale: of a good network most are in the last."""
    middle = (bounds[:-1] + bounds[1:]) / 2
    axes.bar(middle, sizes, np.diff(bounds), color=style.TRAIN, alpha=0.4, ec="white", lw=0.8)
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(10.0, 2.0 * sizes.max()))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.tick_params(axis="y", which="minor", length=0)


def _legend(figure: Figure, mean_confidence: float, mean_accuracy: float, *, pale: bool) -> None:
    """What bars and lines are, below both panels."""
    names: dict[str, Patch | Line2D] = {
        "accuracy": Patch(color=style.TRAIN, alpha=OPACITY, lw=0),
        "gap to mean confidence": Patch(
            facecolor="none", edgecolor=style.VALIDATION, hatch="////", lw=0.8
        ),
        "perfect calibration": Line2D([], [], color=style.GUIDE, lw=1.4, ls="--"),
        f"mean confidence {100 * mean_confidence:.1f} %": Line2D(
            *([], []), color=style.VALIDATION, lw=1.6
        ),
        f"mean accuracy {100 * mean_accuracy:.1f} %": Line2D(
            [], [], color=style.INK, lw=1.6, ls=":"
        ),
    }
    if pale:
        names[f"fewer than {FEW} samples"] = Patch(color=style.TRAIN, alpha=PALE, lw=0)
    for name, handle in names.items():
        handle.set_label(name)
    style.legend(figure, list(names.values()))
