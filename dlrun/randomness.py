"""Streams of random numbers: each concern draws from its own, all follow from the run's seed."""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, *names: str | int, bits: int = 63) -> int:
    """A seed below 2**bits for one concern of a run; other names or seeds: unrelated streams.

    >>> stream_seed(0, "order", 1) == stream_seed(0, "order", 1) != stream_seed(0, "order", 2)
    True
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - bits)


def stream(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for one concern of a run, such as the order of samples in epoch 3."""
    return torch.Generator().manual_seed(stream_seed(seed, *names))
