"""How every figure looks: colours, sizes, fonts, set on the figure itself, never globally."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

# Okabe and Ito's palette: told apart with any colour vision and, by lightness, in grey print.
TRAIN = "#0072B2"
VALIDATION = "#D55E00"
GUIDE = "#777777"
GRID = "#E3E3E3"
COUNTS = "Blues"
INK = "#222222"
ABSENT = "#E0E0E0"  # a value that is missing, zero on a log scale, or not finite
# The same palette for classes and for optimizers, its yellow left out and four more colours.
SERIES = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#4D4D4D",
    "#7B1E3A",
    "#9A9A00",
    "#6A3FB5",
)
MARKERS = ("o", "^", "s", "D", "v", "P")

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


def colours(number: int) -> list[str]:
    """So many colours for classes or series: the palette's, beyond ten those of the rainbow.

    >>> colours(2)
    ['#0072B2', '#D55E00']
    """
    if number <= len(SERIES):
        return list(SERIES[:number])
    rainbow = matplotlib.colormaps["turbo"]
    return [to_hex(rainbow(0.04 + 0.92 * k / (number - 1))) for k in range(number)]


def legend(figure: Figure, handles: Sequence[Artist], columns: int | None = None) -> None:
    """Puts the legend below all panels, row by row, names literally; nothing without an entry.

    columns: None for as many as the figure is wide.
    """
    if not handles:
        return
    if columns is None:
        columns = next(n for n in range(len(handles), 0, -1) if n == 1 or _fits(figure, handles, n))
    # matplotlib fills column after column.
    by_row = [handle for column in range(columns) for handle in handles[column::columns]]
    below = figure.legend(
        handles=by_row,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=TICK_SIZE,
        handlelength=1.8,
        columnspacing=1.4,
    )
    for text in below.get_texts():
        text.set_parse_math(False)


def _fits(figure: Figure, handles: Sequence[Artist], columns: int) -> bool:
    """Whether a legend of so many columns is narrower than the figure, by its names' lengths."""
    lengths = [len(str(handle.get_label())) for handle in handles]
    widest = [max(lengths[column::columns]) for column in range(columns)]
    inches = sum(0.53 + 0.078 * length for length in widest)
    return inches <= float(figure.get_size_inches()[0]) - 0.2


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
