"""Where a run's figures come from: versions, command line, and the repository one runs from."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

PACKAGES = (
    *("dlrun", "torch", "torchvision", "hydra-core", "omegaconf", "tensorboard"),
    *("numpy", "scipy", "pandas", "scikit-learn", "mlxtend", "pillow"),
    *("optuna", "cma", "pytorch_optimizer"),
)


@dataclass(frozen=True)
class Origin:
    """What a run is told of where it comes from; a sweep tells all of its jobs the same.

    command: the command line, a word each. git: see `git_state`. rerun_of: the name of the run
    that this one repeats.
    """

    command: tuple[str, ...]
    git: Mapping[str, Any] | None
    rerun_of: str | None = None


def origin(rerun_of: str | None = None) -> Origin:
    """Of a run that begins in this process, by itself."""
    return Origin(command_line(), git_state(), rerun_of)


def command_line() -> tuple[str, ...]:
    """The words that this process was called with, the program by its name alone."""
    program = PurePath(sys.argv[0] if sys.argv else "")
    name = program.name.removesuffix(".exe")
    if name == "__main__.py":  # python -m dlrun
        name = program.parent.name
    return (name, *sys.argv[1:])


def now() -> str:
    """Date and time to the second with the offset from UTC, as ISO 8601 has it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


@functools.cache  # reading the metadata of all packages takes 10 ms
def installed_versions() -> Mapping[str, str]:
    """Versions of Python and of the packages that a run's figures hang on; imports none."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # dlrun run from a checkout, say
            continue
    return versions


def git_state() -> dict[str, Any] | None:
    """Commit and dirty state of the repository one runs from; None where there is none."""
    words = ["git", "status", "--porcelain=v2", "--branch"]  # one call: 10 ms are 10 ms
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no repository
        return None
    lines = done.stdout.splitlines()
    heads = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not heads or heads[0] == "(initial)":  # no commit yet
        return None
    return {"commit": heads[0], "dirty": any(not line.startswith("#") for line in lines)}
