"""What is said of a run whose loss or gradient has left the finite numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class NotFinite(ArithmeticError):
    """A step was stopped before its update: its `what` (loss or gradient) is not finite."""

    def __init__(self, what: str, value: float) -> None:
        super().__init__(f"the {what} is {value}")
        self.what = what


@dataclass(frozen=True)
class Divergence:
    """Where a run diverged.

    step: the step that was not made, or after which the loss was too large. layer, norm: of the
    largest gradient that there was, in the same step or, when the loss itself is not finite, in
    the one before; None in a first step.
    """

    step: int
    epoch: int
    reason: str
    layer: str | None
    norm: float | None

    def __str__(self) -> str:
        text = f"diverged at step {self.step:,} (epoch {self.epoch}): {self.reason}"
        if self.layer is None:
            return f"{text}, before any gradient: look at the data and the initial weights"
        return f"{text}; the largest gradient was that of {self.layer} (norm {self.norm:.3g})"


def diverged(
    model: nn.Module, step: int, epoch: int, reason: str, before: tuple[str, float] | None
) -> Divergence:
    """The divergence at this step, with the layer of the largest gradient that the model holds.

    before: the largest one that it held when a run was broken off which has just been resumed.
    """
    layer, norm = largest_gradient(model) or before or (None, None)
    return Divergence(step, epoch, reason, layer, norm)


def largest_gradient(model: nn.Module) -> tuple[str, float] | None:
    """Name of the layer with the largest gradient (L2 norm of one of its tensors), and that norm.

    One that is not finite is the largest; of several the one nearest to the output, where
    backpropagation met it first. None when there is no gradient.

    >>> layer = nn.Linear(1, 1)
    >>> layer.weight.grad, layer.bias.grad = torch.ones(1, 1), torch.ones(1)
    >>> largest_gradient(nn.Sequential(layer))
    ('0', 1.0)
    """
    largest: tuple[str, float] | None = None
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        norm = float(parameter.grad.double().norm())
        if largest is None or not math.isfinite(norm) or norm > largest[1]:
            largest = name.rpartition(".")[0] or name, norm
    return largest


def require_finite_gradient(parameters: list[nn.Parameter], norm: Tensor | None) -> None:
    """Raises NotFinite when a gradient has an entry that is infinite or not a number.

    norm: of the whole gradient, shape (), where it is known already. Sums find the same and take
    a third of a norm's time; one that overflows with finite terms is looked at again.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if norm is None and gradients:
        norm = torch.stack([gradient.sum() for gradient in gradients]).sum()
    if norm is None or math.isfinite(norm.item()):
        return
    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        raise NotFinite("gradient", norm.item())
