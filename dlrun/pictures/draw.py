"""All pictures of a run, one after another."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from matplotlib.figure import Figure
from torch import nn

from dlrun import figures, schema
from dlrun.datasets import Splits
from dlrun.device import Compute
from dlrun.diagnostics import Record
from dlrun.evaluation import predict
from dlrun.figures.animation import Frame
from dlrun.pictures.classes import classification, grown_regions
from dlrun.pictures.codes import morph, reconstruction
from dlrun.pictures.layers import gradients, images
from dlrun.pictures.paths import path, race
from dlrun.pictures.shown import Shown
from dlrun.pictures.values import regression
from dlrun.runlog import RunLog
from dlrun.state import Fitted


def draw(
    log: RunLog,
    fitted: Fitted,
    data: Splits,
    model: nn.Module,
    compute: Compute,
    settings: schema.Config,
    records: list[Record],
) -> None:
    """Draws what this run has to show."""
    part = data.test if len(data.test) else data.val
    outputs = targets = torch.empty(0)
    if len(part):
        outputs, targets = (
            torch.cat(parts).cpu() for parts in zip(*predict(model, part, compute), strict=True)
        )
    run = Shown(settings, fitted, data, model.eval(), compute, part, outputs, targets)
    if settings.figures:
        for name, picture in pictures(run, records):
            log.figure(name, picture, fitted.steps)
    if settings.animations:
        for name, frames in animations(run):
            height, width = frames[0].shape[:2]
            log.animation(name, figures.gif(frames), width, height, fitted.steps)


def pictures(run: Shown, records: list[Record]) -> Iterator[tuple[str, Figure]]:
    """Names and figures, one after another, so that each can be saved and let go."""
    history, data = run.fitted.history, run.data
    if len(history) > 1 and data.task != "surface":
        yield "learning_curves", figures.learning_curves(history, run.fitted.best_epoch)
    if data.task == "surface":
        yield from path(run)
    elif data.task == "reconstruction":
        yield from reconstruction(run)
    elif data.task == "regression":
        yield from regression(run)
    else:
        yield from classification(run)
    if len(data.in_shape) == 3:
        yield from images(run)
    if records:
        yield from gradients(records)


def animations(run: Shown) -> Iterator[tuple[str, list[Frame]]]:
    """Names and frames (H, W, 3) of what moves."""
    if run.fitted.snapshots:
        yield "decision_regions", grown_regions(run)
    if run.data.task == "surface" and run.data.in_shape == (2,):
        yield "path", race(run)
    if run.data.task == "reconstruction" and len(run.data.in_shape) == 3 and len(run.part) > 1:
        stops, decoded = morph(run)
        yield "morph", figures.morph_frames(decoded, stops=stops)
