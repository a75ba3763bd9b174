"""A point as a model: what is trained on a test function is where it stands."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlrun.errors import UserError


class Point(nn.Module):
    """A position (D,), the same for every sample, as the only parameter.

    start: the position before the first step; None: the start that the data set gives.
    Errors: UserError for a start of other than D numbers.

    >>> Point((2,), 2, start=[1.0, -2.0])(torch.zeros(3, 2))[0].tolist()
    [1.0, -2.0]
    """

    def __init__(
        self, in_shape: Sequence[int], out_features: int, *, start: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if start is not None and len(start) != out_features:
            given = ",".join(str(value) for value in start)
            raise UserError(
                f"model.start=[{given}]: expected {out_features} numbers, one a dimension "
                "(for example model.start=null, the data set's own)"
            )
        self.is_placed = start is not None
        first = torch.zeros(out_features) if start is None else torch.tensor(start)
        self.position = nn.Parameter(first.float())

    @torch.no_grad()
    def start_from(self, inputs: Tensor, targets: Tensor) -> None:
        """Goes to the first of the inputs (N, D), unless the config has said where to start."""
        if not self.is_placed:
            self.position.copy_(inputs[0])

    def forward(self, inputs: Tensor) -> Tensor:  # (N, D), only their number counts
        return self.position.expand(len(inputs), -1)  # (N, D)
