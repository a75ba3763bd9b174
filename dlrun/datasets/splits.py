"""The three splits of a data set: seeded, stratified, standardised by the training split alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlrun.datasets.classes import keep_classes
from dlrun.datasets.samples import (
    Inputs,
    Samples,
    Task,
    Transform,
    check_settings,
    check_targets,
)
from dlrun.datasets.scaling import STREAMED_STATISTICS, Scaling, fit_scaling
from dlrun.datasets.stratify import take
from dlrun.errors import UserError
from dlrun.randomness import stream

__all__ = [
    "Inputs",
    "Objective",
    "Samples",
    "Scaling",
    "Split",
    "Splits",
    "Streamed",
    "Task",
    "split",
]


# Mean loss, shape (), of positions (N, D) for targets (N, D); see dlrun.datasets.surface.
Objective = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Split:
    """One split, scaled: inputs (N, *in_shape), targets (N,) int64 or (N, 1) float32.

    Where inputs are to be reconstructed, targets are (N, *in_shape) and labels the classes (N,)
    that pictures are coloured by, if there are any.
    """

    inputs: Inputs
    targets: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def rows(self, index: Tensor) -> Split:
        """The samples at `index` (M,), which lies on the CPU."""
        taken = self.targets[index.to(self.targets.device)]
        if self.inputs is self.targets:
            inputs: Inputs = taken
        else:
            device = self.inputs.device if isinstance(self.inputs, Tensor) else index.device
            inputs = self.inputs[index.to(device)]
        labels = None if self.labels is None else self.labels[index.to(self.labels.device)]
        return Split(inputs, taken, labels)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test split of one data set, ready for training.

    Any of `val` and `test` may be empty (length 0). `input_scaling` maps the source's unit to
    what the network sees, `target_scaling` likewise for regression targets; None: unscaled.
    fill: what missing values were replaced by, (D,) in the features' unit; None: none may be
    missing. columns, transform and squeezed: as those of Samples.
    objective: the loss, where the data set has one of its own. checksum: of the samples as their
    source gives them, see dlrun.datasets.checksum.
    """

    train: Split
    val: Split
    test: Split
    task: Task
    in_shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    transform: Transform = "none"
    squeezed: bool = False
    target_name: str = "target"
    fill: Tensor | None = None
    input_scaling: Scaling | None = None
    target_scaling: Scaling | None = None
    notes: tuple[str, ...] = ()
    objective: Objective | None = None
    checksum: str | None = None


@dataclass(frozen=True)
class Streamed:
    """Inputs that stay where their source has them, read and scaled batch by batch."""

    source: Inputs
    index: Tensor
    scaling: Scaling | None = None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor, /) -> Tensor:
        batch = _as_floats(self.source[self.index[index.cpu()]])
        return batch if self.scaling is None else self.scaling.apply(batch)


def split(
    samples: Samples,
    *,
    seed: int,
    val_fraction: float,
    test_fraction: float | None,
    normalize: bool,
    limit: int | None,
    classes: list[int | str] | None = None,
) -> Splits:
    """Training, validation and test split of `samples`, float32, standardised if `normalize`.

    The test split is the source's own, or the seeded share `test_fraction` of all samples
    (None: empty). Of the rest at most `limit` samples are kept, and as many test samples; the
    share `val_fraction` of those is the validation split. Classes are drawn in proportion and
    every class keeps a sample for training. Samples come in seeded random order, but for a
    source's own test split, which keeps its order.
    classes: names of the classes to keep; None: all.
    Mean and std come from the training split alone: one each per feature (D,), or per channel
    (C, 1, 1); std is the population's, 1 where a feature is constant. Regression targets are
    standardised likewise.
    Raises UserError when a setting is out of range or the samples do not allow a training split.
    """
    check_settings(samples, val_fraction, test_fraction, limit)
    if classes is not None:
        samples = keep_classes(samples, classes)
    names = check_targets(samples, limit)
    train_index, val_index, test_index, shortfalls = _split_indices(
        samples, bool(names), seed, val_fraction, test_fraction, limit
    )
    own = (samples.inputs, samples.targets)
    sources = (own, own, own if samples.test is None else samples.test)
    parts = list(zip(sources, (train_index, val_index, test_index), strict=True))
    inputs = [_select(source, index, samples) for (source, _), index in parts]
    targets = [_select_targets(values, index) for (_, values), index in parts]
    fill = _fill_missing(inputs, samples.features) if samples.fill_missing else None
    train, val, test = (Split(*part) for part in zip(inputs, targets, strict=True))
    splits = Splits(
        train=train,
        val=val,
        test=test,
        task=samples.task,
        in_shape=tuple(inputs[0][torch.tensor([0])].shape[1:]),
        classes=names,
        features=samples.features,
        columns=samples.columns,
        transform=samples.transform,
        squeezed=samples.squeezed,
        target_name=samples.target_name,
        fill=fill,
        notes=(*samples.notes, *shortfalls),
    )
    return _standardised(splits) if normalize else splits


