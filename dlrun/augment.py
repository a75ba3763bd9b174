"""Random changes of training images, drawn anew for every batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dlrun.errors import UserError


def shift_and_rotate(
    images: Tensor,
    *,
    max_shift: float,
    max_degrees: float,
    fill: float | Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Images (N, C, H, W), each rotated about its centre and then shifted, by amounts of its own.

    Angles are uniform in ±max_degrees, shifts in ±max_shift pixels along each axis. What comes in
    from outside is `fill`, a number or one a channel (C,): for scaled images, what the background
    was scaled to. `generator` may be on another device than the images.
    Errors: UserError for inputs that are no images, and for negative limits.

    All images in one bilinear resampling; `transforms.v2.functional.affine` gives the same for
    one image at a time.
    """
    if images.ndim != 4:
        raise _not_images(images, max_shift, max_degrees)
    for key, limit in (("augment_shift", max_shift), ("augment_degrees", max_degrees)):
        if not limit >= 0:
            raise UserError(
                f"regularization.{key}={limit}: expected a number >= 0 "
                f"(for example regularization.{key}=2)"
            )
    uniform = torch.rand(3, len(images), generator=generator, device=generator.device) * 2 - 1
    angle, right, down = uniform.to(images.device, non_blocking=True)  # (N,) each, in ±1
    return shift_and_rotate_by(
        images,
        degrees=angle * max_degrees,
        right=right * max_shift,
        down=down * max_shift,
        fill=fill,
    )


def shift_and_rotate_by(
    images: Tensor, *, degrees: Tensor, right: Tensor, down: Tensor, fill: float | Tensor
) -> Tensor:
    """Images (N, C, H, W), the n-th turned clockwise by degrees[n] and moved by right[n], down[n].

    `degrees`, `right` and `down` (in pixels) have shape (N,).
    """
    height, width = images.shape[2:]
    angle = degrees * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    # From where in the old image each pixel comes: the inverse map, in pixels from the centre,
    # scaled to affine_grid's unit, in which the image reaches from -1 to 1.
    row_x = [cos, sin * (height / width), (cos * right + sin * down) * (-2 / width)]
    row_y = [sin * (-width / height), cos, (sin * right - cos * down) * (2 / height)]
    inverse = torch.stack(row_x + row_y, dim=1).view(-1, 2, 3)  # (N, 2, 3)
    grid = F.affine_grid(inverse.to(images.dtype), list(images.shape), align_corners=False)
    if isinstance(fill, Tensor):
        fill = fill.to(images).view(1, -1, 1, 1)  # (1, C or 1, 1, 1)
    # grid_sample fills with zeros: let `fill` be zero meanwhile.
    return F.grid_sample(images - fill, grid, align_corners=False) + fill


def _not_images(inputs: Tensor, max_shift: float, max_degrees: float) -> UserError:
    key, value = ("augment_shift", max_shift) if max_shift > 0 else ("augment_degrees", max_degrees)
    given = (
        f"rows of {inputs.shape[1]} features"
        if inputs.ndim == 2
        else f"samples of shape {tuple(inputs.shape[1:])}"
    )
    return UserError(
        f"regularization.{key}={value}: expected images (C, H, W), the data set gives {given} "
        "(for example regularization=none)"
    )
