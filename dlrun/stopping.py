"""When a run ends: small pure state machines over the figures of an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dlrun import schema
from dlrun.errors import UserError, nearest

StoppedBy = Literal[
    "epochs",
    "steps",
    "early_stopping",
    "target",
    "min_update",
    "min_grad_norm",
    "divergence",
    "time",
    "signal",
    "pruned",
]

HIGHER_IS_BETTER = ("accuracy", "r2")


def is_better(metric: str, value: float, than: float | None, min_delta: float = 0.0) -> bool:
    """Whether `value` improves on `than` by more than min_delta; nothing is worse than None.

    >>> is_better("accuracy/val", 0.9, 0.8), is_better("loss/val", 0.9, 0.8)
    (True, False)
    """
    if not math.isfinite(value):
        return False
    if than is None:
        return True
    if metric.startswith(HIGHER_IS_BETTER):
        return value > than + min_delta
    return value < than - min_delta


def require_metric(key: str, metric: str, figures: Mapping[str, float | None]) -> float:
    """The figure named `metric`; raises UserError naming `key` when the run has none such."""
    value = figures.get(metric) if "/" in metric else None  # epoch and step are no metrics
    if value is None:
        known = [
            name
            for name, figure in figures.items()
            if "/" in name and not name.startswith("time") and figure is not None
        ]
        raise UserError(
            f"{key}={metric}: this run has no such metric{nearest(metric, known)}; "
            f"there are {', '.join(known)}"
        )
    return value


@dataclass
class EarlyStopping:
    """Counts epochs in which `metric` did not improve by more than min_delta."""

    metric: str
    patience: int
    min_delta: float = 0.0
    best: float | None = None
    bad_epochs: int = 0

    @classmethod
    def from_knobs(cls, knobs: schema.Regularization, metric: str) -> EarlyStopping | None:
        """The state machine that the regularization group asks for, or None."""
        if knobs.early_stopping_patience is None:
            return None
        return cls(metric, knobs.early_stopping_patience, knobs.early_stopping_min_delta)

    def state(self) -> dict[str, float | None]:
        """What it remembers of the epochs so far."""
        return {"best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state: Mapping[str, float | None]) -> None:
        self.best, self.bad_epochs = state["best"], int(state["bad_epochs"] or 0)

    def update(self, value: float) -> bool:
        """Whether to stop, having seen one more epoch.

        >>> stopping = EarlyStopping("loss/val", patience=2)
        >>> [stopping.update(loss) for loss in (1.0, 0.5, 0.6, 0.5)]
        [False, False, False, True]
        """
        if is_better(self.metric, value, self.best, self.min_delta):
            self.best, self.bad_epochs = value, 0
        else:
            self.bad_epochs += 1
        return self.bad_epochs >= self.patience


def reached_threshold(
    settings: schema.Stopping,
    figures: Mapping[str, float | None],
    *,
    update_norm: float | None,
    initial_loss: float | None,
) -> StoppedBy | None:
    """The criterion that an epoch's figures meet, or None.

    update_norm: L2 norm of the parameters' change over the epoch. initial_loss: before training.
    """
    loss = figures.get("loss/train")  # None when no batch of the epoch had a finite one
    if loss is None or _diverged(loss, initial_loss, settings.divergence_factor):
        return "divergence"
    if settings.target_metric is not None and settings.target_value is not None:
        value = require_metric("stopping.target_metric", settings.target_metric, figures)
        if value == settings.target_value or is_better(
            settings.target_metric, value, settings.target_value
        ):
            return "target"
    if _below(update_norm, settings.min_update):
        return "min_update"
    if _below(figures.get("grad_norm"), settings.min_grad_norm):
        return "min_grad_norm"
    return None


def _below(value: float | None, threshold: float | None) -> bool:
    return value is not None and threshold is not None and value < threshold


def _diverged(loss: float, initial_loss: float | None, factor: float | None) -> bool:
    if not math.isfinite(loss):
        return True
    return factor is not None and initial_loss is not None and loss > factor * initial_loss
