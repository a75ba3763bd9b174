"""What a run tells before training: what is about to be trained, on what, how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from dlrun import schema
from dlrun.batches import batch_slices
from dlrun.datasets import Splits
from dlrun.describe import config_tree, describe_task, flat_hparams, model_text, stored_data
from dlrun.device import Compute, describe
from dlrun.models.summary import summarize, total_parameters
from dlrun.runlog import RunLog
from dlrun.state import FORMAT, Recipe
from dlrun.summary import data_record
from dlrun.terminal import display_path
from dlrun.yaml_files import dump_yaml


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
        monitor=recipe.monitor,
        data=data_record(str(choices.get("dataset")), data),
    )
    plain = OmegaConf.to_container(config, resolve=True)
    log.about = {
        "format": FORMAT,
        "config": plain,
        "choices": dict(choices),
        "data": stored_data(data),
    }
    config_text = dump_yaml(plain)  # OmegaConf.to_yaml takes ten times as long
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
