"""A run in words and numbers: its config tree, its hyper-parameters, its data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dlrun import schema
from dlrun.datasets import Scaling, Splits, Task
from dlrun.datasets.framing import Framing, framing_of
from dlrun.datasets.samples import TRANSFORMS, Transform
from dlrun.models.summary import LayerRow, Totals


def describe_task(data: Splits) -> str:
    """The task in words, with the classes by name where there are few."""
    if data.task == "regression":
        return f"regression of {data.target_name}"
    if data.task == "reconstruction":
        return "reconstruction of the inputs"
    if data.task == "surface":
        return f"the least value of a function of {data.in_shape[0]} numbers"
    names = ", ".join(data.classes[:12]) + (", …" if len(data.classes) > 12 else "")
    return f"{len(data.classes)} classes: {names}"


def model_text(rows: Sequence[LayerRow], totals: Totals) -> str:
    """Layers, output shapes and parameters as aligned columns of text."""
    cells = [(r.name, r.type, str(r.output_shape), f"{r.parameters:,}") for r in rows]
    cells.append(("total", "", "", f"{totals.parameters:,}"))
    if totals.frozen:
        cells.append(("trainable", "", "", f"{totals.trainable:,}"))
        cells.append(("frozen", "", "", f"{totals.frozen:,}"))
    widths = [max(len(row[k]) for row in cells) for k in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {shape:<{widths[2]}}  {count:>{widths[3]}}"
        for name, kind, shape, count in cells
    )


def config_tree(
    settings: schema.Config, choices: Mapping[str, Any]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Per group the choice and the values worth showing: what is on, not what is off."""
    tree: dict[str, tuple[str, dict[str, Any]]] = {}
    for group in schema.OPEN_GROUPS:
        node = getattr(settings, group).items()
        values = {k: v for k, v in node if k[0] != "_" and v not in (None, 0, False) and v != []}
        tree[group] = (_choice(choices, group), values)
    for group in schema.CLOSED_GROUPS:
        settled, default = getattr(settings, group), getattr(schema.Config(), group)
        values = {
            k: v for k, v in vars(settled).items() if v != getattr(default, k) and k != "name"
        }
        choice = settings.loss.name if group == "loss" else _choice(choices, group)
        if group in ("regularization", "loss", "scheduler") or values:
            tree[group] = (choice, values)
    top = {"epochs": settings.epochs, "batch_size": settings.batch_size, "seed": settings.seed}
    tree["run"] = ("", top)
    return tree


def flat_hparams(
    settings: schema.Config, choices: Mapping[str, Any], batch_size: int
) -> dict[str, Any]:
    """Hyper-parameters by name: the same flat set for every run, None where one does not apply."""
    optimizer, model, dataset = settings.optimizer, settings.model, settings.dataset
    betas = optimizer.get("betas") or (None, None)
    knobs = settings.regularization
    decay = knobs.weight_decay
    groups = ("model", "optimizer", "dataset", "regularization", "scheduler")
    return {
        **{group: _choice(choices, group) for group in groups},
        "loss": settings.loss.name,
        "lr": optimizer.get("lr"),
        "momentum": optimizer.get("momentum"),
        "beta1": betas[0],
        "beta2": betas[1],
        "weight_decay": optimizer.get("weight_decay", 0.0) if decay is None else decay,
        "batch_size": batch_size,
        "epochs": settings.epochs,
        "seed": settings.seed,
        "hidden": None if model.get("hidden") is None else str(model["hidden"]),
        "activation": model.get("activation"),
        "init": model.get("init"),
        "latent_dim": model.get("latent_dim"),
        "depth": model.get("depth"),
        "condition_number": dataset.get("condition_number"),
        "surface": dataset.get("name") if choices.get("dataset") == "surface" else None,
        **{name: value for name, value in vars(knobs).items() if name != "weight_decay"},
        "precision": settings.device.precision,
        "val_fraction": dataset.get("val_fraction"),
        "limit": dataset.get("limit"),
    }


def _choice(choices: Mapping[str, Any], group: str) -> str:
    choice = choices.get(group)
    if isinstance(choice, Sequence) and not isinstance(choice, str):
        return "+".join(str(name) for name in choice)
    return str(choice)


