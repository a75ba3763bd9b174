"""The activation functions that `model.activation` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import nn

from dlrun.errors import UserError, nearest

Activation = Literal[
    "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "identity"
]

_MODULES: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01 below zero
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}


def make_activation(name: Activation) -> nn.Module:
    """A new module that applies the named function element by element.

    >>> make_activation("leaky_relu")
    LeakyReLU(negative_slope=0.01)
    """
    if name not in _MODULES:
        accepted = ", ".join(_MODULES)
        raise UserError(
            f"model.activation={name}: expected one of {accepted}{nearest(name, _MODULES)}"
        )
    return _MODULES[name]()
