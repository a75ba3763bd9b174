"""Standardising: mean and std of a training split, applied to whatever follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dlrun.datasets.samples import Inputs

STREAMED_STATISTICS = 1000  # samples that mean and std of a streamed data set are taken from


@dataclass(frozen=True)
class Scaling:
    """Affine scaling `(value - mean) / std`; statistics come from the training split alone.

    >>> Scaling(torch.tensor(2.0), torch.tensor(4.0)).apply(torch.tensor(10.0))
    tensor(2.)
    """

    mean: Tensor
    std: Tensor

    def apply(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.std

    def apply_(self, values: Tensor) -> Tensor:
        """`apply` in the memory of `values`, with the same result to the last bit."""
        return values.sub_(self.mean).div_(self.std)

    def undo(self, values: Tensor) -> Tensor:
        return values * self.std + self.mean


def fit_scaling(inputs: Inputs) -> Scaling:
    """Mean and population std of `inputs` (N, *in_shape), one per channel or feature.

    Shapes (D,) for a table, (C, 1, 1) for images. Streamed inputs: of the first 1000, which
    stand in random order. Chunks are merged in float64 (Chan, Golub and LeVeque 1983), so that
    no copy of the inputs is made.

    >>> fit_scaling(torch.tensor([[1.0, 7.0], [3.0, 7.0]]))
    Scaling(mean=tensor([2., 7.]), std=tensor([1., 1.]))
    """
    count = 0
    mean = spread = low = high = torch.zeros(())
    for chunk in _chunks(inputs):
        dims = [d for d in range(chunk.ndim) if d != 1]
        chunk_var, chunk_mean = torch.var_mean(chunk, dims, correction=0, keepdim=True)
        chunk_low, chunk_high = chunk.amin(dims, keepdim=True), chunk.amax(dims, keepdim=True)
        size = chunk.numel() // chunk.shape[1]
        delta = chunk_mean.double() - mean
        if count == 0:
            low, high = chunk_low, chunk_high
        mean = mean + delta * size / (count + size)
        spread = spread + chunk_var.double() * size + delta**2 * count * size / (count + size)
        low, high = torch.minimum(low, chunk_low), torch.maximum(high, chunk_high)
        count += size
    std = torch.where(low == high, 1.0, (spread / count).sqrt())  # exact, where rounding is not
    return Scaling(mean[0].float(), std[0].float())


def _chunks(inputs: Inputs) -> Iterator[Tensor]:
    if isinstance(inputs, Tensor):
        yield from torch.split(inputs, 4096)
    else:
        for index in torch.split(torch.arange(min(len(inputs), STREAMED_STATISTICS)), 100):
            yield inputs[index]
