"""Searches without gradients: first steps by hand, minima found, the same again when resumed."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hydra.utils import instantiate
from torch import Tensor, nn

from dlrun import run, schema
from dlrun.device import Compute
from dlrun.errors import Failure, UserError
from dlrun.optimizers import build, direct, searches
from dlrun.optimizers.blocking import Search, asked
from dlrun.optimizers.direct import NOT_FINITE, DirectSearch
from dlrun.step import train_step

CONF = Path(__file__).parents[1] / "conf" / "optimizer"
NAMES = ("random_search", "evolution", "cma_es", "nelder_mead", "simulated_annealing")
EVERY = pytest.mark.parametrize("name", NAMES)
LIMITS = {"nelder_mead": 200, "simulated_annealing": 1000, "cma_es": 1000}


def read(name: str) -> dict[str, Any]:
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())["optimizer"]
    assert isinstance(content, dict)
    return content


def factory(name: str, **settings: Any) -> partial[DirectSearch]:
    return instantiate({"_convert_": "all", **read(name), **settings})  # type: ignore[no-any-return]


def build_for(model: nn.Module, name: str, **settings: Any) -> DirectSearch:
    made = factory(name, **settings)
    optimizer = build(made, model, weight_decay=None, device=torch.device("cpu"))
    assert isinstance(optimizer, DirectSearch)
    return optimizer


class Point(nn.Module):
    """Parameters in two parts, of two shapes; the first is 32 bits wide, the second 64."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor([[1.0, -0.5]]))
        self.second = nn.Parameter(torch.tensor([0.25], dtype=torch.float64))

    def vector(self) -> Tensor:
        return torch.cat([p.detach().flatten().double() for p in self.parameters()])


def bowl(point: Point) -> Tensor:
    """An elongated bowl with its minimum 0 at (2, 1, -1)."""
    return ((point.first[0] - torch.tensor([2.0, 1.0])) ** 2).sum() + 5 * (point.second[0] + 1) ** 2


