"""Splitting: exact sizes, no overlap, statistics of the training split alone, and its errors."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dlrun.datasets import Samples, Splits, Streamed, split
from dlrun.datasets.stratify import class_sizes, take
from dlrun.errors import UserError
from dlrun.randomness import stream


def numbered(num_samples: int, num_classes: int = 2) -> Samples:
    """Samples whose only input is their own number, classes in turn."""
    return Samples(
        inputs=torch.arange(num_samples, dtype=torch.float32).unsqueeze(1),
        targets=torch.arange(num_samples) % num_classes,
        task="binary" if num_classes == 2 else "multiclass",
    )


def regression(inputs: Tensor, targets: Tensor | None = None) -> Samples:
    targets = torch.arange(len(inputs)).float() if targets is None else targets
    return Samples(inputs=inputs, targets=targets.unsqueeze(1), task="regression")


def split_(samples: Samples, **settings: Any) -> Splits:
    given = {"seed": 0, "val_fraction": 0.0, "test_fraction": None, "normalize": False}
    return split(samples, **{**given, "limit": None, **settings})


def numbers(data: Splits, name: str) -> list[int]:
    inputs = getattr(data, name).inputs
    return [int(x) for x in inputs[torch.arange(len(inputs))].flatten()]


class Lazy:
    """Inputs that are not a tensor, and count what is asked of them."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.read = values, 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Tensor) -> Tensor:
        self.read += len(index)
        return self.values[index]


@pytest.mark.parametrize(
    ("counts", "total", "sizes"),
    [
        ([500] * 10, 1000, [100] * 10),
        ([7, 2, 1], 5, [4, 1, 0]),  # quotas 3.5, 1, 0.5: the first of two equal remainders
        ([90, 6, 4], 7, [6, 1, 0]),  # quotas 6.3, 0.42, 0.28
        ([3, 3], 9, [3, 3]),
        ([4, 0], 2, [2, 0]),
    ],
)
def test_class_sizes_are_largest_remainders(
    counts: list[int], total: int, sizes: list[int]
) -> None:
    assert class_sizes(counts, total) == sizes


def test_take_is_exact_for_each_class() -> None:
    groups = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    taken, left = take(groups, 20, stream(0, "test"))
    assert torch.bincount(groups[taken]).tolist() == [12, 6, 2]
    assert torch.bincount(groups[left]).tolist() == [48, 24, 8]
    assert sorted(torch.cat([taken, left]).tolist()) == list(range(100))


def test_sizes_of_the_three_splits() -> None:
    data = split_(numbered(1000, 10), val_fraction=0.1, test_fraction=0.2)
    assert (len(data.train), len(data.val), len(data.test)) == (720, 80, 200)
    assert torch.bincount(data.train.targets).tolist() == [72] * 10
    assert torch.bincount(data.val.targets).tolist() == [8] * 10
    assert torch.bincount(data.test.targets).tolist() == [20] * 10
    assert data.classes == tuple("0123456789")
    assert data.in_shape == (1,)


def test_no_sample_is_in_two_splits_or_in_none() -> None:
    data = split_(numbered(103, 3), val_fraction=0.1, test_fraction=0.2)
    assert sorted(sum((numbers(data, name) for name in ("train", "val", "test")), [])) == list(
        range(103)
    )


def test_inputs_keep_their_targets() -> None:
    data = split_(numbered(100, 3), val_fraction=0.1, test_fraction=0.2)
    for name in ("train", "val", "test"):
        assert getattr(data, name).targets.tolist() == [n % 3 for n in numbers(data, name)]


def test_training_samples_are_not_in_the_order_of_the_source() -> None:
    assert numbers(split_(numbered(100)), "train") != list(range(100))


def test_same_seed_same_split_other_seed_another() -> None:
    settings = {"val_fraction": 0.1, "test_fraction": 0.2}
    first, again, other = (split_(numbered(100), seed=s, **settings) for s in (0, 0, 1))
    for name in ("train", "val", "test"):
        assert numbers(first, name) == numbers(again, name)
        assert sorted(numbers(first, name)) != sorted(numbers(other, name))


