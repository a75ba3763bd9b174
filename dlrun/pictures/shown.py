"""What pictures are about, and what they need of it as plain tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlrun import schema
from dlrun.batches import take
from dlrun.datasets import Split, Splits
from dlrun.device import Compute
from dlrun.state import Fitted


@dataclass(frozen=True)
class Shown:
    """What the pictures are about: a run that is over.

    model: with its best weights, in evaluation mode. outputs (N, ...), targets: of the test split,
    or of validation where there is none, on the CPU; `part` is that split.
    """

    settings: schema.Config
    fitted: Fitted
    data: Splits
    model: nn.Module
    compute: Compute
    part: Split
    outputs: Tensor
    targets: Tensor


def spread(labels: Tensor | None, num_samples: int, wanted: int) -> Tensor:
    """Positions of a few samples, one of each class in turn; the first ones without classes."""
    if labels is None:
        return torch.arange(min(wanted, num_samples))
    labels = labels.cpu()
    by_class = [(labels == k).nonzero()[:, 0].tolist() for k in labels.bincount().nonzero()[:, 0]]
    turns = max(len(found) for found in by_class)
    order = [found[turn] for turn in range(turns) for found in by_class if turn < len(found)]
    return torch.tensor(order[:wanted])


def pixels_of(part: Split, data: Splits) -> Tensor:
    """The images (N, C, H, W) of a split as pixels in [0, 1], on the CPU."""
    inputs = take(part.inputs, None).cpu()
    return (inputs if data.input_scaling is None else data.input_scaling.undo(inputs)).clamp(0, 1)


def in_own_unit(values: Tensor, data: Splits) -> Tensor:
    return values.cpu() if data.target_scaling is None else data.target_scaling.undo(values.cpu())


@torch.no_grad()
def outputs_for(run: Shown, inputs: Tensor) -> Tensor:
    """Outputs (N, K) in float32 for inputs as the network sees them, on the CPU."""
    with run.compute.autocast():
        outputs: Tensor = run.model(inputs.to(run.compute.device))
    return outputs.float().cpu()
