"""From the config to data: the splits of the configured data set, as its model needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from hydra.utils import get_object, instantiate

from dlrun import schema
from dlrun.check import OPTIONAL_SPLIT_KEYS, SPLIT_KEYS
from dlrun.data_dir import data_root
from dlrun.datasets import Samples, Split, Splits, split, to_reconstruct
from dlrun.datasets.checksum import checksum
from dlrun.describe import fingerprint, same_data
from dlrun.device import Compute
from dlrun.errors import Failure, UserError


def load_data(settings: schema.Config) -> Splits:
    """The splits of the configured data set: ready-made ones, or its samples split and scaled."""
    node = dict(settings.dataset)
    options = {key: node.pop(key) for key in SPLIT_KEYS if key in node}
    source = instantiate({"_convert_": "all", **node})
    loaded = source(data_dir=data_root(settings.data_dir), seed=settings.seed)
    if isinstance(loaded, Samples):
        needed = [key for key in SPLIT_KEYS if key not in OPTIONAL_SPLIT_KEYS]
        if missing := [key for key in needed if key not in options]:
            raise UserError(
                f"dataset.{missing[0]}: needs a value, for dlrun splits this data set; its config "
                f"has to have {', '.join(needed)}"
            )
        sha256 = checksum(loaded)
        loaded = replace(split(loaded, seed=settings.seed, **options), checksum=sha256)
    if not isinstance(loaded, Splits):
        raise UserError(
            f"dataset._target_={node['_target_']}: expected Samples or Splits from dlrun.datasets, "
            f"got {type(loaded).__name__}"
        )
    if len(loaded.train) == 0:
        raise UserError("dataset: the training split is empty, expected at least one sample")
    return loaded if loaded.checksum else replace(loaded, checksum=checksum(loaded))


def load_all(
    settings: schema.Config, load: Callable[[schema.Config], Splits], *, again: bool
) -> Splits:
    """The splits of a run. Raises Failure where one that goes on can no longer have them."""
    try:
        return load(settings)
    except UserError as error:
        if again:
            raise Failure(str(error)) from error
        raise


def for_model(data: Splits, settings: schema.Config) -> Splits:
    """The same data with the task that the configured model sets: autoencoders give back inputs.

    A model is an autoencoder when its class has `encode` and `decode`.
    """
    model = get_object(settings.model["_target_"])
    if not (hasattr(model, "encode") and hasattr(model, "decode")):
        return data
    if data.task == "surface":
        raise UserError("dataset=surface: has nothing to reconstruct (type model=point)")
    return to_reconstruct(data)


def check_same_data(data: Splits, checkpoint: Mapping[str, Any]) -> None:
    """Raises Failure when the data is not what the checkpoint was trained on."""
    if not same_data(fingerprint(data), checkpoint["data"]["fingerprint"]):
        raise Failure(
            "the data is not what the run was trained on until its checkpoint: to go on with it "
            "would make another experiment (put the old data back, or start a new run)"
        )


def to_device(data: Splits, compute: Compute) -> Splits:
    """The splits on the device if they fit; else each batch travels there, and a note says so."""
    device = compute.device
    if device.type == "cpu":
        return data
    parts = (data.train, data.val, data.test)
    if not all(isinstance(part.inputs, torch.Tensor) for part in parts):
        return data
    size = sum(values.nbytes for part in parts for values in held_by(part))
    if device.type == "cuda" and size > 0.6 * torch.cuda.mem_get_info(device)[0]:
        note = f"{size / 2**30:.1f} GiB do not fit on {device}; batches are copied there one by one"
        return replace(data, notes=(*data.notes, note))
    train, val, test = (moved(part, device) for part in parts)
    return replace(data, train=train, val=val, test=test)


def held_by(part: Split) -> list[torch.Tensor]:
    """The tensors of a split, each once: an autoencoder's pixels may be its inputs themselves."""
    assert isinstance(part.inputs, torch.Tensor)
    return [part.inputs] if part.targets is part.inputs else [part.inputs, part.targets]


def moved(part: Split, device: torch.device) -> Split:
    """The split on the device; what is its own target travels once."""
    assert isinstance(part.inputs, torch.Tensor)
    inputs = part.inputs.to(device)
    targets = inputs if part.targets is part.inputs else part.targets.to(device)
    return replace(part, inputs=inputs, targets=targets)