class Listed:
    """In place of random numbers: those that are listed."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def standard_normal(self, shape: int | tuple[int, ...]) -> np.ndarray:
        count = math.prod((shape,) if isinstance(shape, int) else shape)
        taken, self.numbers = self.numbers[:count], self.numbers[count:]
        return np.array(taken).reshape(shape)

    def choice(self, values: list[float], count: int) -> np.ndarray:
        return self.standard_normal(count)


def answered(search: Search, losses: list[float]) -> list[list[float]]:
    """The points that a search gives out when it is sent these losses."""
    points = [next(search), *(search.send(loss) for loss in losses)]
    search.close()
    return [point.tolist() for point in points]


def test_random_search_by_hand() -> None:
    steps = Listed(1, 1, 1, 1, 1, 1)
    search = searches.random_search(
        np.zeros(1),
        steps,
        step_size=1.0,
        growth=16.0,  # type: ignore[arg-type]
    )
    # 0 -> 1, better: step 16. 1 -> 17, worse: step 8. 1 -> 9, equal: taken, step 8. 9 -> 17.
    assert answered(search, [1.0, 0.5, 2.0, 0.5]) == [[0], [1], [17], [9], [17]]


def test_evolution_by_hand() -> None:
    # P = 2, so sizes are exp(N / 2): 1 and e, then with the size e of the one parent e each.
    numbers = Listed(0, 2, *(1, 0, 0, 1), 0, 0, *(1, 0, 0, 1))
    search = searches.evolution(
        np.zeros(2),
        numbers,
        step_size=1.0,
        parents=1,
        children=2,  # type: ignore[arg-type]
    )
    points = answered(search, [0.0, 2.0, 1.0, 5.0])
    e = math.e
    np.testing.assert_allclose(points, [[0, 0], [1, 0], [0, e], [e, e], [0, 2 * e]], rtol=1e-15)


def test_evolution_takes_the_mean_of_its_parents() -> None:
    numbers = Listed(0, 0, 0, *(1, 3, 100), 0, 0, 0, *(0, 0, 0))
    search = searches.evolution(
        np.zeros(1),
        numbers,
        step_size=1.0,
        parents=2,
        children=3,  # type: ignore[arg-type]
    )
    assert answered(search, [0.0, 1.0, 2.0, 3.0])[-1] == [2]  # of 1 and 3; 0 was better, but died


def test_nelder_mead_by_hand() -> None:
    signs = Listed(1, -1)
    search = searches.nelder_mead(np.array([1.0, 1.0]), signs, step_size=1.0)  # type: ignore[arg-type]
    points = answered(search, [0.0, 1.0, 2.0])
    # The edges go forwards and backwards; the worst, (1, 0), is reflected at (1.5, 1).
    assert points == [[1, 1], [2, 1], [1, 0], [2, 2]]


def test_nelder_mead_begins_again_around_the_best_point() -> None:
    search = searches.nelder_mead(np.array([1.0]), np.random.default_rng(0), step_size=0.5)
    points, point = [], next(search)
    for _ in range(200):
        points.append(float(point[0]))
        point = search.send((float(point[0]) - 3) ** 2)
    search.close()
    best = min(points, key=lambda x: abs(x - 3))
    assert abs(best - 3) < 1e-3
    last = max(k for k, x in enumerate(points) if abs(abs(x - points[k - 1]) - 0.5) < 1e-9)
    assert last > 20  # a new edge of the first length, long after the simplex had shrunk


def test_cma_es_begins_again_with_twice_the_children(monkeypatch: pytest.MonkeyPatch) -> None:
    import cma

    begun = []
    original = cma.CMAEvolutionStrategy

    def watched(start: Any, size: float, options: dict[str, Any]) -> Any:
        begun.append((start.tolist(), size, options.get("popsize")))
        return original(start, size, options)

    monkeypatch.setattr(cma, "CMAEvolutionStrategy", watched)
    search = searches.cma_es(np.ones(2), np.random.default_rng(0), step_size=0.5, population=4)
    losses: list[tuple[float, list[float]]] = []
    point = next(search)
    while len(begun) < 2:
        losses.append((float((point**2).sum()), point.tolist()))
        point = search.send(losses[-1][0])
        assert len(losses) < 5000
    assert begun == [([1, 1], 0.5, 4), (min(losses)[1], 0.5, 8)]


def test_simulated_annealing_stays_within_bounds() -> None:
    random = np.random.default_rng(0)
    search = searches.simulated_annealing(
        np.zeros(3), random, bound=2.0, temperature=100.0, iterations=3
    )
    points = answered(search, [float(k % 7) for k in range(100)])  # three coolings and more
    assert np.abs(points).max() <= 2
    assert np.abs(points).max() > 1


@EVERY
def test_finds_a_minimum(name: str) -> None:
    torch.manual_seed(0)
    point = Point()
    start = point.vector()
    optimizer = build_for(point, name)
    seen: list[tuple[float, list[float]]] = []

    def closure() -> Tensor:
        assert not torch.is_grad_enabled()
        loss = bowl(point)
        seen.append((loss.item(), point.vector().tolist()))
        return loss

    results = [optimizer.step(closure) for _ in range(12)]
    assert seen[0][1] == start.tolist()
    assert len(seen) == optimizer.evaluations_done == 12 * 100
    assert results == [min(seen[: 100 * k])[0] for k in range(1, 13)]
    assert point.vector().tolist() == min(seen)[1]
    assert results[-1] == optimizer.best_loss < 0.02
    assert point.first.grad is None


@EVERY
def test_losses_that_are_no_numbers_are_left_behind(name: str) -> None:
    """From the half of space where the loss is nan, or -inf, to the minimum in the other half."""
    torch.manual_seed(0)
    point = Point()
    optimizer = build_for(point, name)
    kinds = set()

    def closure() -> float:
        x = point.first[0, 0].item()
        loss = bowl(point).item() if x < 0.9 else math.nan if x < 2 else -math.inf
        kinds.add(math.isfinite(loss))
        return loss

    assert math.isnan(closure())
    for _ in range(10):
        best = optimizer.step(closure)
    assert kinds == {True, False}
    assert point.first[0, 0].item() < 0.9
    assert 1.1**2 < best < 2  # the best there is on the edge


def test_a_search_that_meets_no_number_stays_at_its_start() -> None:
    for name in NAMES:
        point = Point()
        start = point.vector()
        optimizer = build_for(point, name)
        assert [optimizer.step(lambda: math.nan) for _ in range(3)] == [math.inf] * 3
        assert torch.equal(point.vector(), start)
        assert optimizer.state_dict()["losses"].tolist() == [math.inf] * 300


def test_what_a_search_is_sent_is_finite() -> None:
    sent = []

    def search(start: np.ndarray, random: np.random.Generator) -> Search:
        while True:
            sent.append((yield start))

    optimizer = DirectSearch(Point().parameters(), search, evaluations=3)
    losses = iter([math.nan, 2.0, math.inf])
    optimizer.step(lambda: next(losses))
    assert sent == [NOT_FINITE, 2.0, NOT_FINITE]


def trained(name: str, steps: int, state: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """State, losses and parameters after some steps of 30 losses, of a run begun or resumed."""
    point, losses = Point(), []
    torch.manual_seed(3)
    np.random.seed(steps)  # what anybody else does with numpy's numbers changes nothing
    optimizer = build_for(point, name, evaluations=30)
    if state is not None:
        torch.manual_seed(99)
        optimizer.load_state_dict(state)

    def closure() -> Tensor:
        losses.append(bowl(point).item())
        return bowl(point)

    for _ in range(steps):
        optimizer.step(closure)
    return optimizer.state_dict(), losses, point.vector()


@EVERY
def test_resumes_bit_for_bit(name: str) -> None:
    state, losses, parameters = trained(name, 9)
    file = io.BytesIO()
    middle, first_losses, _ = trained(name, 4)
    torch.save(middle, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    resumed, last_losses, resumed_parameters = trained(name, 5, loaded)
    assert first_losses + last_losses == losses
    assert torch.equal(resumed_parameters, parameters)
    assert resumed.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(torch.as_tensor(resumed[key]), torch.as_tensor(value)), key


@EVERY
def test_resumes_from_before_the_first_step(name: str) -> None:
    state, *_ = trained(name, 0)
    assert state["seed"] is None
    point, other = Point(), Point()
    ends = []
    for one in (point, other):
        torch.manual_seed(5)
        optimizer = build_for(one, name)
        if one is other:
            optimizer.load_state_dict(state)
        ends.append(optimizer.step(partial(bowl, one)))
    assert ends[0] == ends[1]


def test_the_seed_is_that_of_torch() -> None:
    ends = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        point = Point()
        build_for(point, "random_search").step(partial(bowl, point))
        ends.append(point.vector().tolist())
    assert ends[0] == ends[1] != ends[2]


def test_building_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    for name in NAMES:
        build_for(Point(), name)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_search_that_goes_another_way_cannot_be_resumed() -> None:
    state, *_ = trained("random_search", 2)
    optimizer = build_for(Point(), "random_search", step_size=0.7)
    with pytest.raises(Failure, match="search cannot be repeated up to its checkpoint"):
        optimizer.load_state_dict(state)


def test_an_error_in_the_loss_leaves_the_best_point() -> None:
    point = Point()
    start = point.vector()
    losses: Iterator[float] = iter([1.0, 2.0])
    optimizer = build_for(point, "random_search")
    with pytest.raises(StopIteration):
        optimizer.step(lambda: next(losses))
    assert torch.equal(point.vector(), start)
    assert optimizer.evaluations_done == 2


@EVERY
def test_limits(name: str) -> None:
    most = LIMITS.get(name, 10_000)
    assert build_for(nn.Linear(most, 1, bias=False), name).num_parameters == most
    with pytest.raises(UserError) as caught:
        build_for(nn.Linear(most, 1), name)
    first, second = str(caught.value).split("\n")
    assert first.startswith(
        f"optimizer={name}: searches without gradients in at most {most:,} dimensions, this model "
        f"has {most + 1:,} parameters ("
    )
    assert second == "(for example dataset=moons model.hidden=[5], or optimizer=adam)"


def test_frozen_parameters_are_not_searched() -> None:
    point = Point()
    point.first.requires_grad_(False)
    optimizer = build_for(point, "nelder_mead")
    optimizer.step(partial(bowl, point))
    assert optimizer.num_parameters == 1
    assert point.first.tolist() == [[1.0, -0.5]]
    assert abs(point.second.item() + 1) < 1e-3


@pytest.mark.parametrize(
    ("name", "key", "value", "text"),
    [
        ("cma_es", "evaluations", 0, "expected a whole number > 0 (for example {key}=100)"),
        ("cma_es", "step_size", 0.0, "expected a number > 0 (for example {key}=0.5)"),
        ("cma_es", "population", 3, "expected a whole number > 3 (for example {key}=20)"),
        ("random_search", "step_size", math.nan, "expected a number > 0 (for example {key}=0.5)"),
        ("random_search", "growth", 1.0, "expected a number > 1 (for example {key}=1.5)"),
        ("evolution", "step_size", -1.0, "expected a number > 0 (for example {key}=0.5)"),
        ("evolution", "parents", 0, "expected a whole number > 0 (for example {key}=3)"),
        ("evolution", "children", 3, "expected a whole number > 3 (for example {key}=12)"),
        ("nelder_mead", "step_size", math.inf, "expected a number > 0 (for example {key}=0.5)"),
        ("simulated_annealing", "bound", 0.0, "expected a number > 0 (for example {key}=5)"),
        ("simulated_annealing", "temperature", 0.0, "expected a number > 0 (for example {key}=1)"),
        (
            "simulated_annealing",
            "iterations",
            0,
            "expected a whole number > 0 (for example {key}=50)",
        ),
    ],
)
def test_errors(name: str, key: str, value: float, text: str) -> None:
    with pytest.raises(UserError) as caught:
        build_for(Point(), name, **{key: value})
    text = text.format(key=f"optimizer.{key}")
    assert str(caught.value) == f"optimizer.{key}={value}: {text}"


@EVERY
def test_there_is_no_weight_decay(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} has no weight decay"):
        build(factory(name), Point(), weight_decay=0.1, device=torch.device("cpu"))


def test_all_choices_are_here() -> None:
    files = [file for file in CONF.glob("*.yaml") if "dlrun.optimizers.direct" in file.read_text()]
    assert {file.stem for file in files} == set(NAMES)


@EVERY
def test_file_has_the_defaults_and_the_full_batch(name: str) -> None:
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert content["batch_size"] == "full"
    settings = {k: v for k, v in content["optimizer"].items() if not k.startswith("_")}
    assert settings == getattr(direct, name).__kwdefaults__


def test_cma_es_leaves_nothing_behind(
    capfd: pytest.CaptureFixture[str], in_own_directory: Path
) -> None:
    numbers = np.random.get_state()[1]
    point = Point()
    optimizer = build_for(point, "cma_es")
    for _ in range(20):  # it converges and begins again
        optimizer.step(partial(bowl, point))
    assert capfd.readouterr() == ("", "")
    assert list(in_own_directory.iterdir()) == []
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)


def minimisers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "minimiser"]


def test_blocking_minimiser_ends_with_its_generator() -> None:
    ended = []

    def minimise(loss: Callable[[np.ndarray], float]) -> None:
        try:
            while True:
                try:
                    loss(np.zeros(1))
                except Exception:
                    ended.append("swallowed")
        finally:
            ended.append("over")

    before = minimisers()
    search = asked(minimise)
    next(search)
    search.send(1.0)
    assert len(minimisers()) == len(before) + 1
    search.close()
    assert ended == ["over"]
    assert minimisers() == before


def test_blocking_minimiser_that_returns_ends_the_generator() -> None:
    values = []
    search = asked(lambda loss: values.append(loss(np.ones(2))))
    assert next(search).tolist() == [1, 1]
    with pytest.raises(StopIteration):
        search.send(4.0)
    assert values == [4.0]


def test_what_a_blocking_minimiser_raises_comes_out() -> None:
    def minimise(loss: Callable[[np.ndarray], float]) -> None:
        loss(np.zeros(1))
        raise ArithmeticError("no way on")

    search = asked(minimise)
    next(search)
    with pytest.raises(ArithmeticError, match="no way on"):
        search.send(1.0)


def test_blocking_points_are_copies() -> None:
    def minimise(loss: Callable[[np.ndarray], float]) -> None:
        point = np.zeros(1)
        loss(point)
        point += 1
        loss(point)

    search = asked(minimise)
    first = next(search)
    search.send(0.0)
    assert first.tolist() == [0]
    search.close()


def test_no_thread_outlives_its_optimizer() -> None:
    before = minimisers()
    for name in ("nelder_mead", "simulated_annealing"):
        point = Point()
        optimizer = build_for(point, name)
        optimizer.step(partial(bowl, point))
        assert len(minimisers()) == len(before) + 1
        optimizer.load_state_dict(optimizer.state_dict())
        assert len(minimisers()) == len(before) + 1
        del optimizer
        assert minimisers() == before


def step_of(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    l1: float = 0.0,
    evaluations: int = 50,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
) -> tuple[SimpleNamespace, Tensor, Tensor, Tensor | None]:
    """A run, of random search unless told, after one training step, and what train_step gave."""
    model.train()
    made = optimizer or partial(factory("random_search"), evaluations=evaluations)
    recipe = SimpleNamespace(
        criterion=nn.functional.mse_loss, regularization=schema.Regularization(l1=l1)
    )
    stand = SimpleNamespace(
        model=model,
        parameters=list(model.parameters()),
        optimizer=made(model.parameters()),
        recipe=recipe,
        compute=Compute(torch.device("cpu")),
        fitted=SimpleNamespace(evaluations=0),
    )
    outcome = train_step(stand, inputs, targets, measure=True)  # type: ignore[arg-type]
    return stand, *outcome


def test_train_step_tells_of_the_point_before_the_step() -> None:
    torch.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    stand, outputs, loss, grad_norm = step_of(model, torch.ones(2, 1), torch.full((2, 1), 3.0))
    assert outputs.tolist() == [[0], [0]]
    assert loss.item() == 9
    assert grad_norm is None
    assert model.weight.grad is None
    assert stand.optimizer.evaluations_done == stand.fitted.evaluations == 50
    assert abs(model.weight.item() - 3) < 0.2


def test_train_step_descends_with_the_l1_penalty() -> None:
    torch.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    # (w - 3)^2 + 2 |w| has its minimum where 2 (w - 3) + 2 = 0, at w = 2, and there it is 5.
    stand, _, loss, _ = step_of(
        model, torch.ones(2, 1), torch.full((2, 1), 3.0), l1=2.0, evaluations=300
    )
    assert loss.item() == 9
    assert abs(model.weight.item() - 2) < 0.01
    assert stand.optimizer.best_loss == pytest.approx(5, abs=0.001)


def test_train_step_refuses_no_loss() -> None:
    model = nn.Linear(1, 1, bias=False)
    _, _, loss, _ = step_of(model, torch.ones(1, 1), torch.full((1, 1), math.nan))
    assert math.isnan(loss.item())


class Position(nn.Module):
    """A model whose outputs share the memory of its parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(2))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.position.expand(len(inputs), -1)


