"""Jobs of a sweep on a Slurm cluster, through submitit."""

from __future__ import annotations

import getpass
import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlrun.errors import UserError, shown
from dlrun.signals import Requests
from dlrun.sweeps.launchers import require_count, require_package
from dlrun.sweeps.submitit_jobs import (
    FOLDER,
    Tethered,
    exports,
    failure_of,
    has_result,
    import_submitit,
    thread_variables,
)
from dlrun.sweeps.tether import Tether, interrupt_kept_off, log_folder
from dlrun.sweeps.work import Task, status_of
from dlrun.sweeps.workers import SECONDS_TO_STOP, Done

if TYPE_CHECKING:
    from submitit import AutoExecutor
    from submitit.core.core import Job

SECONDS_BETWEEN_LOOKS = 0.3  # for results, which are files
SECONDS_BETWEEN_QUESTIONS = 30.0  # to Slurm, for jobs that will not have one
SECONDS_OF_LAG = 60.0  # within which a network file system shows what a job has written
LARGEST_ARRAY = 1000  # Slurm's own limit, unless it is configured otherwise
NEW = ("PENDING", "RUNNING", "REQUEUED", "COMPLETING", "PREEMPTED", "SUSPENDED", "CONFIGURING")
# How a job ended, by Slurm's word for it; other words are told as they are.
DEATHS = {
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "timed out",
    "NODE_FAIL": "its machine was lost",
    "CANCELLED": "cancelled",
    "FAILED": "its process was killed, or crashed",
    "COMPLETED": "it ended without a result",
}


@dataclass(frozen=True)
class SubmititSlurm:
    """Jobs of a Slurm array, whose settings have the names that hydra-submitit-launcher uses.

    max_parallel: tasks that are handed to Slurm at once; null: all of them, of which it runs
    array_parallelism at a time. A search learns only from trials that are over: give it a number.
    timeout_min: minutes after which a job is stopped; it is queued again and goes on from its
    checkpoint, max_num_timeout times, as it does when it is preempted. signal_delay_s: how long it
    has to save before that. additional_parameters: any other of sbatch, by name.
    """

    max_parallel: int | None
    name: str
    timeout_min: int
    cpus_per_task: int | None
    gpus_per_node: int | None
    gpus_per_task: int | None
    cpus_per_gpu: int | None
    mem_gb: float | None
    mem_per_cpu: str | None
    mem_per_gpu: str | None
    partition: str | None
    qos: str | None
    account: str | None
    constraint: str | None
    nodelist: str | None
    exclude: str | None
    gres: str | None
    comment: str | None
    signal_delay_s: int
    max_num_timeout: int
    array_parallelism: int
    setup: list[str]
    srun_args: list[str]
    additional_parameters: dict[str, Any]

    def __post_init__(self) -> None:
        require_package("submitit_slurm", "submitit", "slurm")
        require_slurm()
        require_count("hydra.launcher.max_parallel", self.max_parallel, most=10**6)

    def run(self, tasks: Iterator[Task], requests: Requests) -> Iterator[Done | None]:
        submitit = import_submitit()
        first = next(tasks, None)
        if first is None:
            return
        tasks = itertools.chain([first], tasks)
        folder = log_folder(first, FOLDER)
        tether = Tether(folder, here=False)
        with faults_told():
            executor = submitit.AutoExecutor(
                folder, cluster="slurm", slurm_max_num_timeout=self.max_num_timeout
            )
            executor.update_parameters(**self.parameters())
        watched = Watched()
        most = min(self.max_parallel or LARGEST_ARRAY, LARGEST_ARRAY)
        with stopping(watched.running, tether):
            while True:
                room = most if self.max_parallel is None else most - len(watched.running)
                while batch := list(itertools.islice(tasks, max(0, room))):
                    with requests.deferred(), interrupt_kept_off():
                        watched.add(batch, submit(executor, batch, tether))
                    requests.obey()
                    yield None
                    room = most if self.max_parallel is None else 0
                if not watched.running:
                    return
                for task, died in watched.over():
                    yield Done(task, died)
                requests.obey()
                yield None
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def parameters(self) -> dict[str, Any]:
        """What submitit is given, by its names."""
        threads = self.cpus_per_task
        variables = {}
        if threads is not None:
            # srun does not take the number over from sbatch, since Slurm 22.05.
            variables = {**thread_variables(threads), "SRUN_CPUS_PER_TASK": str(threads)}
        general = ("name", "timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")
        special = (
            *("gpus_per_task", "cpus_per_gpu", "mem_per_cpu", "mem_per_gpu", "partition", "qos"),
            *("account", "constraint", "nodelist", "exclude", "gres", "comment", "signal_delay_s"),
            *("array_parallelism", "srun_args", "additional_parameters"),
        )
        return {
            **{name: getattr(self, name) for name in general},
            **{f"slurm_{name}": getattr(self, name) for name in special},
            "slurm_setup": [*exports(variables), *self.setup],
        }


