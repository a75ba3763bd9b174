"""Images as tiles of one panel: how they are prepared and put in their places."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import style


def pictures(images: ArrayLike) -> NDArray[np.float32]:
    """The images as matplotlib shows them: (N, H, W, 3) of three channels, else (N, H, W) in grey.

    images: (N, C, H, W) in [0, 1], values outside are clipped and those not finite are 0; any
    number of channels but three is shown as its mean.
    """
    given = np.asarray(images)  # (N, C, H, W)
    assert given.ndim == 4, given.shape
    stack: NDArray[np.float32] = np.clip(np.nan_to_num(given), 0.0, 1.0).astype(np.float32)
    stack = stack.transpose(0, 2, 3, 1)  # (N, H, W, C)
    return stack if stack.shape[-1] == 3 else stack.mean(axis=-1)


def place(axes: Axes, picture: NDArray[np.float32], x: float, y: float) -> AxesImage:
    """Draws the picture one unit wide with its upper left corner at x, y; y grows downwards."""
    height = picture.shape[0] / picture.shape[1]
    box = (x, x + 1, y + height, y)  # left, right, bottom, top
    return axes.imshow(picture, extent=box, cmap="gray", vmin=0.0, vmax=1.0)


def write(axes: Axes, text: str, x: float, y: float, size: float, align: str = "center") -> None:
    """Writes the text literally, its middle (or its `align` end) at x and its foot at y."""
    axes.text(x, y, text, ha=align, va="bottom", fontsize=size, color=style.INK, parse_math=False)


def close(axes: Axes, width: float, top: float, bottom: float, left: float = 0.0) -> None:
    """Fits the panel to the tiles, from `left` to `width` and from `top` down to `bottom`."""
    axes.set_xlim(left, width)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_axis_off()