@dataclass(frozen=True)
class StoredData:
    """What a run has kept of its data: enough to predict, not the data itself.

    Fields as those of Splits; runs of an older dlrun have no checksum. fingerprint: see
    `fingerprint`. framing: of images; None where the run has kept none.
    """

    task: Task
    in_shape: tuple[int, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    target_name: str
    input_scaling: Scaling | None
    target_scaling: Scaling | None
    fingerprint: Sequence[str | float]
    checksum: str | None = None
    columns: tuple[str, ...] = ()
    transform: Transform = "none"
    fill: Tensor | None = None
    framing: Framing | None = None


def read_stored_data(stored: Mapping[str, Any]) -> StoredData:
    """What `stored_data` gave, out of a checkpoint again.

    Raises KeyError, TypeError or ValueError for what it cannot have given.
    """

    def scaling(name: str) -> Scaling | None:
        kept = stored[name]
        return None if kept is None else Scaling(kept["mean"], kept["std"])

    return StoredData(
        task=stored["task"],
        in_shape=tuple(int(size) for size in stored["in_shape"]),
        classes=tuple(str(name) for name in stored["classes"]),
        features=tuple(str(name) for name in stored["features"]),
        target_name=str(stored["target_name"]),
        input_scaling=scaling("input_scaling"),
        target_scaling=scaling("target_scaling"),
        fingerprint=list(stored["fingerprint"]),
        checksum=None if stored.get("checksum") is None else str(stored["checksum"]),
        columns=tuple(str(name) for name in stored.get("columns", ())),
        transform=_transform(stored.get("transform", "none")),
        fill=_fill(stored.get("fill"), stored["in_shape"]),
        framing=None if stored.get("framing") is None else _framing(stored["framing"]),
    )


def _transform(name: Any) -> Transform:
    if name not in TRANSFORMS:
        raise ValueError(name)
    return TRANSFORMS[TRANSFORMS.index(name)]


def _framing(stored: Mapping[str, Any]) -> Framing:
    background, extent = (
        None if stored[name] is None else float(stored[name]) for name in ("background", "extent")
    )
    if extent is not None and (background is None or not 0 < extent <= 1):
        raise ValueError(extent)
    return Framing(background, extent)


def _fill(stored: Any, in_shape: Sequence[int]) -> Tensor | None:
    if stored is None:
        return None
    if not isinstance(stored, Tensor) or tuple(stored.shape) != tuple(in_shape):
        raise ValueError(stored)
    return stored


def stored_data(data: Splits) -> dict[str, Any]:
    """What prediction will need of the data, as plain values and tensors for the checkpoint."""
    stored: dict[str, Any] = {
        "task": data.task,
        "in_shape": list(data.in_shape),
        "classes": list(data.classes),
        "features": list(data.features),
        "target_name": data.target_name,
        "fingerprint": fingerprint(data),
        "checksum": data.checksum,
        "columns": list(data.columns),
        "transform": data.transform,
        "fill": data.fill,
        "framing": _stored_framing(data),
    }
    for name in ("input_scaling", "target_scaling"):
        scaling = getattr(data, name)
        stored[name] = None if scaling is None else {"mean": scaling.mean, "std": scaling.std}
    return stored


def _stored_framing(data: Splits) -> dict[str, float | None] | None:
    """None for what is no image; neither background nor extent where any file is squeezed."""
    if len(data.in_shape) != 3:
        return None
    if data.squeezed:
        return {"background": None, "extent": None}
    framing = framing_of(data.train.inputs, data.input_scaling)
    return {"background": framing.background, "extent": framing.extent}


def fingerprint(data: Splits) -> list[str | float]:
    """What changes with the data: sizes and class numbers of its splits, sums of other values.

    Of numbers with a fraction the sum of magnitudes is taken, which is quick: compare it with a
    tolerance, since scaling rounds differently on another number of threads. Inputs that are
    streamed count by their number alone.
    """
    marks: list[str | float] = []
    for part in (data.train, data.val, data.test):
        for values in (part.inputs, part.targets):
            if not isinstance(values, torch.Tensor):
                marks.append(f"{len(values)} streamed")
            elif values.is_floating_point():
                kept = values.cpu() if values.device.type == "mps" else values  # no float64 there
                marks += [str(tuple(values.shape)), float(kept.abs().sum(dtype=torch.float64))]
            else:
                marks.append(hashlib.sha256(values.cpu().numpy().tobytes()).hexdigest())
    return marks


def same_data(a: Sequence[str | float], b: Sequence[str | float]) -> bool:
    """Whether two fingerprints are those of the same data."""
    return len(a) == len(b) and all(
        math.isclose(x, y, rel_tol=1e-4)
        if isinstance(x, float) and isinstance(y, float)
        else x == y
        for x, y in zip(a, b, strict=True)
    )
