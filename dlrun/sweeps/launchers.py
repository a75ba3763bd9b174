"""Where the jobs of a sweep run on one machine: in this process, or in several beside it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from dlrun.errors import UserError, shown
from dlrun.signals import Requests
from dlrun.sweeps.work import Task, do_all
from dlrun.sweeps.workers import Done, run_tasks

# Libraries that have threads of their own read how many from these when they are imported.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


# Each task as it ends, and None now and then in between.
Running = Generator[Done | None, None, None]


class Launcher(Protocol):
    """Runs tasks somewhere. The next one is asked for when there is a place for it."""

    def run(self, tasks: Iterator[Task], requests: Requests) -> Running:
        """Runs the tasks while it is iterated over.

        A stop that was asked for raises Interrupted out of it; then no process of it is left.
        """


@dataclass(frozen=True)
class Basic:
    """In this process, one job after another; imports and data sets are shared."""

    def run(self, tasks: Iterator[Task], requests: Requests) -> Running:
        for task in tasks:
            yield None
            do_all(task, requests)
            yield Done(task)


@dataclass(frozen=True)
class Local:
    """In processes on this machine, which share out its cores and its GPUs.

    workers: how many at once; null: one a GPU, or one a core where there is none. threads: of
    each; null: the cores divided by the workers.
    """

    workers: int | None
    threads: int | None

    def __post_init__(self) -> None:
        require_count("hydra.launcher.workers", self.workers)
        require_count("hydra.launcher.threads", self.threads)

    def run(self, tasks: Iterator[Task], requests: Requests) -> Running:
        gpus = visible_gpus()
        cores = num_cores()
        workers = self.workers or len(gpus) or max(1, cores // (self.threads or 1))
        threads = self.threads or max(1, cores // workers)
        environments = [
            {name: str(threads) for name in THREADS}
            | ({"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {})
            for number in range(workers)
        ]
        yield from run_tasks(do_all, tasks, environments)


def require_count(key: str, value: Any, most: int = 1024) -> None:
    """Raises UserError for anything but a whole number, or null."""
    if value is not None and (type(value) is not int or not 1 <= value <= most):
        raise UserError(
            f"{key}={shown(value)}: expected a whole number from 1 to {most} (for example {key}=2)"
        )


def require_package(launcher: str, name: str, extra: str) -> None:
    """Raises UserError where a package is not installed; does not import it, which is slow."""
    found = importlib.util.find_spec(name.lower())
    if found is None or found.origin is None:  # a folder of that name is no package
        raise UserError(f"hydra/launcher={launcher}: needs {name} (pip install 'dlrun[{extra}]')")


def num_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not say
        return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """The CUDA devices of this process, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    listed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return listed[:number] or [str(index) for index in range(number)]
