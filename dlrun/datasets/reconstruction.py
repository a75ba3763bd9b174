"""The task of an autoencoder: to give back its inputs, with no label in training."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from dlrun.datasets.splits import Split, Splits
from dlrun.errors import UserError


def to_reconstruct(data: Splits) -> Splits:
    """The same samples with themselves as targets.

    Images are to come back as pixels in [0, 1], however they are scaled at the input; rows of a
    table as the network sees them. Class numbers become `labels`, for pictures alone.
    Raises UserError for data that stays on disk: inputs and targets are kept in memory.
    """
    scaling = data.input_scaling if len(data.in_shape) == 3 else None

    def with_itself(part: Split) -> Split:
        if not isinstance(part.inputs, Tensor):
            raise UserError(
                "dataset.max_gigabytes: these images are read from disk batch by batch, "
                "reconstruction needs them in memory\n(expected a larger dataset.max_gigabytes, "
                "a smaller dataset.size or dataset.limit)"
            )
        pixels = part.inputs if scaling is None else scaling.undo(part.inputs)
        return Split(part.inputs, pixels, part.targets if data.classes else None)

    return replace(
        data,
        train=with_itself(data.train),
        val=with_itself(data.val),
        test=with_itself(data.test),
        task="reconstruction",
        target_scaling=None,
    )
