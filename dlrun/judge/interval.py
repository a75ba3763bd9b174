"""Percentile bootstrap: how much a figure of a split owes to the samples that happen to be in it.

Efron 1979: samples are drawn again with replacement, as many as there are, many times; the middle
95 % of the figures of these resamples is the interval. It tells of the samples alone, not of how
another seed would have trained.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 10_000
FEWEST = 1_000  # resamples of a split so large that 10,000 would take minutes
DRAWS = 400_000_000  # about so many samples are drawn in all
AT_ONCE = 4_000_000  # samples drawn at a time: what bounds the memory

Interval = tuple[float, float]


def share_interval(hits: int, count: int, seed: int = 0) -> Interval:
    """The interval of a share such as the accuracy, `hits` of `count` samples.

    The number of hits in a resample is binomial, so that is drawn at once: exact, not a shortcut.
    All or none: no resample differs, and the interval is a point.

    >>> low, high = share_interval(90, 100)
    >>> round(low, 2), round(high, 2)
    (0.84, 0.95)
    """
    drawn = np.random.default_rng(seed).binomial(count, hits / count, RESAMPLES)
    return percentiles(drawn / count)


def mean_intervals(values: NDArray[np.float64], seed: int = 0) -> list[Interval]:
    """The interval of the mean of each column of values (N, M), the same resamples for all."""
    count = len(values)
    generator = np.random.default_rng(seed)
    wanted = resamples(count)
    means = []
    while wanted > 0:
        rows = min(wanted, max(1, AT_ONCE // count))
        index = generator.integers(0, count, (rows, count), dtype=np.int32)
        means.append(np.stack([column[index].mean(1) for column in values.T], axis=1))
        wanted -= rows
    return [percentiles(column) for column in np.concatenate(means).T]


def resamples(count: int) -> int:
    """How often so many samples are drawn again.

    >>> resamples(102), resamples(1_000_000)
    (10000, 1000)
    """
    return min(RESAMPLES, max(FEWEST, DRAWS // count))


def percentiles(figures: NDArray[np.float64]) -> Interval:
    """The bounds of the middle 95 % of the figures."""
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
