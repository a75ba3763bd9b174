"""The latent plane of an autoencoder: where inputs lie in it, and what its points decode to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import animation, measures, style, tiles

# With more classes than these the legend, then also the names in the plane are left out.
MAX_IN_LEGEND = 20
MAX_NAMED = 40
GRID_INCHES = 6.0
STRIP_TILE_INCHES = 0.7


def latent_scatter(
    codes: ArrayLike, labels: ArrayLike | None, classes: Sequence[str] | None
) -> Figure:
    """The codes as points, coloured by class, the name of each class at its median.

    codes: (N, 2). labels: class numbers (N,); None, or no classes, draws all in one colour. Codes
    that are not finite are left out, and the title says how many.
    """
    points = np.asarray(codes, dtype=np.float64).reshape(-1, 2)
    finite = np.isfinite(points).all(axis=1)
    named = labels is not None and classes is not None and len(classes) > 0
    figure = style.new_figure(6.8 if named else 6.0, 5.4)
    axes = figure.subplots()
    title = f"{finite.sum():,} inputs in the latent plane"
    if not finite.all():
        title += f"\n{(~finite).sum():,} of {len(points):,} codes not finite, left out"
    style.dress(axes, title, "first latent coordinate", "second latent coordinate")
    size = 22 if len(points) <= 500 else 9 if len(points) <= 5000 else 3
    look: dict[str, Any] = {"s": size, "alpha": 0.75, "linewidths": 0}
    # A fixed shuffle: in the order of their classes the last would hide the others.
    order = np.random.default_rng(0).permutation(np.flatnonzero(finite))
    if not len(order):
        style.mark_empty(axes)
    elif labels is None or classes is None or not named:
        axes.scatter(points[order, 0], points[order, 1], color=style.TRAIN, **look)
    else:
        numbers = np.asarray(labels, dtype=np.int64).reshape(-1)
        assert len(numbers) == len(points), (len(numbers), len(points))
        colours = style.colours(len(classes))
        face = [colours[numbers[k]] for k in order]
        axes.scatter(points[order, 0], points[order, 1], c=face, **look)
        _name_classes(figure, axes, points, np.where(finite, numbers, -1), classes)
    return figure


def _name_classes(
    figure: Figure,
    axes: Axes,
    points: NDArray[np.float64],
    numbers: NDArray[np.int64],
    classes: Sequence[str],
) -> None:
    """The name of each class that has points, at their median, and in a legend on the right."""
    handles: list[Artist] = []
    for k, (name, colour) in enumerate(zip(classes, style.colours(len(classes)), strict=True)):
        mine = points[numbers == k]
        if not len(mine):
            continue
        if len(classes) <= MAX_NAMED:
            x, y = np.median(mine, axis=0)
            axes.text(
                x,
                y,
                measures.one_line(name, 12),
                ha="center",
                va="center",
                fontsize=style.LABEL_SIZE if len(classes) <= 10 else 7.0,
                color=style.INK,
                parse_math=False,
                bbox={"boxstyle": "round,pad=0.22", "fc": "white", "ec": colour, "lw": 1.8},
            )
        look: dict[str, Any] = {"marker": "o", "ms": 6, "color": colour}
        handles.append(Line2D([], [], ls="", label=measures.one_line(name, 18), **look))
    if len(handles) <= MAX_IN_LEGEND:
        beside = figure.legend(
            handles=handles,
            loc="outside right center",
            frameon=False,
            fontsize=style.TICK_SIZE,
            handletextpad=0.2,
        )
        for entry in beside.get_texts():
            entry.set_parse_math(False)


def latent_grid(images: ArrayLike, x: ArrayLike, y: ArrayLike) -> Figure:
    """What each point of a square grid of the latent plane decodes to, at its place.

    images: (R, R, C, H, W) in [0, 1]: `images[i, j]` is decoded from `(x[j], y[i])`. x, y: (R,)
    evenly spaced latent coordinates.
    """
    stack = np.asarray(images, dtype=np.float32)
    along_x, along_y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    assert stack.ndim == 5 and stack.shape[:2] == (len(along_y), len(along_x)), stack.shape
    rows, columns = stack.shape[:2]
    pictures = tiles.pictures(stack.reshape(-1, *stack.shape[2:]))
    height, width = pictures.shape[1:3]
    # One large picture, its first row of tiles the one with the last y.
    sheet = pictures.reshape(rows, columns, *pictures.shape[1:])[::-1]
    sheet = sheet.swapaxes(1, 2).reshape(rows * height, columns * width, *pictures.shape[3:])

    x_step = (along_x[-1] - along_x[0]) / (columns - 1) if columns > 1 else 1.0
    y_step = (along_y[-1] - along_y[0]) / (rows - 1) if rows > 1 else 1.0
    x_step, y_step = x_step if x_step != 0 else 1.0, y_step if y_step != 0 else 1.0
    ratio = rows * height / (columns * width)
    figure = style.new_figure(
        GRID_INCHES / max(1.0, ratio) + 0.8, GRID_INCHES * min(1.0, ratio) + 0.8
    )
    axes = figure.subplots()
    box = (
        along_x[0] - x_step / 2,
        along_x[-1] + x_step / 2,
        along_y[0] - y_step / 2,
        along_y[-1] + y_step / 2,
    )
    image = axes.imshow(sheet, extent=box, cmap="gray", vmin=0.0, vmax=1.0)
    image.set_interpolation("nearest")
    axes.set_aspect(height / abs(y_step) / (width / abs(x_step)))  # pixels stay square
    labels = ("first latent coordinate", "second latent coordinate")
    style.dress(axes, "what the latent plane decodes to", *labels, grid=False)
    axes.spines[:].set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    return figure


def morph_frames(images: ArrayLike, *, stops: Sequence[int]) -> list[animation.Frame]:
    """One frame for each image of a way through the latent space; where on it we are stands below.

    images: (T, C, H, W) in [0, 1]. stops: the indices of the real images, in rising order; all
    others lie between two of them.
    """
    pictures = tiles.pictures(images)
    assert len(pictures) > 0 and len(stops) > 0, (len(pictures), stops)
    figure = style.new_figure(3.2, 3.2 * pictures.shape[1] / pictures.shape[2] + 0.7)
    top, bottom = figure.subplots(2, 1, height_ratios=[12, 1])
    shown = top.imshow(pictures[0], cmap="gray", vmin=0.0, vmax=1.0)
    top.set_axis_off()
    bottom.set_axis_off()
    bottom.set_ylim(-1, 1)
    margin = 0.04 * max(len(pictures) - 1, 1)
    bottom.set_xlim(-margin, len(pictures) - 1 + margin)
    bottom.plot([0, len(pictures) - 1], [0, 0], color=style.GRID, lw=3, zorder=1)
    bottom.plot(list(stops), [0] * len(stops), "o", color=style.GUIDE, ms=6, zorder=2)
    (head,) = bottom.plot([0], [0], "o", color=style.VALIDATION, ms=9, zorder=3)
    frames = []
    for step, picture in enumerate(pictures):
        shown.set_data(picture)
        head.set_xdata([step])
        text = _place_on_way(step, stops)
        top.set_title(text, fontsize=style.TITLE_SIZE, loc="left", parse_math=False)
        if step == 0:
            animation.settle(figure)
        frames.append(animation.frame(figure))
    return frames


def _place_on_way(step: int, stops: Sequence[int]) -> str:
    """Which of the real images this is, or between which two and how far.

    >>> _place_on_way(20, [0, 20, 40]), _place_on_way(25, [0, 20, 40])
    ('image 2 of 3', 'from 2 to 3: 25 %')
    """
    if step in stops:
        return f"image {list(stops).index(step) + 1} of {len(stops)}"
    passed = sum(stop < step for stop in stops)
    if passed in (0, len(stops)):
        return "before the first image" if passed == 0 else "after the last image"
    start, end = stops[passed - 1], stops[passed]
    return f"from {passed} to {passed + 1}: {100 * (step - start) / (end - start):.0f} %"


def morph_strip(images: ArrayLike) -> Figure:
    """A row for each pair: from its first image to its second through the latent space.

    images: (S, T, C, H, W) in [0, 1]: S pairs, T images each, t from 0 to 1.
    """
    stack = np.asarray(images, dtype=np.float32)
    assert stack.ndim == 5 and stack.shape[0] > 0 and stack.shape[1] > 0, stack.shape
    rows, columns = stack.shape[:2]
    pictures = tiles.pictures(stack.reshape(-1, *stack.shape[2:]))
    height, gap, room = pictures.shape[1] / pictures.shape[2], 0.06, 0.3
    x_step, y_step = 1 + gap, height + gap
    figure = style.new_figure(
        max(STRIP_TILE_INCHES * columns * x_step + 0.2, 2.8),
        STRIP_TILE_INCHES * (rows * y_step + room) + 0.5,
    )
    axes = figure.subplots()
    for k, picture in enumerate(pictures):
        tiles.place(axes, picture, k % columns * x_step, k // columns * y_step)
    size = style.TICK_SIZE if columns <= 12 else 7.0
    for column in range(columns):
        share = column / (columns - 1) if columns > 1 else 0.0
        text = f"t = {share:g}" if column in (0, columns - 1) else f"{share:.2g}"
        tiles.write(axes, text, column * x_step + 0.5, -0.05, size)
    title = "decoded from (1 − t) · first code + t · second code"
    axes.set_title(title, fontsize=style.TITLE_SIZE, loc="left")
    tiles.close(axes, columns * x_step - gap / 2, -room, rows * y_step - gap / 2, -gap / 2)
    return figure
