"""A run's own data, loaded again as it was trained on, and the samples of its splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dlrun import schema
from dlrun.datasets import Split, Splits, Streamed
from dlrun.debugging import shorten
from dlrun.describe import fingerprint, same_data
from dlrun.errors import UserError, shown
from dlrun.judge.matching import as_trained_on
from dlrun.loading import for_model, load_data
from dlrun.randomness import stream_seed
from dlrun.targets import Trust, find_target
from dlrun.trained import Trained

ALL = "all"
SPLITS = ("train", "val", "test", ALL)


def run_data(trained: Trained, trust: Trust = "data") -> Splits:
    """The run's own splits as it was trained on them, on the CPU, in its own scaling.

    trust: the one that the run was opened with.
    Raises UserError when the data is no longer the same, and what the loader raises of lost data.
    """
    find_target("dataset", trained.settings.dataset, trust)
    data = load_for(trained, trained.settings)
    if not same_data(fingerprint(data), trained.data.fingerprint):
        raise UserError(
            f"{shown(trained.run_dir)}: its data is not what it was trained on any more (put it "
            "back, or name what to judge on: for example dataset.path=FILE --split all)"
        )
    return data


def load_for(trained: Trained, settings: schema.Config) -> Splits:
    """The splits of the data set in the settings, as the run's model is to see them.

    They are scaled by the statistics that the run has kept, whatever their own are: so its own
    data comes out as in training, to the last bit, also on another number of threads.
    """
    node = dict(settings.dataset)
    if "normalize" in node:
        node["normalize"] = False
    with torch.random.fork_rng([]):
        torch.manual_seed(stream_seed(settings.seed, "init"))  # as train does before it loads
        loaded = load_data(replace(settings, dataset=node))
    matched = as_trained_on(loaded, trained.data, node)
    return for_model(shorten(matched, trained.settings), trained.settings)


def samples_of(data: Splits, split: str) -> Split:
    """One split by name, or the samples of all three joined.

    Raises UserError for a name that is none, and for an empty split.
    """
    if split not in SPLITS:
        raise UserError(f"--split {shown(split)}: expected {', '.join(SPLITS)}")
    parts = {"train": data.train, "val": data.val, "test": data.test}
    filled = {name: part for name, part in parts.items() if len(part)}
    if split == ALL:
        return joined(list(filled.values()))
    if split not in filled:
        raise UserError(
            f"--split {split}: this data has no such samples (it has {', '.join(filled)}; "
            f"for example --split {next(iter(filled))})"
        )
    return filled[split]


def joined(parts: Sequence[Split]) -> Split:
    """The samples of several splits as one."""
    if len(parts) == 1:
        return parts[0]
    targets = torch.cat([part.targets for part in parts])
    inputs = [part.inputs for part in parts]
    tensors = [each for each in inputs if isinstance(each, Tensor)]
    if len(tensors) == len(parts):
        return Split(torch.cat(tensors), targets)
    streamed = [each for each in inputs if isinstance(each, Streamed)]
    if len(streamed) == len(parts) and len({id(each.source) for each in streamed}) == 1:
        index = torch.cat([each.index for each in streamed])
        return Split(replace(streamed[0], index=index), targets)
    raise UserError(
        f"--split {ALL}: these samples are read from disk and cannot be joined "
        "(judge one split, for example --split test)"
    )
