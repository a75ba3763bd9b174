"""All faults of a composed config, found together before any work begins."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlrun import schema
from dlrun.baselines import check_names
from dlrun.errors import UserError, nearest, shown
from dlrun.optimizers.faults import optimizer_faults
from dlrun.signatures import argument_faults
from dlrun.targets import Trust, find_target, stored_faults
from dlrun.transfer import setting_faults

META_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
# What dlrun itself passes when it calls a choice of an open group.
PASSED = {
    "model": ("in_shape", "out_features"),
    "optimizer": ("params",),
    "dataset": ("data_dir", "seed"),
}
# What dlrun itself makes use of: how samples are split, which weights a model starts from.
SPLIT_KEYS = ("val_fraction", "test_fraction", "normalize", "limit", "classes")
OPTIONAL_SPLIT_KEYS = ("classes",)
MODEL_KEYS = ("init_from", "freeze")
# Consumers of the knobs that need a key in the config of another group.
KNOB_CONSUMERS = {
    "dropout": ("model", "mlp or model=cnn"),
    "batch_norm": ("model", "mlp or model=cnn"),
}


def check(
    config: DictConfig,
    choices: Mapping[str, Any],
    trust: Trust = "own",
    *,
    resumed: bool = False,
) -> schema.Config:
    """The config as plain Python objects; raises UserError with a line for every fault.

    trust: whose config it is, and so what its `_target_`s may name (see dlrun.targets).
    resumed: the run has its weights, those of model.init_from are not looked for again.
    """
    if trust == "data":
        stored = OmegaConf.to_container(config, resolve=False)
        assert isinstance(stored, dict)
        if faults := stored_faults(stored):  # before anything in it is resolved
            raise UserError("\n".join(faults))
    faults = _single_choices(choices) + _unresolved(config, choices)
    if faults:
        raise UserError("\n".join(faults))
    faults += _unknown_keys(config, schema.Config(), "")
    settings = plain(config)
    faults += range_faults(settings, "")
    faults += _batch_size(settings.batch_size, choices)
    faults += check_names(settings.baselines)
    for group in schema.OPEN_GROUPS:
        faults += _call(group, getattr(settings, group), trust)
    if not resumed:
        faults += setting_faults(*(settings.model.get(key) for key in MODEL_KEYS))
    faults += _knobs(settings, choices)
    faults += _combinations(settings, choices)
    faults += _device(settings.device)
    if not faults:
        faults += optimizer_faults(settings, str(choices.get("optimizer")))
    if faults:
        raise UserError("\n".join(faults))
    return settings


def plain(config: DictConfig) -> schema.Config:
    """The config as plain Python objects."""
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, schema.Config)
    return settings


def _single_choices(choices: Mapping[str, Any]) -> list[str]:
    """Groups that were given several choices where only one makes sense."""
    return [
        f"{group}=[{','.join(chosen)}]: expected one choice "
        f"(for a sweep over all of them type dlrun -m {group}={','.join(chosen)})"
        for group, chosen in choices.items()
        if isinstance(chosen, list) and chosen and group not in ("regularization", "stopping")
    ]


def _unresolved(config: DictConfig, choices: Mapping[str, Any]) -> list[str]:
    """Mandatory values that are not given, and interpolations that lead nowhere."""
    faults = []
    for key in sorted(OmegaConf.missing_keys(config) - set(schema.OPEN_GROUPS)):
        example = "FILE.csv" if key.endswith("path") else "VALUE"
        faults.append(f"{key}: needs a value (for example {key}={example})")
    for group in schema.OPEN_GROUPS:
        node = config.get(group)
        if isinstance(node, ListConfig):
            faults.append(
                f"{group}/{choices.get(group)}.yaml: expected lines `key: value`, not a list"
            )
        elif (
            not isinstance(node, DictConfig)
            or OmegaConf.get_type(node) is not dict
            or choices.get(group) == []  # ~model
        ):
            faults.append(f"{group}: needs a choice (for example {group}={_DEFAULTS[group]})")
    try:
        OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        faults.append(f"{error.full_key or 'config'}: {first}")
    return faults


_DEFAULTS = {"model": "mlp", "optimizer": "adam", "dataset": "mnist5k"}


def _unknown_keys(node: DictConfig, settings: Any, prefix: str) -> list[str]:
    """Keys that no setting has: + before them lets them into a config that nothing reads."""
    faults = []
    names = [field.name for field in dataclasses.fields(settings)]
    for key in node:
        if key not in names:
            hint = nearest(str(key), names) or f"; there are {', '.join(names)}"
            faults.append(f"{prefix}{shown(key)}: no such key{hint}")
        elif dataclasses.is_dataclass(getattr(settings, str(key))):
            faults += _unknown_keys(node[key], getattr(settings, str(key)), f"{prefix}{key}.")
    return faults


def range_faults(settings: Any, prefix: str) -> list[str]:
    """Values of dataclass fields outside the range or choices that the schema states."""
    faults = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        key = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            faults += range_faults(value, f"{key}.")
        elif isinstance(value, float) and not math.isfinite(value):
            faults.append(f"{key}={value}: expected a finite number")
        elif isinstance(value, int) and abs(value) >= 2**63:
            faults.append(f"{key}={shown(value)}: expected a whole number below 2^63 in size")
        elif value is not None and field.metadata:
            faults += _range(key, value, field.metadata)
    return faults


_COMPARE: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": (">=", lambda value, limit: value >= limit),
    "gt": (">", lambda value, limit: value > limit),
    "le": ("<=", lambda value, limit: value <= limit),
    "lt": ("<", lambda value, limit: value < limit),
}


def _range(key: str, value: Any, metadata: Mapping[str, Any]) -> list[str]:
    if choices := metadata.get("choices"):
        if value in choices:
            return []
        return [f"{key}={shown(value)}: expected {', '.join(choices)}{nearest(value, choices)}"]
    limits = [
        (sign, metadata[name], met) for name, (sign, met) in _COMPARE.items() if name in metadata
    ]
    if all(met(value, limit) for _, limit, met in limits):
        return []
    accepted = " and ".join(f"{sign} {limit:g}" for sign, limit, _ in limits)
    return [
        f"{key}={shown(value)}: expected a {'whole ' * isinstance(value, int)}number {accepted} "
        f"(for example {key}={metadata['example']})"
    ]


def _batch_size(batch_size: int | str, choices: Mapping[str, Any]) -> list[str]:
    whole = isinstance(batch_size, int) and not isinstance(batch_size, bool)
    if batch_size != "full" and not (whole and batch_size >= 1):  # type: ignore[operator]
        return [
            f"batch_size={shown(batch_size)}: expected a whole number >= 1 or full "
            "(for example batch_size=64)"
        ]
    if choices.get("optimizer") == "gd" and batch_size != "full":
        return [
            f"batch_size={batch_size}: optimizer=gd is gradient descent on the full batch "
            "(for mini-batches type optim=sgd)"
        ]
    return []


def _call(group: str, node: dict[str, Any], trust: Trust) -> list[str]:
    """Faults of a call that the config describes: its target, the names and types of its keys."""
    try:
        function = find_target(group, node, trust)
    except UserError as error:
        return [str(error)]
    if node.get("_partial_") is not True:
        return [f"{group}._partial_: expected true (dlrun itself makes the call)"]
    if lacking := _not_taken(group, function, trust):
        return [
            f"{group}._target_={node['_target_']}: does not take {' and '.join(lacking)}, "
            "which dlrun passes"
        ]
    keys = {key: value for key, value in node.items() if key not in META_KEYS}
    for key in MODEL_KEYS if group == "model" else ():
        keys.pop(key, None)
    if group == "dataset":
        split = {key: keys.pop(key) for key in SPLIT_KEYS if key in keys}
        from dlrun.datasets import split as split_function

        faults = argument_faults(group, split_function, split, passed=None)
    else:
        faults = []
    return faults + argument_faults(group, function, keys, PASSED[group])


def _not_taken(group: str, function: Callable[..., Any], trust: Trust) -> list[str]:
    """Of the arguments that dlrun passes, those that a target has no place for.

    In a stored config each must stand in the signature: so no helper is called in its stead.
    """
    if group == "optimizer" and trust != "data":
        return []  # parameters come first, under any name
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # written in C, says nothing of its arguments
        return list(PASSED[group]) if trust == "data" else []
    if trust != "data" and any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    return [name for name in PASSED[group] if name not in parameters]


def _knobs(settings: schema.Config, choices: Mapping[str, Any]) -> list[str]:
    """Regularization that is asked for and that nothing in this run consumes."""
    faults = []
    knobs = settings.regularization
    for name, (group, others) in KNOB_CONSUMERS.items():
        value = getattr(knobs, name)
        if value and name not in getattr(settings, group):
            faults.append(
                f"regularization.{name}={value}: {group}={choices.get(group)} does not use it "
                f"(choose {group}={others}, or leave it out)"
            )
    if knobs.label_smoothing and settings.loss.name not in ("auto", "cross_entropy", "nll", "bce"):
        faults.append(
            f"regularization.label_smoothing={knobs.label_smoothing}: loss={settings.loss.name} "
            "does not use it (choose loss=cross_entropy, or leave it out)"
        )
    return faults


def _combinations(settings: schema.Config, choices: Mapping[str, Any]) -> list[str]:
    faults = []
    on_surface, is_point = choices.get("dataset") == "surface", choices.get("model") == "point"
    if on_surface and not is_point:
        faults.append(
            f"model={choices.get('model')}: dataset=surface trains a point, not a network "
            "(type model=point)"
        )
    if is_point and not on_surface:
        faults.append(
            f"dataset={choices.get('dataset')}: model=point is made for test functions "
            "(type dataset=surface, or another model)"
        )
    patience = settings.regularization.early_stopping_patience
    if patience is not None and settings.dataset.get("val_fraction") == 0:
        faults.append(
            "dataset.val_fraction=0: early stopping needs a validation split "
            "(for example dataset.val_fraction=0.1)"
        )
    stopping = settings.stopping
    if (stopping.target_metric is None) != (stopping.target_value is None):
        lacking = "target_metric" if stopping.target_metric is None else "target_value"
        example = "accuracy/val" if lacking == "target_metric" else "0.95"
        faults.append(
            f"stopping.{lacking}: needs a value beside the other half of the target "
            f"(for example stopping.{lacking}={example})"
        )
    return faults


def _device(settings: schema.Device) -> list[str]:
    from dlrun.device import find_device

    try:
        find_device(settings.name)
    except UserError as error:
        return [str(error)]
    return []
