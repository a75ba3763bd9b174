"""The process that watches over a job of submitit_local: `python -m THIS_MODULE FOLDER`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from submitit.local.local import Controller

MANY = 1000  # how often a job may be taken up again; submitit counts its timeouts elsewhere


class NotingController(Controller):
    """submitit's own, which keeps to itself how the job's process ended; this one notes it."""

    def wait(self, freq: int = 24) -> Sequence[int | None]:
        codes = super().wait(freq)
        exit_code_file(self.folder, self.pid).write_text(how_it_ended(codes[0]))
        return codes


def exit_code_file(folder: Path, job_id: str) -> Path:
    """Where it stands in words how the process of a job ended."""
    return folder / f"{job_id}_ended.txt"


def how_it_ended(code: int | None) -> str:
    """In words; None: it did not.

    >>> how_it_ended(-9), how_it_ended(1), how_it_ended(None)
    ('killed by SIGKILL', 'its process ended with exit code 1', 'timed out')
    """
    if code is None:
        return "timed out"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


if __name__ == "__main__":
    os.setsid()  # a group of its own, which can be killed together
    NotingController(Path(sys.argv[1])).run(max_retry=MANY)
