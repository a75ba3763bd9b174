"""The multilayer perceptron."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from dlrun.errors import UserError
from dlrun.models.activations import Activation
from dlrun.models.dense import check_dropout, check_widths, hidden_layers
from dlrun.models.init import Init, initialize

DEEPEST = 1000  # hidden layers of deep_mlp


class MLP(nn.Module):
    """Hidden layers (linear, batch norm, activation, dropout), then a linear layer.

    Without hidden layers it is `Linear`; dropout and batch norm then have no place and are
    refused. Errors: UserError for a width below 1, a dropout outside [0, 1).

    >>> model = MLP((1, 28, 28), 10, hidden=[512, 128, 64])
    >>> sum(parameter.numel() for parameter in model.parameters())
    476490
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        hidden: Sequence[int],
        activation: Activation = "relu",
        init: Init = "torch",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        check_widths("model.hidden", hidden, "[256]")
        check_dropout(dropout)
        if not hidden and dropout > 0:
            raise _no_hidden_layer(f"regularization.dropout={dropout}")
        if not hidden and batch_norm:
            raise _no_hidden_layer("regularization.batch_norm=true")

        in_features = prod(in_shape)
        layers = hidden_layers(
            in_features, hidden, activation=activation, dropout=dropout, batch_norm=batch_norm
        )
        output = nn.Linear(hidden[-1] if hidden else in_features, out_features)
        self.layers = nn.Sequential(OrderedDict(**layers, output=output))
        initialize(self, init)

    def forward(self, inputs: Tensor) -> Tensor:  # (N, *in_shape)
        outputs: Tensor = self.layers(inputs.flatten(1))  # (N, out_features)
        return outputs


def _no_hidden_layer(setting: str) -> UserError:
    return UserError(
        f"{setting}: expected a network with a hidden layer, model.hidden=[] has none "
        "(for example model.hidden=[256])"
    )


def deep_mlp(
    in_shape: Sequence[int],
    out_features: int,
    *,
    depth: int,
    width: int,
    activation: Activation = "relu",
    init: Init = "torch",
    gain: float = 1.0,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> MLP:
    """An MLP of `depth` hidden layers of `width` units, all initial weights multiplied by `gain`.

    Errors: UserError as for MLP, and for a depth below 1 or a gain that is no positive number.

    >>> len([layer for layer in deep_mlp((2,), 1, depth=3, width=8).layers])  # 3 x 2, output
    7
    """
    if not 1 <= depth <= DEEPEST:
        raise UserError(
            f"model.depth={depth}: expected a whole number, 1 <= value <= {DEEPEST} "
            "(for example model.depth=10)"
        )
    check_widths("model.width", [width], "32")
    if not 0 < gain < math.inf:
        raise UserError(f"model.gain={gain}: expected a number > 0 (for example model.gain=1.0)")
    model = MLP(
        in_shape,
        out_features,
        hidden=[width] * depth,
        activation=activation,
        init=init,
        dropout=dropout,
        batch_norm=batch_norm,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(gain)
    return model
