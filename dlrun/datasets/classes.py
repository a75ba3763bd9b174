"""Part of the classes of a data set, numbered anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlrun.datasets.samples import Inputs, Samples, check_targets
from dlrun.errors import UserError, nearest, shown


def keep_classes(samples: Samples, kept: Sequence[str | int]) -> Samples:
    """The samples of the classes named, which are numbered from 0 in the data set's own order.

    Two of them make a binary task.
    Raises UserError for a name that no class has, fewer than two names, and for a regression.
    """
    typed = f"dataset.classes=[{shown(','.join(str(name) for name in kept))}]"
    names = check_targets(samples, None)
    if not names:
        raise UserError(f"{typed}: this data set has numbers to predict, not classes (type null)")
    wanted = {str(name) for name in kept}
    if unknown := sorted(wanted - set(names)):
        some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        hint = nearest(unknown[0], names) or f"; there are {some}"
        raise UserError(f"{typed}: no class '{shown(unknown[0])}'{hint}")
    if len(wanted) < 2:
        raise UserError(
            f"{typed}: expected at least two classes, or null for all "
            f"(for example dataset.classes=[{','.join(names[:2])}])"
        )
    numbers = [k for k, name in enumerate(names) if name in wanted]
    own = _only(samples.inputs, samples.targets, numbers)
    return replace(
        samples,
        inputs=own[0],
        targets=own[1],
        task="binary" if len(numbers) == 2 else "multiclass",
        classes=tuple(names[k] for k in numbers),
        test=None if samples.test is None else _only(*samples.test, numbers),
    )


@dataclass(frozen=True)
class Subset:
    """Some of the inputs that stay where their source has them."""

    source: Inputs
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor, /) -> Tensor:
        return self.source[self.index[index]]


def _only(inputs: Inputs, targets: Tensor, numbers: list[int]) -> tuple[Inputs, Tensor]:
    index = torch.isin(targets, torch.tensor(numbers)).nonzero()[:, 0]
    renumbered = torch.searchsorted(torch.tensor(numbers), targets[index])
    if isinstance(inputs, Tensor):
        return inputs[index], renumbered
    return Subset(inputs, index), renumbered
