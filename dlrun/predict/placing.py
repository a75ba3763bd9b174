"""A picture of one thing cut out and placed as the training images are, in the manner of MNIST."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dlrun.datasets.framing import ALIKE, border, box

WORKED_ON = 256  # pixels of the longer side; grain and dust of a photo vanish at that size
INK = 0.25  # of the strongest ink: what is weaker neither counts nor stands out
BLANK = 0.05  # brightness; a picture with no ink above it is empty
LIGHT = 0.3  # brightness by which paper in a picture may vary from side to side
MOST_BORDER = 0.5  # of it has to be paper
FULL = 0.9  # of the side; what is so large has no room to be placed by its mass
EVEN_TONES = (0.25, 0.75)  # between them a background has ink on both sides


def placed(
    image: Image.Image, size: tuple[int, int], background: float, extent: float
) -> Tensor | None:
    """What stands out from the background of a grey image, placed on one of `size`: (1, H, W).

    size: height and width. background: brightness in [0, 1] around it, dark or bright. extent: its
    longer side, as a share of the image's. The strongest ink becomes white (black on a bright
    background). None where there is nothing to place: in an empty picture, in one that is filled
    as the training images are, and on a background that is neither dark nor bright.
    """
    if EVEN_TONES[0] < background < EVEN_TONES[1]:
        return None
    ink = _ink(image, dark=background < 0.5)
    edges = None if ink is None else box(ink > INK)
    if ink is None or edges is None:
        return None
    top, bottom, left, right = edges
    share = max((bottom - top) / ink.shape[0], (right - left) / ink.shape[1])
    same_sides = abs(ink.shape[0] / ink.shape[1] - size[0] / size[1]) <= ALIKE
    if extent >= FULL and same_sides and share >= extent - ALIKE:
        return None
    scale = extent * min(size) / max(bottom - top, right - left)
    height, width = (
        min(limit, max(1, round(length * scale)))
        for length, limit in zip((bottom - top, right - left), size, strict=True)
    )
    cut = _resized(ink[top:bottom, left:right], height, width)
    centred = _by_mass if extent < FULL else _by_box
    field = torch.zeros(size)
    row, column = (centred(cut.sum(1 - dim), size[dim]) for dim in (0, 1))
    field[row : row + height, column : column + width] = cut / cut.max()
    target = 1.0 if background < 0.5 else 0.0
    return (background + field * (target - background)).unsqueeze(0)


def _ink(image: Image.Image, *, dark: bool) -> Tensor | None:
    """How much of the strongest ink there is at each pixel, (H, W) in [0, 1]; None: no ink."""
    small = image.copy()
    small.thumbnail((WORKED_ON, WORKED_ON), Image.Resampling.BOX)
    pixels = torch.from_numpy(np.array(small)).float().div_(255)
    paper = _paper(pixels)
    ink = pixels - paper if dark else paper - pixels
    edge = border(ink.unsqueeze(0))[0]
    strongest = float(ink.max())
    if strongest <= BLANK:
        return None
    # What most of the border has is grain of the paper.
    grain = min(float(edge.abs().quantile(0.75)), INK * strongest)
    return ((ink - grain) / (strongest - grain)).clamp_(min=0)


def _paper(pixels: Tensor) -> Tensor:
    """Brightness of the background at each pixel, (H, W), as a plane: light falls from a side.

    The plane is fitted to the border by least squares, first without what differs from most of
    it, then without what differs from the plane.
    """
    height, width = pixels.shape
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    at = torch.stack([torch.ones(height, width), rows, columns])  # (3, H, W)
    frame, edge = border(at), border(pixels.unsqueeze(0))[0]
    level, near = edge.median().expand(len(edge)), LIGHT
    for _ in range(2):
        kept = (edge - level).abs() <= near
        if kept.sum() < MOST_BORDER * len(edge):
            break  # too little to fit a plane to
        plane = torch.linalg.lstsq(frame[:, kept].T, edge[kept]).solution  # (3,)
        level, near = plane @ frame, BLANK
    else:
        return torch.einsum("k,khw->hw", plane, at)
    return edge.median().expand(height, width)


def _resized(ink: Tensor, height: int, width: int) -> Tensor:
    resized = Image.fromarray(ink.numpy()).resize((width, height), Image.Resampling.BOX)
    return torch.from_numpy(np.array(resized)).clamp_(0, 1)


def _by_mass(sums: Tensor, room: int) -> int:
    """Where something begins whose centre of mass, of ink summed by line, lies in the middle.

    That is line 14 of 28, counted from 0, in the images of MNIST.

    >>> _by_mass(torch.tensor([1.0, 0.0, 3.0]), room=28)
    12
    """
    centre = float((sums * torch.arange(len(sums))).sum() / sums.sum())
    return min(max(round(room // 2 - centre), 0), room - len(sums))


def _by_box(sums: Tensor, room: int) -> int:
    return (room - len(sums)) // 2
