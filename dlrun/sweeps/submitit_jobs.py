"""What submitit pickles and runs, here as on a cluster, and what it leaves of it."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dlrun.errors import shown
from dlrun.signals import Interrupted
from dlrun.sweeps.launchers import THREADS
from dlrun.sweeps.tether import Doing
from dlrun.sweeps.work import Task

if TYPE_CHECKING:
    from submitit.core.core import Job
    from submitit.core.utils import DelayedSubmission

SECONDS_TO_SAVE = 30.0  # of a preempted job; clusters give it about 90
FOLDER = ".submitit"


@dataclass
class Tethered:
    """A task for submitit: does it, and when preempted saves and asks to be submitted again.

    submitit's handlers of signals stay as they are: the task is in a thread, and its checkpoint is
    written while the handler waits.
    """

    task: Task
    tether: Path
    _doing: Doing | None = field(default=None, init=False)

    def __call__(self) -> None:
        self._doing = Doing(self.task)
        try:
            self._doing.follow(self.tether)
        except Interrupted:
            os._exit(0)  # nobody waits for a result; libraries take seconds to end theirs

    def checkpoint(self) -> DelayedSubmission:
        """The same task, for submitit to run again: it goes on from its own checkpoint."""
        from submitit.helpers import DelayedSubmission

        if self._doing is not None:
            self._doing.stop(SECONDS_TO_SAVE)
        return DelayedSubmission(Tethered(self.task, self.tether))


def import_submitit() -> ModuleType:
    """The package, which says nothing here."""
    import submitit

    logging.getLogger("submitit").setLevel(logging.CRITICAL)
    return submitit


def exports(variables: Mapping[str, str]) -> list[str]:
    """Shell commands that set environment variables."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def thread_variables(number: int) -> dict[str, str]:
    """What gives each library that many threads."""
    return dict.fromkeys(THREADS, str(number))


def has_result(job: Job[Any]) -> bool:
    """Whether the job has come to its end and said so."""
    return job.paths.result_pickle.exists()


def failure_of(job: Job[Any]) -> str | None:
    """Why a job that has a result did not do its task, a line; None where it did."""
    from submitit.core.utils import pickle_load

    outcome, result = pickle_load(job.paths.result_pickle)
    if outcome == "success":
        return None
    lines = str(result).strip().splitlines() or ["it failed"]
    return "timed out" if "timed-out" in lines[-1] else shown(lines[-1])
