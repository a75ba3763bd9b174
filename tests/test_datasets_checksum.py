"""The number by which data can be told from other data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlrun.datasets.checksum import checksum
from dlrun.datasets.image_folder import ImageFiles
from dlrun.datasets.samples import Samples
from dlrun.datasets.splits import Split, Splits


def samples(**changes: Any) -> Samples:
    inputs = torch.tensor([[0, 1], [2, 3]], dtype=torch.uint8)
    targets = torch.tensor([0, 1])
    return Samples(**{"inputs": inputs, "targets": targets, "task": "binary", **changes})


def test_it_is_the_sha256_of_types_shapes_and_bytes() -> None:
    content = b"torch.uint8 (2, 2)\n\0\1\2\3" + b"torch.int64 (2,)\n" + bytes(8) + b"\1" + bytes(7)
    assert checksum(samples()) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": torch.tensor([[0, 1], [2, 4]], dtype=torch.uint8)},
        {"inputs": torch.tensor([[0, 1, 2, 3]], dtype=torch.uint8)},
        {"inputs": torch.tensor([[0, 1], [2, 3]], dtype=torch.int8)},
        {"targets": torch.tensor([1, 0])},
        {"test": (torch.zeros(1, 2), torch.tensor([0]))},
        {"inputs": torch.zeros(0, 2)},
    ],
)
def test_other_data_has_another_one(changes: dict[str, Any]) -> None:
    assert checksum(samples(**changes)) != checksum(samples())


def test_how_the_memory_is_laid_out_does_not_matter() -> None:
    turned = torch.tensor([[0, 2], [1, 3]], dtype=torch.uint8).T
    assert checksum(samples(inputs=turned)) == checksum(samples())


def test_ready_made_splits_have_one_too() -> None:
    part = Split(torch.zeros(2, 1), torch.zeros(2, 1))
    other = Split(torch.ones(2, 1), torch.zeros(2, 1))
    ones = [
        Splits(train=part, val=part, test=test, task="regression", in_shape=(1,))
        for test in (part, other)
    ]
    assert checksum(ones[0]) != checksum(ones[1])


def test_streamed_images_count_by_names_and_sizes(tmp_path: Path) -> None:
    def files(folder: str, pixels: int, name: str = "b.png") -> ImageFiles:
        paths = []
        for k, (one, side) in enumerate({"a.png": 4, name: pixels}.items()):
            path = tmp_path / folder / f"class{k}" / one
            path.parent.mkdir(parents=True)
            Image.fromarray(np.zeros((side, side), dtype=np.uint8)).save(path)
            paths.append(path)
        return ImageFiles(tuple(paths), 4, "L")

    first = checksum(samples(inputs=files("first", 4)))
    assert checksum(samples(inputs=files("moved", 4))) == first
    assert checksum(samples(inputs=files("larger", 64))) != first
    assert checksum(samples(inputs=files("renamed", 4, "c.png"))) != first


def test_what_streams_otherwise_counts_by_its_number() -> None:
    class Own:
        def __init__(self, number: int) -> None:
            self.number = number

        def __len__(self) -> int:
            return self.number

        def __getitem__(self, index: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(index), 1)

    assert checksum(samples(inputs=Own(2))) != checksum(samples(inputs=Own(3)))
