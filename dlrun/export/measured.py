"""The figures of a model card: metrics of validation and test split, each with its interval."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from dlrun.datasets import Splits
from dlrun.device import Compute
from dlrun.judge.measure import judge
from dlrun.metrics import METRICS
from dlrun.trained import Trained

SPLITS: tuple[Literal["val", "test"], ...] = ("val", "test")
SIZE = re.compile(r"\((\d+),|(\d+) streamed")


@dataclass(frozen=True)
class Measured:
    """Metrics of one split by name, without the split's; 95 % intervals where there are any.

    how: in words, where figures and intervals come from. num_samples: None where nobody knows.
    """

    split: str
    num_samples: int | None
    metrics: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]]
    how: str


def measured(trained: Trained, data: Splits | None) -> list[Measured]:
    """The figures of validation and test split, of those that have samples.

    Measured now, in float32 on the CPU, with bootstrap intervals, where the data is at hand; else
    as training wrote them, the accuracy with the Wilson interval of so many samples.
    """
    if data is not None:
        network = trained.model.cpu()
        on_cpu = dataclasses.replace(trained, model=network, compute=Compute(torch.device("cpu")))
        sizes = {"val": len(data.val), "test": len(data.test)}
        how = "measured again at the export, in float32; bootstrap over the samples"
        judged = [judge(on_cpu, data, split) for split in SPLITS if sizes[split]]
        return [Measured(j.split, j.num_samples, j.metrics, j.intervals, how) for j in judged]
    counts = split_sizes(trained.data.fingerprint)
    found = []
    for split in SPLITS:
        metrics = stored_metrics(trained, split)
        if any(value is not None for value in metrics.values()):
            found.append(recorded(split, metrics, counts.get(split)))
    return found


def stored_metrics(trained: Trained, split: str) -> dict[str, float | None]:
    """The metrics of one split that the summary has, by name without the split's."""
    stored: Any = trained.summary.get("metrics")
    stored = stored if isinstance(stored, dict) else {}
    metrics = {name: stored.get(f"{name}/{split}") for name in METRICS[trained.data.task]}
    return {name: value if isinstance(value, float) else None for name, value in metrics.items()}


def recorded(split: str, metrics: Mapping[str, float | None], count: int | None) -> Measured:
    """Figures as training wrote them, the accuracy with its Wilson interval."""
    intervals = {}
    accuracy = metrics.get("accuracy")
    if accuracy is not None and count and 0 <= accuracy <= 1:
        intervals["accuracy"] = wilson(round(accuracy * count), count)
    return Measured(
        split, count, metrics, intervals, "as training wrote them; Wilson interval from n"
    )


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, `right` of `count`.

    Source: Wilson 1927.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    from scipy.stats import binomtest

    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def split_sizes(fingerprint: Sequence[str | float]) -> dict[str, int]:
    """The number of samples by split, out of a fingerprint of the data; empty where it is another.

    >>> split_sizes(["(60, 2)", 1.5, "aa", "(20, 2)", 1.0, "bb", "(0, 2)", 0.0, "cc"])
    {'train': 60, 'val': 20, 'test': 0}
    """
    found = [SIZE.match(mark) for mark in fingerprint if isinstance(mark, str)]
    sizes = [int(match[1] or match[2]) for match in found if match is not None]
    if len(sizes) == 6:  # targets are numbers too, and have sizes of their own
        sizes = sizes[::2]
    return dict(zip(("train", "val", "test"), sizes, strict=True)) if len(sizes) == 3 else {}