def test_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = numbers(split_(numbered(50), val_fraction=0.2), "val")
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert numbers(split_(numbered(50), val_fraction=0.2), "val") == first


def test_test_split_does_not_hang_on_limit_or_val_fraction() -> None:
    plain = split_(numbered(100), test_fraction=0.2)
    other = split_(numbered(100), test_fraction=0.2, val_fraction=0.3, limit=30)
    assert numbers(plain, "test") == numbers(other, "test")


def test_own_test_split_keeps_its_order() -> None:
    samples = replace(
        numbered(10), test=(torch.tensor([[100.0], [101.0], [102.0]]), torch.tensor([1, 0, 1]))
    )
    data = split_(samples, val_fraction=0.2)
    assert numbers(data, "test") == [100, 101, 102]
    assert data.test.targets.tolist() == [1, 0, 1]
    assert (len(data.train), len(data.val)) == (8, 2)


def test_no_test_split_at_all() -> None:
    data = split_(numbered(10))
    assert (len(data.train), len(data.val), len(data.test)) == (10, 0, 0)
    assert data.test.inputs[torch.arange(0)].shape == (0, 1)


def test_limit_holds_for_training_and_test_before_validation() -> None:
    data = split_(numbered(1000, 10), val_fraction=0.1, test_fraction=0.5, limit=100)
    assert (len(data.train), len(data.val), len(data.test)) == (90, 10, 100)
    assert torch.bincount(data.test.targets).tolist() == [10] * 10
    assert torch.bincount(data.train.targets).tolist() == [9] * 10


def test_limit_above_the_size_takes_everything() -> None:
    data = split_(numbered(20), test_fraction=0.5, limit=1000)
    assert (len(data.train), len(data.test)) == (10, 10)


def test_limit_leaves_a_sample_of_each_class() -> None:
    samples = replace(numbered(100, 3), targets=torch.tensor([0] * 98 + [1, 2]))
    data = split_(samples, limit=4)
    assert torch.bincount(data.train.targets).tolist() == [2, 1, 1]


def test_last_sample_of_a_class_stays_in_training() -> None:
    samples = replace(numbered(4), targets=torch.tensor([0, 0, 1, 1]))
    data = split_(samples, val_fraction=0.1, test_fraction=0.5)
    assert data.train.targets.sort().values.tolist() == [0, 1]
    assert data.test.targets.sort().values.tolist() == [0, 1]
    assert len(data.val) == 0
    assert data.notes == (
        "the validation split has 0 samples in place of 1: "
        "every class keeps its last sample for training",
    )


def test_uint8_pixels_become_floats_from_0_to_1() -> None:
    pixels = torch.tensor([0, 51, 255, 102], dtype=torch.uint8).view(4, 1, 1, 1)
    data = split_(Samples(inputs=pixels, targets=torch.tensor([0, 1, 0, 1]), task="binary"))
    inputs = data.train.inputs[torch.arange(4)]
    assert inputs.dtype == torch.float32
    assert sorted(inputs.flatten().tolist()) == pytest.approx([0.0, 0.2, 0.4, 1.0])


def test_statistics_of_a_table_come_from_the_training_split_alone() -> None:
    train = torch.tensor([[1.0, 10.0], [3.0, 10.0], [5.0, 10.0]])
    test = torch.tensor([[1000.0, 11.0]])
    samples = replace(
        regression(train, torch.tensor([0.0, 3.0, 6.0])), test=(test, torch.tensor([[9.0]]))
    )
    data = split_(samples, normalize=True)
    assert data.input_scaling is not None and data.target_scaling is not None
    std = math.sqrt(8 / 3)  # mean 3, squares 4, 0, 4
    assert data.input_scaling.mean.tolist() == [3.0, 10.0]
    assert data.input_scaling.std.tolist() == pytest.approx([std, 1.0])  # constant feature: 1
    assert data.test.inputs[torch.tensor([0])].tolist() == [pytest.approx([997 / std, 1.0])]
    assert data.target_scaling.mean.tolist() == [3.0]
    assert data.test.targets.tolist() == [[pytest.approx(6 / math.sqrt(6))]]
    assert data.target_scaling.undo(data.test.targets).tolist() == [[pytest.approx(9.0)]]
    assert sorted(data.train.inputs[torch.arange(3)][:, 1].tolist()) == [0.0, 0.0, 0.0]


