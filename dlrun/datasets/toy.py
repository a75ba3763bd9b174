"""Points in the plane (blobs: in any dimension), drawn afresh from the seed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlrun.datasets.samples import Samples
from dlrun.errors import UserError
from dlrun.randomness import stream, stream_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_SAMPLES, MOST_FEATURES = 10**9, 10**6  # more could not be counted, in bytes
MOST_ARMS = 100  # more spirals could not be told from each other


def moons(data_dir: Path, seed: int, *, n_samples: int, noise: float) -> Samples:
    """Two interleaved half circles of radius 1, (n_samples, 2); `noise` is a Gaussian's std."""
    from sklearn.datasets import make_moons

    _check("n_samples", n_samples, at_least=2, example=500, at_most=MOST_SAMPLES)
    _check("noise", noise, at_least=0, example=0.2)
    inputs, targets = make_moons(n_samples, noise=noise, random_state=_state(seed, "moons"))
    return _samples(inputs, targets, num_classes=2)


def circles(data_dir: Path, seed: int, *, n_samples: int, noise: float, factor: float) -> Samples:
    """A circle of radius 1 around one of radius `factor`, (n_samples, 2)."""
    from sklearn.datasets import make_circles

    _check("n_samples", n_samples, at_least=2, example=500, at_most=MOST_SAMPLES)
    _check("noise", noise, at_least=0, example=0.1)
    if not 0 <= factor < 1:
        raise UserError(
            f"dataset.factor={factor}: expected the inner radius, 0 <= value < 1 "
            "(for example dataset.factor=0.5)"
        )
    inputs, targets = make_circles(
        n_samples, noise=noise, factor=factor, random_state=_state(seed, "circles")
    )
    return _samples(inputs, targets, num_classes=2)


def blobs(
    data_dir: Path, seed: int, *, n_samples: int, centers: int, n_features: int, noise: float
) -> Samples:
    """Gaussian clouds with std `noise`, (n_samples, n_features); centres uniform in [-10, 10]."""
    from sklearn.datasets import make_blobs

    _check("centers", centers, at_least=2, example=3, at_most=MOST_FEATURES)
    _check("n_samples", n_samples, at_least=centers, example=100 * centers, at_most=MOST_SAMPLES)
    _check("n_features", n_features, at_least=1, example=2, at_most=MOST_FEATURES)
    _check("noise", noise, at_least=0, example=1.0)
    inputs, targets = make_blobs(
        n_samples,
        n_features=n_features,
        centers=centers,
        cluster_std=noise,
        random_state=_state(seed, "blobs"),
    )
    return _samples(inputs, targets, num_classes=centers)


def linear2d(data_dir: Path, seed: int, *, n_samples: int, margin: float, noise: float) -> Samples:
    """Two clouds with std `noise` on either side of the line x1 + x2 = 1, (n_samples, 2).

    A strip of width `margin` along the line is empty: across the line the Gaussians are folded
    back at 2 `noise` from their centres. Below 0 the clouds overlap by so much, and no line parts
    them.
    """
    _check("n_samples", n_samples, at_least=2, example=200, at_most=MOST_SAMPLES)
    _check("noise", noise, at_least=0, example=0.5)
    # There the clouds lie on each other
    _check("margin", margin, at_least=-4 * noise, example=0.5)
    targets = torch.arange(n_samples) % 2
    along, across = torch.randn(2, n_samples, generator=stream(seed, "linear2d"))
    across = torch.where(across < -2, -4 - across, across)
    distance = (2 * targets - 1) * (margin / 2 + noise * (2 + across))  # from the line, (N,)
    offset = noise * along
    inputs = 0.5 + torch.stack((distance - offset, distance + offset), dim=1) / math.sqrt(2)
    return _samples(inputs, targets, num_classes=2)


def xor(data_dir: Path, seed: int, *, n_samples: int, noise: float) -> Samples:
    """Four clouds with std `noise` around (±1, ±1), (n_samples, 2): opposite ones are one class.

    Class 1 is where the signs of x1 and x2 differ.
    """
    _check("n_samples", n_samples, at_least=2, example=400, at_most=MOST_SAMPLES)
    _check("noise", noise, at_least=0, example=0.2)
    corner = torch.arange(n_samples) % 4
    right, upper = corner // 2, (corner // 2 + corner) % 2  # so that classes take turns
    centres = 2.0 * torch.stack((right, upper), dim=1) - 1  # (N, 2)
    draws = torch.randn(n_samples, 2, generator=stream(seed, "xor"))
    return _samples(centres + noise * draws, (right != upper).long(), num_classes=2)


def spirals(
    data_dir: Path, seed: int, *, n_samples: int, arms: int, turns: float, noise: float
) -> Samples:
    """Spirals wound into each other, one a class, (n_samples, 2); `noise` is a Gaussian's std.

    Each arm winds `turns` times around the origin, from radius 0.2 to 1. Along the radius
    neighbours are 0.8 / (turns * arms) apart.
    """
    _check("arms", arms, at_least=2, example=2, at_most=MOST_ARMS)
    _check("n_samples", n_samples, at_least=arms, example=200 * arms, at_most=MOST_SAMPLES)
    _check("turns", turns, at_least=0, example=1.0)
    _check("noise", noise, at_least=0, example=0.02)
    generator = stream(seed, "spirals")
    targets = torch.arange(n_samples) % arms
    way = torch.rand(n_samples, generator=generator).sqrt()  # even along the arm, not at its root
    angle = 2 * math.pi * (turns * way + targets / arms)
    points = torch.stack((angle.cos(), angle.sin()), dim=1) * (0.2 + 0.8 * way).unsqueeze(1)
    draws = torch.randn(n_samples, 2, generator=generator)
    return _samples(points + noise * draws, targets, num_classes=arms)


def _state(seed: int, name: str) -> int:
    return stream_seed(seed, name, bits=32)  # numpy's RandomState takes no more


def _check(
    key: str, value: float, *, at_least: float, example: float, at_most: float = float("inf")
) -> None:
    if not at_least <= value < float("inf"):
        raise UserError(
            f"dataset.{key}={value}: expected a number >= {at_least} "
            f"(for example dataset.{key}={example})"
        )
    if value > at_most:
        raise UserError(
            f"dataset.{key}={value}: expected a number up to {at_most} "
            f"(for example dataset.{key}={example})"
        )


def _samples(
    inputs: NDArray[Any] | Tensor, targets: NDArray[Any] | Tensor, num_classes: int
) -> Samples:
    return Samples(
        inputs=torch.as_tensor(inputs).float(),
        targets=torch.as_tensor(targets).long(),
        task="binary" if num_classes == 2 else "multiclass",
        classes=tuple(str(k) for k in range(num_classes)),
        features=tuple(f"x{k + 1}" for k in range(inputs.shape[1])),
    )
