"""The confusion matrix: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import style

# With more classes than this the numbers would be too small to read: colour alone remains.
MAX_NUMBERED = 20
MAX_NAMED = 100


def confusion_matrix(matrix: ArrayLike, classes: Sequence[str]) -> Figure:
    """Counts of true class (row) against predicted class (column), accuracy in the title.

    matrix: (K, K) counts. classes: K names, shown literally, long ones shortened.

    Colour is the share of the row, on a square-root scale so that rare confusions are seen. A
    class without samples has an empty row. Up to 20 classes the counts stand in the cells.
    """
    counts = np.asarray(matrix, dtype=np.int64)  # (K, K)
    num_classes = len(classes)
    assert counts.shape == (num_classes, num_classes), (counts.shape, num_classes)
    totals = counts.sum(axis=1, keepdims=True)  # (K, 1)
    shares = counts / np.maximum(totals, 1)  # (K, K)

    side = float(np.clip(0.52 * num_classes, 2.6, 10.0))  # inches
    names = [style.shorten(name, 18) for name in classes]
    name_room = 0.06 * max(map(len, names), default=0)
    figure = style.new_figure(side + name_room + 1.6, side + name_room + 0.9)
    axes = figure.subplots()
    norm = PowerNorm(0.5, vmin=0.0, vmax=1.0)
    image = axes.imshow(shares, cmap=style.COUNTS, norm=norm)

    title = "no samples"
    if counts.sum() > 0:
        title = f"accuracy {np.trace(counts) / counts.sum():.2%} of {counts.sum():,} samples"
    style.dress(axes, title.replace("%", " %"), "predicted class", "true class", grid=False)
    axes.spines[:].set_visible(False)

    cell_points = 72 * side / num_classes
    _name_classes(axes, names, cell_points)
    if num_classes <= MAX_NUMBERED:
        _number_cells(axes, counts, shares, norm, cell_points)
    _add_colour_bar(figure, image)
    return figure


def _name_classes(axes: Axes, names: Sequence[str], cell_points: float) -> None:
    """Write the names along both axes, of many classes only every second, third, … one."""
    stride = -(-len(names) // MAX_NAMED)
    shown = range(0, len(names), stride)
    size = float(np.clip(0.75 * cell_points * stride, 4.5, style.TICK_SIZE))
    # Names wider than a cell stand upright.
    wide = max(map(len, names), default=0) * 0.6 * size > 0.95 * cell_points * stride
    labels = [names[k] for k in shown]
    turn = 90 if wide else 0
    axes.set_xticks(shown, labels, rotation=turn, fontsize=size, parse_math=False)
    axes.set_yticks(shown, labels, fontsize=size, parse_math=False)
    axes.tick_params(length=0)


def _number_cells(
    axes: Axes,
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
    norm: Normalize,
    cell_points: float,
) -> None:
    """Write each count into its cell, legible on the colour that `norm` gives its share."""
    edges = np.arange(len(counts) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="minor", length=0)
    digits = len(f"{counts.max(initial=0):,}")
    size = min(10.0, 1.45 * cell_points / max(digits, 3))
    for row, column in np.ndindex(counts.shape):
        count = counts[row, column]
        dark = norm(shares[row, column]) > 0.55
        axes.text(
            column,
            row,
            f"{count:,}",
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark else "#BBBBBB" if count == 0 else "#222222",
        )


def _add_colour_bar(figure: Figure, image: AxesImage) -> None:
    ticks = [0.0, 0.01, 0.05, 0.2, 0.5, 1.0]
    bar = figure.colorbar(image, ax=image.axes, shrink=0.9, aspect=30, ticks=ticks, pad=0.02)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f}"))
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    bar.outline.set_visible(False)
    bar.set_label("share of the true class (%)", fontsize=style.LABEL_SIZE)
