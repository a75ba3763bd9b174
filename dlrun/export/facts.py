"""What an exported file says of itself: plain text by name, without a path of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import dlrun
from dlrun.describe import StoredData
from dlrun.export.deployed import Gives
from dlrun.run_files import plain
from dlrun.trained import Trained

INPUT_NAMES = {3: "images", 1: "rows"}  # by the dimensions of a sample


def facts(trained: Trained, gives: Gives) -> dict[str, str]:
    """The metadata of an exported file: what it takes and gives, of which run, how that went.

    Lists and mappings are JSON. `config` is the run's whole config, with file names for paths.
    """
    data = trained.data
    texts = {
        "dlrun_version": dlrun.__version__,
        "run": trained.name,
        "task": data.task,
        "loss": trained.settings.loss.name,
        "takes": takes(data),
        "gives": gives_text(data, gives),
        "target_name": data.target_name,
        "transform": data.transform,
        "trained_in": trained.settings.device.precision,
        "epoch": str(trained.epoch),
    }
    config = without_paths(OmegaConf.to_container(trained.config, resolve=True))
    config["data_dir"] = None  # where data lies on the machine that trained
    lists = {
        "in_shape": list(data.in_shape),
        "classes": list(data.classes),
        "features": list(data.features),
        "columns": list(column_names(data)),
        "metrics": trained.summary.get("metrics"),
        "config": config,
        "choices": dict(trained.choices),
    }
    texts |= {name: json.dumps(plain(value)) for name, value in lists.items()}
    return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}


def input_name(data: StoredData) -> str:
    """What the input of an exported network is called."""
    return INPUT_NAMES.get(len(data.in_shape), "inputs")


def column_names(data: StoredData) -> tuple[str, ...]:
    """The columns of the rows that an exported network takes, as the data set's own file has them.

    `features` are what became of them, such as `log LSTAT`.
    """
    return data.columns or data.features


def takes(data: StoredData) -> str:
    """The inputs of an exported network in words.

    Rows are as the data set's own columns: `dataset.transform` lies within the network.
    """
    shape = ", ".join(str(size) for size in data.in_shape)
    kind = {3: "pixels in [0, 1]", 1: "raw values, one column a feature"}
    return f"{input_name(data)} (N, {shape}) float32: {kind.get(len(data.in_shape), 'raw values')}"


def gives_text(data: StoredData, gives: Gives) -> str:
    """The outputs of an exported network in words."""
    if gives == "values":
        return f"values (N, 1) float32: {data.target_name}"
    if gives == "reconstructions":
        shape = ", ".join(str(size) for size in data.in_shape)
        unit = "pixels in [0, 1]" if len(data.in_shape) == 3 else "in the unit of the rows"
        return f"reconstructions (N, {shape}) float32: {unit}"
    each = "one a class; a row sums to 1"
    if gives == "scores":
        each = "one a class, no probabilities (hinge loss); the largest wins"
    return f"{gives} (N, {len(data.classes)}) float32: {each}"


def without_paths(value: Any) -> Any:
    """The value with the last part of each absolute path in it: who trained it is nobody's affair.

    >>> without_paths({"path": "/home/ada/houses.csv", "names": ["a/b"]})
    {'path': 'houses.csv', 'names': ['a/b']}
    """
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if isinstance(value, str) and (os.path.isabs(value) or value.startswith("~")):
        return Path(value).name
    return value
