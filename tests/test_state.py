"""Where a run stands: what a checkpoint keeps of it puts another run in the same place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlrun import schema, state
from dlrun.batches import batch_slices
from dlrun.checkpoint import load_checkpoint, save_checkpoint
from dlrun.datasets import Split, Splits
from dlrun.device import Compute
from dlrun.divergence import Divergence
from dlrun.losses import loss_function
from dlrun.scheduler import Schedule
from dlrun.signals import Requests
from dlrun.state import (
    Fitted,
    Recipe,
    Training,
    begin_pass,
    capture,
    copy_state,
    flat_parameters,
    order_of,
    restore,
)
from dlrun.stopping import EarlyStopping


class Silent:
    """A log that keeps nothing."""

    def minibatch(self, step: int, loss: float, lr: float) -> None: ...

    def epoch(self, line: dict[str, float | None]) -> None: ...

    def checkpoint(self, state: dict[str, Any]) -> None: ...

    def step(self) -> None: ...


class Clock:
    """time.perf_counter, but standing still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    standing = Clock()
    monkeypatch.setattr(state, "time", standing)
    return standing


@pytest.fixture(autouse=True)
def own_generator() -> Iterator[None]:
    with torch.random.fork_rng([]):
        yield


def training(seed: int = 0, *, init: int = 0, **stopping: Any) -> Training:
    """A run of y = w x on four samples, with momentum; `init` chooses the first weights."""
    torch.manual_seed(init)
    x = torch.arange(4.0)[:, None]
    split, nothing = Split(x, 3 * x), Split(x[:0], x[:0])
    data = Splits(train=split, val=split, test=nothing, task="regression", in_shape=(1,))
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    mse = loss_function("mse")
    recipe = Recipe(
        criterion=mse,
        evaluation_criterion=mse,
        epochs=3,
        batch_size=2,
        seed=seed,
        monitor="loss/val",
        regularization=schema.Regularization(early_stopping_patience=5),
        scheduler=schema.Scheduler(name="plateau"),
        stopping=schema.Stopping(**stopping),
    )
    slices = batch_slices(4, 2)
    return Training(
        model=model,
        parameters=list(model.parameters()),
        optimizer=optimizer,
        data=data,
        recipe=recipe,
        compute=Compute(torch.device("cpu")),
        log=Silent(),
        requests=Requests(),
        slices=slices,
        schedule=Schedule(recipe.scheduler, optimizer, 6, len(slices)),
        early_stopping=EarlyStopping.from_knobs(recipe.regularization, recipe.monitor),
        start=state.time.perf_counter(),
        saved_at=state.time.perf_counter(),
        fitted=Fitted(),
    )


def under_way(*, within: bool) -> Training:
    """A run in which nothing is as it was at its start."""
    run = training(min_update=0.1)
    for _ in range(2):
        run.optimizer.zero_grad()
        run.model(torch.ones(2, 1)).sum().backward()
        run.optimizer.step()
    run.schedule.scale, run.schedule.best, run.schedule.bad_epochs = 0.01, 0.25, 2
    run.optimizer.param_groups[0]["lr"] = 0.001
    assert run.early_stopping is not None
    run.early_stopping.best, run.early_stopping.bad_epochs = 0.5, 3
    run.fitted = Fitted(
        history=[{"epoch": 0, "step": 0}, {"epoch": 1, "step": 2}],
        best_epoch=1,
        best_value=0.25,
        best_state=copy_state(run.model),
        stopped_by="target",
        divergence=Divergence(4, 2, "the loss is inf", "1", 2.5),
        steps=3,
        samples=6,
        skipped=1,
        evaluations=4,
        seconds=1.5,
        snapshots={1: copy_state(run.model)},
    )
    if within:
        run.current = begin_pass(run)
        run.current.meter.add(torch.ones(2, 1), torch.ones(2, 1), torch.tensor(0.5))
        run.current.meter.flush()
        run.current.meter.add(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor(2.0))
        torch.rand(3, generator=run.current.augment)
        run.current.position, run.current.cut_short = 1, "steps"
        run.current.seconds = 0.5
        run.current.grad_norms = [torch.tensor(1.5), torch.tensor(0.5)]
        linear(run).weight.data += 1
    torch.rand(5)
    return run


def linear(run: Training) -> nn.Linear:
    layer = run.model.get_submodule("1")
    assert isinstance(layer, nn.Linear)
    return layer


def through_a_file(run: Training) -> dict[str, Any]:
    save_checkpoint(Path("last.pt"), capture(run))
    return load_checkpoint(Path("last.pt"))


def assert_same(ours: Any, theirs: Any, place: str) -> None:
    """Equal, field by field of dataclasses and objects, tensors bit for bit."""
    if isinstance(ours, Tensor):
        assert torch.equal(ours, theirs), place
    elif isinstance(ours, torch.Generator):
        assert torch.equal(ours.get_state(), theirs.get_state()), place
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), place
        for key, value in ours.items():
            assert_same(value, theirs[key], f"{place}.{key}")
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), place
        for index, value in enumerate(ours):
            assert_same(value, theirs[index], f"{place}.{index}")
    elif dataclasses.is_dataclass(ours) or type(ours).__module__.startswith("dlrun"):
        assert type(ours) is type(theirs), place
        assert_same(vars(ours), vars(theirs), place)
    else:
        assert ours == theirs, place


@pytest.mark.parametrize("within", [True, False], ids=["within an epoch", "between two"])
def test_a_restored_run_stands_where_the_other_stood(within: bool, clock: Clock) -> None:
    """Every field has moved on from where it began, so that a new one is not forgotten."""
    run = under_way(within=within)
    for ours in (run.fitted, run.current):
        for field in () if ours is None else dataclasses.fields(ours):
            if field.default_factory is not dataclasses.MISSING:
                assert getattr(ours, field.name) != field.default_factory(), field.name
            assert getattr(ours, field.name) is not field.default, field.name
    clock.now += 7
    before, next_numbers = through_a_file(run), torch.rand(3)

    clock.now = 50.0
    other = training(init=1, min_update=0.1)
    clock.now = 60.0
    restore(other, before, list(run.fitted.history))
    assert torch.equal(torch.rand(3), next_numbers)
    assert_same(other.fitted, run.fitted, "fitted")
    assert_same(copy_state(other.model), copy_state(run.model), "model")
    assert_same(other.optimizer.state_dict(), run.optimizer.state_dict(), "optimizer")
    assert_same(other.early_stopping, run.early_stopping, "early_stopping")
    assert_same(other.schedule.state(), run.schedule.state(), "schedule")
    assert other.schedule.base == run.schedule.base
    assert other.gradient_before == ("1", 2.0)  # the bias, summed over two samples
    assert other.start == 60 - 7  # it has been under way for seven seconds
    if run.current is None:
        assert other.current is None
    else:
        assert other.current is not None
        assert other.current.start == 60 - 7
        other.current.start, other.current.seconds = run.current.start, run.current.seconds
        assert_same(other.current, run.current, "current")
        assert other.current.meter.result() == run.current.meter.result()


def test_what_is_captured_again_is_the_same(clock: Clock) -> None:
    run = under_way(within=True)
    before = through_a_file(run)
    other = training(init=1, min_update=0.1)
    restore(other, before, list(run.fitted.history))
    assert_same(through_a_file(other), before, "state")


def test_the_best_weights_are_left_out_where_they_are_the_models_own() -> None:
    run = under_way(within=False)
    assert capture(run)["best"] == {"epoch": 1, "value": 0.25, "model": None}
    other = training(init=1, min_update=0.1)
    restore(other, through_a_file(run), list(run.fitted.history))
    assert_same(other.fitted.best_state, run.fitted.best_state, "best")
    linear(other).weight.data += 1
    assert_same(other.fitted.best_state, run.fitted.best_state, "best")  # a copy of its own

    run.fitted.history.append({"epoch": 2, "step": 4})  # and epoch 1 stays the best
    assert capture(run)["best"]["model"] is run.fitted.best_state


def test_tensors_are_not_copied() -> None:
    run = under_way(within=True)
    captured = capture(run)
    assert captured["model"]["1.weight"].data_ptr() == linear(run).weight.data_ptr()
    assert captured["best"]["model"] is run.fitted.best_state


def test_a_run_that_has_not_begun_can_be_captured() -> None:
    run = training()
    before = through_a_file(run)
    assert (before["epoch"], before["step"], before["pass"]) == (-1, 0, None)
    other = training(init=1)
    restore(other, before, [])
    assert_same(other.fitted, Fitted(), "fitted")
    assert_same(copy_state(other.model), copy_state(run.model), "model")


def test_epoch_and_position_say_where_it_stands() -> None:
    between, within = capture(under_way(within=False)), capture(under_way(within=True))
    assert (between["epoch"], between["position"]) == (1, 0)
    assert (within["epoch"], within["position"]) == (2, 1)
    assert between["order"] == [0, "order", 1]
    assert within["order"] == [0, "order", 2]


def test_the_order_hangs_on_seed_and_epoch_alone() -> None:
    orders = [order_of(training(seed), epoch).tolist() for seed in range(3) for epoch in range(3)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len({tuple(order) for order in orders}) > 4
    torch.rand(7)
    run = under_way(within=True)
    assert [order_of(run, epoch).tolist() for epoch in range(3)] == orders[:3]


def test_a_pass_begins_with_numbers_of_its_own() -> None:
    run = training()
    run.fitted.history = [{"epoch": 0}]
    first, again = begin_pass(run), begin_pass(run)
    assert (first.epoch, first.position, first.before) == (1, 0, None)
    drawn = torch.rand(3, generator=first.augment)
    assert torch.equal(torch.rand(3, generator=again.augment), drawn)
    run.fitted.history.append({"epoch": 1})
    second = begin_pass(run)
    assert second.epoch == 2
    assert not torch.equal(torch.rand(3, generator=second.augment), drawn)


def test_the_parameters_before_a_pass_are_kept_where_a_criterion_compares() -> None:
    run = training(min_update=0.1)
    run.fitted.history = [{"epoch": 0}]
    before = begin_pass(run).before
    assert before is not None
    kept = before.tolist()
    assert kept == [1.0, 0.0, linear(run).weight.item(), linear(run).bias.item()]
    linear(run).weight.data += 1
    assert before.tolist() == kept
    assert flat_parameters(run.model).tolist()[2] == pytest.approx(kept[2] + 1)


def test_a_copied_state_has_the_buffers_too_and_is_ones_own() -> None:
    model = nn.BatchNorm1d(1)
    copied = copy_state(model)
    model(torch.tensor([[1.0], [3.0]]))
    assert set(copied) == {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert copied["running_mean"].tolist() == [0]
    assert not any(tensor.requires_grad for tensor in copied.values())
