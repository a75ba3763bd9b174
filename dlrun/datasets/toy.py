"""Points in the plane (blobs: in any dimension), drawn afresh from the seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dlrun.datasets.samples import Samples
from dlrun.errors import UserError
from dlrun.randomness import stream_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOST_SAMPLES, MOST_FEATURES = 10**9, 10**6  # more could not be counted, in bytes


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


def _samples(inputs: NDArray[Any], targets: NDArray[Any], num_classes: int) -> Samples:
    return Samples(
        inputs=torch.from_numpy(inputs).float(),
        targets=torch.from_numpy(targets).long(),
        task="binary" if num_classes == 2 else "multiclass",
        classes=tuple(str(k) for k in range(num_classes)),
        features=tuple(f"x{k + 1}" for k in range(inputs.shape[1])),
    )
