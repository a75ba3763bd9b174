"""Data sets that the jobs of one process share: loaded once, and no more than fits is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dlrun.datasets.splits import Samples, Splits, split
from dlrun.schema import Config
from dlrun.sweeps.shared import SharedData, num_bytes, tensors

ROWS = 10
BYTES = ROWS * (2 * 4 + 8)  # two features in float32 and a class in int64, a row


class Loads:
    """Loads small splits, and remembers for which settings."""

    def __init__(self) -> None:
        self.asked: list[Config] = []

    def __call__(self, settings: Config) -> Splits:
        self.asked.append(settings)
        samples = Samples(
            inputs=torch.rand(ROWS, 2), targets=torch.arange(ROWS) % 3, task="multiclass"
        )
        return split(
            samples, seed=0, val_fraction=0.2, test_fraction=0.2, normalize=False, limit=None
        )


def settings(**entries: object) -> Config:
    return replace(Config(model={}, optimizer={}, dataset={"_target_": "x", "n": 1}), **entries)  # type: ignore[arg-type]


def test_a_data_set_is_loaded_once() -> None:
    load = Loads()
    shared = SharedData(load)
    first = shared(settings())
    others = (
        settings(),
        settings(epochs=3, batch_size="full"),
        settings(optimizer={"lr": 1}),
        settings(dataset={"n": 1, "_target_": "x"}),
    )
    for other in others:
        assert shared(other) is first
    assert len(load.asked) == 1


@pytest.mark.parametrize(
    "entries",
    [
        {"seed": 1},
        {"data_dir": "elsewhere"},
        {"dataset": {"_target_": "x", "n": 2}},
        {"dataset": {"_target_": "y", "n": 1}},
        {"dataset": {"_target_": "x", "n": 1, "limit": None}},
        {"dataset": {"_target_": "x", "n": "1"}},
    ],
    ids=str,
)
def test_another_data_set_is_another_one(entries: dict[str, object]) -> None:
    load = Loads()
    shared = SharedData(load)
    first, second = shared(settings()), shared(settings(**entries))
    assert first is not second
    assert shared(settings()) is first
    assert shared(settings(**entries)) is second
    assert [asked.seed for asked in load.asked] == [0, entries.get("seed", 0)]


def test_bytes_of_splits() -> None:
    assert num_bytes(Loads()(settings())) == BYTES
    found = Loads()(settings())
    found = replace(found, train=replace(found.train, inputs=found.train.inputs.double()))
    assert num_bytes(found) == BYTES + len(found.train.inputs) * 2 * 4
    assert list(tensors({"a": torch.ones(1)})) == []  # only in dataclasses


def test_the_least_recently_used_goes_first() -> None:
    load = Loads()
    shared = SharedData(load, largest=2 * BYTES)
    for seed in (0, 1, 0, 2):  # 1 was used last before 0 was, and goes for 2
        shared(settings(seed=seed))
    assert [asked.seed for asked in load.asked] == [0, 1, 2]
    for seed in (0, 2):
        shared(settings(seed=seed))
    assert len(load.asked) == 3
    shared(settings(seed=1))
    assert [asked.seed for asked in load.asked] == [0, 1, 2, 1]


def test_what_is_too_large_is_given_out_and_not_kept() -> None:
    load = Loads()
    shared = SharedData(load, largest=BYTES - 1)
    assert len(shared(settings()).train) > 0
    shared(settings())
    assert len(load.asked) == 2


def test_a_load_that_fails_is_tried_again() -> None:
    load = Loads()
    fail = [True]

    def load_or_fail(settings: Config) -> Splits:
        if fail.pop() if fail else False:
            raise OSError("no such file")
        return load(settings)

    shared = SharedData(load_or_fail)
    with pytest.raises(OSError, match="no such file"):
        shared(settings())
    shared(settings())
    assert len(load.asked) == 1
