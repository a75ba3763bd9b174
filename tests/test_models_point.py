"""A point on a test function: where it starts, where optimizers take it, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlrun import run
from dlrun.datasets.surface import surface
from dlrun.errors import UserError
from dlrun.models.point import Point
from dlrun.result import Result
from dlrun.surfaces import SURFACES

QUIET = ("dataset=surface", "model=point", "batch_size=full", "quiet=true", "figures=false")


def walk(*words: str, epochs: int) -> Result:
    return run(*QUIET, *words, epochs=epochs)


def way(result: Result) -> list[tuple[float, float]]:
    return [(line["x/val"], line["y/val"]) for line in result.lines]


def test_a_point_is_its_position_for_every_sample():
    point = Point((2,), 2, start=[1.0, -2.0])
    assert [parameter.tolist() for parameter in point.parameters()] == [[1.0, -2.0]]
    assert point(torch.randn(3, 2)).tolist() == 3 * [[1.0, -2.0]]
    assert point(torch.zeros(0, 2)).shape == (0, 2)


def test_the_gradient_of_the_mean_is_that_of_one():
    point = Point((2,), 2, start=[1.0, -2.0])
    point(torch.zeros(8, 2)).square().sum(1).mean().backward()
    assert point.position.grad.tolist() == [2.0, -4.0]


def test_it_goes_to_the_first_row_unless_it_has_been_placed():
    rows = torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    free, placed = Point((2,), 2), Point((2,), 2, start=[0, 0])
    for point in (free, placed):
        point.start_from(rows, torch.zeros(2, 2))
    assert free.position.tolist() == [3.0, 4.0]
    assert placed.position.tolist() == [0.0, 0.0]  # a start of zeros is a start
    rows[0] = 9.0
    assert free.position.tolist() == [3.0, 4.0]  # its own memory


@pytest.mark.parametrize("start", [[1.0], [1.0, 2.0, 3.0], []])
def test_a_start_of_other_than_d_numbers_is_told(start):
    given = ",".join(map(str, start))
    with pytest.raises(UserError) as caught:
        Point((2,), 2, start=start)
    assert str(caught.value) == (
        f"model.start=[{given}]: expected 2 numbers, one a dimension "
        "(for example model.start=null, the data set's own)"
    )


@pytest.mark.parametrize("name", ["bowl", "rosenbrock", "himmelblau"])
def test_a_run_begins_at_the_start_of_its_surface(name):
    result = walk(f"dataset.name={name}", epochs=0)
    assert way(result) == [pytest.approx(SURFACES[name].start)]
    start = torch.tensor([SURFACES[name].start])
    value = float(SURFACES[name].function(start))
    assert result.metrics["loss/val"] == pytest.approx(value)
    assert result.metrics["loss/test"] == pytest.approx(value)


def test_sgd_goes_where_its_formula_says():
    # f = (x^2 + 4 y^2) / 2: theta <- theta - lr (x, 4 y), so x falls by 0.9 and y by 0.6 a step
    words = ("dataset.name=bowl", "dataset.condition_number=4", "model.start=[2.0,-3.0]")
    result = walk(*words, "optim=sgd", "optim.lr=0.1", epochs=5)
    expected = [(2 * 0.9**t, -3 * 0.6**t) for t in range(6)]
    assert way(result) == [pytest.approx(place, rel=1e-5) for place in expected]
    losses = [(x**2 + 4 * y**2) / 2 for x, y in expected]
    assert [line["loss/val"] for line in result.lines] == pytest.approx(losses, rel=1e-5)
    # An epoch is one step, whose loss and position are those before it
    assert [line["loss/train"] for line in result.lines[1:]] == pytest.approx(losses[:-1], rel=1e-5)
    assert result.lines[-1]["x/train"] == pytest.approx(expected[-2][0], rel=1e-5)
    assert [line["step"] for line in result.lines] == list(range(6))


def test_momentum_goes_where_its_formula_says():
    words = ("dataset.name=saddle", "model.start=[1.0,0.5]")
    words = (*words, "optim=momentum", "optim.lr=0.05", "optim.momentum=0.9")
    result = walk(*words, epochs=6)
    x, y, u, v = 1.0, 0.5, 0.0, 0.0
    expected = [(x, y)]
    for _ in range(6):  # v <- gamma v + g, theta <- theta - lr v; g = (2 x, -2 y + y^3)
        u, v = 0.9 * u + 2 * x, 0.9 * v - 2 * y + y**3
        x, y = x - 0.05 * u, y - 0.05 * v
        expected.append((x, y))
    assert way(result) == [pytest.approx(place, rel=1e-4, abs=1e-5) for place in expected]


def test_noise_moves_the_point_by_the_mean_of_its_draws():
    words = ("dataset.name=noisy_bowl", "dataset.n_samples=5", "dataset.condition_number=1")
    still = walk(*words, "dataset.noise=0", "optim=sgd", "optim.lr=0.1", epochs=1)
    moved = walk(*words, "dataset.noise=1", "optim=sgd", "optim.lr=0.1", epochs=1)
    assert way(still)[0] == way(moved)[0]
    data = surface(Path(), 0, name="noisy_bowl", condition_number=1.0, noise=1.0, n_samples=5)
    draws = data.train.targets.mean(0)
    expected = torch.tensor(way(still)[1]) - 0.1 * draws
    assert way(moved)[1] == pytest.approx(tuple(expected.tolist()), rel=1e-4)


def test_a_hundred_dimensions_have_no_place_in_the_plane():
    result = walk("dataset.name=quadratic_deep", "optim=sgd", "optim.lr=0.01", epochs=2)
    assert {line["x/val"] for line in result.lines} == {None}
    assert result.lines[2]["loss/val"] < result.lines[0]["loss/val"]
    assert result.model.position.shape == (100,)


def test_a_start_in_a_minimum_stays_there():
    result = walk("dataset.name=himmelblau", "model.start=[3,2]", epochs=3)
    assert result.metrics["loss/val"] == pytest.approx(0, abs=1e-9)  # one of its four minima
    assert way(result)[-1] == pytest.approx((3.0, 2.0))
