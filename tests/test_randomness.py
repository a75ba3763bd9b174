"""Streams of random numbers: repeatable, apart from one another and from the global generators."""

from __future__ import annotations

import torch

from dlrun.randomness import stream, stream_seed


def test_a_stream_hangs_on_its_seed_and_name_alone():
    def draw(seed: int, *names: str | int) -> list[float]:
        return torch.rand(3, generator=stream(seed, *names)).tolist()

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = draw(0, "order", 1)
    assert draw(0, "order", 1) == first
    others = [draw(1, "order", 1), draw(0, "order", 2), draw(0, "augment", 1), draw(0, "order")]
    assert len({tuple(numbers) for numbers in [first, *others]}) == 5
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_fit_where_they_are_used():
    seeds = [stream_seed(2**63 - 1, "split", k, bits=32) for k in range(200)]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert max(seeds) > 2**31  # all bits are used
    assert len(set(seeds)) == 200
    assert all(0 <= stream_seed(k, "order") < 2**63 for k in range(200))


def test_a_seed_stays_what_it_was():
    """Another number here means that no earlier run can be repeated."""
    # sha256("0/order/1") begins with these eight bytes; the lowest bit is dropped
    assert stream_seed(0, "order", 1) == 0x7C9B834547AC6879 >> 1
