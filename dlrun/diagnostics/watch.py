"""Looks at single steps of training: norms of gradients, weights and updates, dead units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from dlrun.diagnostics.records import FIGURES, Layer, Record
from dlrun.errors import UserError

SATURATED = 0.02  # how near to its limits an activation is called saturated


class Watch:
    """Looks at the first step and every `every_steps`-th; a step in between costs a comparison.

    A layer is a module that owns tensors of weights (ndim >= 2; neither biases nor
    normalisation), under its name in the model; layers come in the order of registration. Its
    activation is the first nn.ReLU, ReLU6, Sigmoid or Tanh that runs after it and before the next
    layer, in the first forward pass of the step; torch.compile shows none.

    dead: share of units (features or channels, dimension 1) that are 0 for the whole batch.
    saturated: share of all activations within 0.02 of a limit, 0 or 1 for a sigmoid, ±1 for tanh.

    Raises UserError for a model that has no such layer.
    """

    def __init__(self, model: nn.Module, every_steps: int) -> None:
        self.model = model
        self.every_steps = every_steps
        self.layers = weights_by_layer(model)
        if not self.layers:
            raise UserError(
                "diagnostics=gradients: looks at layers with a matrix of weights, this model has "
                "none (for example diagnostics=none)"
            )
        # Norms by layer that stood at the checkpoint that a run goes on from; its model has none.
        self.gradients_before: dict[str, float] = {}
        self._before: dict[str, list[Tensor]] = {}  # weights before the step under observation
        self._shares: dict[str, tuple[str, Tensor]] = {}  # by layer: figure and value ()
        self._last_layer: str | None = None
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def before_step(self, step: int) -> None:
        """To be called before the forward pass of each step; steps count from 1."""
        if step % self.every_steps != 0 and step != 1:
            return
        self.forget()
        self._before = {
            name: [weight.detach().clone() for weight in weights]
            for name, weights in self.layers.items()
        }
        self._add_hooks()

    def after_step(self, step: int) -> Record | None:
        """The record of a step that is under observation, else None.

        To be called after the update, while the gradients stand: so after they were clipped. With
        L-BFGS they are those of its last evaluation.
        """
        return self._record(step) if self._before else None

    def end(self, step: int) -> Record:
        """The record of a step that ended before its update, be it under observation or not.

        It has the gradients that stand, of this step or the one before, and no update.
        """
        self._before = {}
        return self._record(step)

    def gradients(self) -> dict[str, float]:
        """Norms of the gradients that stand, by layer; none for layers that have none."""
        found = {
            name: float(joint_norm(gradients))
            for name, weights in self.layers.items()
            if (gradients := [weight.grad for weight in weights if weight.grad is not None])
        }
        return found or self.gradients_before

    def _record(self, step: int) -> Record:
        record: Record = {"step": step, "layers": self._measure()}
        self.forget()
        return record

    def forget(self) -> None:
        """Takes the hooks off the model and lets the copied weights go."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._before, self._shares, self._last_layer = [], {}, {}, None

    def _add_hooks(self) -> None:
        modules = dict(self.model.named_modules())
        for name in self.layers:
            if name in modules:  # a weight of the model itself runs nowhere
                self._hooks.append(modules[name].register_forward_hook(self._layer_hook(name)))
        for module in modules.values():
            if isinstance(module, (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh)):
                self._hooks.append(module.register_forward_hook(self._see_activation))

    def _layer_hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def see_layer(module: nn.Module, inputs: Any, output: Any) -> None:
            if not torch.compiler.is_compiling():  # would be traced once and then left out
                self._last_layer = name

        return see_layer

    def _see_activation(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        name = self._last_layer
        if name is None or name in self._shares or output.ndim < 2:
            return
        output = output.detach()
        if isinstance(module, nn.Sigmoid):
            self._shares[name] = "saturated", near(output, 0.0, 1.0)
        elif isinstance(module, nn.Tanh):
            self._shares[name] = "saturated", near(output, -1.0, 1.0)
        else:
            self._shares[name] = "dead", dead_units(output)

    def _measure(self) -> dict[str, Layer]:
        """The figures of all layers, fetched from the device in one go."""
        found: dict[tuple[str, str], Tensor] = {}
        for name, weights in self.layers.items():
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            if gradients:
                found[name, "grad"] = joint_norm(gradients)
            found[name, "weight"] = joint_norm(weights)
            if before := self._before.get(name):
                changes = [new.detach() - old for new, old in zip(weights, before, strict=True)]
                found[name, "update"] = joint_norm(changes)
        for name, (figure, share) in self._shares.items():
            found[name, figure] = share
        numbers = torch.stack([value.to(norm_dtype(value)) for value in found.values()]).tolist()
        figures: dict[str, Layer] = {name: dict.fromkeys(FIGURES) for name in self.layers}
        for (name, figure), number in zip(found, numbers, strict=True):
            figures[name][figure] = number
        if not any(figure == "grad" for _, figure in found):
            for name, norm in self.gradients_before.items():
                figures[name]["grad"] = norm
        for name, layer in figures.items():
            layer["size"] = sum(weight.numel() for weight in self.layers[name])
            update, weight_norm = layer["update"], layer["weight"]
            if update is not None and weight_norm:  # weights of 0 have no relative change
                layer["ratio"] = update / weight_norm
        return figures


def weights_by_layer(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters of at least two dimensions by the name of the module that owns them.

    One that the model itself owns stands under its own name.

    >>> list(weights_by_layer(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))))
    ['0', '2']
    """
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            layers.setdefault(name.rpartition(".")[0] or name, []).append(parameter)
    return layers


def joint_norm(tensors: Iterable[Tensor]) -> Tensor:
    """L2 norm over all entries of the tensors, shape (), where the device can in float64.

    >>> joint_norm([torch.tensor([3e30]), torch.tensor([4e30])])  # the squares leave float32
    tensor(5.0000e+30, dtype=torch.float64)
    """
    norms = [torch.linalg.vector_norm(t.detach(), dtype=norm_dtype(t)) for t in tensors]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


def norm_dtype(tensor: Tensor) -> torch.dtype:
    """float64, or float32 on MPS, which has no other."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def dead_units(outputs: Tensor) -> Tensor:
    """Share of the units of a ReLU that are 0 for every sample, shape ().

    Outputs (N, D), or (N, C, ...), where a unit is a channel and has to be 0 at every position.

    >>> dead_units(torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0]]))
    tensor(0.5000)
    """
    others = [d for d in range(outputs.ndim) if d != 1]
    return (outputs.amax(others) == 0).float().mean()


def near(outputs: Tensor, low: float, high: float) -> Tensor:
    """Share of the outputs that lie within 0.02 of one of the limits, shape ().

    >>> near(torch.tensor([0.01, 0.5, 0.97, 0.99]), 0.0, 1.0)
    tensor(0.5000)
    """
    return ((outputs < low + SATURATED) | (outputs > high - SATURATED)).float().mean()
