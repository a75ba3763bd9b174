"""What an autoencoder makes of its inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dlrun.figures import measures, style, tiles

TILE_INCHES = 0.9
MAX_COLUMNS = 10
GAP = 0.08  # of a tile's width
TEXT_ROOM = 0.26  # of a tile's width, above and below each pair
NAME_ROOM = 0.5  # of a tile's width, left of each row


def reconstructions(
    originals: ArrayLike, outputs: ArrayLike, labels: Sequence[str] | None
) -> Figure:
    """Each original above its reconstruction, the mean squared error of its pixels below.

    originals, outputs: (M, C, H, W) in [0, 1]; what lies outside is clipped in the picture, not in
    the error. labels: M texts above the originals; None for none.
    """
    inputs = np.asarray(originals, dtype=np.float64)
    rebuilt = np.asarray(outputs, dtype=np.float64)
    assert inputs.ndim == 4 and inputs.shape == rebuilt.shape, (inputs.shape, rebuilt.shape)
    assert labels is None or len(labels) == len(inputs), len(inputs)
    with np.errstate(over="ignore", invalid="ignore"):  # a diverged run's outputs
        errors = ((inputs - rebuilt) ** 2).mean(axis=(1, 2, 3))  # (M,)
    above, below = tiles.pictures(inputs), tiles.pictures(rebuilt)

    num_images, height = len(inputs), inputs.shape[2] / inputs.shape[3]
    columns = max(1, min(num_images, MAX_COLUMNS))
    rows = max(1, math.ceil(num_images / columns))
    label_room = TEXT_ROOM if labels is not None else 0.0
    x_step = 1 + GAP
    y_step = label_room + 2 * height + GAP + TEXT_ROOM + 2 * GAP
    width = max(NAME_ROOM + columns * x_step, 3.6)  # room for the title above one image
    figure = style.new_figure(TILE_INCHES * width, TILE_INCHES * rows * y_step + 0.35)
    axes = figure.subplots()
    for k in range(num_images):
        x, y = k % columns * x_step, k // columns * y_step
        tiles.place(axes, above[k], x, y)
        tiles.place(axes, below[k], x, y + height + GAP)
        if labels is not None:
            text = measures.one_line(labels[k], 13)
            size = style.TICK_SIZE if len(text) <= 9 else 6.5
            tiles.write(axes, text, x + 0.5, y - 0.04, size)
        error = measures.number_text(float(errors[k])) if math.isfinite(errors[k]) else "not finite"
        foot = y + 2 * height + GAP + TEXT_ROOM - 0.02
        tiles.write(axes, error, x + 0.5, foot, style.TICK_SIZE - 1)
        if k % columns == 0:
            for name, at in (
                ("input", y + height / 2 + 0.07),
                ("output", y + 1.5 * height + GAP + 0.07),
                ("MSE", foot),
            ):
                tiles.write(axes, name, -2 * GAP, at, style.TICK_SIZE - 1, align="right")
    finite = errors[np.isfinite(errors)]
    title = f"mean squared error {finite.mean():.3g} on average" if len(finite) else ""
    if num_images == 0:
        title = "no images"
    axes.set_title(title, fontsize=style.TITLE_SIZE, loc="left")
    tiles.close(
        axes,
        width - NAME_ROOM - GAP / 2,
        -label_room - GAP / 2,
        rows * y_step - label_room - GAP,
        left=-NAME_ROOM,
    )
    return figure
