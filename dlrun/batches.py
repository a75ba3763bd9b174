"""Which samples make a batch, and how they are fetched."""

from __future__ import annotations

import torch
from torch import Tensor

from dlrun.datasets.splits import Inputs


def batch_slices(num_samples: int, batch_size: int) -> list[slice]:
    """Slices of one pass. A last batch of a single sample joins the one before it, since batch
    normalisation has nothing to normalise over in a batch of one.

    >>> batch_slices(9, 4), batch_slices(10, 4)[-1]
    ([slice(0, 4, None), slice(4, 9, None)], slice(8, 10, None))
    """
    starts = list(range(0, num_samples, batch_size))
    if batch_size > 1 and len(starts) > 1 and num_samples - starts[-1] == 1:
        starts.pop()
    ends = [*starts[1:], num_samples]
    return [slice(start, end) for start, end in zip(starts, ends, strict=True)]


def resolve_batch_size(batch_size: int | str, num_samples: int) -> int:
    """Samples a step: `full` is all of them, and no batch is larger than the training split.

    >>> resolve_batch_size("full", 500), resolve_batch_size(64, 500), resolve_batch_size(64, 10)
    (500, 64, 10)
    """
    return num_samples if isinstance(batch_size, str) else min(batch_size, num_samples)


def take(values: Inputs, index: Tensor | None) -> Tensor:
    """The rows of `values` at `index`, or all of them."""
    if isinstance(values, Tensor):
        return values if index is None else values.index_select(0, index.to(values.device))
    return values[torch.arange(len(values)) if index is None else index.cpu()]
