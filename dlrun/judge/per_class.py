"""Classes one by one: which is taken for which, and precision, recall and F1 of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassScores:
    """One class, or the mean over classes.

    precision = share of the samples predicted as it that are it; recall = share of its samples
    that are predicted as it; f1 = their harmonic mean; None where it is 0 / 0. support: its
    samples.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def confusion_counts(
    targets: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> NDArray[np.int64]:
    """Samples (K, K) of each true class (row) that are predicted as each class (column).

    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    cells = np.bincount(targets * num_classes + predicted, minlength=num_classes**2)
    return cells.astype(np.int64).reshape(num_classes, num_classes)


def class_scores(confusion: NDArray[np.int64], names: Sequence[str]) -> list[ClassScores]:
    """The scores of every class, from the counts (K, K)."""
    right = np.diagonal(confusion)  # (K,)
    true, predicted = confusion.sum(1), confusion.sum(0)  # (K,)
    return [
        ClassScores(
            name,
            precision=ratio(right[k], predicted[k]),
            recall=ratio(right[k], true[k]),
            f1=ratio(2 * right[k], true[k] + predicted[k]),
            support=int(true[k]),
        )
        for k, name in enumerate(names)
    ]


def ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def macro_average(scores: Sequence[ClassScores]) -> ClassScores:
    """The plain mean over the classes, however many samples each has.

    What is undefined for a class is left out (scikit-learn's `zero_division=nan`).
    """

    def mean(of: Callable[[ClassScores], float | None]) -> float | None:
        values = [value for value in map(of, scores) if value is not None]
        return sum(values) / len(values) if values else None

    return ClassScores(
        "macro average",
        precision=mean(lambda score: score.precision),
        recall=mean(lambda score: score.recall),
        f1=mean(lambda score: score.f1),
        support=sum(score.support for score in scores),
    )
