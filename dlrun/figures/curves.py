"""Learning curves: loss and accuracy (or R²) of training and validation over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)
from numpy.typing import NDArray

from dlrun.figures import style

Record = Mapping[str, float | None]
Curves = dict[str, NDArray[np.float64]]

SPLITS = {
    "train": ("training (mean over the epoch)", style.TRAIN),
    "val": ("validation (after the epoch)", style.VALIDATION),
}
# A curve of more points than this is drawn without a dot at each.
MAX_DOTS = 30
# With fewer epochs after the start there is nothing yet that epoch 0 could flatten.
MIN_EPOCHS_TO_ZOOM = 4


def learning_curves(history: Sequence[Record], best_epoch: int | None) -> Figure:
    """Loss on the left, accuracy or else R² on the right, against the epoch.

    history: lines of `metrics.jsonl`, keys such as `epoch`, `loss/train`, `accuracy/val`; a value
        that is None or not finite leaves a gap, and the first epoch without a finite loss is named.
    best_epoch: marked in both panels; None for no mark.

    The loss axis is logarithmic when the losses span more than a decade. Where the start of
    training would flatten all that follows, the second panel leaves epoch 0 off its axis and says
    so.
    """
    epochs = np.array([line["epoch"] for line in history], dtype=np.float64)
    metric = next((m for m in ("accuracy", "r2") if _curves(history, m)), None)
    figure = style.new_figure(9.0 if metric is not None else 5.5, 4.0)
    panels = figure.subplots(1, 2 if metric is not None else 1, squeeze=False)[0]

    loss = _curves(history, "loss")
    _draw(panels[0], epochs, loss, best_epoch)
    title = _title("loss", epochs, loss, best_epoch) + _divergence(epochs, loss)
    style.dress(panels[0], title, "epoch", "loss")
    _scale_loss(panels[0], loss)

    if metric is not None:
        curves = _curves(history, metric)
        _draw(panels[1], epochs, curves, best_epoch)
        name = {"accuracy": "accuracy (%)", "r2": "R² (1 is perfect)"}[metric]
        title = _title({"accuracy": "accuracy", "r2": "R²"}[metric], epochs, curves, best_epoch)
        style.dress(panels[1], title, "epoch", name)
        if metric == "accuracy":
            panels[1].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        _leave_out_start(panels[1], epochs, curves, percent=metric == "accuracy")

    figure.legend(
        handles=_legend(loss, best_epoch),
        loc="outside lower center",
        ncols=3 if metric is not None else 2,
        frameon=False,
        fontsize=style.TICK_SIZE,
    )
    return figure


def _curves(history: Sequence[Record], metric: str) -> Curves:
    """Values of the metric by split, NaN where missing or not finite; splits without a value out.

    A split whose every value is not finite is kept, so that a diverged run shows as one.
    """
    curves = {}
    for split in SPLITS:
        values = [line.get(f"{metric}/{split}") for line in history]
        if any(value is not None for value in values):
            numbers = np.array([math.nan if v is None else v for v in values], dtype=np.float64)
            curves[split] = np.where(np.isfinite(numbers), numbers, np.nan)
    return curves


def _draw(axes: Axes, epochs: NDArray[np.float64], curves: Curves, best_epoch: int | None) -> None:
    dots = "o" if len(epochs) <= MAX_DOTS else ""
    width = 1.8 if len(epochs) <= 200 else 1.1
    for split, values in curves.items():
        label, colour = SPLITS[split]
        axes.plot(epochs, values, marker=dots, ms=4, lw=width, color=colour, label=label)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=style.GUIDE, lw=1.0, ls="--", label="best epoch")
        best_split, value = _at_best(epochs, curves, best_epoch)
        if best_split is not None:
            colour = SPLITS[best_split][1]
            axes.plot([best_epoch], [value], "o", ms=10, mfc="none", mec=colour, label="best")
    first, last = (epochs.min(), epochs.max()) if len(epochs) else (0.0, 0.0)
    margin = 0.03 * (last - first) if last > first else 0.5
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: f"{epoch:,.0f}"))
    if not any(np.isfinite(values).any() for values in curves.values()):
        style.mark_empty(axes)


def _at_best(
    epochs: NDArray[np.float64], curves: Curves, best_epoch: int
) -> tuple[str | None, float]:
    """Split (validation, else training) and value at the best epoch; (None, nan) without one."""
    for split in ("val", "train"):
        at = np.flatnonzero(epochs == best_epoch)
        if split in curves and len(at) and np.isfinite(curves[split][at[0]]):
            return split, float(curves[split][at[0]])
    return None, math.nan


def _title(name: str, epochs: NDArray[np.float64], curves: Curves, best_epoch: int | None) -> str:
    if best_epoch is None:
        return name
    split, value = _at_best(epochs, curves, best_epoch)
    if split is None:
        return name
    shown = f"{100 * value:.2f} %" if name == "accuracy" else f"{value:.4g}"
    kind = "validation" if split == "val" else "training"
    return f"{kind} {name} {shown} at epoch {best_epoch}"


def _scale_loss(axes: Axes, loss: Curves) -> None:
    values = np.concatenate([*loss.values(), np.empty(0)])
    positive = values[values > 0]
    if (values < 0).any() or not len(positive) or positive.max() <= 10 * positive.min():
        return
    decades = math.log10(positive.max()) - math.log10(positive.min())
    axes.set_yscale("log")
    # Up to two decades, 2 and 5 are labelled too: otherwise an axis could have one number.
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain_number))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("loss (log scale)")


def _plain_number(value: float, position: int | None = None) -> str:
    """A tick's number, short.

    >>> _plain_number(0.05), _plain_number(100000.0), _plain_number(1e-12)
    ('0.05', '1e5', '1e-12')
    """
    number, e, exponent = f"{value:.3g}".partition("e")
    return f"{number}e{int(exponent)}" if e else number


def _divergence(epochs: NDArray[np.float64], loss: Curves) -> str:
    """A line naming the epoch from which on the training loss is not finite, or nothing."""
    if "train" not in loss or not np.isfinite(loss["train"]).any():
        return ""
    last_finite = np.flatnonzero(np.isfinite(loss["train"]))[-1]
    if last_finite + 1 == len(epochs):
        return ""
    return f"\ntraining loss not finite from epoch {epochs[last_finite + 1]:,.0f} on"


def _leave_out_start(
    axes: Axes, epochs: NDArray[np.float64], curves: Curves, percent: bool
) -> None:
    after = np.concatenate([values[epochs > 0] for values in curves.values()])
    start = np.concatenate([values[epochs == 0] for values in curves.values()])
    after, start = after[np.isfinite(after)], start[np.isfinite(start)]
    if (epochs > 0).sum() < MIN_EPOCHS_TO_ZOOM or not len(after) or not len(start):
        return
    span = after.max() - after.min()
    if start.min() >= after.min() - 2 * span:
        return
    margin = 0.05 * span if span > 0 else 0.05 * max(1.0, abs(after.max()))
    axes.set_ylim(after.min() - margin, after.max() + margin)
    shown = f"{100 * start.min():.1f} %" if percent else f"{start.min():.3g}"
    style.note(axes, f"off the axis: {shown} at epoch 0", 0.97, 0.05)


def _legend(curves: Curves, best_epoch: int | None) -> list[Line2D]:
    handles = [
        Line2D([], [], color=SPLITS[split][1], lw=1.8, label=SPLITS[split][0]) for split in curves
    ]
    if best_epoch is not None:
        label = f"best epoch: {best_epoch:,}"
        handles.append(Line2D([], [], color=style.GUIDE, lw=1.0, ls="--", label=label))
    return handles
