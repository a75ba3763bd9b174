"""Checkpoints on disk: written beside and renamed, so that a reader never meets half a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replaces `path` by a checkpoint of `state`: tensors, numbers, strings and dicts of them."""
    beside = path.with_name(f".{path.name}.tmp")
    torch.save(state, beside)
    os.replace(beside, path)


def link_checkpoint(source: Path, path: Path) -> None:
    """Makes `path` the same checkpoint as `source` without writing it twice.

    `source` may be replaced later: `path` keeps what it had.
    """
    beside = path.with_name(f".{path.name}.tmp")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:  # a file system without links
        beside.write_bytes(source.read_bytes())
    os.replace(beside, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state in `path`, on the CPU; only tensors and plain values are ever read."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
