"""What all tests share: one thread each, a directory of their own, `dlrun` as a command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # test processes run side by side; threads would only fight
os.environ["OMP_NUM_THREADS"] = "1"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def in_own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty directory, as a user would."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def dlrun(tmp_path: Path) -> Command:
    """Runs the command line in a process of its own: `dlrun("model=mlp", "epochs=1")`."""

    def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dlrun", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": "error", **environment},
            capture_output=True,
            text=True,
            timeout=240,
        )

    return command


def only_run(folder: Path) -> Path:
    """The one run directory below `folder`."""
    (summary,) = folder.rglob("summary.json")
    return summary.parent
