"""A convolutional network: convolution blocks, then a dense head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlrun.errors import UserError
from dlrun.models.activations import Activation, make_activation
from dlrun.models.dense import check_dropout, check_widths, hidden_layers
from dlrun.models.init import Init, initialize

LARGEST_KERNEL = 1023  # see WIDEST in dlrun.models.dense


class CNN(nn.Module):
    """Blocks of convolution, batch norm, activation and max pooling, then dense layers.

    A convolution keeps height and width (zero padding), a pooling divides them by `pool`.
    Dropout acts where Srivastava et al. 2014 put it, on what enters a dense layer: the flattened
    features and every hidden dense activation.
    Errors: UserError for a table, images too small for the poolings, numbers out of range.

    >>> model = CNN((1, 28, 28), 10, channels=[16, 32], dense=[128])
    >>> model(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        channels: Sequence[int],
        kernel_size: int = 3,
        pool: int = 2,
        dense: Sequence[int],
        activation: Activation = "relu",
        init: Init = "torch",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        _check(in_shape, channels, kernel_size, pool)
        check_widths("model.dense", dense, "[128]")
        check_dropout(dropout)

        in_channels, height, width = in_shape
        blocks: dict[str, nn.Module] = {}
        for number, out_channels in enumerate(channels, start=1):
            blocks[f"conv_{number}"] = nn.Conv2d(
                in_channels, out_channels, kernel_size, padding="same", bias=not batch_norm
            )
            if batch_norm:
                blocks[f"batch_norm_{number}"] = nn.BatchNorm2d(out_channels)
            blocks[f"activation_{number}"] = make_activation(activation)
            if pool > 1:
                blocks[f"pool_{number}"] = nn.MaxPool2d(pool)
            in_channels, height, width = out_channels, height // pool, width // pool
        in_features = in_channels * height * width

        head = hidden_layers(
            in_features, dense, activation=activation, dropout=dropout, batch_norm=batch_norm
        )
        if dropout > 0:
            head = {"dropout": nn.Dropout(dropout), **head}
        output = nn.Linear(dense[-1] if dense else in_features, out_features)

        self.blocks = nn.Sequential(OrderedDict(blocks))
        self.head = nn.Sequential(OrderedDict(**head, output=output))
        initialize(self, init)
        # Convolutions train about a third faster on a CPU in this layout.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:  # (N, C, H, W)
        features = self.blocks(images)  # (N, channels[-1], H / pool**n, W / pool**n)
        outputs: Tensor = self.head(features.flatten(1))  # (N, out_features)
        return outputs


def _check(in_shape: Sequence[int], channels: Sequence[int], kernel_size: int, pool: int) -> None:
    if len(in_shape) != 3:
        raise UserError(
            "model=cnn: expected images (C, H, W), the data set gives "
            f"{_describe(in_shape)} (for example model=mlp)"
        )
    check_widths("model.channels", channels, "[16,32]")
    if not channels:
        raise UserError(
            "model.channels=[]: expected at least one block (for example model.channels=[16,32])"
        )
    # An even one has no middle to centre on a pixel.
    if not 1 <= kernel_size <= LARGEST_KERNEL or kernel_size % 2 == 0:
        raise UserError(
            f"model.kernel_size={kernel_size}: expected an odd number, 1 <= value <= "
            f"{LARGEST_KERNEL} (for example model.kernel_size=3)"
        )
    if pool < 1:
        raise UserError(
            f"model.pool={pool}: expected a whole number >= 1 (for example model.pool=2)"
        )
    height, width = in_shape[1:]
    if min(height, width) < pool ** len(channels):
        raise UserError(
            f"model.channels=[{','.join(map(str, channels))}]: {len(channels)} poolings by "
            f"{pool} need images of at least {pool ** len(channels)} x {pool ** len(channels)}, "
            f"the data set gives {height} x {width}\n"
            "expected fewer blocks or a smaller pool (for example model.channels=[16] model.pool=2)"
        )


def _describe(in_shape: Sequence[int]) -> str:
    if len(in_shape) == 1:
        return f"rows of {in_shape[0]} features"
    return f"samples of shape {tuple(in_shape)}"
