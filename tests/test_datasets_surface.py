"""Test functions as data sets: what is noise and what is not, the loss, the errors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dlrun.datasets import Splits
from dlrun.datasets.surface import surface
from dlrun.errors import UserError
from dlrun.surfaces import SURFACES


def load(name: str, seed: int = 0, **changed: Any) -> Splits:
    given: dict[str, Any] = {"condition_number": 20.0, "noise": 1.0, "n_samples": 8}
    return surface(Path("unused"), seed, name=name, **{**given, **changed})


def gradient(data: Splits, position: list[float], targets: Tensor) -> list[float]:
    theta = torch.tensor([position], requires_grad=True)
    assert data.objective is not None
    loss = data.objective(theta.expand(len(targets), -1), targets)
    assert loss.shape == ()
    (found,) = torch.autograd.grad(loss, theta)
    result: list[float] = found[0].tolist()
    return result


@pytest.mark.parametrize("name", sorted(SURFACES))
def test_every_surface_is_ready_to_train_on(name: str) -> None:
    data = load(name)
    start = torch.tensor(SURFACES[name].start)
    size = len(start)
    rows = 8 if name in ("noisy_bowl", "quadratic_deep") else 1
    assert isinstance(data.train.inputs, Tensor) and isinstance(data.val.inputs, Tensor)
    assert data.task == "surface" and data.in_shape == (size,) and len(data.features) == size
    assert torch.equal(data.train.inputs, start.repeat(rows, 1))
    assert data.train.inputs.dtype == data.train.targets.dtype == torch.float32
    assert data.train.targets.shape == (rows, size)
    for part in (data.val, data.test):
        assert torch.equal(part.targets, torch.zeros(1, size))
        assert data.objective is not None
        loss = data.objective(part.inputs[torch.tensor([0])], part.targets)
        assert float(loss) == pytest.approx(
            float(SURFACES[name].function(start.unsqueeze(0))[0]), rel=1e-4
        )
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.objective(data.val.inputs, data.val.targets), loss)


def test_surfaces_without_noise_have_none() -> None:
    data = load("rosenbrock")
    assert data.train.targets.tolist() == [[0.0, 0.0]]
    assert gradient(data, [0.0, 0.0], torch.ones(1, 2)) == [-2.0, 0.0]  # whatever the targets


def test_noisy_bowl_adds_its_noise_to_the_gradient() -> None:
    data = load("noisy_bowl", condition_number=4.0)
    noise = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    # (x, 4y) at (2, 1), and the mean of the noise
    assert gradient(data, [2.0, 1.0], noise) == [2.0 + 2.0, 4.0 - 1.0]


def test_quadratic_deep_is_least_where_its_sample_says() -> None:
    data = load("quadratic_deep")
    centre = data.train.targets[:1]
    assert gradient(data, centre[0].tolist(), centre) == [0.0] * 100


def test_noise_has_the_std_asked_for_and_hangs_on_the_seed() -> None:
    draws = load("noisy_bowl", noise=0.5, n_samples=20_000).train.targets
    assert float(draws.std()) == pytest.approx(0.5, rel=0.02)
    assert float(draws.mean()) == pytest.approx(0, abs=0.02)
    draws = load("quadratic_deep", n_samples=200).train.targets
    assert float(draws.std()) == pytest.approx(1.0, rel=0.02)
    first = load("noisy_bowl").train.targets
    assert torch.equal(first, load("noisy_bowl").train.targets)
    assert not torch.equal(first, load("noisy_bowl", seed=1).train.targets)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"name": "sadle"},
            "dataset.name=sadle: expected bowl, saddle, ravine, cliff, rosenbrock, beale, "
            "himmelblau, plateau, noisy_bowl, quadratic_deep; did you mean saddle?",
        ),
        (
            {"condition_number": 0.5},
            "dataset.condition_number=0.5: expected a number >= 1 "
            "(for example dataset.condition_number=20)",
        ),
        (
            {"noise": float("nan")},
            "dataset.noise=nan: expected a number >= 0 (for example dataset.noise=1.0)",
        ),
        (
            {"n_samples": 0},
            "dataset.n_samples=0: expected a whole number from 1 to 10000000 "
            "(for example dataset.n_samples=1000)",
        ),
    ],
)
def test_errors(changed: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as error:
        load(**{"name": "bowl", **changed})
    assert str(error.value) == text
