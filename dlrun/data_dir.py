"""Where data sets lie: one folder for all runs, found again without network."""

from __future__ import annotations

import os
from pathlib import Path


def data_root(configured: str | None) -> Path:
    """The configured folder, else $DLRUN_DATA_DIR, else `dlrun` in the user's cache folder."""
    if configured is not None:
        return Path(configured).expanduser()
    if named := os.environ.get("DLRUN_DATA_DIR"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dlrun"
