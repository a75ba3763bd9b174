"""What all tests share: one thread each, a directory of their own, `dlrun` as a command."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

collect_ignore = ["readme"]  # its doctests would need a browser
torch.set_num_threads(1)  # test processes run side by side; threads would only fight
os.environ["OMP_NUM_THREADS"] = "1"

SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["dlrun.train", "dlrun.hydra_app", "torchvision.datasets"])

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty directory, as a user would."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dlrun(tmp_path: Path) -> Command:
    """The command line in a process of its own: `dlrun("model=mlp", "epochs=1", NAME="value")`.

    Processes are forked from a server that has torch imported: a hundred of them would spend
    minutes on nothing else.
    """

    def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("stdout", "stderr")]
            process = SERVER.Process(
                target=command_process, args=(words, tmp_path, environment, *files)
            )
            process.start()
            process.join(120)
            if process.exitcode is None:
                process.kill()
                process.join()
            output, errors = (file.read_text() for file in files)
        code = process.exitcode
        process.close()
        assert code is not None
        return subprocess.CompletedProcess(words, code, output, errors)

    return command


def command_process(
    words: Sequence[str], cwd: Path, environment: dict[str, str], stdout: Path, stderr: Path
) -> None:
    """Becomes `dlrun WORDS` in `cwd`, as the console script would; never returns."""
    os.chdir(cwd)
    os.environ.update(environment)
    for descriptor, file in ((1, stdout), (2, stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    warnings.simplefilter("error")
    sys.argv = ["dlrun", *words]
    from dlrun.cli import main

    main()


def only_run(folder: Path) -> Path:
    """The one run directory below `folder`."""
    (summary,) = folder.rglob("summary.json")
    return summary.parent
