"""The three splits of a data set: seeded, stratified, standardised by the training split alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlrun.datasets.samples import Inputs, Samples, Task, check_settings, check_targets
from dlrun.datasets.scaling import STREAMED_STATISTICS, Scaling, fit_scaling
from dlrun.datasets.stratify import take
from dlrun.errors import UserError
from dlrun.randomness import stream

__all__ = ["Inputs", "Samples", "Scaling", "Split", "Splits", "Streamed", "Task", "split"]


@dataclass(frozen=True)
class Split:
    """One split, scaled: inputs (N, *in_shape), targets (N,) int64 or (N, 1) float32."""

    inputs: Inputs
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test split of one data set, ready for training.

    Any of `val` and `test` may be empty (length 0). `input_scaling` maps the source's unit to
    what the network sees, `target_scaling` likewise for regression targets; None: unscaled.
    """

    train: Split
    val: Split
    test: Split
    task: Task
    in_shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    target_name: str = "target"
    input_scaling: Scaling | None = None
    target_scaling: Scaling | None = None
    notes: tuple[str, ...] = ()


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
) -> Splits:
    """Training, validation and test split of `samples`, float32, standardised if `normalize`.

    The test split is the source's own, or the seeded share `test_fraction` of all samples
    (None: empty). Of the rest at most `limit` samples are kept, and as many test samples; the
    share `val_fraction` of those is the validation split. Classes are drawn in proportion and
    every class keeps a sample for training. Samples come in seeded random order, but for a
    source's own test split, which keeps its order.
    Mean and std come from the training split alone: one each per feature (D,), or per channel
    (C, 1, 1); std is the population's, 1 where a feature is constant. Regression targets are
    standardised likewise.
    Raises UserError when a setting is out of range or the samples do not allow a training split.
    """
    check_settings(samples, val_fraction, test_fraction, limit)
    classes = check_targets(samples, limit)
    notes = list(samples.notes)
    groups = samples.targets if classes else torch.zeros(len(samples.targets), dtype=torch.int64)

    if samples.test is None:
        test_inputs, test_targets = samples.inputs, samples.targets
        size = _size(test_fraction or 0.0, len(groups))
        test_index, train_index = take(groups, size, stream(seed, "test split"), keep=1)
        if len(test_index) < size:
            notes.append(_fewer("test", len(test_index), size))
    else:
        test_inputs, test_targets = samples.test
        test_index, train_index = torch.arange(len(test_targets)), torch.arange(len(groups))
    if limit is not None:
        kept, _ = take(groups[train_index], limit, stream(seed, "limit training"), low=1)
        train_index = train_index[kept]
        if len(test_index) > limit:
            test_groups = test_targets[test_index] if classes else torch.zeros_like(test_index)
            kept, _ = take(test_groups, limit, stream(seed, "limit test"))
            test_index = test_index[kept]
    size = _size(val_fraction, len(train_index))
    in_val, in_train = take(groups[train_index], size, stream(seed, "validation split"), keep=1)
    if len(in_val) < size:
        notes.append(_fewer("validation", len(in_val), size))
    val_index, train_index = train_index[in_val], train_index[in_train]

    parts = [
        (samples.inputs, samples.targets, train_index),
        (samples.inputs, samples.targets, val_index),
        (test_inputs, test_targets, test_index),
    ]
    inputs = [_select(source, index, samples) for source, _, index in parts]
    targets = [_select_targets(values, index) for _, values, index in parts]
    if samples.fill_missing:
        _fill_missing(inputs, samples.features)
    input_scaling = target_scaling = None
    if normalize:
        input_scaling = fit_scaling(inputs[0])
        inputs = [_scaled(part, input_scaling) for part in inputs]
        if isinstance(inputs[0], Streamed) and len(train_index) > STREAMED_STATISTICS:
            notes.append(f"mean and std are those of {STREAMED_STATISTICS} training samples")
        if not classes:
            target_scaling = fit_scaling(targets[0])
            targets = [target_scaling.apply_(part) for part in targets]
    train, val, test = (Split(*part) for part in zip(inputs, targets, strict=True))
    return Splits(
        train=train,
        val=val,
        test=test,
        task=samples.task,
        in_shape=tuple(inputs[0][torch.tensor([0])].shape[1:]),
        classes=classes,
        features=samples.features,
        target_name=samples.target_name,
        input_scaling=input_scaling,
        target_scaling=target_scaling,
        notes=tuple(notes),
    )


def _size(fraction: float, num_samples: int) -> int:
    """The nearest whole number of samples, at least one if any share is asked for."""
    return max(int(fraction * num_samples + 0.5), 1) if fraction > 0 else 0


def _fewer(name: str, size: int, wanted: int) -> str:
    return (
        f"the {name} split has {size} samples in place of {wanted}: "
        "every class keeps its last sample for training"
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


def _fill_missing(inputs: list[Inputs], features: tuple[str, ...]) -> None:
    """Replaces each NaN by its feature's mean over the first of `inputs`, in place."""
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
