"""What a run tells: before training what is about to be trained, after it what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from torch import nn

from dlrun import schema
from dlrun.batches import batch_slices, take
from dlrun.datasets import Splits
from dlrun.describe import config_tree, describe_task, flat_hparams, model_text, stored_data
from dlrun.device import Compute, describe
from dlrun.evaluation import predict
from dlrun.metrics import predicted_classes
from dlrun.models.summary import summarize, total_parameters
from dlrun.runlog import RunLog
from dlrun.state import FORMAT, Fitted, Recipe
from dlrun.terminal import display_path


def introduce(
    log: RunLog,
    config: DictConfig,
    settings: schema.Config,
    choices: Mapping[str, Any],
    data: Splits,
    model: nn.Module,
    recipe: Recipe,
    compute: Compute,
    notes: Sequence[str],
) -> None:
    """Shows and records what is about to be trained: config, data, model, hyper-parameters.

    notes: what to know of the model's first weights.
    """
    rows, totals = summarize(model, data.in_shape), total_parameters(model)
    hparams = flat_hparams(settings, choices, recipe.batch_size)
    device = describe(compute.device)
    log.update(
        seed=settings.seed,
        device=device,
        parameters=totals.parameters,
        trainable_parameters=totals.trainable,
        hparams=hparams,
    )
    plain = OmegaConf.to_container(config, resolve=True)
    log.about = {
        "format": FORMAT,
        "config": plain,
        "choices": dict(choices),
        "data": stored_data(data),
    }
    # libyaml, where PyYAML was built with it, is ten times as fast as OmegaConf.to_yaml.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    config_text = yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True)
    log.start(config_text, model_text(rows, totals), hparams)

    terminal = log.terminal
    terminal.config(display_path(log.run_dir), config_tree(settings, choices))
    sizes = {"training": data.train, "validation": data.val, "test": data.test}
    counts = ", ".join(f"{len(part):,} {name}" for name, part in sizes.items())
    terminal.data(
        {
            "data": f"{counts} samples of shape {data.in_shape}",
            "task": describe_task(data),
            "device": f"{device}, {settings.device.precision}",
        },
        [*data.notes, *notes, *log.notes],
    )
    terminal.model(rows, totals.parameters, totals.trainable)
    num_batches = len(batch_slices(len(data.train), recipe.batch_size))
    terminal.start(recipe.epochs, num_batches, len(data.train), log.first_step)


def draw(log: RunLog, fitted: Fitted, data: Splits, model: nn.Module, compute: Compute) -> None:
    """Pictures of the run, as files and in TensorBoard: curves, samples, what the test shows."""
    from dlrun import figures  # matplotlib takes a second to import: not before the end

    step = fitted.steps
    log.figure("learning_curves", figures.learning_curves(fitted.history, fitted.best_epoch), step)
    if len(data.in_shape) == 3:
        images = take(data.train.inputs, torch.arange(min(28, len(data.train)))).cpu()
        if data.input_scaling is not None:
            images = data.input_scaling.undo(images)
        labels = [data.classes[int(k)] for k in data.train.targets[: len(images)]]
        log.figure("samples", figures.sample_grid(images.clamp(0, 1).numpy(), labels), step)
    shown = data.test if len(data.test) else data.val
    if len(shown) == 0:
        return
    outputs, targets = (
        torch.cat(parts).cpu() for parts in zip(*predict(model, shown, compute), strict=True)
    )
    if data.task == "regression":
        if data.target_scaling is not None:
            outputs, targets = data.target_scaling.undo(outputs), data.target_scaling.undo(targets)
        picture = figures.predictions(
            targets[:, 0].numpy(), outputs[:, 0].numpy(), data.target_name
        )
        log.figure("predictions", picture, step)
    else:
        K = len(data.classes)
        pairs = targets * K + predicted_classes(outputs)
        matrix = torch.bincount(pairs, minlength=K * K).reshape(K, K)  # true x predicted
        log.figure("confusion_matrix", figures.confusion_matrix(matrix.numpy(), data.classes), step)
