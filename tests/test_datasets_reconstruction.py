"""Samples that are their own targets: pixels for images, rows as they stand for tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dlrun.datasets import Samples, Split, Splits, Streamed, split, to_reconstruct
from dlrun.errors import UserError


def splits_of(inputs: Tensor, *, normalize: bool, regression: bool = False) -> Splits:
    num = len(inputs)
    if regression:
        samples = Samples(inputs, torch.arange(float(num)).unsqueeze(1), "regression")
    else:
        samples = Samples(inputs, torch.arange(num) % 3, "multiclass", classes=("a", "b", "c"))
    fractions = {"val_fraction": 0.2, "test_fraction": 0.2}
    return split(samples, seed=0, **fractions, normalize=normalize, limit=None)


def images() -> Tensor:
    """Images (60, 2, 4, 5) of bytes, 0 and 255 among them."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (60, 2, 4, 5), generator=generator, dtype=torch.uint8)


def parts_of(data: Splits) -> list[Split]:
    return [data.train, data.val, data.test]


def test_images_come_back_as_pixels_however_they_are_scaled():
    scaled = to_reconstruct(splits_of(images(), normalize=True))
    plain = to_reconstruct(splits_of(images(), normalize=False))
    assert scaled.train.inputs.min() < -1  # or this test shows nothing
    for ours, theirs in zip(parts_of(scaled), parts_of(plain), strict=True):
        torch.testing.assert_close(ours.targets, theirs.inputs, rtol=0, atol=1e-6)
        assert ours.targets.min() >= -1e-6 and ours.targets.max() <= 1 + 1e-6
        assert ours.inputs.shape == ours.targets.shape
    assert scaled.input_scaling is not None


def test_what_is_not_scaled_is_its_own_target_and_not_a_copy():
    before = splits_of(images(), normalize=False)
    after = to_reconstruct(before)
    for old, new in zip(parts_of(before), parts_of(after), strict=True):
        assert new.inputs is old.inputs
        assert new.targets is new.inputs


def test_rows_of_a_table_come_back_as_the_network_sees_them():
    rows = 50 + 10 * torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    data = to_reconstruct(splits_of(rows, normalize=True, regression=True))
    assert data.train.targets is data.train.inputs
    assert data.train.targets.mean(0).tolist() == pytest.approx(4 * [0], abs=1e-5)
    assert data.target_scaling is None  # that of the targets there were
    assert data.train.labels is None


def test_classes_become_labels():
    before = splits_of(images(), normalize=True)
    data = to_reconstruct(before)
    assert data.task == "reconstruction"
    assert data.classes == ("a", "b", "c")
    for old, new in zip(parts_of(before), parts_of(data), strict=True):
        assert new.labels is old.targets
        assert len(new) == len(old)


def test_empty_splits_stay_empty():
    samples = Samples(images(), torch.arange(60) % 3, "multiclass", classes=("a", "b", "c"))
    fractions = {"val_fraction": 0.0, "test_fraction": None}
    data = to_reconstruct(split(samples, seed=0, **fractions, normalize=True, limit=None))
    assert (len(data.val), len(data.test)) == (0, 0)
    assert data.val.targets.shape == (0, 2, 4, 5)


def test_data_that_stays_on_disk_is_told():
    data = splits_of(images(), normalize=False)
    streamed = Split(Streamed(images(), torch.arange(60)), torch.zeros(60, dtype=torch.int64))
    with pytest.raises(UserError) as caught:
        to_reconstruct(replace(data, train=streamed))
    first, second = str(caught.value).splitlines()
    assert first == (
        "dataset.max_gigabytes: these images are read from disk batch by batch, "
        "reconstruction needs them in memory"
    )
    assert "dataset.limit" in second


# ------------------------------------------------------------------------------ rows of a split


def test_rows_are_the_samples_at_an_index():
    part = Split(torch.arange(10.0).reshape(5, 2), torch.arange(5), torch.arange(5) * 10)
    taken = part.rows(torch.tensor([3, 0, 3]))
    assert taken.inputs.tolist() == [[6.0, 7.0], [0.0, 1.0], [6.0, 7.0]]
    assert taken.targets.tolist() == [3, 0, 3]
    assert taken.labels.tolist() == [30, 0, 30]
    assert len(part.rows(torch.arange(0))) == 0
    assert Split(part.inputs, part.targets).rows(torch.tensor([1])).labels is None


def test_rows_of_what_is_its_own_target_are_so_too():
    values = torch.arange(10.0).reshape(5, 2)
    taken = Split(values, values).rows(torch.tensor([4, 1]))
    assert taken.inputs is taken.targets
    assert taken.inputs.tolist() == [[8.0, 9.0], [2.0, 3.0]]


def test_rows_of_streamed_inputs_are_read():
    streamed = Streamed(images(), torch.arange(60).flip(0))
    taken = Split(streamed, torch.arange(60)).rows(torch.tensor([0, 59]))
    torch.testing.assert_close(taken.inputs, images()[[59, 0]].float() / 255)
    assert taken.targets.tolist() == [0, 59]


def test_rows_of_a_split_on_another_device():
    with torch.device("meta"):  # stands for a GPU: refuses to mix with the CPU
        part = Split(torch.zeros(5, 2), torch.zeros(5), torch.zeros(5))
    taken = part.rows(torch.tensor([1, 2]))
    assert taken.inputs.device.type == taken.labels.device.type == "meta"
    assert taken.inputs.shape == (2, 2)
