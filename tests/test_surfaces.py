"""Test functions: their minima, their starts, and what optimizers do on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dlrun.surfaces import SURFACES, deep_hessian, surface

NAMES = sorted(SURFACES)


def gradient(name: str, position: tuple[float, ...]) -> Tensor:
    theta = torch.tensor([position], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(SURFACES[name].function(theta).sum(), theta)
    return found[0]


def descend(
    name: str, make: Callable[..., torch.optim.Optimizer], steps: int, max_norm: float = 1e9
) -> Tensor:
    """The positions after each step from the start, (steps, D)."""
    theta = torch.tensor([SURFACES[name].start], requires_grad=True)
    optimizer = make([theta])
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        SURFACES[name].function(theta).sum().backward()
        torch.nn.utils.clip_grad_norm_([theta], max_norm)
        optimizer.step()
        path.append(theta.detach()[0].clone())
    return torch.stack(path)


def sgd(lr: float, momentum: float = 0.0) -> Callable[..., torch.optim.Optimizer]:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr, momentum=momentum)


def test_names() -> None:
    assert [
        *("beale", "bowl", "cliff", "himmelblau", "noisy_bowl", "plateau"),
        *("quadratic_deep", "ravine", "rosenbrock", "saddle"),
    ] == NAMES
    assert all(SURFACES[name].name == name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_minima_have_no_gradient_and_no_lower_neighbours(name: str) -> None:
    found = SURFACES[name]
    assert found.minima
    for minimum in found.minima:
        assert len(minimum) == len(found.start)
        assert float(gradient(name, minimum).abs().max()) < 1e-12
        theta = torch.tensor([minimum], dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        away = torch.randn(1000, len(minimum), dtype=torch.float64, generator=generator)
        around = theta + 0.01 * away / away.norm(dim=1, keepdim=True)
        assert float(found.function(around).min()) > float(found.function(theta))
    values = found.function(torch.tensor(found.minima, dtype=torch.float64))
    assert torch.allclose(values, values[0])  # all of them are global


@pytest.mark.parametrize("name", NAMES)
def test_starts_and_minima_lie_in_the_view(name: str) -> None:
    found = SURFACES[name]
    left, right, bottom, top = found.view
    for x, y, *_ in (found.start, *found.minima):
        assert left < x < right and bottom < y < top
    assert float(gradient(name, found.start).norm()) > 0  # nobody starts where nothing pulls


@pytest.mark.parametrize("name", NAMES)
def test_values_are_one_a_row_and_do_not_hang_on_the_others(name: str) -> None:
    found = SURFACES[name]
    generator = torch.Generator().manual_seed(0)
    positions = torch.randn(5, len(found.start), generator=generator)
    together = found.function(positions)
    assert together.shape == (5,) and together.dtype == torch.float32
    alone = torch.cat([found.function(row.unsqueeze(0)) for row in positions])
    assert torch.allclose(together, alone, rtol=1e-4)


def test_condition_number_of_bowls() -> None:
    for name in ("bowl", "noisy_bowl"):
        found = surface(name, condition_number=50.0)
        assert found.name == name
        point = torch.zeros(2, dtype=torch.float64)
        hessian: Any = torch.autograd.functional.hessian(
            lambda theta, f=found.function: f(theta.unsqueeze(0)).sum(), point
        )
        assert hessian.tolist() == [[1.0, 0.0], [0.0, 50.0]]
    assert surface("saddle", condition_number=50.0) is SURFACES["saddle"]


def test_deep_hessian_has_the_spectrum_of_deepobs() -> None:
    hessian = deep_hessian()
    values = torch.linalg.eigvalsh(hessian)
    assert torch.equal(hessian, hessian.T)
    assert float(values[0]) > 0 and float(values[89]) < 1
    assert float(values[90]) > 30 and float(values[99]) < 60
    assert float((hessian - hessian.diag().diag()).abs().max()) > 0.5  # it is rotated
    theta = torch.zeros(1, 100, dtype=torch.float64)
    theta[0, 3] = 2.0
    value = SURFACES["quadratic_deep"].function(theta)
    assert float(value[0]) == pytest.approx(2 * float(hessian[3, 3]))


def test_gradient_descent_stalls_on_the_saddle_and_momentum_leaves_it() -> None:
    plain, momentum = descend("saddle", sgd(0.01), 400), descend("saddle", sgd(0.01, 0.9), 150)
    assert float(plain[300:, 0].abs().max()) < 0.05  # it has come to the ridge
    assert float(plain[:, 1].abs().max()) < 0.3  # and is still on it
    assert float(momentum[:, 1].abs().max()) > 1.3


def test_the_cliff_throws_gradient_descent_and_clipping_tames_it() -> None:
    thrown = descend("cliff", sgd(0.1), 400)
    assert float(thrown[:, 0].min()) < -10  # far out of the picture
    assert float(thrown[-1, 0]) < -5  # and not yet back
    clipped = descend("cliff", sgd(0.1), 400, max_norm=1.0)
    assert float(clipped[:, 0].min()) > -0.1
    assert float(clipped[-1].norm()) < 0.01
    rmsprop = descend("cliff", lambda p: torch.optim.RMSprop(p, lr=0.1), 400)
    assert float(rmsprop[:, 0].min()) > -0.1
    assert float(rmsprop[-1].norm()) < 0.01
