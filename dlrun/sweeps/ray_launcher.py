"""Jobs of a sweep on Ray: one that is started here for the sweep, or a cluster that is joined."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from dlrun.errors import Failure, shown
from dlrun.signals import Requests
from dlrun.sweeps.launchers import (
    THREADS,
    num_cores,
    require_count,
    require_package,
    visible_gpus,
)
from dlrun.sweeps.ray_driver import Settings, drive
from dlrun.sweeps.tether import (
    Tether,
    has_begun,
    interrupt_kept_off,
    log_folder,
    mark_stopped,
)
from dlrun.sweeps.work import Task
from dlrun.sweeps.workers import SECONDS_TO_STOP, Done

FOLDER = ".ray"


@dataclass(frozen=True)
class Ray:
    """In Ray's worker processes, each of which does one job after another.

    address: of a cluster to join (auto, or HOST:PORT), whose machines see the sweep's folder under
    the same path; null: Ray is started on this machine, and ended with the sweep. num_cpus,
    num_gpus: that it may use here; null: all. cpus_per_task, gpus_per_task: of each job, parts of a
    GPU too; gpus_per_task null: 1 where there are any here. mem_gb: that each job is promised.
    """

    address: str | None
    num_cpus: int | None
    num_gpus: int | None
    cpus_per_task: int
    gpus_per_task: float | None
    mem_gb: float | None

    def __post_init__(self) -> None:
        require_package("ray", "Ray", "ray")
        require_count("hydra.launcher.num_cpus", self.num_cpus)
        require_count("hydra.launcher.cpus_per_task", self.cpus_per_task)

    def run(self, tasks: Iterator[Task], requests: Requests) -> Iterator[Done | None]:
        settings = self.settings()
        first = next(tasks, None)
        if first is None:
            return
        tasks = itertools.chain([first], tasks)
        folder = log_folder(first, FOLDER)
        tether = Tether(folder, here=self.address is None)
        here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        driver = context.Process(target=drive, args=(there, settings, folder, tether.path))
        with requests.deferred(), interrupt_kept_off():
            driver.start()
            there.close()
        running: dict[int, Task] = {}
        places, number = 0, 0
        with stopping(driver, here, tether, running):
            while True:
                requests.obey()
                while len(running) < places and (task := next(tasks, None)) is not None:
                    number += 1
                    running[number] = task
                    here.send((number, pickle.dumps(task)))
                if places and not running:
                    return
                if not wait([here], timeout=0.1):
                    yield None
                    continue
                try:
                    message = here.recv()
                except (EOFError, OSError):
                    raise Failure(f"Ray has ended, see {shown(folder)}/driver.log") from None
                if message[0] == "places":
                    places = message[1]
                elif message[0] == "done":
                    yield Done(running.pop(message[1]), message[2])
                else:
                    raise Failure(f"hydra/launcher=ray: {shown(message[1])}")

    def settings(self) -> Settings:
        """What is given to the process that calls Ray."""
        gpus = self.gpus_per_task
        if gpus is None:
            gpus = 1.0 if self.address is None and self.num_gpus != 0 and visible_gpus() else 0.0
        return Settings(
            address=self.address,
            num_cpus=self.num_cpus or num_cores(),
            num_gpus=self.num_gpus,
            cpus_per_task=self.cpus_per_task,
            gpus_per_task=gpus,
            memory_gb_per_task=self.mem_gb,
            variables=dict.fromkeys(THREADS, str(self.cpus_per_task)),
        )


@contextmanager
def stopping(
    driver: Any, pipe: Connection, tether: Tether, running: Mapping[int, Task]
) -> Iterator[None]:
    """Leaves no process behind, whatever ends the block."""
    worth_waiting = True
    try:
        yield
    except BaseException:
        worth_waiting = any(map(has_begun, running.values()))
        raise
    finally:
        tether.cut()
        pipe.close()
        if worth_waiting:
            driver.join(SECONDS_TO_STOP)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(driver.pid, signal.SIGKILL)
        if driver.is_alive():  # it has not come to be a group yet
            driver.kill()
        driver.join()
        mark_stopped(running.values())
