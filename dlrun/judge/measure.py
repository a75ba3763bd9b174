"""All that is measured of one split: training's own figures, and how far they can be relied on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlrun.building import build_criteria
from dlrun.datasets import Splits
from dlrun.errors import UserError, shown
from dlrun.evaluation import Line, evaluate
from dlrun.judge.calibration import PROBABILISTIC, Calibration, calibrate
from dlrun.judge.data import samples_of
from dlrun.judge.interval import Interval, mean_intervals, share_interval
from dlrun.judge.per_class import ClassScores, class_scores, confusion_counts
from dlrun.metrics import predicted_classes, probabilities
from dlrun.trained import Trained


@dataclass(frozen=True)
class Judged:
    """One split judged.

    metrics: as training computes them, by name without the split's. intervals: of some of them,
    95 %, see dlrun.judge.interval.
    Of classes: confusion (K, K), true class by row, and per_class. calibration: None where there
    are no probabilities. predictions: targets and outputs (N,) of a regression in its own unit.
    remarks: what to know of the figures.
    """

    split: str
    num_samples: int
    metrics: Line
    intervals: Mapping[str, Interval]
    per_class: tuple[ClassScores, ...] = ()
    confusion: NDArray[np.int64] | None = None
    calibration: Calibration | None = None
    predictions: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    remarks: tuple[str, ...] = ()


def judge(trained: Trained, data: Splits, split: str) -> Judged:
    """What the run's best weights make of one split of the data: train, val, test or all.

    data: as run_data gives it, or open_source. The figures come out of the same batches, in the
    same precision, as those of training.
    Raises UserError for an empty split, and for data that cannot be judged.
    """
    require_judged(trained)
    part = samples_of(data, split)
    _, criterion = build_criteria(trained.settings, data)
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(kept(outputs, targets, data))
        return criterion(outputs, targets)

    metrics = evaluate(trained.model, keep, part, data, trained.compute)
    outputs, targets = (torch.cat(parts) for parts in zip(*seen, strict=True))
    if data.classes and data.task != "reconstruction":
        return of_classes(trained, data, split, metrics, outputs, targets)
    errors = (outputs if data.task == "reconstruction" else outputs - targets).numpy()
    if data.task == "regression":
        errors = np.concatenate([errors**2, np.abs(errors)], axis=1)  # (N, 2)
    finite = bool(np.isfinite(errors).all())
    intervals = dict(zip(("mse", "mae"), mean_intervals(errors), strict=True)) if finite else {}
    return Judged(
        split,
        len(part),
        metrics,
        intervals,
        predictions=(targets[:, 0].numpy(), outputs[:, 0].numpy())
        if data.task == "regression"
        else None,
        remarks=() if finite else ("some outputs are not finite numbers: no intervals",),
    )


def require_judged(trained: Trained) -> None:
    """Raises UserError for a run that has no data to be judged on."""
    if trained.data.task == "surface":
        raise UserError(
            f"{shown(trained.run_dir)}: minimised a function, it has no data to be judged on "
            "(dlrun show tells what it found)"
        )


def kept(outputs: Tensor, targets: Tensor, data: Splits) -> tuple[Tensor, Tensor]:
    """What is kept of a batch, on the CPU: a regression's values in their own unit, in float64.

    Of reconstructions only the mean square and the mean size of each sample's errors, (B, 2).
    """
    if data.task == "reconstruction":
        errors = outputs.flatten(1) - targets.flatten(1)  # (B, C*H*W)
        sizes = torch.stack([errors.square().mean(1), errors.abs().mean(1)], dim=1)
        return sizes.cpu().double(), torch.empty(0)
    outputs, targets = outputs.cpu(), targets.cpu()
    if data.task == "regression":
        outputs, targets = outputs.double(), targets.double()
        if data.target_scaling is not None:
            outputs, targets = (data.target_scaling.undo(v) for v in (outputs, targets))
    return outputs, targets


def of_classes(
    trained: Trained, data: Splits, split: str, metrics: Line, outputs: Tensor, targets: Tensor
) -> Judged:
    """A classification judged, from its logits (N, K) and targets (N,)."""
    predicted = predicted_classes(outputs)
    right = predicted == targets
    hits, count = int(right.sum()), len(right)
    counts = confusion_counts(targets.numpy(), predicted.numpy(), len(data.classes))
    calibration, remark = calibration_of(trained.settings.loss.name, outputs, right)
    remarks = [remark] if remark else []
    if hits in (0, count):
        bound = 1 - 3 / count if hits else 3 / count
        remarks.append(
            f"{'all' if hits else 'none'} of {count:,} right: resamples cannot differ; by the rule "
            f"of three the accuracy is {'above' if hits else 'below'} {bound:.4f} (95 %)"
        )
    return Judged(
        split,
        count,
        metrics,
        {"accuracy": share_interval(hits, count)},
        per_class=tuple(class_scores(counts, data.classes)),
        confusion=counts,
        calibration=calibration,
        remarks=tuple(remarks),
    )


def calibration_of(loss: str, outputs: Tensor, right: Tensor) -> tuple[Calibration | None, str]:
    """The calibration, or None and why there is none."""
    if loss not in PROBABILISTIC:
        return None, f"loss={loss} gives scores, not probabilities: there is no calibration"
    if not bool(torch.isfinite(outputs).all()):
        return None, "some outputs are not finite numbers: there is no calibration"
    confidence = probabilities(outputs.double()).amax(1)
    return calibrate(confidence.numpy(), right.numpy()), ""
