"""The config in a run directory as plain data: for people to read and compare, never to build."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dlrun.runs.summaries import read_file
from dlrun.yaml_files import is_plain_dict, is_tame, load_yaml

LARGEST = 64 * 1024  # bytes; the configs of dlrun's own choices have 2,000
TOP = ("epochs", "batch_size", "seed")
ALWAYS = ("regularization", "loss", "scheduler")  # shown also where nothing in them is set
# Choices that are in summary.json; those of other groups show in what they set.
RECORDED = ("model", "optimizer", "dataset", "regularization", "loss", "scheduler")


def read_config(run_dir: Path) -> tuple[dict[str, Any], str]:
    """What .hydra/config.yaml holds as plain values, and what is wrong with it.

    The config is empty where anything is, and the second where nothing is.
    """
    name = ".hydra/config.yaml"
    try:
        text = read_file(f"{run_dir}/{name}", LARGEST).decode()
        config = load_yaml(text) if is_tame(text) else None
        str(config)  # fails where a number has more digits than Python writes
    except FileNotFoundError:
        return {}, f"there is no {name}"
    except OSError as error:
        return {}, f"{name}: {error.strerror}"
    except (yaml.YAMLError, ValueError):
        return {}, f"{name}: damaged, expected YAML"
    if config is None or not is_plain_dict(config):
        return {}, f"{name}: is no config, expected keys with plain values"
    return config, ""


def flat_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values by dotted key; a list is one value.

    >>> flat_config({"epochs": 3, "model": {"hidden": [8], "_target_": "a.B"}})
    {'epochs': 3, 'model.hidden': [8], 'model._target_': 'a.B'}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            within = flat_config(value)
            flat.update({f"{name}.{inner}": item for inner, item in within.items()})
        else:
            flat[str(name)] = value
    return flat


def config_groups(
    config: Mapping[str, Any], hparams: Mapping[str, Any]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Per group the choice and the values worth showing, as a run shows them when it starts.

    hparams: those of summary.json, which name the choices.
    """
    from dlrun import schema

    usual = schema.Config()
    tree: dict[str, tuple[str, dict[str, Any]]] = {}
    for group in schema.GROUPS:
        node = config.get(group)
        choice = hparams.get(group) if group in RECORDED else None
        values = _set_values(node, getattr(usual, group), is_open=group in schema.OPEN_GROUPS)
        if values or choice is not None or group in ALWAYS and node is not None:
            tree[group] = ("" if choice is None else str(choice), values)
    top = {name: config[name] for name in TOP if name in config}
    return {**tree, "run": ("", top)} if top else tree


def _set_values(node: Any, usual: Any, *, is_open: bool) -> dict[str, Any]:
    """What is on, not what is off; of a closed group what differs from its defaults."""
    if not isinstance(node, Mapping):
        return {}
    if is_open:
        off: tuple[Any, ...] = (None, 0, False, [], {})
        return {str(k): v for k, v in node.items() if str(k)[:1] != "_" and v not in off}
    named = ((str(k), v) for k, v in node.items() if k != "name")
    return {k: v for k, v in named if v != getattr(usual, k, None)}
