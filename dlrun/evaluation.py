"""What a model makes of a split: its outputs, its loss and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dlrun.datasets.splits import Split, Splits
from dlrun.device import Compute
from dlrun.metrics import Meter

Criterion = Callable[[Tensor, Tensor], Tensor]
Line = dict[str, float | None]

EVALUATION_BATCH = 1024  # samples; only memory depends on it


@torch.no_grad()
def evaluate(
    model: nn.Module, criterion: Criterion, split: Split, data: Splits, compute: Compute
) -> Line:
    """Loss and metrics over one split by name, without the split's name; None for an empty one."""
    meter = Meter(data.task, data.target_scaling)
    for outputs, targets in predict(model, split, compute):
        meter.add(outputs, targets, criterion(outputs, targets))
    return meter.result()


@torch.no_grad()
def predict(model: nn.Module, split: Split, compute: Compute) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (B, K) in float32 and targets of one split, batch by batch, in evaluation mode."""
    model.eval()
    for start in range(0, len(split), EVALUATION_BATCH):
        end = min(start + EVALUATION_BATCH, len(split))
        if isinstance(split.inputs, Tensor):
            inputs = split.inputs[start:end]
        else:
            inputs = split.inputs[torch.arange(start, end)]
        with compute.autocast():
            outputs = model(inputs.to(compute.device))
        yield outputs.float(), split.targets[start:end].to(compute.device)
