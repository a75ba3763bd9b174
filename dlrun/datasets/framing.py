"""How the images of a data set are framed: on what background, and how large what they show is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlrun.datasets.samples import Inputs
from dlrun.datasets.scaling import Scaling

MOST_IMAGES, CHUNK = 1000, 100  # looked at; read at a time, where they are streamed
CLOSE = 0.1  # brightness by which an even background may vary
EVEN = 0.6  # share of the border that lies so close together: digits may touch it
MOSTLY = 0.75  # of the images have an even background, where the data set has one
INVERTED = 0.01  # of the images may look inverted, in a data set where that can be told
STANDS_OUT = 0.2  # brightness by which something differs from its background
ALIKE = 0.05  # share of the side by which images that are framed alike differ


@dataclass(frozen=True)
class Framing:
    """How grey images of a data set look.

    background: the median brightness of their borders, in [0, 1]; None where backgrounds are not
    even, as in photos, or are bright in some images and dark in others.
    extent: the longer side of the box around what stands out from the background, as a share of
    the image's side (MNIST: 20/28); None where that differs from image to image.
    """

    background: float | None = None
    extent: float | None = None


def framing_of(inputs: Inputs, scaling: Scaling | None) -> Framing:
    """The framing of images (N, C, H, W), of which up to 1,000 are looked at.

    scaling: what has been done to pixels in [0, 1]. Without even, grey backgrounds: nothing.
    """
    index = torch.arange(min(len(inputs), MOST_IMAGES))
    if isinstance(inputs, Tensor):
        inputs = inputs[: len(index)].cpu()
    chunks = [inputs[rows] for rows in torch.split(index, CHUNK)]
    if not chunks or chunks[0].shape[1] != 1:
        return Framing()
    pixels = [chunk if scaling is None else scaling.undo(chunk) for chunk in chunks]
    borders = torch.cat([border(chunk[:, 0]) for chunk in pixels])  # (N, B)
    medians = borders.median(1).values
    background = float(medians.median())
    even = is_even(borders)
    if even.float().mean() < MOSTLY:
        return Framing()
    if (even & looks_inverted(medians, background)).float().mean() > INVERTED:
        return Framing()
    stands_out = [
        (chunk[:, 0] - median[:, None, None]).abs() > STANDS_OUT
        for chunk, median in zip(pixels, torch.split(medians, CHUNK), strict=True)
    ]
    extents = torch.cat([_extents(chunk) for chunk in stands_out])
    extent = float(extents.median())
    alike = ((extents - extent).abs() <= ALIKE).float().mean() >= MOSTLY
    return Framing(background, extent if alike and extent > 0 else None)


def border(images: Tensor) -> Tensor:
    """The outermost pixels (N, B) of images (N, H, W), each once where H and W are above 1."""
    inner = images[:, 1:-1]
    return torch.cat([images[:, 0], images[:, -1], inner[:, :, 0], inner[:, :, -1]], dim=1)


def is_even(borders: Tensor, close: float = CLOSE) -> Tensor:
    """Whether most of each border (N, B) has one brightness but for `close`, (N,)."""
    medians = borders.median(1, keepdim=True).values
    return ((borders - medians).abs() <= close).float().mean(1) >= EVEN


def looks_inverted(brightness: Tensor, background: float) -> Tensor:
    """Whether a border's brightness, inverted, would be nearer to the background than it is.

    >>> looks_inverted(torch.tensor([0.9, 0.2]), background=0.0)
    tensor([ True, False])
    """
    return (1 - brightness - background).abs() < (brightness - background).abs()


def box(stands_out: Tensor) -> tuple[int, int, int, int] | None:
    """Top, bottom, left and right of what is true in a mask (H, W), ends exclusive; None: nothing.

    >>> box(torch.tensor([[False, False], [False, True]]))
    (1, 2, 1, 2)
    """
    rows, columns = stands_out.any(1).nonzero()[:, 0], stands_out.any(0).nonzero()[:, 0]
    if len(rows) == 0:
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _extents(stands_out: Tensor) -> Tensor:
    """The longer side of each mask's box as a share of that side, (N,) for masks (N, H, W)."""

    def share(lines: Tensor) -> Tensor:  # of masks (N, L) from the first to the last that is true
        length = lines.shape[1]
        places = torch.arange(length)
        first = torch.where(lines, places, length).amin(1)
        last = torch.where(lines, places, -1).amax(1)
        return (last - first + 1).clamp(min=0) / length

    return torch.maximum(share(stands_out.any(2)), share(stands_out.any(1)))
