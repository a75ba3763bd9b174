"""A stack of hidden linear layers, shared by the networks that have one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dlrun.errors import UserError, shown
from dlrun.models.activations import Activation, make_activation

WIDEST = 2**20  # units of a layer, or channels: no tensor between two such has 2^63 bytes


def hidden_layers(
    in_features: int,
    widths: Sequence[int],
    *,
    activation: Activation,
    dropout: float,
    batch_norm: bool,
) -> dict[str, nn.Module]:
    """Named layers for each width: linear, batch norm if asked, activation, dropout if above 0.

    A linear layer before batch norm has no bias: the norm subtracts it again.
    """
    layers: dict[str, nn.Module] = {}
    for number, width in enumerate(widths, start=1):
        layers[f"hidden_{number}"] = nn.Linear(in_features, width, bias=not batch_norm)
        if batch_norm:
            layers[f"batch_norm_{number}"] = nn.BatchNorm1d(width)
        layers[f"activation_{number}"] = make_activation(activation)
        if dropout > 0:
            layers[f"dropout_{number}"] = nn.Dropout(dropout)
        in_features = width
    return layers


def check_widths(key: str, widths: Sequence[int], example: str) -> None:
    """Raise UserError unless all widths, the value of the config key `key`, are 1 to WIDEST."""
    given = shown(",".join(str(width) for width in widths))
    if any(width < 1 for width in widths):
        raise UserError(
            f"{key}=[{given}]: expected whole numbers >= 1 (for example {key}={example})"
        )
    if any(width > WIDEST for width in widths):
        raise UserError(
            f"{key}=[{given}]: expected whole numbers up to {WIDEST} (for example {key}={example})"
        )


def check_dropout(dropout: float) -> None:
    """Raise UserError unless `dropout` is a probability below 1."""
    if not 0 <= dropout < 1:
        raise UserError(
            f"regularization.dropout={dropout}: expected a fraction, 0 <= value < 1 "
            "(for example regularization.dropout=0.5)"
        )
