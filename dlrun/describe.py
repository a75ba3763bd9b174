"""A run in words and numbers: its config tree, its hyper-parameters, its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlrun import schema
from dlrun.datasets import Splits
from dlrun.models.summary import LayerRow


def describe_task(data: Splits) -> str:
    """The task in words, with the classes by name where there are few."""
    if data.task == "regression":
        return f"regression of {data.target_name}"
    names = ", ".join(data.classes[:12]) + (", …" if len(data.classes) > 12 else "")
    return f"{len(data.classes)} classes: {names}"


def model_text(rows: Sequence[LayerRow], total: int) -> str:
    """Layers, output shapes and parameters as aligned columns of text."""
    cells = [(r.name, r.type, str(r.output_shape), f"{r.parameters:,}") for r in rows]
    cells.append(("total", "", "", f"{total:,}"))
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
        values = {k: v for k, v in node if not k.startswith("_") and v is not None and v != 0}
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


def stored_data(data: Splits) -> dict[str, Any]:
    """What prediction will need of the data, as plain values and tensors for the checkpoint."""
    stored: dict[str, Any] = {
        "task": data.task,
        "in_shape": list(data.in_shape),
        "classes": list(data.classes),
        "features": list(data.features),
        "target_name": data.target_name,
    }
    for name in ("input_scaling", "target_scaling"):
        scaling = getattr(data, name)
        stored[name] = None if scaling is None else {"mean": scaling.mean, "std": scaling.std}
    return stored
