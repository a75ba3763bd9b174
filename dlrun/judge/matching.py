"""Other data made like that which a run was trained on: classes, features and scaling by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dlrun.datasets import Scaling, Split, Splits, Streamed
from dlrun.describe import StoredData
from dlrun.errors import UserError, nearest, shown

MOST_NAMED = 5  # columns or classes that an error lists


def as_trained_on(data: Splits, run: StoredData, node: Mapping[str, Any]) -> Splits:
    """The same samples with the run's classes, features and scaling; tensors change in place.

    node: the data set's config. The run's own data comes out as it was trained on.
    Raises UserError for another task, other columns or shapes, and classes that the run lacks.
    """
    if data.task == "surface":
        raise UserError("dataset=surface: is a function to minimise, there is nothing to judge")
    data = with_features(data, run.features, node)
    if data.in_shape != run.in_shape:
        raise UserError(
            f"dataset: a sample has shape {sized(data.in_shape)}, "
            f"the run was trained on {sized(run.in_shape)}"
        )
    if run.task != "reconstruction":
        data = with_classes(data, run)
    target_scaling = run.target_scaling if run.task == "regression" else data.target_scaling

    def scaled(part: Split) -> Split:
        inputs = rescaled(part.inputs, data.input_scaling, run.input_scaling)
        return Split(inputs, rescaled(part.targets, data.target_scaling, target_scaling))

    return replace(
        data,
        train=scaled(data.train),
        val=scaled(data.val),
        test=scaled(data.test),
        input_scaling=run.input_scaling,
        target_scaling=target_scaling,
    )


def sized(shape: Sequence[int]) -> str:
    """A shape as `1×28×28`."""
    return "×".join(str(size) for size in shape)


def with_features(data: Splits, wanted: tuple[str, ...], node: Mapping[str, Any]) -> Splits:
    """The columns in the run's order, found by name; data without names comes back as it is.

    A category of the run that none of these samples has is a column of zeros.
    Raises UserError for columns that are missing and columns that the run does not know.
    """
    names = data.features
    if not (names and wanted) or names == wanted:
        return data
    declared = [str(column) for column in node.get("categorical") or ()]
    encoded = [
        f"{column}=" for column in declared if any(n.startswith(f"{column}=") for n in names)
    ]
    missing = [n for n in wanted if n not in names and not n.startswith(tuple(encoded))]
    extra = [name for name in names if name not in wanted]
    if missing:
        hint = nearest(missing[0], extra)
        raise UserError(f"dataset: lacks {columns(missing)}, which the run was trained on{hint}")
    if extra:
        advice = f"type dataset.ignore=[{','.join(extra[:MOST_NAMED])}]"
        if any(name.startswith(f"{column}=") for column in declared for name in extra):
            advice = "the run has never seen that category: leave those rows out"
        raise UserError(f"dataset: has {columns(extra)}, which the run does not know ({advice})")

    def chosen(inputs: Tensor) -> Tensor:  # (N, D)
        zeros = torch.zeros(len(inputs))
        return torch.stack(
            [inputs[:, names.index(n)] if n in names else zeros for n in wanted], dim=1
        )

    changed = with_inputs(data, chosen)
    return replace(changed, features=wanted, in_shape=(len(wanted),))


def columns(names: Sequence[str]) -> str:
    """Names of columns for an error, not more than a few.

    >>> columns(["age"]), columns(["age", "sex"])
    ("the column 'age'", "the columns 'age', 'sex'")
    """
    listed = ", ".join(f"'{shown(name, 40)}'" for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"the column{'s' if len(names) > 1 else ''} {listed}{more}"


def with_inputs(data: Splits, change: Callable[[Tensor], Tensor]) -> Splits:
    """The splits with their inputs, which are in memory, passed through a function."""

    def changed(part: Split) -> Split:
        assert isinstance(part.inputs, Tensor)  # tables always are
        return replace(part, inputs=change(part.inputs))

    return replace(data, train=changed(data.train), val=changed(data.val), test=changed(data.test))


def with_classes(data: Splits, run: StoredData) -> Splits:
    """The targets numbered by the names of the run's classes, and the run's task."""
    if bool(data.classes) != bool(run.classes):
        kinds = ("numbers to predict", "classes to tell apart")
        raise UserError(
            f"dataset: has {kinds[bool(data.classes)]}, the run was trained on "
            f"{kinds[bool(run.classes)]} ({'classes ' * bool(run.classes)}"
            f"{known_classes(run) if run.classes else shown(run.target_name, 60)})"
        )
    if data.classes == run.classes:
        return replace(data, task=run.task)
    if unknown := [name for name in data.classes if name not in run.classes]:
        raise UserError(
            f"dataset: has the class '{shown(unknown[0], 60)}', which the run does not know "
            f"(it knows {known_classes(run)})"
        )
    numbers = torch.tensor([run.classes.index(name) for name in data.classes])  # (K,)

    def renumbered(part: Split) -> Split:
        return replace(part, targets=numbers[part.targets]) if data.classes else part

    return replace(
        data,
        train=renumbered(data.train),
        val=renumbered(data.val),
        test=renumbered(data.test),
        task=run.task,
        classes=run.classes,
    )


def known_classes(run: StoredData) -> str:
    """The run's classes for an error, the first twelve of many."""
    return shown(", ".join(run.classes[:12]) + (", …" if len(run.classes) > 12 else ""))


def rescaled(values: Any, own: Scaling | None, wanted: Scaling | None) -> Any:
    """Inputs or targets taken from their own scaling to the wanted one, None: unscaled."""
    if own is wanted is None or own is not None and wanted is not None and is_same(own, wanted):
        return values
    if isinstance(values, Streamed):
        return replace(values, scaling=wanted)
    if not isinstance(values, Tensor):
        raise UserError("dataset: these inputs are not tensors and cannot be scaled as the run's")
    if own is not None:
        values = own.undo(values)
    return values if wanted is None else wanted.apply_(values)


def is_same(one: Scaling, other: Scaling) -> bool:
    return torch.equal(one.mean, other.mean) and torch.equal(one.std, other.std)
