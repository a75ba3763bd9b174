"""Accuracy, MSE, MAE, MAPE and R² of one pass over a split, from running sums on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dlrun.datasets.splits import Scaling, Task

METRICS: dict[Task, tuple[str, ...]] = {
    "binary": ("loss", "accuracy"),
    "multiclass": ("loss", "accuracy"),
    "regression": ("loss", "mse", "mae", "mape", "r2"),
    "reconstruction": ("loss", "mse", "mae"),
    "surface": ("loss", "x", "y"),
}

WAITING = 64  # batches that are held before their sums are taken
ROUNDING = 1e-6  # of the mean target: what scaling in float32 may leave of a target that is 0


class Meter:
    """Sums over the samples of one pass; figures are in the targets' own unit.

    `add` only keeps references, since a training step of a small network costs little more than
    the calls it makes; the arithmetic is done for many batches at once.

    mse = mean e², mae = mean |e|, mape = 100 mean |e / y| over samples with y ≠ 0 (percent),
    r2 = 1 - sum e² / sum (y - mean y)², with e = prediction - y. Of reconstructions mse and mae
    are means over all values of a sample. On a surface in the plane, x and y are the position.
    """

    def __init__(self, task: Task, target_scaling: Scaling | None = None) -> None:
        self.task = task
        self.target_scaling = target_scaling
        self.count = 0
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._sums: Tensor | None = None
        self._shift: Tensor | None = None  # a target: sums of squares around it lose no digits

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """One batch: outputs (B, K), targets (B,) or (B, 1), loss () its mean over the batch."""
        if len(self._outputs) == WAITING:  # before, not after: the batch added last always waits
            self.flush()
        self._outputs.append(outputs)
        self._targets.append(targets)
        self._losses.append(loss)

    def state(self) -> dict[str, Any]:
        """All that was added, as it waits: sums taken at another moment would round otherwise."""
        waiting = {"outputs": self._outputs, "targets": self._targets, "losses": self._losses}
        return {"count": self.count, "sums": self._sums, "shift": self._shift, **waiting}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Takes up what `state` gave, its tensors on `device`."""
        self.count = state["count"]
        sums = device if device.type != "mps" else torch.device("cpu")
        self._sums = None if state["sums"] is None else state["sums"].to(sums)
        self._shift = None if state["shift"] is None else state["shift"].to(sums)
        self._outputs, self._targets, self._losses = (
            [tensor.to(device) for tensor in state[name]]
            for name in ("outputs", "targets", "losses")
        )

    def flush(self) -> Tensor:
        """Adds what is waiting to the sums; returns its losses, one a batch, the last batch last.

        After `add` at least one, at most 64.
        """
        if not self._outputs:
            return torch.empty(0)
        counts = [len(targets) for targets in self._targets]
        losses = torch.stack(self._losses).detach().float()
        outputs = torch.cat(self._outputs).detach().float()
        targets = torch.cat(self._targets)
        if losses.device.type == "mps":  # has no float64
            losses, outputs, targets = losses.cpu(), outputs.cpu(), targets.cpu()
        weights = torch.tensor(counts, device=losses.device, dtype=torch.float64)
        loss_sum = (losses * weights).sum().unsqueeze(0)
        sums = torch.cat([loss_sum, self._score(outputs, targets)])
        self._sums = sums if self._sums is None else self._sums + sums
        self.count += sum(counts)
        self._outputs, self._targets, self._losses = [], [], []
        return losses

    def _score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.task in ("binary", "multiclass"):
            return (predicted_classes(outputs) == targets).sum().double().unsqueeze(0)
        if self.task == "reconstruction":
            errors = outputs.flatten(1) - targets.flatten(1)  # (B, C*H*W)
            per_sample = torch.stack([errors.square().mean(1), errors.abs().mean(1)])
            return per_sample.double().sum(1)
        if self.task == "surface":
            return outputs.double().sum(0)
        return self._score_regression(outputs.double(), targets.double())

    def _score_regression(self, outputs: Tensor, targets: Tensor) -> Tensor:
        nonzero = targets != 0
        if self.target_scaling is not None:
            mean = self.target_scaling.mean.to(targets.device)
            scaling = Scaling(mean, self.target_scaling.std.to(targets.device))
            outputs, targets = scaling.undo(outputs), scaling.undo(targets)
            nonzero = targets.abs() > ROUNDING * mean.abs()
        if self._shift is None:
            self._shift = targets[0]
        error, shifted = outputs - targets, targets - self._shift
        return torch.stack(
            [
                error.square().sum(),
                error.abs().sum(),
                torch.where(nonzero, error / targets, 0.0).abs().sum(),
                nonzero.sum().double(),
                shifted.sum(),
                shifted.square().sum(),
            ]
        )

    def result(self) -> dict[str, float | None]:
        """The figures by name; None where the pass had no samples or the figure is undefined."""
        self.flush()
        if self._sums is None:
            return dict.fromkeys(METRICS[self.task])
        sums = self._sums.tolist()
        means = [value / self.count for value in sums]
        loss = means[0]
        if self.task in ("binary", "multiclass"):
            return {"loss": loss, "accuracy": means[1]}
        if self.task == "reconstruction":
            return {"loss": loss, "mse": means[1], "mae": means[2]}
        if self.task == "surface":
            x, y = means[1:] if len(means) == 3 else (None, None)
            return {"loss": loss, "x": x, "y": y}
        squares, absolutes, relative, nonzero, total, total_squares = sums[1:]
        variation = total_squares - total**2 / self.count
        return {
            "loss": loss,
            "mse": squares / self.count,
            "mae": absolutes / self.count,
            "mape": 100 * relative / nonzero if nonzero else None,
            "r2": 1 - squares / variation if variation > 0 else None,
        }


def predicted_classes(outputs: Tensor) -> Tensor:
    """Class numbers (N,) from logits (N, K), or (N, 1) where one logit parts two classes.

    >>> predicted_classes(torch.tensor([[0.2], [-1.0]]))
    tensor([1, 0])
    """
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0).long()
    return outputs.argmax(1)


def probabilities(outputs: Tensor) -> Tensor:
    """Probabilities (N, K) from logits (N, K), or (N, 1) where one parts two classes; their dtype.

    p = softmax(outputs); of one output z of two classes (sigmoid(-z), sigmoid(z)), since 1 - p
    would lose the digits of p near 1.

    >>> probabilities(torch.tensor([[0.0]])), probabilities(torch.tensor([[1.0, 1.0]]))
    (tensor([[0.5000, 0.5000]]), tensor([[0.5000, 0.5000]]))
    """
    if outputs.shape[1] == 1:
        return torch.cat([-outputs, outputs], 1).sigmoid()
    return outputs.softmax(1)
