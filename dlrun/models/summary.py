"""What a network consists of: its layers in the order of the forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerRow:
    """One layer. `output_shape` is without N; `trainable` counts parameters that get a gradient."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Totals:
    """Numbers of parameters; `frozen` ones get no gradient."""

    parameters: int
    trainable: int
    frozen: int


def summarize(model: nn.Module, in_shape: Sequence[int]) -> list[LayerRow]:
    """A row for every layer that a batch of one sample passes, in that order.

    A layer that is passed twice has one row. Parameters of a layer that is used without being
    called (as within attention) count in the nearest layer around it. The model is left as it
    was: mode, buffers, random state.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> for row in summarize(model, (1, 2, 2)):
    ...     print(row.name, row.type, row.output_shape, row.parameters)
    0 Flatten (4,) 0
    1 Linear (3,) 15
    """
    shapes = _output_shapes(model, in_shape)

    owned: dict[str, list[nn.Parameter]] = {name: [] for name in shapes}
    for name, parameter in model.named_parameters():  # shared ones appear once
        owner = _nearest_called(name.rpartition(".")[0], shapes)
        owned.setdefault(owner, []).append(parameter)
    if "" in owned and "" not in shapes:  # parameters of the model itself
        shapes[""] = ()

    modules = dict(model.named_modules())
    return [
        LayerRow(
            name=name,
            type=type(modules[name]).__name__,
            output_shape=shape,
            parameters=sum(parameter.numel() for parameter in owned[name]),
            trainable=sum(p.numel() for p in owned[name] if p.requires_grad),
        )
        for name, shape in shapes.items()
    ]


def total_parameters(model: nn.Module) -> Totals:
    """Numbers of parameters of the whole model, shared ones counted once.

    >>> total_parameters(nn.Linear(4, 3))
    Totals(parameters=15, trainable=15, frozen=0)
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Totals(parameters, trainable, frozen=parameters - trainable)


def _output_shapes(model: nn.Module, in_shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Output shape without N by module name, for modules that do work of their own when called."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = []
    for name, module in model.named_modules():
        is_leaf = next(module.children(), None) is None
        if is_leaf or next(module.parameters(recurse=False), None) is not None:

            def note(_module: nn.Module, _inputs: Any, outputs: Any, name: str = name) -> None:
                shapes.setdefault(name, _shape(outputs))

            hooks.append(module.register_forward_hook(note))

    parameter = next(model.parameters(), torch.zeros(()))
    batch = torch.zeros(1, *in_shape, dtype=parameter.dtype, device=parameter.device)
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            model(batch)
    finally:
        for module, training in modes:
            module.training = training
        for hook in hooks:
            hook.remove()
    return shapes


def _shape(outputs: Any) -> tuple[int, ...]:
    """Shape without N of a tensor, or of the first tensor in a tuple."""
    while isinstance(outputs, (tuple, list)) and outputs:
        outputs = outputs[0]
    return tuple(outputs.shape[1:]) if isinstance(outputs, Tensor) else ()


def _nearest_called(name: str, called: dict[str, tuple[int, ...]]) -> str:
    """`name`, or the innermost module around it that was called; the model itself is ''."""
    while name and name not in called:
        name = name.rpartition(".")[0]
    return name
