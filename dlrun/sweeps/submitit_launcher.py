"""Jobs of a sweep through submitit on this machine, as they would run on a cluster."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlrun.errors import UserError
from dlrun.signals import Requests
from dlrun.sweeps.launchers import num_cores, require_count, require_package, visible_gpus
from dlrun.sweeps.submitit_jobs import (
    FOLDER,
    Tethered,
    exports,
    failure_of,
    has_result,
    import_submitit,
    thread_variables,
)
from dlrun.sweeps.tether import (
    Tether,
    has_begun,
    interrupt_kept_off,
    log_folder,
    mark_stopped,
)
from dlrun.sweeps.work import Task
from dlrun.sweeps.workers import SECONDS_TO_STOP, Done

if TYPE_CHECKING:
    from submitit import LocalExecutor
    from submitit.local.local import LocalJob

SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(frozen=True)
class SubmititLocal:
    """A new process for each job, which submitit starts and watches over on this machine.

    max_parallel: jobs at once; null: as many as its cores or GPUs allow. cpus_per_task: threads of
    each; null: the cores divided by the jobs. gpus_per_node: of each job; null: one where there
    are any. timeout_min: minutes after which a job is stopped; it goes on from its checkpoint in a
    new process, max_num_timeout times. signal_delay_s: how long it has to save before that. setup:
    shell commands to run before each job.
    """

    max_parallel: int | None
    cpus_per_task: int | None
    gpus_per_node: int | None
    timeout_min: int
    signal_delay_s: int
    max_num_timeout: int
    setup: list[str]

    def __post_init__(self) -> None:
        require_package("submitit_local", "submitit", "slurm")
        for name in ("max_parallel", "cpus_per_task"):
            require_count(f"hydra.launcher.{name}", getattr(self, name))
        require_count("hydra.launcher.timeout_min", self.timeout_min, most=10**6)

    def run(self, tasks: Iterator[Task], requests: Requests) -> Iterator[Done | None]:
        submitit = import_submitit()
        places = self.places()
        threads = self.cpus_per_task or max(1, num_cores() // len(places))
        first = next(tasks, None)
        if first is None:
            return
        tasks = itertools.chain([first], tasks)
        folder = log_folder(first, FOLDER)
        tether = Tether(folder, here=True)
        running: list[tuple[Task, LocalJob[None]] | None] = [None] * len(places)
        executor = submitit.LocalExecutor(folder, max_num_timeout=self.max_num_timeout)
        with stopping(running, tether):
            while True:
                for place, gpus in enumerate(places):
                    if running[place] is None and (task := next(tasks, None)) is not None:
                        variables = {**thread_variables(threads), "CUDA_VISIBLE_DEVICES": gpus}
                        with requests.deferred(), interrupt_kept_off():
                            job = self.submit(executor, Tethered(task, tether.path), variables)
                            running[place] = task, job
                        requests.obey()
                        yield None
                if not any(running):
                    return
                for place, entry in enumerate(running):
                    if entry is not None and is_over(entry[1]):
                        running[place] = None
                        yield Done(entry[0], how_it_died(entry[1]))
                requests.obey()
                yield None
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def places(self) -> list[str]:
        """The GPUs of each job that runs at once, as CUDA_VISIBLE_DEVICES names them."""
        found = visible_gpus()
        wanted = (1 if found else 0) if self.gpus_per_node is None else self.gpus_per_node
        if not wanted:
            return [""] * (self.max_parallel or max(1, num_cores() // (self.cpus_per_task or 1)))
        number = len(found) // wanted
        if number == 0:
            raise UserError(
                f"hydra.launcher.gpus_per_node={wanted}: this machine has {len(found)} "
                "(for example hydra.launcher.gpus_per_node=0)"
            )
        sets = [",".join(found[k * wanted : (k + 1) * wanted]) for k in range(number)]
        return [sets[k % number] for k in range(self.max_parallel or number)]

    def submit(
        self, executor: LocalExecutor, work: Tethered, variables: dict[str, str]
    ) -> LocalJob[None]:
        """The job that submitit has started."""
        # In place of submitit's own controller one that notes how the job's process ended; what
        # submitit starts it with here is a shell, as it would be known by otherwise.
        controller = [sys.executable, "-m", "dlrun.sweeps.submitit_controller"]
        instead = ["exec", "env", "SUBMITIT_LOCAL_WITH_SHELL=", *controller, str(executor.folder)]
        executor.update_parameters(
            timeout_min=self.timeout_min,
            signal_delay_s=self.signal_delay_s,
            setup=[*exports(variables), *self.setup, shlex.join(instead)],
        )
        job: Any = executor.submit(work)
        return job  # type: ignore[no-any-return]


def is_over(job: LocalJob[None]) -> bool:
    """Whether the process that watches over the job has ended, and with it the job."""
    assert job._process is not None
    return job._process.poll() is not None


def how_it_died(job: LocalJob[None]) -> str | None:
    """None for a job that came to its end."""
    from dlrun.sweeps.submitit_controller import exit_code_file, how_it_ended

    if has_result(job):
        return failure_of(job)
    note = exit_code_file(Path(job.paths.folder), job.job_id)
    if note.exists() and (told := note.read_text()):
        return told
    kill_group(job)  # nobody watches over it any more
    assert job._process is not None and job._process.returncode is not None
    return f"submitit: {how_it_ended(job._process.returncode)}"


def kill_group(job: LocalJob[None]) -> None:
    """Ends the job's processes at once, if there are any."""
    assert job._process is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(job._process.pid, signal.SIGKILL)
    if job._process.poll() is None:  # it has not come to be a group yet
        job._process.kill()
        job._process.wait()


@contextmanager
def stopping(running: list[tuple[Task, LocalJob[None]] | None], tether: Tether) -> Iterator[None]:
    """Leaves no process behind, whatever ends the block."""
    try:
        yield
    finally:
        tether.cut()
        entries = [entry for entry in running if entry is not None]
        end = time.monotonic() + SECONDS_TO_STOP
        while time.monotonic() < end:
            if not any(has_begun(task) and not is_over(job) for task, job in entries):
                break
            time.sleep(0.05)
        for _, job in entries:
            kill_group(job)
        mark_stopped(task for task, _ in entries)
