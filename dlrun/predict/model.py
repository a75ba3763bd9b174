"""From inputs in their source's own unit to what a trained model says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import prod

import torch
from torch import Tensor

from dlrun.datasets.tabular import transformed
from dlrun.describe import StoredData
from dlrun.errors import UserError, shown
from dlrun.evaluation import EVALUATION_BATCH
from dlrun.metrics import predicted_classes, probabilities
from dlrun.trained import Trained

MOST_CODES = 16  # numbers of a code that are worth reading


@dataclass(frozen=True)
class Predicted:
    """What a model says of N samples, on the CPU; None where it has no such thing.

    labels: class numbers (N,) int64. probabilities: of each class (N, K) float64; None with a
    hinge loss, whose outputs are none.
    values: (N, 1) float64 in the target's own unit.
    images: reconstructions (N, *in_shape) float32, of a table in the unit that the network sees.
    mse: (N,) float32, of each reconstruction. codes: (N, L) float32, where L is at most 16.
    """

    labels: Tensor | None = None
    probabilities: Tensor | None = None
    values: Tensor | None = None
    images: Tensor | None = None
    mse: Tensor | None = None
    codes: Tensor | None = None


def require_predicting(trained: Trained) -> None:
    """Raises UserError for a run that has nothing to say of new data."""
    if trained.data.task == "surface":
        raise UserError(
            f"{shown(trained.name)}: has looked for the lowest point of a surface; expected a run "
            "of a network on data (dlrun ls lists the runs)"
        )


@torch.no_grad()
def predict_inputs(trained: Trained, inputs: Tensor) -> Predicted:
    """What the run's best weights say of inputs (N, *in_shape) in their source's own unit.

    That is pixels in [0, 1], values of a table as they stand in it; transform, filling of missing
    values (NaN) and scaling are the run's own.
    """
    assert tuple(inputs.shape[1:]) == trained.data.in_shape
    batches = list(_batches(trained, inputs))
    merged = {}
    for field in fields(Predicted):
        parts = [getattr(batch, field.name) for batch in batches]
        merged[field.name] = None if parts[0] is None else torch.cat(parts)
    return Predicted(**merged)


def network_inputs(data: StoredData, inputs: Tensor) -> Tensor:
    """What the network sees, (N, *in_shape) float32, of inputs in their source's own unit."""
    values = transformed(inputs.float(), data.transform)
    if data.fill is not None:
        values = torch.where(values.isnan(), data.fill.to(values.device), values)
    scaling = data.input_scaling
    if scaling is None:
        return values
    return (values - scaling.mean.to(values.device)) / scaling.std.to(values.device)


def _batches(trained: Trained, inputs: Tensor) -> Iterator[Predicted]:
    """As many samples at a time as evaluation takes: other batches would round otherwise."""
    device = trained.compute.device
    for batch in torch.split(inputs, EVALUATION_BATCH):
        seen = network_inputs(trained.data, batch)
        on_device = seen.to(device)
        with trained.compute.autocast():
            outputs = trained.model(on_device).float().cpu()
        if trained.data.task == "reconstruction":
            yield _reconstructed(trained, batch, seen, on_device, outputs)
        elif trained.data.task == "regression":
            yield Predicted(values=in_own_unit(trained.data, outputs))
        else:
            yield Predicted(
                labels=predicted_classes(outputs),
                probabilities=class_probabilities(outputs, trained.settings.loss.name),
            )


def in_own_unit(data: StoredData, outputs: Tensor) -> Tensor:
    """Outputs (N, 1) of a regression in the target's unit, float64, as metrics have them."""
    scaling = data.target_scaling
    return outputs.double() if scaling is None else scaling.undo(outputs.double())


def class_probabilities(outputs: Tensor, loss: str) -> Tensor | None:
    """Probabilities (N, K) float64 from logits, None with a loss that makes none of them.

    >>> class_probabilities(torch.tensor([[0.0]]), "bce")
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """
    return None if loss == "hinge" else probabilities(outputs.double())


def _reconstructed(
    trained: Trained, inputs: Tensor, seen: Tensor, on_device: Tensor, outputs: Tensor
) -> Predicted:
    """What an autoencoder gives back: images as pixels, rows of a table as the network sees them.

    inputs: in their own unit; seen: scaled; on_device: the same where the network lies.
    """
    wanted = inputs.float() if len(trained.data.in_shape) == 3 else seen
    codes: Tensor | None = None
    with trained.compute.autocast():
        code = trained.model.encode(on_device)  # type: ignore[operator]  # autoencoders have it
    if prod(code.shape[1:]) <= MOST_CODES:
        codes = code.flatten(1).float().cpu()
    return Predicted(
        images=outputs.reshape(wanted.shape),
        mse=(outputs.flatten(1) - wanted.flatten(1)).square().mean(1),
        codes=codes,
    )
