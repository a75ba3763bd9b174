"""Confusion counts, and precision, recall and F1 beside scikit-learn's."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from dlrun.judge.per_class import ClassScores, class_scores, confusion_counts, macro_average

# Class 3 is never predicted, class 4 is neither there nor predicted, class 5 is not there.
TARGETS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
PREDICTED = np.array([0, 0, 1, 1, 1, 2, 0, 2, 5, 0])
NAMES = ("a", "b", "c", "d", "e", "f")


def scores() -> list[ClassScores]:
    return class_scores(confusion_counts(TARGETS, PREDICTED, 6), NAMES)


def as_nan(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


def test_counts_are_those_of_scikit_learn() -> None:
    expected = confusion_matrix(TARGETS, PREDICTED, labels=range(6))
    np.testing.assert_array_equal(confusion_counts(TARGETS, PREDICTED, 6), expected)


def test_scores_are_those_of_scikit_learn() -> None:
    precision, recall, f1, support = precision_recall_fscore_support(
        TARGETS, PREDICTED, labels=range(6), zero_division=np.nan
    )
    found = scores()
    np.testing.assert_allclose(as_nan([score.precision for score in found]), precision)
    np.testing.assert_allclose(as_nan([score.recall for score in found]), recall)
    np.testing.assert_allclose(as_nan([score.f1 for score in found]), f1)
    assert [score.support for score in found] == support.tolist() == [3, 2, 4, 1, 0, 0]


def test_macro_average_is_that_of_scikit_learn() -> None:
    precision, recall, f1, _ = precision_recall_fscore_support(
        TARGETS, PREDICTED, labels=range(6), zero_division=np.nan, average="macro"
    )
    mean = macro_average(scores())
    np.testing.assert_allclose([mean.precision, mean.recall, mean.f1], [precision, recall, f1])
    assert mean.support == 10


def test_by_hand() -> None:
    # a: 2 of 4 predicted, 2 of 3 there; 2 * 2 / (4 + 3)
    assert scores()[0] == ClassScores("a", 0.5, 2 / 3, 4 / 7, 3)
    assert scores()[3] == ClassScores("d", None, 0.0, 0.0, 1)
    assert scores()[4] == ClassScores("e", None, None, None, 0)