def test_statistics_of_images_are_one_a_channel() -> None:
    images = torch.stack([torch.zeros(2, 2, 2), torch.ones(2, 2, 2)])
    images[:, 1] *= 10
    data = split_(
        Samples(inputs=images, targets=torch.tensor([0, 1]), task="binary"), normalize=True
    )
    assert data.input_scaling is not None
    assert data.input_scaling.mean.shape == (2, 1, 1)
    assert data.input_scaling.mean.flatten().tolist() == [0.5, 5.0]
    assert data.input_scaling.std.flatten().tolist() == [0.5, 5.0]
    assert data.target_scaling is None


def test_statistics_are_merged_over_chunks() -> None:
    inputs = torch.randn(10_000, 3, generator=torch.Generator().manual_seed(0)) * 5 + 1000
    data = split_(regression(inputs), normalize=True)
    assert data.input_scaling is not None
    assert torch.allclose(data.input_scaling.mean, inputs.double().mean(0).float())
    expected = inputs.double().std(0, correction=0).float()
    assert torch.allclose(data.input_scaling.std, expected, rtol=1e-5)


def test_source_is_left_as_it_was() -> None:
    samples = numbered(10)
    split_(samples, normalize=True)
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.flatten().tolist() == list(range(10))


def test_float64_becomes_float32() -> None:
    data = split_(regression(torch.ones(4, 2, dtype=torch.float64), torch.ones(4).double()))
    assert data.train.inputs[torch.arange(4)].dtype == torch.float32
    assert data.train.targets.dtype == torch.float32


def test_missing_values_become_the_mean_of_the_training_split() -> None:
    nan = torch.nan
    samples = replace(
        regression(torch.tensor([[1.0], [nan], [3.0]])),
        test=(torch.tensor([[nan], [100.0]]), torch.tensor([[0.0], [0.0]])),
        fill_missing=True,
        features=("age",),
    )
    data = split_(samples)
    assert sorted(data.train.inputs[torch.arange(3)].flatten().tolist()) == [1.0, 2.0, 3.0]
    assert data.test.inputs[torch.arange(2)].flatten().tolist() == [2.0, 100.0]
    empty = replace(samples, inputs=torch.full((3, 1), nan))
    with pytest.raises(UserError) as error:
        split_(empty)
    assert str(error.value) == (
        "dataset.missing=mean: 'age' has no value in the training split; "
        "leave that column out, or take more training samples"
    )


def test_streamed_inputs_are_scaled_on_fetch() -> None:
    lazy = Lazy(torch.randn(3000, 1, 2, 2, generator=torch.Generator().manual_seed(0)) + 5)
    samples = Samples(inputs=lazy, targets=torch.arange(3000) % 2, task="binary")
    data = split_(samples, normalize=True, val_fraction=0.1)
    assert lazy.read == 1001  # 1000 for the statistics, one for the shape
    assert "mean and std are those of 1000 training samples" in data.notes
    assert isinstance(data.train.inputs, Streamed) and isinstance(data.val.inputs, Streamed)
    assert data.in_shape == (1, 2, 2)
    assert data.input_scaling is not None
    used = lazy.values[data.train.inputs.index[:1000]]
    assert float(data.input_scaling.mean) == pytest.approx(float(used.mean()), rel=1e-5)
    batch = data.val.inputs[torch.tensor([3, 1])]
    raw = lazy.values[data.val.inputs.index[torch.tensor([3, 1])]]
    assert torch.equal(batch, data.input_scaling.apply(raw))


