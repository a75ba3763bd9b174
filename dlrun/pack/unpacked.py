"""The directory of a run that came as one file: unpacked once, and found again."""

from __future__ import annotations

import re
from pathlib import Path

from dlrun.failures import failures_told
from dlrun.pack.archive import sha256_of, unpack_run
from dlrun.run_dirs import file_name
from dlrun.targets import Trust

UNPACKED = Path("outputs/runs/unpacked")


@failures_told()
def opened_archive(file: Path, trust: Trust = "data", *, folder: Path | None = None) -> Path:
    """The directory of the run that an archive holds, unpacked only where it is not there yet.

    folder: a new one; None for the one below outputs/runs/unpacked that the archive's name and
    content call for. Raises UserError of one line, and leaves nothing behind, where the archive
    holds anything else than a run, or a run that is more than data.
    """
    digest = sha256_of(file)
    if folder is None:
        stem = file_name(re.sub(r"(\.tar)?\.\w+$", "", file.name)).lstrip(".-") or "run"
        folder = UNPACKED / f"{stem}-{digest[:8]}"
        if (folder / "summary.json").exists():
            return folder
    unpack_run(file, folder, trust)
    return folder
