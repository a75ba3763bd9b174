"""Linear, logistic or softmax regression: which of them, the loss decides."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn


class Linear(nn.Module):
    """One linear map of the flattened input, y = W x + b.

    >>> import torch
    >>> Linear((1, 28, 28), 10)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    """

    def __init__(self, in_shape: Sequence[int], out_features: int) -> None:
        super().__init__()
        self.output = nn.Linear(prod(in_shape), out_features)

    def forward(self, inputs: Tensor) -> Tensor:  # (N, *in_shape)
        outputs: Tensor = self.output(inputs.flatten(1))  # (N, out_features)
        return outputs
