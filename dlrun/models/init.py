"""The initial weights that `model.init` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from dlrun.errors import UserError, nearest

Init = Literal[
    "torch",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "normal",
    "zeros",
]

_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier_uniform": nn.init.xavier_uniform_,  # Glorot & Bengio 2010
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "kaiming_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2014
    "normal": lambda weight: nn.init.normal_(weight, std=0.01),  # Krizhevsky et al. 2012
    "zeros": nn.init.zeros_,
}


def initialize(model: nn.Module, init: Init) -> None:
    """Redraw the weights of all Linear and Conv2d layers in place, and set their biases to zero.

    With fan_in and fan_out the number of inputs and outputs of a unit, standard deviations are
    sqrt(2 / (fan_in + fan_out)) for xavier_*, sqrt(2 / fan_in) for kaiming_* (He et al. 2015),
    whatever the activation, and 0.01 for `normal`. `torch` leaves PyTorch's own: weights and
    biases uniform in ±1 / sqrt(fan_in).
    """
    if init == "torch":
        return
    if init not in _WEIGHTS:
        accepted = ["torch", *_WEIGHTS]
        raise UserError(
            f"model.init={init}: expected one of {', '.join(accepted)}{nearest(init, accepted)}"
        )
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            _WEIGHTS[init](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
