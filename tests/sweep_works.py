"""Small jobs for tests of launchers, and a look at the processes that they leave."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException

from dlrun.errors import UserError
from dlrun.hydra_session import hydra_session
from dlrun.run_files import read_summary
from dlrun.sweeps.compose import Composer
from dlrun.sweeps.launchers import Launcher
from dlrun.sweeps.sweep import build_launcher, compose_sweep
from dlrun.sweeps.work import Task, Work

SMALL = ("dataset=moons", "figures=false", "device=cpu", "quiet=true")
KILLED = "epochs=2 model._target_=killed.Net"
# A model that notes how many threads it was given, and then has its process killed.
KILLED_NET = """
import os, signal, torch

class Net(torch.nn.Linear):
    def __init__(self, in_shape, out_features, **settings_of_an_mlp):
        super().__init__(in_shape[0], out_features)

    def forward(self, x):
        with open("threads.txt", "w") as file:
            file.write(os.environ["OMP_NUM_THREADS"])
        os.kill(os.getpid(), signal.SIGKILL)
"""


def tasks(*jobs: str) -> list[Task]:
    """A task of a single job for each string of overrides."""
    made: list[Task] = []
    Path("killed.py").write_text(KILLED_NET)
    with hydra_session() as app, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(os.getcwd())  # as dlrun itself does
        patch.delitem(sys.modules, "killed", raising=False)
        composer = Composer(app, "config", "own")
        for number, job in enumerate(jobs):
            words = [*SMALL, *job.split()]
            composed = composer.compose(words)
            run_dir = Path("sweep").absolute() / f"{number:04d}"
            made.append((Work(run_dir, composed.config, composed.choices, words),))
    return made


def launcher(name: str, *words: str) -> Launcher:
    """As hydra/launcher=NAME makes it."""
    with hydra_session() as app:
        config = compose_sweep(app, "config", [f"hydra/launcher={name}", *words])
    try:
        return build_launcher(config, "own")
    except InstantiationException as error:  # Hydra's, around the launcher's own
        assert isinstance(error.__cause__, UserError)
        raise error.__cause__ from None


def summary(task: Task) -> dict[str, Any]:
    return read_summary(task[0].run_dir) or {}


class Processes:
    """Those that have been started since, by whomever: they inherit a variable."""

    def __init__(self, name: str) -> None:
        self.mark = f"{name}={os.getpid()}-{time.time_ns()}"

    def left(self, word: str = "") -> list[int]:
        """Ids of those alive whose command line has the word."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with suppress(OSError):  # it has ended
                mine = self.mark.encode() in (folder / "environ").read_bytes()
                if mine and word.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found

    def gone_within(self, seconds: float) -> bool:
        """Whether all of them ended within that time."""
        end = time.monotonic() + seconds
        while (some := self.left()) and time.monotonic() < end:
            time.sleep(0.05)
        return not some

    def deaf_to_interrupts(self) -> bool:
        """Whether Ctrl-C in a terminal, which goes to all of them, reaches none."""
        deaf = []
        for pid in self.left():
            with suppress(OSError):
                status = dict(
                    line.split(":\t", 1)
                    for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                )
                masks = [int(status[name], 16) for name in ("SigBlk", "SigIgn")]
                deaf.append(bool((masks[0] | masks[1]) & 1 << signal.SIGINT - 1))
        return bool(deaf) and all(deaf)


def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """For a fixture: what is left at the end of a test is killed."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("reads Linux's /proc")
    resource_tracker.ensure_running()  # of this process's own, which lives as long as it does
    started = Processes("DLRUN_TEST")
    monkeypatch.setenv(*started.mark.split("="))
    yield started
    for pid in started.left():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
