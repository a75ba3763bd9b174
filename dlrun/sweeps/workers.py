"""Worker processes of one machine: each does one task after another, none takes others down.

concurrent.futures and joblib give all tasks up when one process is killed, so neither serves.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from dlrun.signals import Interrupted
from dlrun.sweeps.work import Task

SECONDS_TO_STOP = 3.5  # after which a worker that was asked to stop is killed


@dataclass
class Done:
    """A task that is over. died: how its worker ended, if it did not come back from the task."""

    task: Task
    died: str | None = None


@dataclass
class Worker:
    """A process and the end of a pipe to it; `task` is what it is doing."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None


def run_tasks(
    work: Callable[[Task], None],
    tasks: Iterator[Task],
    environments: Sequence[Mapping[str, str]],
) -> Iterator[Done | None]:
    """Each task as it ends, and None every tenth of a second in between.

    work: called in a worker with a task; importable, and it never raises. tasks: the next one is
    asked for when a worker is free. environments: variables for each worker, set before it imports
    anything. A worker that dies takes its own task alone with it and is replaced. When the
    iteration is left early, by Ctrl-C or an error, workers are asked to stop by SIGTERM, once, and
    killed if they do not within seconds.
    """
    slots: list[Worker | None] = [None for _ in environments]
    context = multiprocessing.get_context("spawn")

    def hand_out() -> None:
        for number, worker in enumerate(slots):
            if worker is not None and worker.task is not None:
                continue
            if (task := next(tasks, None)) is None:
                return
            if worker is None or not worker.process.is_alive():
                worker = slots[number] = start(context, work, environments[number])
            worker.task = task
            worker.pipe.send(task)

    with stopping(slots):
        hand_out()
        while busy := [worker for worker in slots if worker is not None and worker.task]:
            ready = wait([worker.pipe for worker in busy], timeout=0.1)
            if not ready:
                yield None
            for worker in busy:
                if worker.pipe in ready and worker.task is not None:
                    done = Done(worker.task, how_it_ended(worker))
                    worker.task = None
                    yield done
            hand_out()


def how_it_ended(worker: Worker) -> str | None:
    """None when the worker reports that its task is over; else how it died."""
    try:
        worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        code = worker.process.exitcode or 0
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"
    return None


def start(context: Any, work: Callable[[Task], None], environment: Mapping[str, str]) -> Worker:
    """A new worker that waits for its first task."""
    here, there = context.Pipe()
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)  # a process inherits what is set when it starts
    try:
        process = context.Process(target=serve, args=(there, work), daemon=False)
        process.start()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    there.close()
    return Worker(process, here)


def serve(pipe: Connection, work: Callable[[Task], None]) -> None:
    """The life of a worker: does what comes through the pipe until nothing more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
    threading.Thread(target=follow_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            work(task)
        except Interrupted:
            os._exit(0)  # its files are closed; libraries take seconds to end theirs
        pipe.send(None)


def follow_parent() -> None:
    """Asks this process to stop, as a signal would, when its parent has died."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_STOP)
    os._exit(1)


@contextmanager
def stopping(slots: Sequence[Worker | None]) -> Iterator[None]:
    """Leaves no worker behind, whatever ends the block."""
    try:
        yield
    finally:
        workers = [worker for worker in slots if worker is not None]
        for worker in workers:
            worker.pipe.close()  # an idle one ends by itself
            if worker.task is not None and worker.process.is_alive():
                worker.process.terminate()
        end = time.monotonic() + SECONDS_TO_STOP
        for worker in workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
