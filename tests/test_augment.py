"""Random shift and rotation: against torchvision image by image, by hand, in distribution."""

from __future__ import annotations

import pytest
import torch

from dlrun.augment import shift_and_rotate, shift_and_rotate_by
from dlrun.errors import UserError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(6, 1, 28, 28), (6, 3, 9, 14)])
def test_agrees_with_torchvision_image_by_image(shape):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2.functional import affine

    images = torch.rand(shape, generator=generator())
    degrees = torch.tensor([0.0, 15.0, -40.0, 90.0, 7.5, -3.25])
    right = torch.tensor([0.0, 1.5, -2.0, 0.25, 3.0, 0.0])
    down = torch.tensor([0.0, -0.75, 2.0, 1.0, -3.0, 0.5])
    fill = torch.tensor([-0.4, 0.1, 0.8][: shape[1]])
    background = fill.view(-1, 1, 1)
    ours = shift_and_rotate_by(images, degrees=degrees, right=right, down=down, fill=fill)
    for n in range(len(images)):
        # Not with affine's own `fill`: along the seam, where a pixel is part image and part fill,
        # it weighs the image's part twice.
        theirs = affine(
            images[n] - background,
            angle=degrees[n].item(),
            translate=[right[n].item(), down[n].item()],
            scale=1.0,
            shear=[0.0, 0.0],
            interpolation=InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(ours[n], theirs + background, atol=1e-4, rtol=0)


def test_agrees_with_torchvisions_fill_inside_the_image():
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2.functional import affine

    image = torch.rand(1, 1, 28, 28, generator=generator())
    theirs = affine(image, 20.0, [2.5, -1.0], 1.0, [0.0, 0.0], InterpolationMode.BILINEAR, [-0.4])
    ours = shift_and_rotate_by(
        image,
        degrees=torch.tensor([20.0]),
        right=torch.tensor([2.5]),
        down=torch.tensor([-1.0]),
        fill=-0.4,
    )
    torch.testing.assert_close(ours[..., 7:21, 7:21], theirs[..., 7:21, 7:21], atol=1e-4, rtol=0)
    outside = theirs == -0.4  # corners that no pixel of the image reaches
    assert outside.any()
    torch.testing.assert_close(ours[outside], theirs[outside])


def test_shift_by_whole_pixels_moves_them_and_fills_the_rest():
    images = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).view(1, 1, 2, 3)
    one = torch.ones(1)
    moved = shift_and_rotate_by(images, degrees=0 * one, right=one, down=0 * one, fill=-9.0)
    expected = torch.tensor([[-9.0, 1.0, 2.0], [-9.0, 4.0, 5.0]]).view(1, 1, 2, 3)
    torch.testing.assert_close(moved, expected)


def test_quarter_turn_is_clockwise():
    images = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    zero = torch.zeros(1)
    turned = shift_and_rotate_by(images, degrees=zero + 90, right=zero, down=zero, fill=0.0)
    torch.testing.assert_close(turned, torch.tensor([[3.0, 1.0], [4.0, 2.0]]).view(1, 1, 2, 2))


def test_nothing_allowed_changes_nothing():
    images = torch.randn(4, 3, 8, 8, generator=generator())
    same = shift_and_rotate(images, max_shift=0, max_degrees=0, fill=1.0, generator=generator())
    torch.testing.assert_close(same, images)


def test_the_background_stays_the_background():
    background = torch.tensor([-0.4, 0.2])
    images = background.view(1, 2, 1, 1).expand(5, 2, 7, 7)
    changed = shift_and_rotate(
        images, max_shift=3, max_degrees=45, fill=background, generator=generator()
    )
    torch.testing.assert_close(changed, images)


def test_shifts_are_uniform_and_differ_between_images():
    # The centre of mass of a bright block moves with the shift.
    images = torch.zeros(2000, 1, 13, 13)
    images[:, :, 6, 6] = 1
    moved = shift_and_rotate(images, max_shift=3, max_degrees=0, fill=0.0, generator=generator())
    pixels = torch.arange(13.0) - 6
    right = (moved.sum(2) * pixels).sum((1, 2))
    down = (moved.sum(3) * pixels).sum((1, 2))
    for shift in (right, down):
        assert shift.abs().max() <= 3 + 1e-4
        assert shift.abs().max() > 2.95
        assert shift.mean().abs() < 0.15
        assert shift.std().item() == pytest.approx(3 / 3**0.5, rel=0.05)
    assert torch.corrcoef(torch.stack([right, down]))[0, 1].abs() < 0.1


def test_rotations_are_uniform():
    # Light right of the centre turns to the height that the angle gives.
    images = torch.zeros(2000, 1, 21, 21)
    images[:, :, 10, 18] = 1
    turned = shift_and_rotate(images, max_shift=0, max_degrees=30, fill=0.0, generator=generator())
    pixels = torch.arange(21.0) - 10
    right = (turned.sum(2) * pixels).sum((1, 2))
    down = (turned.sum(3) * pixels).sum((1, 2))
    degrees = torch.rad2deg(torch.atan2(down, right))
    assert 29 < degrees.abs().max() < 31
    assert degrees.mean().abs() < 1.5
    assert degrees.std().item() == pytest.approx(30 / 3**0.5, rel=0.05)


def test_the_generator_alone_decides():
    images = torch.randn(4, 1, 8, 8, generator=generator())
    before = torch.get_rng_state()
    first, again, other = (
        shift_and_rotate(images, max_shift=2, max_degrees=10, fill=0.0, generator=generator(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_gpu_images_take_a_cpu_generator():
    with torch.device("meta"):
        images = torch.zeros(4, 1, 8, 8)
    moved = shift_and_rotate(images, max_shift=2, max_degrees=10, fill=0.0, generator=generator())
    assert moved.device.type == "meta"
    assert moved.shape == images.shape


@pytest.mark.parametrize(
    ("inputs", "limits", "text"),
    [
        (
            torch.zeros(4, 13),
            {"max_shift": 2, "max_degrees": 10},
            "regularization.augment_shift=2: expected images (C, H, W), the data set gives rows "
            "of 13 features (for example regularization=none)",
        ),
        (
            torch.zeros(4, 13),
            {"max_shift": 0, "max_degrees": 10},
            "regularization.augment_degrees=10: expected images (C, H, W), the data set gives "
            "rows of 13 features (for example regularization=none)",
        ),
        (
            torch.zeros(4, 1, 8, 8),
            {"max_shift": -1, "max_degrees": 10},
            "regularization.augment_shift=-1: expected a number >= 0 "
            "(for example regularization.augment_shift=2)",
        ),
        (
            torch.zeros(4, 1, 8, 8),
            {"max_shift": 1, "max_degrees": -10},
            "regularization.augment_degrees=-10: expected a number >= 0 "
            "(for example regularization.augment_degrees=2)",
        ),
    ],
)
def test_errors(inputs, limits, text):
    with pytest.raises(UserError) as caught:
        shift_and_rotate(inputs, fill=0.0, generator=generator(), **limits)
    assert str(caught.value) == text
