"""What a classifier has learnt: mistakes, regions of the plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from dlrun import figures
from dlrun.batches import take
from dlrun.datasets import Splits
from dlrun.figures.animation import Frame
from dlrun.metrics import predicted_classes
from dlrun.pictures.shown import Shown, outputs_for, pixels_of

GRID = 120  # points a side at which regions of the plane are looked at
SHOWN_POINTS = 2000  # at most, of each split
WORST = 24  # mistakes that are shown


def classification(run: Shown) -> Iterator[tuple[str, Figure]]:
    classes = run.data.classes
    if len(run.part):
        K = len(classes)
        pairs = run.targets * K + predicted_classes(run.outputs)
        matrix = torch.bincount(pairs, minlength=K * K).reshape(K, K)  # true x predicted
        yield "confusion_matrix", figures.confusion_matrix(matrix.numpy(), classes)
    if len(run.data.in_shape) == 3 and len(run.part):
        yield from mistakes(run)
    if run.data.in_shape == (2,):
        x, y, grid = plane(run)
        title = f"decision regions, epoch {run.fitted.best_epoch}"
        yield (
            "decision_regions",
            figures.decision_regions(
                x,
                y,
                regions(run, grid),
                points(run),
                classes,
                axis_names(run.data),
                title=title,
            ),
        )


def mistakes(run: Shown) -> Iterator[tuple[str, Figure]]:
    """The images that the network was surest of, and wrong."""
    sure = probabilities(run.outputs)  # (N, K)
    predicted = predicted_classes(run.outputs)
    wrong = (predicted != run.targets).nonzero()[:, 0]
    if len(wrong) == 0:
        return
    worst = wrong[sure[wrong, predicted[wrong]].argsort(descending=True)][:WORST]
    classes = run.data.classes
    figure = figures.worst_mistakes(
        pixels_of(run.part.rows(worst), run.data).numpy(),
        [classes[int(k)] for k in run.targets[worst]],
        [classes[int(k)] for k in predicted[worst]],
        sure[worst, predicted[worst]].numpy(),
        sure[worst, run.targets[worst]].numpy(),
    )
    yield "worst_mistakes", figure


def grown_regions(run: Shown) -> list[Frame]:
    """Decision regions epoch by epoch; the model has its best weights again afterwards."""
    x, y, grid = plane(run)
    seen = []
    for weights in run.fitted.snapshots.values():
        run.model.load_state_dict(weights)
        seen.append(regions(run, grid))
    run.model.load_state_dict(run.fitted.best_state)
    epochs = list(run.fitted.snapshots)
    return figures.region_frames(
        x, y, seen, epochs, points(run), run.data.classes, axis_names(run.data)
    )


def plane(run: Shown) -> tuple[NDArray[Any], NDArray[Any], Tensor]:
    """Coordinates (W,) and (H,) in the data's unit, and the inputs (H*W, 2) at these points."""
    inputs = take(run.data.train.inputs, None).cpu()  # (N, 2)
    low, high = inputs.amin(0), inputs.amax(0)
    margin = 0.12 * (high - low)
    x, y = (
        torch.linspace(float((low - margin)[k]), float((high + margin)[k]), GRID) for k in (0, 1)
    )
    grid = torch.cartesian_prod(y, x).flip(1)
    corners = torch.stack([x, y], 1)
    if run.data.input_scaling is not None:
        corners = run.data.input_scaling.undo(corners)
    return corners[:, 0].numpy(), corners[:, 1].numpy(), grid


def regions(run: Shown, grid: Tensor) -> NDArray[np.float64]:
    """Probabilities (H, W, K) at the points of the plane."""
    found = probabilities(outputs_for(run, grid)).double()  # (H*W, K)
    return found.reshape(GRID, GRID, -1).numpy()


def probabilities(outputs: Tensor) -> Tensor:
    """Probabilities (N, K) from logits (N, K), or (N, 2) from the one logit that parts two."""
    if outputs.shape[1] > 1:
        return outputs.softmax(1)
    second = outputs.sigmoid()
    return torch.cat([1 - second, second], 1)


def points(run: Shown) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Points (N, 2) in the data's unit and their classes (N,), of training and test split."""
    found = {}
    for name, part in {"train": run.data.train, "test": run.data.test}.items():
        if len(part):
            some = part.rows(torch.arange(min(SHOWN_POINTS, len(part))))
            inputs = take(some.inputs, None).cpu()
            if run.data.input_scaling is not None:
                inputs = run.data.input_scaling.undo(inputs)
            found[name] = inputs.numpy(), some.targets.cpu().numpy()
    return found


def axis_names(data: Splits) -> tuple[str, str]:
    return (data.features[0], data.features[1]) if len(data.features) == 2 else ("x1", "x2")
