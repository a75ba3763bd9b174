"""What a source of data hands over, and the checks that it can be trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from dlrun.errors import UserError

# reconstruction: an autoencoder gives back its inputs; surface: the loss is a test function
Task = Literal["binary", "multiclass", "regression", "reconstruction", "surface"]
# What becomes of the values of a table: themselves, x/10, or the natural logarithm.
Transform = Literal["none", "tenth", "log"]
TRANSFORMS: tuple[Transform, ...] = get_args(Transform)


class Inputs(Protocol):
    """What training needs of inputs: a length and a batch by index. Tensors have both."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Samples:
    """A data set as its source gives it, before splitting and scaling.

    inputs: (N, *in_shape) floats in their own unit (images in [0, 1]), or uint8 pixels 0 to 255,
        which `split` turns into floats in [0, 1], or something that gives such a batch by index
        when the whole does not fit in memory. Images are (N, C, H, W).
    targets: (N,) class numbers from 0 (int64), or (N, 1) floats in their own unit.
    classes: a name for each class; empty for regression.
    features: a name for each column of a table; empty for images.
    columns: the column that each feature was computed from, where `transform` gave it another
        name; empty where features are called as their columns.
    transform: what became of the values in the columns.
    squeezed: images that lay in files of any size and were brought to one, as those will be that
        are to be predicted.
    test: the source's own test split, if it has one.
    fill_missing: NaN among the inputs is a missing value, which `split` replaces by the
        feature's mean over the training split; otherwise NaN is an error.
    notes: what the user should know, such as files that could not be read.
    """

    inputs: Inputs
    targets: Tensor
    task: Task
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    transform: Transform = "none"
    squeezed: bool = False
    target_name: str = "target"
    test: tuple[Inputs, Tensor] | None = None
    fill_missing: bool = False
    notes: tuple[str, ...] = ()


def check_settings(
    samples: Samples, val_fraction: float, test_fraction: float | None, limit: int | None
) -> None:
    for key, fraction in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if fraction is not None and not 0 <= fraction < 1:
            raise UserError(
                f"dataset.{key}={fraction}: expected a fraction, 0 <= value < 1 "
                f"(for example dataset.{key}=0.1)"
            )
    if samples.test is not None and test_fraction is not None:
        raise UserError(
            f"dataset.test_fraction={test_fraction}: this data set has its own test split "
            "(expected dataset.test_fraction=null)"
        )
    if val_fraction + (test_fraction or 0.0) >= 1:
        raise UserError(
            f"dataset.val_fraction={val_fraction} and dataset.test_fraction={test_fraction}: "
            "expected a sum below 1, so that some are left for training (for example 0.1 and 0.2)"
        )
    if limit is not None and limit < 1:
        raise UserError(
            f"dataset.limit={limit}: expected a number of samples >= 1, or null for all "
            "(for example dataset.limit=1000)"
        )


def check_targets(samples: Samples, limit: int | None) -> tuple[str, ...]:
    """The names of the classes, () for regression."""
    parts = [("training", samples.inputs, samples.targets)]
    if samples.test is not None:
        parts.append(("test", *samples.test))
    for name, inputs, targets in parts:
        if len(inputs) != len(targets):
            raise UserError(f"dataset: {len(inputs)} {name} inputs, but {len(targets)} targets")
    if len(samples.targets) == 0:
        raise UserError("dataset: no samples to train on; expected at least one")
    if samples.task == "regression":
        for name, _, targets in parts:
            _check_values(name, targets)
        return ()
    for name, _, targets in parts:
        if targets.dtype != torch.int64 or targets.ndim != 1:
            raise UserError(
                f"dataset: {name} targets of {targets.dtype}, shape {tuple(targets.shape)}; "
                "expected class numbers of torch.int64, shape (N,)"
            )
    num_classes = len(samples.classes) or int(samples.targets.max()) + 1
    for name, _, targets in parts:
        if len(targets) and not (targets.min() >= 0 and targets.max() < num_classes):
            raise UserError(
                f"dataset: class numbers from {int(targets.min())} to {int(targets.max())} among "
                f"the {name} targets; expected 0 to {num_classes - 1}"
            )
    classes = samples.classes or tuple(str(k) for k in range(num_classes))
    present = torch.unique(samples.targets)
    if len(present) == 1:
        raise UserError(
            f"dataset: every sample is of one class, '{classes[int(present[0])]}'; "
            "expected at least two classes"
        )
    if samples.task == "binary" and num_classes != 2:
        raise UserError(f"dataset: a binary task has two classes, this data set {num_classes}")
    if len(samples.targets) < num_classes:
        raise UserError(
            f"dataset: {len(samples.targets)} samples for {num_classes} classes; "
            "expected at least one sample a class"
        )
    if limit is not None and limit < num_classes:
        raise UserError(
            f"dataset.limit={limit}: expected at least {num_classes}, one sample a class "
            f"(for example dataset.limit={100 * num_classes})"
        )
    return classes


def _check_values(name: str, targets: Tensor) -> None:
    if targets.ndim != 2 or targets.shape[1] != 1 or not targets.is_floating_point():
        raise UserError(
            f"dataset: {name} targets of {targets.dtype}, shape {tuple(targets.shape)}; "
            "expected floats, shape (N, 1)"
        )
    wrong = ~torch.isfinite(targets.float())
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        raise UserError(
            f"dataset: the {name} target of sample {row + 1} is {float(targets[row])}; "
            "expected finite numbers"
        )
