"""Which directories may be thrown away: runs and sweeps as a whole, and nothing that is in use."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dlrun.errors import UserError, shown
from dlrun.runs.find import TRASH, find_run
from dlrun.runs.jobs import PLAN, job_folders, sorted_entries
from dlrun.runs.records import Record, read_record
from dlrun.runs.summaries import is_held, read_file
from dlrun.terminal import typed_path

# Beside summary.json; a folder of something else has none of them.
RUN_FILES = {".hydra", "metrics.jsonl", "train.log"}
LARGEST_PLAN = 64 * 2**20  # bytes; 10,000 jobs have 5 MB
RUNNING = "is running; only what is over can be removed (stop it first, with Ctrl-C say)"
PLAN_START = re.compile(rb"format: \d")


def removable(words: Sequence[str]) -> list[Record]:
    """The runs and sweeps that words mean, each once, a job only as part of its sweep.

    Raises UserError for what is neither, cannot go alone, or is in use.
    """
    paths = [named_folder(word) for word in words]
    return [read_record(path) for path in without_overlap(paths)]


def without_overlap(paths: Sequence[Path]) -> list[Path]:
    """The paths that may go, those within another of them left out.

    Raises UserError for one that may not.
    """
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(os.path.realpath(path), path)
    outer = {
        real: path
        for real, path in found.items()
        if not any(str(above) in found for above in Path(real).parents)
    }
    for path in outer.values():
        require_removable(path)
    return list(outer.values())


def named_folder(word: str) -> Path:
    """The directory that a word means, no archive. Raises UserError."""
    if os.path.isfile(word):
        raise UserError(f"{shown(word)}: is a file, expected the directory of a run or a sweep")
    return find_run(word)


def require_removable(path: Path) -> None:
    """Raises UserError for anything but a whole run or sweep that no process works on."""
    place = shown(path)
    if os.path.islink(path):
        raise UserError(f"{place}: is a link, expected the directory of a run or a sweep itself")
    real = Path(os.path.realpath(path))
    here = Path(os.path.realpath(os.curdir))
    if real == here or real in here.parents:
        raise UserError(f"{place}: the current directory lies in it (cd elsewhere first)")
    if Path(os.path.realpath(TRASH)) in (real, *real.parents):
        raise UserError(f"{place}: lies in the trash (dlrun rm --purge empties it)")
    require_run_or_sweep(path)
    if is_sweep(real.parent):
        raise UserError(
            f"{place}: is a job of a sweep, which would run it again and reports on all its jobs "
            f"(remove the whole sweep: dlrun rm {typed_path(path.parent)})"
        )
    require_nothing_within(path)
    for folder in (str(path), *(job_folders(str(path)) if is_sweep(path) else ())):
        if is_running(folder):
            raise UserError(f"{shown(folder)}: {RUNNING}")


def require_run_or_sweep(path: Path) -> None:
    """Raises UserError for a directory that dlrun has not written."""
    names = {entry.name for entry in sorted_entries(str(path))}
    written = names & RUN_FILES and names & {"summary.json", "checkpoints", "metrics.jsonl"}
    if not (written or is_sweep(path)) or ".git" in names:
        raise UserError(
            f"{shown(path)}: is neither a run nor a sweep; nothing else is removed "
            "(dlrun ls lists them)"
        )


def is_sweep(folder: Path) -> bool:
    """Whether a folder has the plan of a sweep, as dlrun writes one."""
    try:
        return PLAN_START.match(read_file(f"{folder}/{PLAN}", LARGEST_PLAN)) is not None
    except OSError:
        return False


def require_nothing_within(path: Path) -> None:
    """Raises UserError where other runs lie in a run, or in a job of a sweep."""
    own = {str(path), *(job_folders(str(path)) if is_sweep(path) else ())}
    for folder, folders, names in os.walk(path):
        if folder not in own and ({"summary.json", PLAN} & set(names) or ".git" in folders):
            raise UserError(
                f"{shown(path)}: holds other runs, such as {shown(folder)} (name those to remove)"
            )


def is_running(folder: str) -> bool:
    """Whether a process works on a run or a sweep."""
    if sys.platform == "win32":  # which tells nobody who holds a file
        return read_record(Path(folder)).status == "running"
    return is_held(folder)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Within it no run begins, or goes on, in a directory. Raises UserError where one does."""
    if sys.platform == "win32":  # a file that is open cannot be moved there
        yield
        return
    import fcntl

    try:
        descriptor = os.open(path / ".lock", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:  # there is none, or none that a run would hold
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{shown(path)}: {RUNNING}") from None
        yield
    finally:
        os.close(descriptor)
