"""The process between a sweep and Ray, which has signals, output and an end of its own.

Ray takes over handlers and prints to the terminal of whoever calls it, and what it starts dies
with that process: so it is called in this one, which the sweep can end at any moment. It imports
no more than it must, and passes tasks on as it gets them.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SECONDS_TO_SAVE = 2.4  # for jobs that are stopped; Ray itself takes 1.4 to end
SECONDS_BETWEEN_LOOKS = 0.1
LONGEST_REASON = 200


@dataclass(frozen=True)
class Settings:
    """What Ray is started or joined with, and what each job is given of it."""

    address: str | None
    num_cpus: int | None
    num_gpus: int | None
    cpus_per_task: float
    gpus_per_task: float
    memory_gb_per_task: float | None
    variables: dict[str, str]


def drive(pipe: Connection, settings: Settings, folder: Path, tether: Path) -> None:
    """Runs what comes through the pipe; the life of the process.

    Gets pairs of a number and a pickled task. Sends ("places", how many fit at once), ("done", a
    number, how its process died or None), or ("failed", why there is no Ray). Stops when the pipe
    is closed: the sweep closes it, or has died.
    """
    os.setsid()  # a group of its own, which can be killed together
    log = os.open(folder / "driver.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (sys.__stdout__, sys.__stderr__):
        if descriptor is not None:
            os.dup2(log, descriptor.fileno())
    try:
        ray = start_ray(settings)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        pipe.send(("failed", lines[0][:LONGEST_REASON]))
        return
    remote = ray.remote(
        num_cpus=settings.cpus_per_task,
        num_gpus=settings.gpus_per_task,
        memory=None
        if settings.memory_gb_per_task is None
        else int(settings.memory_gb_per_task * 2**30),
        max_retries=0,
    )(do_pickled)
    running: dict[Any, int] = {}
    try:
        serve(ray, remote, pipe, settings, tether, running)
    except (EOFError, OSError):
        tether.unlink(missing_ok=True)  # if the sweep has not come to cut it
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=SECONDS_TO_SAVE)
    ray.shutdown()
    os._exit(0)


def serve(
    ray: Any,
    remote: Any,
    pipe: Connection,
    settings: Settings,
    tether: Path,
    running: dict[Any, int],
) -> None:
    """Hands tasks to Ray and their ends back. Raises EOFError when the pipe is closed."""
    told = 0
    while True:
        if (number := places(ray.cluster_resources(), settings)) != told:
            pipe.send(("places", told := number))
        while pipe.poll(0 if running else SECONDS_BETWEEN_LOOKS):
            number, task = pipe.recv()
            running[remote.remote(task, tether, os.getcwd())] = number
        if running:
            over, _ = ray.wait(list(running), timeout=SECONDS_BETWEEN_LOOKS)
            for reference in over:
                pipe.send(("done", running.pop(reference), how_it_died(ray, reference)))


def start_ray(settings: Settings) -> Any:
    """The package, with a Ray of this machine's own, or joined to the one at the address."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.update(settings.variables)
    if settings.address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Linux too: then all is on 127.0.0.1
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if settings.address is not None:
        require_answer(settings.address)
        runtime = {"env_vars": settings.variables}
        ray.init(address=settings.address, runtime_env=runtime, **quiet)
    else:
        ray.init(
            address="local",
            num_cpus=settings.num_cpus,
            num_gpus=settings.num_gpus,
            include_dashboard=False,
            **quiet,
        )
    return ray


def require_answer(address: str) -> None:
    """Raises ConnectionError where nobody listens; Ray itself would wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise ConnectionError(f"no Ray at hydra.launcher.address={address}: {error}") from error


def places(resources: dict[str, float], settings: Settings) -> int:
    """How many jobs fit at once; at least one, which then waits.

    >>> each = Settings(None, None, None, 2, 0.5, None, {})
    >>> places({"CPU": 8.0, "GPU": 1.0}, each), places({"CPU": 8.0}, each)
    (2, 1)
    """
    wanted = {"CPU": settings.cpus_per_task, "GPU": settings.gpus_per_task}
    fitting = [int(resources.get(name, 0) / each) for name, each in wanted.items() if each > 0]
    return max(1, min(fitting, default=1))


def how_it_died(ray: Any, reference: Any) -> str | None:
    """None for a job that came to its end."""
    try:
        ray.get(reference)
    except ray.exceptions.OutOfMemoryError:
        return "out of memory"
    except ray.exceptions.WorkerCrashedError:
        return "its process was killed, or crashed"
    except ray.exceptions.NodeDiedError:
        return "its machine was lost"
    except ray.exceptions.TaskCancelledError:
        return "cancelled"
    except ray.exceptions.RayTaskError as error:
        lines = str(error.cause or error).strip().splitlines() or [""]
        return f"{type(error.cause or error).__name__}: {lines[-1]}"[:LONGEST_REASON]
    except ray.exceptions.RayError as error:
        return type(error).__name__
    return None


def do_pickled(task: bytes, tether: Path, folder: str) -> None:
    """Does a task in a process of Ray's until its tether is cut; then it saves and returns."""
    os.chdir(folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from dlrun.signals import Interrupted
    from dlrun.sweeps.tether import Doing

    assert threading.current_thread() is threading.main_thread()
    doing = Doing(pickle.loads(task))
    try:
        doing.follow(tether)
    except Interrupted:
        os._exit(0)  # nobody waits for a result, and it may not have come so far as to stop
