"""The network as others use it: inputs and outputs in units that people know, scaling inside."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from dlrun.datasets import Scaling, Task
from dlrun.datasets.tabular import transformed, untransformed
from dlrun.describe import StoredData
from dlrun.errors import UserError
from dlrun.metrics import probabilities

Gives = Literal["probabilities", "scores", "values", "reconstructions"]


class ScalingLayer(nn.Module):
    """`Scaling` as a layer: its mean and std are buffers, and so travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.register_buffer("mean", scaling.mean.detach().float().cpu().clone())
        self.register_buffer("std", scaling.std.detach().float().cpu().clone())

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.std

    def undo(self, values: Tensor) -> Tensor:
        return values * self.std + self.mean


class Deployed(nn.Module):
    """A network from inputs (N, *in_shape) in the source's own unit to what people want of it.

    Images are pixels in [0, 1], rows of a table the raw values, NaN where one is missing and the
    run fills it. What comes back, in float32:

    - `probabilities` (N, K) of the classes: the softmax of K outputs, and of one output z of two
      classes (1 - p, p) with p = sigmoid(z)
    - `scores` (N, K), where the loss makes no probabilities (hinge): the largest one wins
    - `values` (N, 1) of a regression, in the target's own unit
    - `reconstructions` (N, *in_shape), in the unit of the inputs; pixels go a little beyond
      [0, 1] where the last layer is linear

    gives: which of them.
    """

    def __init__(self, network: nn.Module, data: StoredData, loss: str) -> None:
        super().__init__()
        self.gives = gives(data.task, loss)
        self.transform = data.transform
        self.is_image = len(data.in_shape) == 3
        self.network = network
        self.input_scaling = scaling_layer(data.input_scaling)
        self.target_scaling = scaling_layer(data.target_scaling)
        self.fill: Tensor | None
        self.register_buffer("fill", None if data.fill is None else data.fill.float().cpu())

    def forward(self, inputs: Tensor) -> Tensor:
        scaled = transformed(inputs, self.transform)
        if self.fill is not None:
            scaled = torch.where(scaled.isnan(), self.fill, scaled)
        if self.input_scaling is not None:
            scaled = self.input_scaling(scaled)
        outputs: Tensor = self.network(scaled)
        if self.gives == "probabilities":
            return probabilities(outputs)
        if self.gives == "values" and self.target_scaling is not None:
            return self.target_scaling.undo(outputs)
        if self.gives == "reconstructions" and not self.is_image:  # images come back as pixels
            if self.input_scaling is not None:
                outputs = self.input_scaling.undo(outputs)
            return untransformed(outputs, self.transform)
        return outputs


def deploy(network: nn.Module, data: StoredData, loss: str) -> Deployed:
    """A copy of the network with the scaling of its data around it: float32, CPU, evaluation mode.

    loss: by its resolved name. Raises UserError for a test function, which takes no inputs.
    """
    if data.task == "surface":
        raise UserError(
            "dlrun export: the run looked for the least value of a function, there is no network "
            "that takes inputs (expected a run on data)"
        )
    network = copy.deepcopy(network).float().cpu()
    return Deployed(network, data, loss).eval().requires_grad_(False)


def gives(task: Task, loss: str) -> Gives:
    """What a deployed network of this task and loss gives.

    >>> gives("binary", "bce"), gives("multiclass", "hinge"), gives("regression", "mse")
    ('probabilities', 'scores', 'values')
    """
    if task in ("binary", "multiclass"):
        return "scores" if loss == "hinge" else "probabilities"
    return "values" if task == "regression" else "reconstructions"


def scaling_layer(scaling: Scaling | None) -> ScalingLayer | None:
    return None if scaling is None else ScalingLayer(scaling)


def stored_scaling(tensors: Mapping[str, Tensor], name: str) -> Scaling | None:
    """The scaling among the tensors of a deployed network, None where it has none of that name."""
    mean, std = tensors.get(f"{name}.mean"), tensors.get(f"{name}.std")
    return None if mean is None or std is None else Scaling(mean, std)