class Watched:
    """Jobs that Slurm has, by id, and what became of them."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[Task, Job[None]]] = {}
        self._asked = time.monotonic()
        self._gone: dict[str, float] = {}  # since when Slurm has not had it any more

    def add(self, tasks: Sequence[Task], jobs: Sequence[Job[None]]) -> None:
        for task, job in zip(tasks, jobs, strict=True):
            self.running[job.job_id] = task, job

    def over(self) -> Iterator[tuple[Task, str | None]]:
        """Tasks that have come to an end since the last time, and how they died."""
        for job_id, (task, job) in list(self.running.items()):
            if has_result(job):
                del self.running[job_id]
                yield task, failure_of(job)
        now = time.monotonic()
        if not self.running or now < self._asked + SECONDS_BETWEEN_QUESTIONS:
            return
        self._asked = now
        queued = still_queued()
        for job_id, (task, job) in list(self.running.items()):
            state = str(job.get_info(mode="force").get("State") or "")
            word = state.split()[0].rstrip("+") if state else ""  # CANCELLED by 1000
            if word in NEW or (not word and (queued is None or job_id in queued)):
                self._gone.pop(job_id, None)
            elif now >= self._gone.setdefault(job_id, now) + SECONDS_OF_LAG:
                del self.running[job_id]
                yield task, DEATHS.get(word, f"Slurm: {word}" if word else "Slurm has lost it")


def require_slurm() -> None:
    """Raises UserError where jobs cannot be handed to Slurm."""
    for program in ("sbatch", "srun"):
        if shutil.which(program) is None:
            raise UserError(
                f"hydra/launcher=submitit_slurm: there is no Slurm here, {program} is not found "
                "(for example hydra/launcher=submitit_local, or hydra/launcher=local)"
            )


def submit(executor: AutoExecutor, tasks: Sequence[Task], tether: Tether) -> list[Job[None]]:
    """The jobs that Slurm has taken on, an array where there are several."""
    with faults_told():
        jobs: list[Any] = executor.submit_array([Tethered(task, tether.path) for task in tasks])
    return jobs


@contextmanager
def faults_told() -> Iterator[None]:
    """Turns what submitit and sbatch have against the settings into a UserError."""
    try:
        yield
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        told = next((line for line in lines if "error" in line), lines[0] if lines else "")
        raise UserError(
            f"hydra/launcher=submitit_slurm: {shown(told or type(error).__name__)}"
        ) from error


def still_queued() -> set[str] | None:
    """Ids of the user's jobs that wait or run; None where Slurm does not answer."""
    command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i"]
    answer = ask(command)
    return None if answer is None else set(answer.split())


def ask(command: Sequence[str]) -> str | None:
    """What a command of Slurm's answers; None where it does not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@contextmanager
def stopping(running: Mapping[str, tuple[Task, Any]], tether: Tether) -> Iterator[None]:
    """Leaves no job behind, whatever ends the block: those that wait are taken back at once.

    Those that run are asked to save, and cancelled after some seconds: then Slurm itself kills
    those that are still there, after its KillWait.
    """
    try:
        yield
    finally:
        tether.cut()
        if running:
            arrays = sorted({job_id.split("_")[0] for job_id in running})
            ask(["scancel", "--state=PENDING", *arrays])
            end = time.monotonic() + SECONDS_TO_STOP
            works = [work for task, _ in running.values() for work in task]
            while time.monotonic() < end:
                if not any(status_of(work.run_dir) == "running" for work in works):
                    break
                time.sleep(0.2)
            ask(["scancel", *arrays])