@pytest.mark.parametrize("optimizer", [None, partial(torch.optim.SGD, lr=0.1)])
def test_outputs_are_those_before_the_step_even_where_they_are_the_parameters(
    optimizer: Callable[..., torch.optim.Optimizer] | None,
) -> None:
    model = Position()
    _, outputs, _, _ = step_of(model, torch.ones(1, 1), torch.ones(1, 2), optimizer=optimizer)
    assert outputs.tolist() == [[0, 0]]
    assert model.position.abs().min() > 0
    assert not outputs.requires_grad


def test_batch_norm_sees_the_starts_of_steps_alone() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    nn.init.ones_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    step_of(model, torch.tensor([[1.0], [3.0]]), torch.zeros(2, 1))
    assert model[1].running_mean.item() == pytest.approx(0.2)  # momentum 0.1 of the mean 2
    assert model[1].num_batches_tracked.item() == 1


@EVERY
def test_trains_a_network(name: str) -> None:
    words = ["dataset=moons", "dataset.n_samples=150", "model=mlp", "model.hidden=[5]"]
    result = run(*words, f"optimizer={name}", epochs=6, figures=False, quiet=True)
    losses = [line["loss/train"] for line in result.lines]
    assert all(loss is not None for loss in losses)
    # Epoch 0 tells of the untrained network, and so does epoch 1: its one step began there.
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[1:] == sorted(losses[1:], reverse=True)  # type: ignore[type-var]
    assert losses[-1] < 0.8 * losses[0]  # type: ignore[operator]
    assert result.lines[-1]["grad_norm"] is None
    assert result.lines[-1]["lr"] is None
