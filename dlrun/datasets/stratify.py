"""Which samples go where: seeded, stratified selection with exact sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def class_sizes(counts: Sequence[int], total: int, low: int = 0, keep: int = 0) -> list[int]:
    """How many to take of each class so that `total` are taken in proportion to `counts`.

    Largest remainder (Hamilton's method) in whole numbers; ties go to the first class. Each
    class gives at least `low` (if it has them) and keeps at least `keep`; where that leaves too
    few, the sum is less than `total`.

    >>> class_sizes([50, 30, 20], 10)
    [5, 3, 2]
    >>> class_sizes([5, 5, 5], 4)
    [2, 1, 1]
    >>> class_sizes([98, 1, 1], 10, low=1)
    [8, 1, 1]
    >>> class_sizes([2, 1], 2, keep=1)
    [1, 0]
    """
    num_samples = sum(counts)
    least = [min(low, count) for count in counts]
    most = [max(count - keep, 0) for count in counts]
    sizes = [
        min(max(count * total // max(num_samples, 1), least[k]), most[k])
        for k, count in enumerate(counts)
    ]

    def owed(k: int) -> int:
        return counts[k] * total - sizes[k] * num_samples

    while sum(sizes) < min(total, sum(most)):
        k = max((k for k in range(len(sizes)) if sizes[k] < most[k]), key=owed)
        sizes[k] += 1
    while sum(sizes) > max(total, sum(least)):
        k = min((k for k in range(len(sizes)) if sizes[k] > least[k]), key=owed)
        sizes[k] -= 1
    return sizes


def take(
    groups: Tensor, total: int, generator: torch.Generator, low: int = 0, keep: int = 0
) -> tuple[Tensor, Tensor]:
    """Positions taken and positions left, each in random order; `groups` (N,) int64.

    The sizes per group are those of `class_sizes`. Done with torch because importing
    scikit-learn for its `train_test_split` takes about two seconds at every start.
    """
    counts = torch.bincount(groups)
    sizes = torch.tensor(class_sizes(counts.tolist(), total, low, keep), dtype=torch.int64)
    shuffled = torch.randperm(len(groups), generator=generator)
    by_group = torch.argsort(groups[shuffled], stable=True)
    starts = torch.cumsum(counts, 0) - counts
    rank = torch.empty_like(groups)  # of each shuffled sample within its group
    rank[by_group] = torch.arange(len(groups)) - torch.repeat_interleave(starts, counts)
    taken = rank < sizes[groups[shuffled]]
    return shuffled[taken], shuffled[~taken]
