"""Jobs in processes that this one did not start itself: how they hear that they should stop.

Signals do not serve. Ray and submitit have handlers of their own, and a job may be on another
machine. So each job looks now and then for a file, which all of them see.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dlrun.signals import Interrupted, Requests
from dlrun.sweeps.work import Task, do_all, mark, status_of
from dlrun.sweeps.workers import SECONDS_TO_STOP

SECONDS_BETWEEN_LOOKS = 0.2


class Tether:
    """A file in a sweep's folder. Jobs go on for as long as it is there.

    here: they are all on this machine. Then the file is a pipe that this process holds open, and
    jobs hear of its death too, however it dies.
    """

    def __init__(self, folder: Path, *, here: bool) -> None:
        self.path = folder / f"tether-{secrets.token_hex(4)}"
        self._held: int | None = None
        if here:
            os.mkfifo(self.path)
            self._held = os.open(self.path, os.O_RDWR)  # to write alone it would wait for a reader
        else:
            self.path.touch()

    def cut(self) -> None:
        """Asks all jobs to stop."""
        self.path.unlink(missing_ok=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def is_cut(tether: Path) -> bool:
    """Whether the file is gone, or nobody holds the pipe any more."""
    try:
        descriptor = os.open(tether, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # a network file system has its moods
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        return is_pipe and os.read(descriptor, 1) == b""
    except BlockingIOError:  # held by somebody who writes nothing
        return False
    finally:
        os.close(descriptor)


class Doing:
    """A task under way in a thread, so that handlers of signals may wait for it in the main one."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._requests = Requests()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._do, args=(task,), daemon=True)
        self._thread.start()

    def _do(self, task: Task) -> None:
        try:
            do_all(task, self._requests)
        except BaseException as error:
            self._error = error

    def follow(self, tether: Path) -> None:
        """Waits for its end. Raises Interrupted when the tether has been cut before it."""
        while self._thread.is_alive():
            self._thread.join(SECONDS_BETWEEN_LOOKS)
            if self._thread.is_alive() and is_cut(tether):
                self.stop(SECONDS_TO_STOP)
                mark_stopped([self._task])  # where it has not come so far as to do so itself
                raise Interrupted(signal.SIGTERM)
        if self._error is not None:
            raise self._error

    def stop(self, seconds: float) -> None:
        """Asks it to save and stop, and waits for that."""
        self._requests.stop = signal.SIGTERM
        self._thread.join(seconds)


@contextmanager
def interrupt_kept_off() -> Iterator[None]:
    """Processes that are started within never get a SIGINT; this one gets it afterwards.

    A terminal sends it to all processes in front of it; what they do then is decided here.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def has_begun(task: Task) -> bool:
    """Whether there is training to save, so that a stop is worth waiting for."""
    return any(next((work.run_dir / "checkpoints").glob("*.pt"), None) for work in task)


def mark_stopped(tasks: Iterable[Task]) -> None:
    """Writes down that jobs are interrupted whose processes had no time to do so."""
    for work in itertools.chain.from_iterable(tasks):
        if status_of(work.run_dir) == "running":
            mark(work.run_dir, work.overrides, status="interrupted", stopped_by="signal")


def log_folder(task: Task, name: str) -> Path:
    """A new folder within that of the task's sweep, named by the time."""
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    folder = task[0].run_dir.parent.absolute() / name / f"{stamp}-{secrets.token_hex(2)}"
    folder.mkdir(parents=True)
    return folder
