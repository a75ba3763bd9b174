"""From a configured optimizer to one that holds a model's parameters.

Any callable works that takes parameters as torch.optim does: torch's own, those of other
packages, the user's. What it can do is read from its signature.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from dlrun.errors import UserError, shown

# What optimizers accept, by keyword: (lowest, highest or None). Used to name what was refused.
_RANGES: dict[str, tuple[float, float | None]] = {
    "lr": (0, None),
    "momentum": (0, None),
    "eps": (0, None),
    "alpha": (0, None),
    "rho": (0, 1),
    "lr_decay": (0, None),
    "momentum_decay": (0, None),
    "initial_accumulator_value": (0, None),
    "weight_decay": (0, None),
}
LARGEST = 1e12  # of any number: three of them, multiplied in a step, still fit into float32
_EXAMPLES = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.01}


def build(
    factory: partial[Optimizer],
    model: nn.Module,
    *,
    weight_decay: float | None,
    device: torch.device,
) -> Optimizer:
    """The optimizer that `factory` makes of the model's trainable parameters.

    Weight decay acts on parameters with ndim >= 2 (weights of linear and convolution layers,
    embeddings) and not on biases and normalisation weights: two parameter groups, in this order,
    where the optimizer decays at all. How it decays, through the gradient or decoupled, is the
    optimizer's. `weight_decay` None leaves the optimizer's own value (AdamW 0.01, others 0).
    `fused=True` is set where this release of torch has such a kernel for `device`, unless the
    config sets `fused`, `foreach` or `differentiable`.
    Errors: UserError for values that the optimizer refuses, and for weight decay where it has none.
    """
    accepted = inspect.signature(factory).parameters
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    _check_learning_rate(factory.keywords.get("lr"))
    settings = {f"optimizer.{key}": value for key, value in factory.keywords.items()}
    _check_sizes(settings | {"regularization.weight_decay": weight_decay})

    options: dict[str, Any] = {}
    groups: list[Any] = parameters
    if "weight_decay" in accepted:
        own = factory.keywords.get("weight_decay", accepted["weight_decay"].default)
        decay = own if weight_decay is None else weight_decay
        options["weight_decay"] = decay
        if decay:
            groups = _decay_groups(parameters)
    elif weight_decay:  # 0 is what an optimizer without weight decay does
        raise UserError(
            f"regularization.weight_decay={weight_decay}: {_name(factory)} has no weight decay; "
            "expected 0 or null\n(for example regularization.l1=1e-5, or optimizer=adamw)"
        )

    try:
        if _fused_is_open(factory, accepted) and _has_fused_kernel(factory.func, device):
            options["fused"] = True
        return factory(groups, **options)
    except UserError:
        raise
    except (ValueError, RuntimeError) as error:
        raise _refusal(error, factory, weight_decay) from error


def _decay_groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Weights, which take the optimizer's weight decay, then the rest without; no empty group."""
    decayed = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    groups: list[dict[str, Any]] = []
    if decayed:
        groups.append({"params": decayed})
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    return groups


def _fused_is_open(factory: partial[Optimizer], accepted: Any) -> bool:
    """Whether the optimizer has a keyword `fused` and the config leaves the choice to us."""
    chosen = (factory.keywords.get(key) for key in ("fused", "foreach", "differentiable"))
    return "fused" in accepted and all(value is None for value in chosen)


@functools.cache
def _has_fused_kernel(kind: Callable[..., Optimizer], device: torch.device) -> bool:
    """Whether a fused step of this kind of optimizer works on `device`, tried on one number.

    torch has no public list of the kernels of a release, and an optimizer that accepts `fused`
    may still lack the kernel for this device and fail at its first step.
    """
    probe = nn.Parameter(torch.zeros(1, device=device))
    probe.grad = torch.zeros(1, device=device)
    try:
        kind([probe], fused=True).step()
    except (RuntimeError, TypeError):  # NotImplementedError, for a missing kernel, is one
        return False
    return True


def _check_learning_rate(lr: object) -> None:
    """Raise UserError unless `lr` is left out or a finite number >= 0; some let NaN pass."""
    if isinstance(lr, (int, float)) and not (math.isfinite(lr) and lr >= 0):
        raise UserError(
            f"optimizer.lr={lr}: expected a finite number >= 0 (for example optimizer.lr=0.01)"
        )


def _check_sizes(settings: Mapping[str, Any]) -> None:
    """Raise UserError for a number that no step could be computed with."""
    for key, value in settings.items():
        numbers = value if isinstance(value, (list, tuple)) else [value]
        for number in numbers:
            if isinstance(number, (int, float)) and LARGEST < abs(number) < math.inf:
                raise UserError(
                    f"{key}={shown(value)}: expected numbers up to {LARGEST:g} (for example "
                    f"{key}={_EXAMPLES.get(key.rpartition('.')[2], 1)})"
                )


def _refusal(
    error: Exception, factory: partial[Optimizer], weight_decay: float | None
) -> UserError:
    """The error in the house's form, with the key where the value shows which one it is."""
    values = dict(factory.keywords)
    if weight_decay is not None:
        values["weight_decay"] = weight_decay
    for key, (low, high) in _RANGES.items():
        value = values.get(key)
        if not isinstance(value, (int, float)) or (
            low <= value and (high is None or value <= high)
        ):
            continue
        from_regularization = key == "weight_decay" and weight_decay is not None
        name = f"regularization.{key}" if from_regularization else f"optimizer.{key}"
        accepted = "a number >= 0" if high is None else f"{low} <= value <= {high}"
        example = _EXAMPLES.get(key, _default(factory, key))
        return UserError(f"{name}={value}: expected {accepted} (for example {name}={example})")
    betas = values.get("betas")
    if isinstance(betas, (list, tuple)):
        fine = all(isinstance(beta, float) and 0 <= beta < 1 for beta in betas)
        if not (fine and len(betas) == 2):
            given = ",".join(str(beta) for beta in betas)
            return UserError(
                f"optimizer.betas=[{given}]: expected two decimal numbers, 0.0 <= value < 1.0 "
                "(for example optimizer.betas=[0.9,0.999])"
            )
    return UserError(f"optimizer: {_name(factory)} refuses its settings: {error}")


def _default(factory: partial[Optimizer], key: str) -> object:
    return inspect.signature(factory.func).parameters[key].default


def _name(factory: partial[Optimizer]) -> str:
    return getattr(factory.func, "__name__", str(factory.func))