def _split_indices(
    samples: Samples,
    stratified: bool,
    seed: int,
    val_fraction: float,
    test_fraction: float | None,
    limit: int | None,
) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """Indices for training, validation and test, and a note on each split that falls short.

    The test indices count within the source's own test split, if it has one.
    """
    groups = _groups(samples.targets, stratified)
    if samples.test is None:
        test_groups = groups
        test, rest, notes = _draw("test", groups, test_fraction or 0.0, seed)
    else:
        test_groups = _groups(samples.test[1], stratified)
        test, rest, notes = torch.arange(len(test_groups)), torch.arange(len(groups)), []
    if limit is not None:
        kept, _ = take(groups[rest], limit, stream(seed, "limit training"), low=1)
        rest = rest[kept]
    if limit is not None and len(test) > limit:
        kept, _ = take(test_groups[test], limit, stream(seed, "limit test"))
        test = test[kept]
    val, train, more_notes = _draw("validation", groups[rest], val_fraction, seed)
    return rest[train], rest[val], test, notes + more_notes


def _groups(targets: Tensor, stratified: bool) -> Tensor:
    """The groups (N,) to draw from in proportion: the classes, or one group of all samples."""
    return targets if stratified else torch.zeros(len(targets), dtype=torch.int64)


def _draw(
    name: str, groups: Tensor, fraction: float, seed: int
) -> tuple[Tensor, Tensor, list[str]]:
    """Positions of the split `name`, those left over, and a note if it has too few."""
    # The nearest whole number of samples, at least one if any share is asked for
    wanted = max(int(fraction * len(groups) + 0.5), 1) if fraction > 0 else 0
    drawn, left = take(groups, wanted, stream(seed, f"{name} split"), keep=1)
    if len(drawn) == wanted:
        return drawn, left, []
    note = (
        f"the {name} split has {len(drawn)} samples in place of {wanted}: "
        "every class keeps its last sample for training"
    )
    return drawn, left, [note]


def _standardised(splits: Splits) -> Splits:
    """`splits` scaled by mean and std of the training split; the tensors are changed in place."""
    input_scaling = fit_scaling(splits.train.inputs)
    target_scaling = None if splits.classes else fit_scaling(splits.train.targets)

    def scaled(part: Split) -> Split:
        targets = part.targets if target_scaling is None else target_scaling.apply_(part.targets)
        return Split(_scaled(part.inputs, input_scaling), targets)

    notes = splits.notes
    if isinstance(splits.train.inputs, Streamed) and len(splits.train) > STREAMED_STATISTICS:
        notes += (f"mean and std are those of {STREAMED_STATISTICS} training samples",)
    return replace(
        splits,
        train=scaled(splits.train),
        val=scaled(splits.val),
        test=scaled(splits.test),
        input_scaling=input_scaling,
        target_scaling=target_scaling,
        notes=notes,
    )


def _as_floats(values: Tensor) -> Tensor:
    return values.float().div_(255) if values.dtype == torch.uint8 else values.float()


def _select(source: Inputs, index: Tensor, samples: Samples) -> Inputs:
    """The samples at `index`, a new float32 tensor, made in chunks: no second copy of the whole."""
    if not isinstance(source, Tensor):
        return Streamed(source, index)
    selected = torch.empty((len(index), *source.shape[1:]), dtype=torch.float32)
    for start in range(0, len(index), 4096):
        rows = index[start : start + 4096]
        chunk = _as_floats(source[rows])
        if source.dtype != torch.uint8:
            wrong = torch.isinf(chunk) if samples.fill_missing else ~torch.isfinite(chunk)
            if wrong.any():
                raise _not_finite(wrong, rows, samples.features)
        selected[start : start + 4096] = chunk
    return selected


def _not_finite(wrong: Tensor, rows: Tensor, features: tuple[str, ...]) -> UserError:
    row, *position = wrong.nonzero()[0].tolist()
    where = f"feature '{features[position[0]]}'" if features else f"position {tuple(position)}"
    return UserError(
        f"dataset: an input that is not a finite number (nan, inf, or beyond 3.4e38) in sample "
        f"{int(rows[row]) + 1}, {where}; take it out of the data, or leave that sample out"
    )


def _select_targets(targets: Tensor, index: Tensor) -> Tensor:
    return targets[index] if targets.dtype == torch.int64 else targets[index].float()


def _scaled(inputs: Inputs, scaling: Scaling) -> Inputs:
    if isinstance(inputs, Streamed):
        return Streamed(inputs.source, inputs.index, scaling)
    assert isinstance(inputs, Tensor)
    return scaling.apply_(inputs)


def _fill_missing(inputs: list[Inputs], features: tuple[str, ...]) -> Tensor:
    """The means (D,) of the first of `inputs`, by which each NaN in any of them is replaced."""
    train = inputs[0]
    assert isinstance(train, Tensor)
    means = train.nanmean(0)
    if means.isnan().any():
        name = features[int(means.isnan().nonzero()[0])]
        raise UserError(
            f"dataset.missing=mean: '{name}' has no value in the training split; "
            "leave that column out, or take more training samples"
        )
    for part in inputs:
        assert isinstance(part, Tensor)
        torch.where(part.isnan(), means, part, out=part)
    return means
