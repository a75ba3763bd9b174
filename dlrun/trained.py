"""A run that has trained, opened again: its best weights, its config, what it kept of its data.

A run directory is data that anybody may have written: see dlrun.stored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from dlrun import losses, schema
from dlrun.building import call_model
from dlrun.check import check
from dlrun.checkpoint import load_checkpoint
from dlrun.describe import StoredData, read_stored_data
from dlrun.device import Compute, open_device, present_devices
from dlrun.errors import UserError, shown
from dlrun.run_files import read_summary
from dlrun.stored import (
    merged,
    require_ours,
    require_plain_files,
    require_run,
    stored_config,
)
from dlrun.targets import Trust

BEST = Path("checkpoints") / "best.pt"


@dataclass(frozen=True)
class Trained:
    """One run with its best weights.

    config: as it was composed; settings: the same as plain objects, `loss.name` resolved.
    choices: what was chosen of each group. model: on the device, in evaluation mode.
    epoch: the one that the weights are of. notes: what to know, such as another device.
    """

    run_dir: Path
    config: DictConfig
    settings: schema.Config
    choices: Mapping[str, Any]
    summary: Mapping[str, Any]
    data: StoredData
    model: nn.Module
    compute: Compute
    epoch: int
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.run_dir.resolve().name


def open_trained(run_dir: Path, trust: Trust = "data", *, device: str | None = None) -> Trained:
    """The run in a directory with its best weights.

    device: None for the one it was trained on, or the CPU where that is not there.
    Raises UserError for what is no run, has no best weights yet, is damaged, or names code that
    `trust` does not allow; nothing is written.
    """
    require_run(run_dir)
    if trust != "all":
        require_plain_files(run_dir)
    if not (run_dir / BEST).exists():
        raise UserError(
            f"{shown(run_dir)}: has no {BEST}, it ended before its first epoch was over "
            "(expected a run that has trained; dlrun ls tells)"
        )
    checkpoint = load_checkpoint(run_dir / BEST)
    needed = ("model", "epoch", "data")
    require_ours(checkpoint, run_dir, trust, file=BEST.name, needed=needed)
    config = merged(checkpoint["config"], stored_config(run_dir, trust), {}, run_dir)
    anywhere = config.copy()
    anywhere.device.name = "auto"  # the run's own device may not be here
    settings = check(anywhere, checkpoint["choices"], trust, resumed=True)
    settings.device.name = config.device.name
    try:
        data = read_stored_data(checkpoint["data"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{shown(run_dir)}: {BEST} does not say what its data was") from error
    settings.loss.name = losses.resolve(settings.loss.name, data.task, len(data.classes))
    compute, notes = open_compute(settings.device, device)
    return Trained(
        run_dir=run_dir,
        config=config,
        settings=settings,
        choices=checkpoint["choices"],
        summary=read_summary(run_dir) or {},
        data=data,
        model=rebuilt(settings, data, checkpoint["model"], run_dir).to(compute.device).eval(),
        compute=compute,
        epoch=checkpoint["epoch"],
        notes=notes,
    )


def open_compute(stored: schema.Device, name: str | None) -> tuple[Compute, tuple[str, ...]]:
    """The device called `name`, None for the stored one; and a note where that is not here."""
    notes: tuple[str, ...] = ()
    if name is None:
        name = stored.name
        known = {"auto", "cuda"} if len(present_devices()) > 1 else {"auto"}
        if name not in known and name not in present_devices():
            notes = (f"{name}, which it was trained on, is not here: computed on the cpu",)
            name = "cpu"
    threads = None if stored.threads is None else min(stored.threads, os.cpu_count() or 1)
    compute = open_device(
        name,
        precision=stored.precision,
        threads=threads,
        deterministic=stored.deterministic,
    )
    return compute, notes


def rebuilt(
    settings: schema.Config, data: StoredData, weights: Mapping[str, Any], run_dir: Path
) -> nn.Module:
    """The configured network with these weights, on the CPU."""
    out_features = losses.out_features(
        settings.loss.name, data.task, len(data.classes), data.in_shape
    )
    with torch.random.fork_rng([]):
        model = call_model(settings.model, data.in_shape, out_features)
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"{shown(run_dir)}: the weights in {BEST} are not those of its model: "
            f"{shown(str(error).splitlines()[-1].strip())}"
        ) from error
    return model
