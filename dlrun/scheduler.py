"""Learning-rate schedules as pure functions of the step, and the one that looks at the loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from dlrun import schema


def lr_factor(settings: schema.Scheduler, step: int, num_steps: int, steps_per_epoch: int) -> float:
    """What the learning rate is multiplied by in optimizer step `step` (from 0) of `num_steps`.

    Nothing is remembered from step to step, so a resumed run needs no state of it.
    """
    progress = step / max(1, num_steps)
    # 1) drops by gamma every few epochs
    if settings.name == "step":
        return settings.gamma ** (step // (settings.step_epochs * steps_per_epoch))
    # 2) half a cosine from 1 to end_factor
    if settings.name == "cosine":
        return _cosine(1.0, settings.end_factor, progress)
    # 3) a cosine up to the peak, a longer one down
    if settings.name == "one_cycle":
        peak = settings.peak_fraction * num_steps - 1
        if step < peak:
            return _cosine(settings.start_factor, 1.0, step / peak)
        return _cosine(1.0, settings.end_factor, (step - peak) / (num_steps - 1 - peak))
    # 4) straight up, then constant
    if settings.name == "linear_warmup":
        return min(1.0, (step + 1) / max(1.0, settings.warmup_fraction * num_steps))
    return 1.0  # constant; plateau acts between epochs


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


class Schedule:
    """Sets the learning rate of every parameter group before a step.

    `base` holds the optimizer's own rates; the plateau schedule lowers `scale` between epochs.
    """

    def __init__(
        self,
        settings: schema.Scheduler,
        optimizer: torch.optim.Optimizer,
        num_steps: int,
        steps_per_epoch: int,
    ) -> None:
        self.settings = settings
        self.optimizer = optimizer
        self.num_steps = num_steps
        self.steps_per_epoch = steps_per_epoch
        self.base = [group.get("lr") for group in optimizer.param_groups]
        self.scale = 1.0
        self.best = math.inf
        self.bad_epochs = 0

    def state(self) -> dict[str, float]:
        """What the plateau schedule remembers; the others follow from the step."""
        return {"scale": self.scale, "best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state: Mapping[str, float]) -> None:
        self.scale, self.best = state["scale"], state["best"]
        self.bad_epochs = int(state["bad_epochs"])

    @property
    def lr(self) -> float | None:
        """The learning rate now in force (of the first parameter group); None: it has none."""
        lr = self.optimizer.param_groups[0].get("lr")
        return None if lr is None else float(lr)

    def before_step(self, step: int) -> None:
        if self.settings.name in ("constant", "plateau"):
            return
        factor = lr_factor(self.settings, step, self.num_steps, self.steps_per_epoch)
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            if base is not None:  # direct search has no learning rate
                group["lr"] = base * factor

    def after_epoch(self, loss: float | None) -> None:
        """Lowers the rate when `loss` has not fallen for `patience` epochs (plateau alone)."""
        if self.settings.name != "plateau":
            return
        if loss is not None and loss < self.best:
            self.best, self.bad_epochs = loss, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.settings.patience:
            self.scale, self.bad_epochs = self.scale * self.settings.gamma, 0
            for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
                if base is not None:
                    group["lr"] = base * self.scale
