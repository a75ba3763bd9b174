"""How every figure looks: colours, sizes, fonts, set on the figure itself, never globally."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

# Okabe and Ito's palette: told apart with any colour vision and, by lightness, in grey print.
TRAIN = "#0072B2"
VALIDATION = "#D55E00"
GUIDE = "#777777"
GRID = "#E3E3E3"
COUNTS = "Blues"

TITLE_SIZE = 11
LABEL_SIZE = 10
TICK_SIZE = 9
DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, width and height in inches, that belongs to no display or pyplot."""
    margins = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)  # inches
    return Figure(figsize=(width, height), dpi=DPI, layout=margins, facecolor="white")


def dress(axes: Axes, title: str, x_label: str, y_label: str, grid: bool = True) -> None:
    """Sets title and axis names literally (a `$` stays a `$`) in the common fonts."""
    axes.set_title(title, fontsize=TITLE_SIZE, loc="left", parse_math=False)
    axes.set_xlabel(x_label, fontsize=LABEL_SIZE, parse_math=False)
    axes.set_ylabel(y_label, fontsize=LABEL_SIZE, parse_math=False)
    axes.tick_params(which="both", labelsize=TICK_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    if grid:
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)


def note(axes: Axes, text: str, x: float, y: float, align: str = "right") -> None:
    """Writes a grey remark at x and y, fractions of the panel's width and height."""
    axes.text(
        x,
        y,
        text,
        transform=axes.transAxes,
        ha=align,
        va="center",
        fontsize=TICK_SIZE,
        color=GUIDE,
        parse_math=False,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )


def mark_empty(axes: Axes) -> None:
    """Says in the panel's middle that there is no finite value to draw, and takes the ticks off."""
    axes.set_xticks([])
    axes.set_yticks([])
    note(axes, "no finite value", 0.5, 0.5, align="center")


def shorten(name: str, length: int) -> str:
    """The name on one line, its middle replaced by an ellipsis when longer than `length`.

    >>> shorten("sports car, convertible", 11)
    'sport…tible'
    >>> shorten("cat", 11)
    'cat'
    """
    name = " ".join(name.split())
    if len(name) <= length:
        return name
    head = length // 2
    return name[:head] + "…" + name[len(name) - (length - head - 1) :]


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """The drawn figure, (H, W, 3) uint8, for TensorBoard's `add_image(..., dataformats="HWC")`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return np.asarray(drawn, dtype=np.uint8)[..., :3].copy()
