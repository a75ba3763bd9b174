"""Where a run's figures come from: versions, and the state of the repository one runs from."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

PACKAGES = (
    *("dlrun", "torch", "torchvision", "hydra-core", "omegaconf", "tensorboard"),
    *("numpy", "scipy", "cma"),
)


@functools.cache  # reading the metadata of all packages takes 10 ms
def installed_versions() -> Mapping[str, str]:
    """Versions of Python and of the packages that a run's figures hang on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # dlrun run from a checkout, say
            continue
    return versions


def git_state() -> dict[str, Any] | None:
    """Commit and dirty state of the repository one runs from; None where there is none."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=5, check=True
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):  # no git, no repository, no commit yet
        return None
