"""What all tests share: one thread each, a directory of their own, `dlrun` as a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

collect_ignore = ["readme"]  # its doctests would need a browser
torch.set_num_threads(1)  # test processes run side by side; threads would only fight
os.environ["OMP_NUM_THREADS"] = "1"

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(
    ["pytest", "dlrun.train", "dlrun.hydra_app", "dlrun.resume", "torch.utils.tensorboard"]
    + ["torchvision.datasets", "sklearn.datasets", "pytorch_optimizer", "optuna"]
    + ["dlrun.sweeps.sweep", "dlrun.report.figures", "dlrun.report.command", "sklearn.ensemble"]
)

Command = Callable[..., subprocess.CompletedProcess[str]]


class Started:
    """`dlrun WORDS` under way in `cwd`, in a process of its own that takes signals.

    Processes are forked from a server that has torch imported: a hundred of them would spend
    minutes on nothing else. prepare: called in the process before anything else, to break
    something there; a function of a module, or a functools.partial of one.
    """

    def __init__(
        self,
        words: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self.words = words
        self._result: subprocess.CompletedProcess[str] | None = None
        self._folder = TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        for file in self._files:
            file.touch()
        self._process = SERVER.Process(
            target=command_process, args=(words, cwd, environment, prepare, *self._files)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._result is None and self._process.is_alive()

    @property
    def output(self) -> tuple[str, str]:
        """What it has written so far, to standard output and to standard error."""
        output, errors = (file.read_text() for file in self._files)
        return output, errors

    def send(self, number: int) -> None:
        """Sends it a signal; nothing happens to a process that is over."""
        if self.is_alive:
            with suppress(ProcessLookupError):  # it may end in between
                os.kill(self.pid, number)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 120) -> bool:
        """Whether the condition, looked at every millisecond, came true while the process lived.

        Raises TimeoutError after so many seconds.
        """
        end = time.monotonic() + timeout
        while self.is_alive:
            if condition():
                return True
            if time.monotonic() > end:
                raise TimeoutError(f"dlrun {' '.join(self.words)}: {self.output}")
            time.sleep(0.001)
        return False

    def wait(self, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """How it ended, as subprocess.run tells it: returncode -9 where signal 9 ended it.

        A process that is not over after so many seconds is killed.
        """
        if self._result is None:
            self._process.join(timeout)
            if self._process.exitcode is None:
                self._process.kill()
                self._process.join()
            code = self._process.exitcode
            assert code is not None
            self._result = subprocess.CompletedProcess(self.words, code, *self.output)
            self._process.close()
            self._folder.cleanup()
        return self._result


Starter = Callable[..., Started]


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty directory, as a user would."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dlrun(tmp_path: Path) -> Command:
    """The command line in a process of its own: `dlrun("model=mlp", "epochs=1", NAME="value")`."""

    def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return Started(words, tmp_path, environment).wait()

    return command


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Starter]:
    """The same command line, but not waited for: `started("model=mlp").send(signal.SIGTERM)`.

    What a test leaves running is killed when it ends.
    """
    all_started: list[Started] = []

    def command(
        *words: str, prepare: Callable[[], None] | None = None, **environment: str
    ) -> Started:
        all_started.append(Started(words, tmp_path, environment, prepare))
        return all_started[-1]

    yield command
    for one in all_started:
        one.wait(timeout=0)


def command_process(
    words: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    prepare: Callable[[], None] | None,
    stdout: Path,
    stderr: Path,
) -> None:
    """Becomes `dlrun WORDS` in `cwd`, as the console script would; never returns."""
    os.chdir(cwd)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in background
    for descriptor, file in ((1, stdout), (2, stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    warnings.simplefilter("error")
    if prepare is not None:
        prepare()
    sys.argv = ["dlrun", *words]
    from dlrun.cli import main

    main()


def only_run(folder: Path) -> Path:
    """The one run directory below `folder`."""
    (summary,) = folder.rglob("summary.json")
    return summary.parent