FIVE = numbered(5)


@pytest.mark.parametrize(
    ("samples", "settings", "text"),
    [
        (
            FIVE,
            {"val_fraction": 1.2},
            "dataset.val_fraction=1.2: expected a fraction, 0 <= value < 1 "
            "(for example dataset.val_fraction=0.1)",
        ),
        (
            FIVE,
            {"test_fraction": -0.1},
            "dataset.test_fraction=-0.1: expected a fraction, 0 <= value < 1 "
            "(for example dataset.test_fraction=0.1)",
        ),
        (
            FIVE,
            {"val_fraction": math.nan},
            "dataset.val_fraction=nan: expected a fraction, 0 <= value < 1 "
            "(for example dataset.val_fraction=0.1)",
        ),
        (
            FIVE,
            {"val_fraction": 0.5, "test_fraction": 0.5},
            "dataset.val_fraction=0.5 and dataset.test_fraction=0.5: expected a sum below 1, "
            "so that some are left for training (for example 0.1 and 0.2)",
        ),
        (
            replace(FIVE, test=(FIVE.inputs, FIVE.targets)),
            {"test_fraction": 0.0},
            "dataset.test_fraction=0.0: this data set has its own test split "
            "(expected dataset.test_fraction=null)",
        ),
        (
            FIVE,
            {"limit": 0},
            "dataset.limit=0: expected a number of samples >= 1, or null for all "
            "(for example dataset.limit=1000)",
        ),
        (
            numbered(100, 10),
            {"limit": 9},
            "dataset.limit=9: expected at least 10, one sample a class "
            "(for example dataset.limit=1000)",
        ),
        (
            Samples(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64), "binary", ("a", "b")),
            {},
            "dataset: every sample is of one class, 'a'; expected at least two classes",
        ),
        (
            replace(numbered(2), classes=("a", "b", "c"), task="multiclass"),
            {},
            "dataset: 2 samples for 3 classes; expected at least one sample a class",
        ),
        (
            replace(numbered(3, 3), task="binary"),
            {},
            "dataset: a binary task has two classes, this data set 3",
        ),
        (
            replace(numbered(3), classes=("a",)),
            {},
            "dataset: class numbers from 0 to 1 among the training targets; expected 0 to 0",
        ),
        (
            numbered(0),
            {},
            "dataset: no samples to train on; expected at least one",
        ),
        (
            replace(FIVE, targets=FIVE.targets[:4]),
            {},
            "dataset: 5 training inputs, but 4 targets",
        ),
        (
            replace(FIVE, targets=FIVE.targets.float()),
            {},
            "dataset: training targets of torch.float32, shape (5,); "
            "expected class numbers of torch.int64, shape (N,)",
        ),
        (
            replace(FIVE, task="regression"),
            {},
            "dataset: training targets of torch.int64, shape (5,); expected floats, shape (N, 1)",
        ),
        (
            regression(torch.ones(2, 1), torch.tensor([1.0, math.inf])),
            {},
            "dataset: the training target of sample 2 is inf; expected finite numbers",
        ),
        (
            replace(regression(torch.tensor([[1.0, math.nan]])), features=("a", "b")),
            {},
            "dataset: an input that is not a finite number (nan, inf, or beyond 3.4e38) in "
            "sample 1, feature 'b'; take it out of the data, or leave that sample out",
        ),
        (
            regression(torch.tensor([[1e300]], dtype=torch.float64)),
            {},
            "dataset: an input that is not a finite number (nan, inf, or beyond 3.4e38) in "
            "sample 1, position (0,); take it out of the data, or leave that sample out",
        ),
    ],
)
def test_errors(samples: Samples, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as error:
        split_(samples, **settings)
    assert str(error.value) == text
