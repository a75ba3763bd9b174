"""Words that name other data than the run's own: `dataset=...`, `dataset.KEY=...`, `seed=...`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlrun import schema
from dlrun.check import check
from dlrun.errors import UserError, shown
from dlrun.hydra_app import CONFIG_NAME, make_own_modules_importable
from dlrun.hydra_session import hydra_session, readable_errors
from dlrun.targets import Trust
from dlrun.trained import Trained

TOP_KEYS = ("data_dir", "seed")
EXAMPLES = "dataset=mnist5k, dataset.limit=1000, dataset.path=other.csv, data_dir=DIR, seed=1"
OWN_TABLE = "dlrun.datasets.csv_file.csv"


def with_words(trained: Trained, words: Sequence[str], trust: Trust) -> tuple[schema.Config, str]:
    """The run's settings with the data that the words name, and what to call that data.

    A choice, `dataset=NAME`, replaces the data set and all its settings; values are set on top.
    The words are the user's own: what they name may also lie in the directory one runs from.
    Raises UserError for other words, for values that are not accepted, and for sweeps.
    """
    overrides = [parse(word) for word in words]
    config = trained.config.copy()
    choices = dict(trained.choices)
    own: Trust = "all" if trust == "all" else "own"
    for override in overrides:
        if override.key_or_group == "dataset":
            choices["dataset"] = override.value()
            config.dataset = composed_dataset(str(override.input_line), own)
    for override in overrides:
        if override.key_or_group != "dataset":
            set_value(config, override)
    # What only training needs: early stopping a validation split, the config a device of its own.
    config.regularization.early_stopping_patience = None
    config.device.name = "cpu"
    checked = check(config, choices, own, resumed=True)
    node = checked.dataset
    path = node.get("path")
    if path is not None and path != trained.settings.dataset.get("path"):
        node = as_declared(node, trained)
        choices["dataset"] = f"{choices['dataset']}-{Path(str(path)).stem}"
    settings = replace(trained.settings, dataset=node, seed=checked.seed, data_dir=checked.data_dir)
    return settings, str(choices["dataset"])


def parse(word: str) -> Override:
    """The word as an override of the data. Raises UserError for any other."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise UserError(f"{shown(word)}: expected key=value (for example {EXAMPLES})") from error
    key = override.key_or_group
    if key not in (*TOP_KEYS, "dataset") and not key.startswith("dataset."):
        raise UserError(
            f"{shown(word)}: is not about data, and evaluate takes only such words "
            f"(for example {EXAMPLES})"
        )
    if override.type != OverrideType.CHANGE or override.package is not None:
        raise UserError(f"{shown(word)}: expected key=value (for example {EXAMPLES})")
    if override.is_sweep_override():
        raise UserError(f"{shown(word)}: expected one value, evaluate judges on one data set")
    if key == "dataset" and not isinstance(override.value(), str):
        raise UserError(f"{shown(word)}: expected the name of a data set (dataset=mnist5k)")
    if key == "dataset" and override.value() == "surface":
        raise UserError("dataset=surface: is a function to minimise, not data to judge a run on")
    return override


def composed_dataset(word: str, trust: Trust) -> DictConfig:
    """The config of the data set that `dataset=NAME` chooses, packaged or the user's own."""
    make_own_modules_importable()
    with hydra_session(trust=trust) as app, readable_errors(app, [word]):
        config = app.compose_config(CONFIG_NAME, [word], RunMode.RUN, with_log_configuration=False)
    node = config.dataset
    if not isinstance(node, DictConfig):
        raise UserError(f"{shown(word)}: expected a data set of the group dataset")
    return node


def set_value(config: DictConfig, override: Override) -> None:
    """Sets a value in the config. Raises UserError where the schema accepts no such value."""
    try:
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    except OmegaConfBaseException as error:
        accepted = {"seed": "a whole number (for example seed=1)", "data_dir": "a folder"}
        expected = accepted.get(override.key_or_group, "a value that a config can hold")
        raise UserError(f"{shown(override.input_line)}: expected {expected}") from error


def as_declared(node: dict[str, Any], trained: Trained) -> dict[str, Any]:
    """The config of a table with the run's target and task in place of guesses from its values.

    A file of a few rows would else be taken for another kind of data than the run's.
    """
    if node["_target_"] != OWN_TABLE or trained.data.task == "reconstruction":
        return node
    declared = dict(node)
    was_table = trained.settings.dataset["_target_"] == OWN_TABLE
    if declared.get("target") is None and was_table:
        declared["target"] = trained.data.target_name
    if declared.get("task") == "auto":
        declared["task"] = "multiclass" if trained.data.classes else "regression"
    return declared
