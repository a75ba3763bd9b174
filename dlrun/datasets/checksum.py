"""One number by which data can be told from other data: the SHA-256 of a source's samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from dlrun.datasets.samples import Inputs, Samples
from dlrun.datasets.splits import Splits


def checksum(loaded: Samples | Splits) -> str:
    """SHA-256 of all inputs and targets as their source gives them, its own test split too.

    Inputs that stay on the disk count by what they say of themselves (`marks`: names and sizes of
    files), or by their number alone where they say nothing.
    """
    digest = hashlib.sha256()
    for values in _parts(loaded):
        if isinstance(values, Tensor):
            digest.update(f"{values.dtype} {tuple(values.shape)}\n".encode())
            flat = values.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        else:
            digest.update(f"{len(values)} streamed\n".encode())
            for mark in getattr(values, "marks", list)():
                digest.update(f"{mark}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _parts(loaded: Samples | Splits) -> Iterator[Inputs]:
    if isinstance(loaded, Samples):
        yield from (loaded.inputs, loaded.targets, *(loaded.test or ()))
    else:
        for part in (loaded.train, loaded.val, loaded.test):
            yield from (part.inputs, part.targets)
