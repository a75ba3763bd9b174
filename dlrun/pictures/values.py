"""What a regression has learnt: predictions, and the curve of one feature."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from matplotlib.figure import Figure

from dlrun import figures
from dlrun.batches import take
from dlrun.pictures.shown import Shown, in_own_unit, outputs_for


def regression(run: Shown) -> Iterator[tuple[str, Figure]]:
    data = run.data
    if len(run.part):
        targets, outputs = in_own_unit(run.targets, data), in_own_unit(run.outputs, data)
        figure = figures.predictions(targets[:, 0].numpy(), outputs[:, 0].numpy(), data.target_name)
        yield "predictions", figure
    if data.in_shape == (1,):
        yield "fit", one_feature_fit(run)


def one_feature_fit(run: Shown) -> Figure:
    """The curve of a network of one input over the points that it was fitted to."""
    data = run.data
    parts = {"train": data.train, "validation": data.val, "test": data.test}
    inputs = torch.cat([take(part.inputs, None).cpu() for part in parts.values()])  # (N, 1)
    targets = torch.cat([part.targets.cpu() for part in parts.values()])
    names = [name for name, part in parts.items() for _ in range(len(part))]
    grid = torch.linspace(float(inputs.min()), float(inputs.max()), 200).unsqueeze(1)
    fitted = in_own_unit(outputs_for(run, grid), data)
    scaling = data.input_scaling
    if scaling is not None:
        inputs, grid = scaling.undo(inputs), scaling.undo(grid)
    mse = run.fitted.history[run.fitted.best_epoch].get("mse/val")
    return figures.one_feature_fit(
        inputs[:, 0].numpy(),
        in_own_unit(targets, data)[:, 0].numpy(),
        grid[:, 0].numpy(),
        fitted[:, 0].numpy(),
        data.features[0] if data.features else "x",
        data.target_name,
        splits=names,
        merit="" if mse is None else f"validation MSE {mse:.4g}",
    )
