"""Data sets in memory, shared between the jobs that one process runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from dlrun import schema
from dlrun.datasets import Splits

LARGEST = 2**30  # bytes kept in all


class SharedData:
    """Loads each data set once; the least recently used go when they take too much memory.

    What it gives out is the same object to every job: a run does not change its data.
    """

    def __init__(self, load: Callable[[schema.Config], Splits], largest: int = LARGEST) -> None:
        self.load = load
        self.largest = largest
        self._kept: dict[str, Splits] = {}

    def __call__(self, settings: schema.Config) -> Splits:
        """The splits that the config asks for."""
        wanted = {"dataset": settings.dataset, "dir": settings.data_dir, "seed": settings.seed}
        key = json.dumps(wanted, sort_keys=True, default=repr)
        splits = self._kept.pop(key, None) or self.load(settings)
        self._kept[key] = splits  # the latest stands last
        while sum(map(num_bytes, self._kept.values())) > self.largest:
            del self._kept[next(iter(self._kept))]
        return splits


def num_bytes(splits: Splits) -> int:
    """Memory that the tensors of the splits take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(splits))


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested dataclasses."""
    if isinstance(value, torch.Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from tensors(getattr(value, field.name))
