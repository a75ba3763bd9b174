"""Short cuts of the debug group: a few batches instead of all, a trace of some steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from dlrun import schema
from dlrun.batches import resolve_batch_size
from dlrun.datasets import Split, Splits
from dlrun.randomness import stream
from dlrun.runlog import RunLog


def shorten(data: Splits, settings: schema.Config) -> Splits:
    """The data cut down as `debug` asks: a few batches of each split, or of training alone."""
    debug = settings.debug
    batch_size = resolve_batch_size(settings.batch_size, len(data.train))

    def some(part: Split, num_batches: int | None) -> Split:
        if num_batches is None or len(part) <= num_batches * batch_size:
            return part
        order = torch.randperm(len(part), generator=stream(settings.seed, "debug"))
        chosen = order[: num_batches * batch_size]
        return part.rows(chosen)

    return replace(
        data,
        train=some(some(data.train, debug.max_batches), debug.overfit_batches),
        val=some(data.val, debug.max_batches),
        test=some(data.test, debug.max_batches),
    )


@contextmanager
def profiling(log: RunLog, *, on: bool) -> Iterator[None]:
    """Records five training steps into profile/, for Perfetto or TensorBoard's profiler.

    The first step only warms up. A shorter run leaves what there was until its end.
    """
    if not on:
        yield
        return
    from torch.profiler import profile, schedule

    path = log.run_dir / "profile" / "dlrun.pt.trace.json"
    path.parent.mkdir()
    with profile(
        schedule=schedule(wait=0, warmup=1, active=5, repeat=1),
        on_trace_ready=lambda recorded: recorded.export_chrome_trace(str(path)),
        record_shapes=True,
    ) as log.profiler:
        yield
    log.profiler = None
