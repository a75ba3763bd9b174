"""How training images are framed: the background, and how much of the side what they show takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlrun.datasets import Scaling
from dlrun.datasets.framing import Framing, border, framing_of
from dlrun.datasets.images import mnist5k


def squares(background: float = 0.0, ink: float = 1.0, extent: int = 5) -> torch.Tensor:
    """Twenty images (20, 1, 10, 10) of a square on an even background, at changing places."""
    images = torch.full((20, 1, 10, 10), background)
    for k, image in enumerate(images):
        top, left = 1 + k % 2, 2 + k % 3
        image[0, top : top + extent, left : left + extent - 1] = ink
    return images


def test_a_square_on_black_takes_half_the_side():
    assert framing_of(squares(), None) == Framing(0.0, 0.5)
    assert framing_of(squares(1.0, 0.0), None) == Framing(1.0, 0.5)


def test_scaling_is_undone():
    scaling = Scaling(torch.tensor([[[0.25]]]), torch.tensor([[[0.5]]]))
    assert framing_of(scaling.apply(squares()), scaling) == Framing(0.0, 0.5)


def test_streamed_images_are_framed_alike():
    class Streamed:
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: torch.Tensor, /) -> torch.Tensor:
            return squares()[index]

    assert framing_of(Streamed(), None) == Framing(0.0, 0.5)


def test_mnist_is_black_around_twenty_of_28_pixels():
    framing = framing_of(mnist5k(Path(), 0).inputs.float() / 255, None)
    assert (framing.background, framing.extent) == (0.0, pytest.approx(20 / 28))


def test_sizes_that_differ_have_no_extent():
    images = torch.cat([squares(extent=k) for k in (2, 4, 6, 8)])
    assert framing_of(images, None) == Framing(0.0, None)


def test_photos_have_no_background():
    noise = torch.rand(50, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    assert framing_of(noise, None) == Framing()
    assert framing_of(squares().expand(-1, 3, -1, -1), None) == Framing()  # colours


def test_bright_and_dark_backgrounds_together_are_none():
    images = torch.cat([squares(), squares(1.0, 0.0)])
    assert framing_of(images, None) == Framing()


def test_border_has_each_outer_pixel_once():
    image = torch.arange(12.0).reshape(1, 3, 4)
    assert sorted(border(image)[0].tolist()) == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
