"""Finished pictures beside one another, each under a heading."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dlrun.figures import measures, style

WIDE = 1.5  # times as wide as high: two of these in a row, three of others
PANEL_WIDTH = {2: 6.2, 3: 4.6}  # inches, by the number in a row
GAP = 0.15  # inches
HEADING = 0.52  # inches above each picture, of two lines


def side_by_side(
    images: Sequence[Image.Image], headings: Sequence[str], notes: Sequence[str]
) -> Figure:
    """A figure with the images in rows of two or three, pixel by pixel where they fit.

    headings, notes: a line each above every image. Images are made smaller to the width of a
    panel, never larger; where all are small, so are the panels, but not below half the width.
    """
    assert images, "no images"
    shapes = [image.width / image.height for image in images]
    num_columns = 2 if len(images) in (2, 4) or np.median(shapes) > WIDE else 3
    room = round(style.DPI * PANEL_WIDTH[num_columns])
    width = min(room, max(room // 2, *(image.width for image in images)))
    fitted = [_fitted(image, width) for image in images]
    rows = [fitted[k : k + num_columns] for k in range(0, len(fitted), num_columns)]
    gap, heading = round(style.DPI * GAP), round(style.DPI * HEADING)
    heights = [max(image.height for image in row) + heading + gap for row in rows]
    total = num_columns * (width + gap) + gap, sum(heights) + gap  # pixels
    figure = Figure(
        figsize=(total[0] / style.DPI, total[1] / style.DPI), dpi=style.DPI, facecolor="white"
    )
    for number, image in enumerate(fitted):
        row, column = divmod(number, num_columns)
        left = gap + column * (width + gap)
        top = gap + sum(heights[:row])  # from above
        bottom = total[1] - top - heading - image.height
        figure.figimage(np.asarray(image), xo=left, yo=bottom)
        # Of letters in the heading's size so many fit.
        letters = int(12 * width / style.DPI)
        for text, below, size, colour, weight in (
            (headings[number], 0.19, style.TITLE_SIZE, style.INK, "bold"),
            (notes[number], 0.41, style.LABEL_SIZE, style.GUIDE, "normal"),
        ):
            figure.text(
                left / total[0],
                1 - (top + below * style.DPI) / total[1],
                measures.one_line(text, letters),
                fontsize=size,
                color=colour,
                weight=weight,
                va="center",
                parse_math=False,
            )
    return figure


def _fitted(image: Image.Image, width: int) -> Image.Image:
    if image.width <= width:
        return image
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS)
