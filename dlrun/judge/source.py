"""What a run is judged on: its own data, split as for training, or what one types instead."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from dlrun import schema
from dlrun.check import SPLIT_KEYS
from dlrun.data_dir import data_root
from dlrun.datasets import Split, Splits
from dlrun.datasets.presence import DOWNLOADED, missing_files
from dlrun.describe import fingerprint, same_data
from dlrun.errors import Failure, UserError
from dlrun.judge.data import ALL, load_for, run_data, samples_of
from dlrun.judge.words import with_words
from dlrun.targets import Trust
from dlrun.trained import Trained

# own: split as for training; resplit: the same source, split otherwise; other: another data set
Kind = Literal["own", "resplit", "other"]


@dataclasses.dataclass(frozen=True)
class Source:
    """What to judge on. name: of the data set, as files are called. split: the one to judge."""

    data: Splits
    split: str
    kind: Kind
    name: str
    notes: tuple[str, ...] = ()


def open_source(trained: Trained, words: Sequence[str], split: str | None, trust: Trust) -> Source:
    """The data that the words ask for, scaled and numbered as the run's, and the split to judge.

    words: `dataset=...`, `dataset.KEY=...`, `data_dir=...`, `seed=...`; none: the run's own data.
    split: None for the test split. Of another data set that is the one that the set itself has;
    where it has none, all of its samples are joined.
    Raises UserError for words that are none of these, and data that the model does not fit.
    """
    name = str(trained.choices.get("dataset"))
    if not words:
        return Source(run_data(trained, trust), split or "test", "own", name)
    settings, name = with_words(trained, words, trust)
    data = load_for(trained, settings)
    if same_data(fingerprint(data), trained.data.fingerprint):
        return Source(data, split or "test", "own", name)
    kind: Kind = "resplit" if is_same_source(trained.settings, settings) else "other"
    if split is None:
        has_own_test = settings.dataset.get("test_fraction") is None and len(data.test) > 0
        split = "test" if kind == "resplit" or has_own_test else ALL
    there = dataclasses.replace(trained.settings, data_dir=settings.data_dir)
    note = overlap_note(
        dataclasses.replace(trained, settings=there), samples_of(data, split), kind, trust
    )
    notes = (data.notes if kind == "other" else ()) + ((note,) if note else ())
    return Source(data, split, kind, name, notes)


def is_same_source(before: schema.Config, now: schema.Config) -> bool:
    """Whether two configs take their samples from the same place, however they split them."""

    def values(settings: schema.Config) -> Mapping[str, Any]:
        return {key: value for key, value in settings.dataset.items() if key not in SPLIT_KEYS}

    return values(before) == values(now)


def overlap_note(trained: Trained, part: Split, kind: Kind, trust: Trust) -> str:
    """How many of the samples the run was trained on; nothing where it was on none of them."""
    count = seen_in_training(trained, part, trust)
    if count is None:
        return (
            "whether the run was trained on some of these samples cannot be told"
            if kind == "other"
            else "samples that the run was trained on may be among these"
        )
    if count == 0:
        return ""
    return (
        f"{count:,} of these {len(part):,} samples are in the training split of the run: "
        "the figures are better than they would be on new ones"
    )


def seen_in_training(trained: Trained, part: Split, trust: Trust) -> int | None:
    """How many of the samples are, value by value, in the run's training split.

    None where that cannot be told: the run's data is not here (nothing is downloaded for this),
    has changed, or is too large for the memory.
    """
    name = str(trained.settings.dataset.get("_target_")).rpartition(".")[2]
    if name in DOWNLOADED and missing_files(name, data_root(trained.settings.data_dir)):
        return None
    try:
        own = run_data(trained, trust).train
    except (UserError, Failure):
        return None  # the figures do not need it; the caller's note says that it is not known
    if not isinstance(own.inputs, Tensor) or not isinstance(part.inputs, Tensor):
        return None
    known = set(digests(own.inputs))
    return sum(digest in known for digest in digests(part.inputs))


def digests(inputs: Tensor) -> Iterator[bytes]:
    """A digest of each sample's values."""
    for chunk in torch.split(inputs.cpu(), 4096):
        for row in chunk.flatten(1).contiguous().numpy():
            yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()
