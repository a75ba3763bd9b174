"""A `.safetensors` file: weights and scaling as plain tensors, and what to build around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from dlrun import losses, schema
from dlrun.building import call_model
from dlrun.check import check
from dlrun.describe import StoredData
from dlrun.errors import UserError, shown
from dlrun.export.deployed import Deployed, deploy, stored_scaling
from dlrun.targets import Trust
from dlrun.yaml_files import is_plain_dict

ENDING = ".safetensors"
PACKAGES = ("safetensors",)


def write(
    deployed: Deployed, example: Tensor, input_name: str, facts: Mapping[str, str], path: Path
) -> None:
    """Writes the state dict of the deployed network, with the facts as the file's metadata.

    Weights are called `network.…`, scaling `input_scaling.…` and `target_scaling.…`.
    """
    from safetensors.torch import save_file

    # A copy each, for two names may stand for one tensor, which the format does not know.
    tensors = {name: tensor.contiguous().clone() for name, tensor in deployed.state_dict().items()}
    save_file(tensors, path, metadata=dict(facts))


def load(path: Path, trust: Trust = "data") -> Deployed:
    """The deployed network, built anew from the file alone.

    What the file says of the model is data: it may name models of dlrun, torch.nn and
    torchvision, and others with trust="all".
    Raises UserError for a file that is not one of these.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{shown(path)}: is no safetensors file, or damaged") from error
    try:
        data = stored_facts(facts, tensors)
        settings = stored_settings(facts, trust)
        outputs = losses.out_features(
            settings.loss.name, data.task, len(data.classes), data.in_shape
        )
        with torch.random.fork_rng([]):
            deployed = deploy(
                call_model(settings.model, data.in_shape, outputs), data, settings.loss.name
            )
        deployed.load_state_dict(tensors)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = shown(str(error).splitlines()[-1].strip()) if str(error) else type(error).__name__
        raise UserError(f"{shown(path)}: is none that dlrun export wrote: {reason}") from error
    return deployed


def stored_settings(facts: Mapping[str, str], trust: Trust) -> schema.Config:
    """The run's settings as the facts tell them, checked as a stored config is."""
    config, choices = json.loads(facts["config"]), json.loads(facts["choices"])
    if not is_plain_dict(config) or not is_plain_dict(choices):
        raise ValueError("its config")
    merged: Any = OmegaConf.merge(OmegaConf.structured(schema.Config), config)
    settings = check(merged, choices, trust, resumed=True)
    settings.loss.name = facts["loss"]
    return settings


def stored_facts(facts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> StoredData:
    """What the file says of the data."""
    return StoredData(
        task=facts["task"],  # type: ignore[arg-type]
        in_shape=tuple(int(size) for size in json.loads(facts["in_shape"])),
        classes=tuple(json.loads(facts["classes"])),
        features=tuple(json.loads(facts["features"])),
        target_name=facts["target_name"],
        input_scaling=stored_scaling(tensors, "input_scaling"),
        target_scaling=stored_scaling(tensors, "target_scaling"),
        fingerprint=(),
        columns=tuple(json.loads(facts["columns"])),
        transform=facts["transform"],  # type: ignore[arg-type]
        fill=tensors.get("fill"),
    )
