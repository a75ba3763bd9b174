"""The mistakes that the model was surest of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dlrun.figures import measures, style, tiles

TILE_INCHES = 1.5
GAP = 0.12  # of a tile's width
TEXT_ROOM = 0.32  # of a tile's width, two lines above each image


def worst_mistakes(
    images: ArrayLike,
    true: Sequence[str],
    predicted: Sequence[str],
    probabilities: ArrayLike,
    probabilities_true: ArrayLike,
) -> Figure:
    """Wrongly classified images in the order given, each under both classes and what they got.

    images: (M, C, H, W) in [0, 1]. true, predicted: M class names. probabilities: (M,) of the
    predicted class; probabilities_true: (M,) of the true one.
    """
    pictures = tiles.pictures(images)
    taken_for = np.asarray(probabilities, dtype=np.float64).reshape(-1)  # (M,)
    should_be = np.asarray(probabilities_true, dtype=np.float64).reshape(-1)  # (M,)
    num_images = len(pictures)
    assert {len(true), len(predicted), len(taken_for), len(should_be)} == {num_images}
    if num_images == 0:
        figure = style.new_figure(4.0, 1.2)
        axes = figure.subplots()
        axes.set_axis_off()
        style.note(axes, "no mistakes", 0.5, 0.5, align="center")
        return figure

    height = pictures.shape[1] / pictures.shape[2]  # of a tile, in tile widths
    columns = min(num_images, max(2, math.ceil(math.sqrt(num_images * 1.6 * height))))
    rows = math.ceil(num_images / columns)
    x_step, y_step = 1 + GAP, height + TEXT_ROOM + GAP
    width = max(columns * x_step, 2.4)  # room for the title above a single image
    figure = style.new_figure(TILE_INCHES * width, TILE_INCHES * rows * y_step + 0.4)
    axes = figure.subplots()
    for k, picture in enumerate(pictures):
        x, y = k % columns * x_step, k // columns * y_step
        tiles.place(axes, picture, x, y)
        for verb, name, probability, foot in (
            ("is", true[k], should_be[k], y - 0.16),
            ("seen as", predicted[k], taken_for[k], y - 0.03),
        ):
            short = measures.one_line(name, 12)
            size = style.TICK_SIZE if len(short) <= 4 else 6.5
            tiles.write(axes, f"{verb} {short}", x, foot, size, align="left")
            tiles.write(axes, percent(probability), x + 1, foot, size, align="right")
    axes.set_title("surest mistakes", fontsize=style.TITLE_SIZE, loc="left")
    tiles.close(axes, width - GAP / 2, -TEXT_ROOM - GAP / 4, rows * y_step - TEXT_ROOM, -GAP / 2)
    return figure


def percent(share: float) -> str:
    """A probability in percent, in few letters.

    >>> percent(0.9996), percent(0.994), percent(0.0123), percent(0.0004), percent(0.0)
    ('>99.9 %', '99.4 %', '1.2 %', '<0.1 %', '0 %')
    """
    if not math.isfinite(share):
        return "– %"
    if 0.999 < share < 1:
        return ">99.9 %"
    if 0 < share < 0.001:
        return "<0.1 %"
    return f"{100 * share:.{2 if share < 0.99 else 3}g} %"
