"""Test functions as data sets: the samples are noise, the loss is the function itself."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch
from torch import Tensor

from dlrun.datasets.splits import Objective, Split, Splits
from dlrun.errors import UserError, nearest, shown
from dlrun.randomness import stream
from dlrun.surfaces import SURFACES, Function
from dlrun.surfaces import surface as find_surface

NOISY = ("noisy_bowl", "quadratic_deep")  # where each sample shifts or tilts the function
MOST_SAMPLES = 10**7  # of 100 dimensions and 4 bytes: 4 GB


def surface(
    data_dir: Path,
    seed: int,
    *,
    name: str,
    condition_number: float,
    noise: float,
    n_samples: int,
) -> Splits:
    """A test function to minimise; its name and what is known of it are in dlrun.surfaces.

    Inputs: the position to start from, (N, D), the same in every row. Targets: the noise, (N, D),
    normal with std `noise` in training for noisy_bowl and quadratic_deep; else one row of zeros.
    Validation and test are one row without noise, so that their loss is the function's value.
    condition_number: of bowl and noisy_bowl.
    Raises UserError for a name that no surface has and numbers out of range.
    """
    _check(name, condition_number, noise, n_samples)
    found = find_surface(name, condition_number)
    start = torch.tensor(found.start)  # (D,)
    rows = n_samples if name in NOISY else 1
    draws = torch.zeros(rows, len(start))
    if name in NOISY:
        draws = noise * torch.randn(draws.shape, generator=stream(seed, "surface"))
    plain = Split(start.unsqueeze(0), torch.zeros(1, len(start)))
    return Splits(
        train=Split(start.repeat(rows, 1), draws),
        val=plain,
        test=plain,
        task="surface",
        in_shape=(len(start),),
        features=tuple(f"x{k + 1}" for k in range(len(start))),
        target_name=name,
        objective=objective(name, found.function),
    )


def objective(name: str, function: Function) -> Objective:
    """The loss on a surface: mean over a batch of positions (N, D) and noise (N, D), shape ().

    quadratic_deep is shifted by each sample's noise, noisy_bowl is tilted: its gradient has the
    noise added. Every other one is the function, whatever the targets.
    """
    loss = {"quadratic_deep": shifted, "noisy_bowl": tilted}.get(name, undisturbed)
    return functools.partial(loss, function)


def undisturbed(function: Function, positions: Tensor, targets: Tensor) -> Tensor:
    return function(positions).mean()


def shifted(function: Function, positions: Tensor, targets: Tensor) -> Tensor:
    """Mean of f(θ - ξ), as DeepOBS draws its quadratics around random centres ξ."""
    return function(positions - targets).mean()


def tilted(function: Function, positions: Tensor, targets: Tensor) -> Tensor:
    """Mean of f(θ) + ξ·θ: a gradient with noise ξ, whose mean is the function's own."""
    return (function(positions) + (targets * positions).sum(1)).mean()


def _check(name: str, condition_number: float, noise: float, n_samples: int) -> None:
    if name not in SURFACES:
        hint = nearest(name, SURFACES)
        raise UserError(f"dataset.name={shown(name)}: expected {', '.join(SURFACES)}{hint}")
    if not 1 <= condition_number < math.inf:
        raise UserError(
            f"dataset.condition_number={condition_number}: expected a number >= 1 "
            "(for example dataset.condition_number=20)"
        )
    if not 0 <= noise < math.inf:
        raise UserError(
            f"dataset.noise={noise}: expected a number >= 0 (for example dataset.noise=1.0)"
        )
    if not 1 <= n_samples <= MOST_SAMPLES:
        raise UserError(
            f"dataset.n_samples={n_samples}: expected a whole number from 1 to {MOST_SAMPLES} "
            "(for example dataset.n_samples=1000)"
        )
