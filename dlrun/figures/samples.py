"""Sample images with their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dlrun.figures import style, tiles

TILE_INCHES = 0.9
GAP = 0.08  # of a tile's width
LABEL_ROOM = 0.24  # of a tile's width, above each image


def sample_grid(images: ArrayLike, labels: Sequence[str]) -> Figure:
    """Images in rows, each under its label; grey for one channel, colour for three.

    images: (N, C, H, W) in [0, 1], values outside are clipped; any other number of channels is
    shown as its mean. labels: N texts, shown literally, long ones shortened.
    """
    pictures = tiles.pictures(images)  # (N, H, W) or (N, H, W, 3)
    assert len(pictures) == len(labels), (pictures.shape, len(labels))
    num_images = len(pictures)
    height = pictures.shape[1] / pictures.shape[2]  # of a tile, in tile widths
    columns = max(1, min(num_images, math.ceil(math.sqrt(num_images * 1.6 * height))))
    rows = max(1, math.ceil(num_images / columns))

    x_step, y_step = 1 + GAP, height + LABEL_ROOM + GAP
    figure = style.new_figure(TILE_INCHES * columns * x_step, TILE_INCHES * rows * y_step)
    axes = figure.subplots()
    # One panel for all: a panel for each image costs seconds at a hundred images.
    for k, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        x, y = k % columns * x_step, k // columns * y_step
        tiles.place(axes, picture, x, y)
        text = style.shorten(label, 13)
        axes.text(
            x + 0.5,
            y - 0.04,
            text,
            ha="center",
            va="bottom",
            fontsize=style.TICK_SIZE if len(text) <= 9 else 6.5,
            parse_math=False,
        )
    axes.set_xlim(-GAP / 2, columns * x_step - GAP / 2)
    axes.set_ylim(rows * y_step - LABEL_ROOM - GAP / 2, -LABEL_ROOM - GAP / 2)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure
