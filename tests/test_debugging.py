"""Short cuts of the debug group: which samples stay, and the trace of a few steps."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from dlrun import schema
from dlrun.datasets import Split, Splits
from dlrun.debugging import profiling, shorten


class Listed:
    """Inputs that are not a tensor, as a data set has them that does not fit in memory."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Tensor) -> Tensor:
        return self.values[index]


def numbered(start: int, count: int, *, lazy: bool = False) -> Split:
    """A split whose inputs and targets are its samples' numbers."""
    numbers = torch.arange(start, start + count)
    inputs = numbers[:, None].float()
    return Split(Listed(inputs) if lazy else inputs, numbers)


def data(train: int = 100, val: int = 30, test: int = 5, *, lazy: bool = False) -> Splits:
    return Splits(
        train=numbered(0, train, lazy=lazy),
        val=numbered(1000, val),
        test=numbered(2000, test),
        task="multiclass",
        in_shape=(1,),
    )


def settings(*, seed: int = 0, batch_size: int | str = 8, **debug: object) -> schema.Config:
    return schema.Config(seed=seed, batch_size=batch_size, debug=schema.Debug(**debug))


def lengths(splits: Splits) -> tuple[int, int, int]:
    return len(splits.train), len(splits.val), len(splits.test)


@pytest.mark.parametrize(
    ("debug", "expected"),
    [
        ({}, (100, 30, 5)),
        ({"max_batches": 2}, (16, 16, 5)),
        ({"max_batches": 1000}, (100, 30, 5)),
        ({"overfit_batches": 1}, (8, 30, 5)),
        ({"max_batches": 2, "overfit_batches": 1}, (8, 16, 5)),
        ({"max_batches": 1, "overfit_batches": 2}, (8, 8, 5)),
    ],
)
def test_how_many_samples_stay(debug, expected):
    assert lengths(shorten(data(), settings(**debug))) == expected


def test_nothing_is_copied_without_a_short_cut():
    splits = data()
    assert shorten(splits, settings()).train is splits.train


def test_a_full_batch_is_the_whole_training_split():
    assert lengths(shorten(data(), settings(batch_size="full", max_batches=1))) == (100, 30, 5)


def test_a_batch_larger_than_the_split():
    short = shorten(data(train=10), settings(batch_size=64, max_batches=1))
    assert lengths(short) == (10, 10, 5)


@pytest.mark.parametrize("lazy", [False, True])
def test_inputs_and_targets_stay_together_and_differ(lazy):
    short = shorten(data(lazy=lazy), settings(max_batches=2)).train
    assert isinstance(short.inputs, Tensor)  # the few batches fit in memory
    assert torch.equal(short.inputs[:, 0].long(), short.targets)
    assert len(set(short.targets.tolist())) == 16
    assert short.targets.tolist() != list(range(16))  # not the first ones: they may be sorted


def test_the_choice_hangs_on_the_seed_alone():
    torch.manual_seed(1)
    first = shorten(data(), settings(max_batches=2)).train.targets
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(shorten(data(), settings(max_batches=2)).train.targets, first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(shorten(data(), settings(seed=1, max_batches=2)).train.targets, first)


def run_with_profiler(num_steps: int, *, on: bool) -> SimpleNamespace:
    log = SimpleNamespace(run_dir=Path.cwd(), profiler=None)
    with profiling(log, on=on):
        for _ in range(num_steps):
            torch.mm(torch.ones(2, 2), torch.ones(2, 2))
            if log.profiler is not None:
                log.profiler.step()
    return log


@pytest.mark.parametrize("num_steps", [1, 2, 20])
def test_profiler_leaves_a_trace_of_at_most_five_steps(num_steps):
    log = run_with_profiler(num_steps, on=True)
    assert log.profiler is None
    (trace,) = Path("profile").iterdir()
    assert trace.name.endswith(".pt.trace.json")  # TensorBoard's profiler looks for this name
    names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]
    assert names.count("aten::mm") == min(num_steps - 1, 5)


def test_without_profiler_nothing_is_left():
    log = run_with_profiler(3, on=False)
    assert log.profiler is None
    assert list(Path.cwd().iterdir()) == []
