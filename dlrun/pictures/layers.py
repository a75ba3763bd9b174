"""Images as a network sees them: samples, first layer; and gradients by layer."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from dlrun import figures
from dlrun.diagnostics import Record, arrays, verdict
from dlrun.pictures.shown import Shown, pixels_of

SAMPLES = 28  # images of the training split that are shown
UNITS = 64  # of the first layer


def images(run: Shown) -> Iterator[tuple[str, Figure]]:
    """Samples of the training split, and what the first layer looks for in them."""
    data = run.data
    shown = data.train.rows(torch.arange(min(SAMPLES, len(data.train))))
    numbers = shown.targets if shown.labels is None else shown.labels
    labels = [data.classes[int(k)] for k in numbers] if data.classes else [""] * len(shown)
    yield "samples", figures.sample_grid(pixels_of(shown, data).numpy(), labels)
    weights = first_layer(run.model, data.in_shape)
    if weights is not None:
        figure = figures.first_layer_weights(weights[:UNITS].numpy(), num_units=len(weights))
        yield "first_layer", figure


def first_layer(model: nn.Module, in_shape: tuple[int, ...]) -> Tensor | None:
    """Weights (U, C, H, W) of the first layer, where each unit sees the whole image."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            return None  # kernels of a few pixels show nothing
        if isinstance(module, nn.Linear):
            if module.in_features != prod(in_shape):
                return None
            return module.weight.detach().cpu().reshape(-1, *in_shape)
    return None


def gradients(records: list[Record]) -> Iterator[tuple[str, Figure]]:
    found = arrays(records)
    judged = verdict(records)
    if judged is None:
        return
    yield (
        "gradients",
        figures.gradient_heat_map(
            found.layers, found.steps, found.grad_norms, verdict=judged.headline
        ),
    )
    if np.isfinite(found.ratios).any():
        yield "update_ratios", figures.update_ratios(found.layers, found.steps, found.ratios)
    for name, shares in (("dead ReLUs", found.dead), ("saturated sigmoids", found.saturated)):
        if np.isfinite(shares).any():
            figure = figures.unit_shares(found.layers, found.steps, shares, name)
            yield name.replace(" ", "_").lower(), figure
