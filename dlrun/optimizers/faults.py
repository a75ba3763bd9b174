"""What an optimizer refuses, found before any work begins."""

from __future__ import annotations

import torch
from hydra.utils import instantiate

from dlrun import schema
from dlrun.errors import UserError
from dlrun.optimizers import build
from dlrun.optimizers.direct import DirectSearch


def optimizer_faults(settings: schema.Config, name: str) -> list[str]:
    """What the optimizer says of its values, tried on a model of one weight, and cannot go with.

    name: what was chosen of the group.
    """
    with torch.random.fork_rng([]):
        probe = torch.nn.Linear(1, 1)
    try:
        optimizer = build(
            instantiate({"_convert_": "all", **settings.optimizer}),
            probe,
            weight_decay=settings.regularization.weight_decay,
            device=torch.device("cpu"),
        )
    except UserError as error:
        return [str(error)]
    if isinstance(optimizer, DirectSearch):
        return _without_gradients(settings, name)
    if isinstance(optimizer, torch.optim.LBFGS):
        return _within_a_step(settings)
    return []


def _within_a_step(settings: schema.Config) -> list[str]:
    """What cannot be had with L-BFGS: it computes several losses a step, nothing comes between."""
    faults = []
    max_grad_norm = settings.regularization.max_grad_norm
    if max_grad_norm is not None:
        faults.append(
            f"regularization.max_grad_norm={max_grad_norm}: optimizer=lbfgs does not use it "
            "(choose another optimizer, or leave it out)"
        )
    if settings.device.precision == "fp16":
        faults.append(
            "device.precision=fp16: optimizer=lbfgs cannot scale its loss "
            "(type device.precision=bf16, or choose another optimizer)"
        )
    return faults


def _without_gradients(settings: schema.Config, name: str) -> list[str]:
    """What a search cannot have: what acts on gradients, and losses that cannot be compared."""
    knobs = settings.regularization
    other = "(choose another optimizer, or leave it out)"
    faults = [
        f"{key}={value}: optimizer={name} has no {lacks} {other}"
        for key, value, lacks in (
            ("regularization.max_grad_norm", knobs.max_grad_norm, "gradient"),
            (
                "diagnostics.gradients",
                "true" if settings.diagnostics.gradients else None,
                "gradient",
            ),
            ("stopping.min_grad_norm", settings.stopping.min_grad_norm, "gradient"),
        )
        if value is not None
    ]
    if settings.scheduler.name != "constant":
        faults.append(
            f"scheduler={settings.scheduler.name}: optimizer={name} has no learning rate {other}"
        )
    if settings.device.precision == "fp16":
        faults.append(f"device.precision=fp16: optimizer={name} has no gradient to scale {other}")
    if settings.batch_size != "full" and settings.debug.overfit_batches is None:
        faults.append(
            f"batch_size={settings.batch_size}: optimizer={name} compares losses, which it cannot "
            "from batch to batch (type batch_size=full)"
        )
    for key, value in (
        ("dropout", knobs.dropout),
        ("augment_shift", knobs.augment_shift),
        ("augment_degrees", knobs.augment_degrees),
    ):
        if value:
            faults.append(
                f"regularization.{key}={value}: optimizer={name} compares losses, which then "
                f"differ by chance {other}"
            )
    return faults
