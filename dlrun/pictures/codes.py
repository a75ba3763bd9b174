"""What an autoencoder has learnt: reconstructions, its plane of codes, morphs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from dlrun import figures
from dlrun.batches import take
from dlrun.datasets import Split
from dlrun.pictures.shown import Shown, spread

CODES = 5000  # at most so many points in a picture of codes
DECODED = 15  # images a side, decoded from the plane of codes
MORPHED = 5  # images that a morph goes through, and back to the first
MORPH_STEPS = 20  # from one of them to the next


def reconstruction(run: Shown) -> Iterator[tuple[str, Figure]]:
    data, labels = run.data, run.part.labels
    if len(run.part) and len(data.in_shape) == 3:
        chosen = spread(labels, len(run.part), 10)
        names = None if labels is None else [data.classes[int(k)] for k in labels[chosen]]
        originals, outputs = run.targets[chosen].clamp(0, 1), run.outputs[chosen].clamp(0, 1)
        figure = figures.reconstructions(originals.numpy(), outputs.numpy(), names)
        yield "reconstructions", figure
    if len(run.part) > 1:
        yield from codes(run)


def codes(run: Shown) -> Iterator[tuple[str, Figure]]:
    """The plane of codes of an autoencoder with two of them, and what lies where in it."""
    part = run.part.rows(torch.arange(min(CODES, len(run.part))))
    plane_of_codes = encode(run, part)  # (N, latent_dim)
    if plane_of_codes.shape[1] == 2:
        classes = run.data.classes if part.labels is not None else ()
        labels = None if part.labels is None else part.labels.cpu().numpy()
        yield "latent", figures.latent_scatter(plane_of_codes.numpy(), labels, classes)
        if len(run.data.in_shape) == 3:
            low, high = (plane_of_codes.quantile(q, 0) for q in (0.02, 0.98))
            x, y = (torch.linspace(float(low[k]), float(high[k]), DECODED) for k in (0, 1))
            grid = torch.cartesian_prod(x, y).reshape(DECODED, DECODED, 2).transpose(0, 1)
            images = decode(run, grid.reshape(-1, 2))
            images = images.reshape(DECODED, DECODED, *images.shape[1:])
            yield "latent_grid", figures.latent_grid(images.numpy(), x.numpy(), y.numpy())
    if len(run.data.in_shape) == 3:
        stops, decoded = morph(run)
        columns = decoded[: stops[-1] + 1][:: MORPH_STEPS // 5]
        yield "morph", figures.morph_strip(columns[:-1].reshape(-1, 5, *columns.shape[1:]))


def morph(run: Shown) -> tuple[list[int], NDArray[np.float32]]:
    """Images decoded on the straight way from code to code, (1 - t) a + t b, and which are stops.

    Through MORPHED images, of as many classes as there are, and back to the first of them.
    """
    chosen = spread(run.part.labels, len(run.part), min(MORPHED, len(run.part)))
    stops = encode(run, run.part.rows(chosen))  # (M, latent_dim)
    stops = torch.cat([stops, stops[:1]])
    t = torch.arange(MORPH_STEPS).div(MORPH_STEPS).unsqueeze(1)  # (T, 1)
    way = [torch.lerp(a, b, t) for a, b in zip(stops, stops[1:], strict=False)]
    decoded = decode(run, torch.cat([*way, stops[:1]]))
    return list(range(0, len(decoded), MORPH_STEPS)), decoded.numpy()


@torch.no_grad()
def encode(run: Shown, part: Split) -> Tensor:
    """Codes (N, latent_dim) of the samples."""
    with run.compute.autocast():
        found: Tensor = run.model.encode(take(part.inputs, None).to(run.compute.device))  # type: ignore[operator]
    return found.float().cpu()


@torch.no_grad()
def decode(run: Shown, codes: Tensor) -> Tensor:
    """What codes (N, latent_dim) stand for, images in [0, 1]."""
    with run.compute.autocast():
        found: Tensor = run.model.decode(codes.to(run.compute.device))  # type: ignore[operator]
    return found.float().cpu().clamp(0, 1)
