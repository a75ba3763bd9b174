"""outputs/trash: where removed runs and sweeps lie, by when they were removed and where they were.

outputs/trash/<date>_<time>-<4 hex>/<path from the current directory>, or with `@` before the path
from the root for what did not lie below the current directory.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dlrun.errors import UserError, nearest, shown
from dlrun.runs.find import OUTPUTS, TRASH, called
from dlrun.runs.jobs import PLAN
from dlrun.runs.removal import held

STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{4}")
ELSEWHERE = "@"
MARKS = {"summary.json", PLAN, ".hydra", "metrics.jsonl"}
MOST_NAMED = 5  # that an error lists


@dataclass(frozen=True)
class Discarded:
    """One run or sweep in the trash: where it lies, and where it lay."""

    path: Path
    origin: Path


def new_stamp() -> Path:
    """The folder of a removal that begins now; not made yet."""
    return TRASH / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(2)}"


def discard(path: Path, stamp: Path) -> Path:
    """Where a run or sweep lies after it was moved to the trash.

    Raises UserError where a process works on it by now, and OSError.
    """
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    first = relative.split(os.sep)[0]
    if first in (os.pardir, ELSEWHERE) or os.path.isabs(relative):  # another drive
        relative = os.path.join(ELSEWHERE, os.path.splitdrive(absolute)[1].lstrip(os.sep))
    to = stamp / relative
    with held(path):
        to.parent.mkdir(parents=True, exist_ok=True)
        move(path, to)
    _tidy(Path(absolute).parent)
    return to


def move(path: Path, to: Path) -> None:
    """Renames a directory; to another file system it is copied and then deleted. Raises OSError."""
    try:
        os.rename(path, to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.move(path, to)


def _tidy(folder: Path) -> None:
    """Removes the folder of a day, or of a sweep's name, that has become empty."""
    root = Path(os.path.abspath(OUTPUTS))
    if folder.parent in (root / "runs", root / "sweeps"):
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def stamps() -> list[Path]:
    """The folders of earlier removals, the oldest first; nothing else that lies in the trash."""
    try:
        with os.scandir(TRASH) as entries:
            found = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [TRASH / name for name in sorted(found) if STAMP.fullmatch(name)]


def discarded(stamp: Path) -> list[Discarded]:
    """The runs and sweeps of one removal."""
    return [Discarded(path, _origin(path, stamp)) for path in _whole_ones(stamp)]


def _whole_ones(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    if MARKS & {entry.name for entry in entries}:
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _whole_ones(Path(entry.path))


def _origin(path: Path, stamp: Path) -> Path:
    relative = path.relative_to(stamp)
    if relative.parts[:1] == (ELSEWHERE,):
        return Path(os.sep, *relative.parts[1:])
    return relative


def wanted(word: str) -> list[Discarded]:
    """What a word means of the trash: a run or sweep by its name, a removal by its date, `last`.

    Raises UserError where nothing fits, or several do.
    """
    all_stamps = stamps()
    if not all_stamps:
        raise UserError(f"{TRASH}: is empty, there is nothing to bring back")
    if word == "last":
        return discarded(all_stamps[-1])
    name = os.path.normpath(word).removeprefix(f"{TRASH}{os.sep}")
    if TRASH / name in all_stamps:
        return discarded(TRASH / name)
    found = [one for stamp in all_stamps for one in discarded(stamp)]
    by_origin = [one for one in found if str(one.origin) == name or str(one.path) == word]
    chosen = by_origin or [one for one in found if called(word, [one.origin])]
    if len(chosen) == 1:
        return chosen
    if chosen:
        listed = ", ".join(shown(one.path.relative_to(TRASH)) for one in chosen[:MOST_NAMED])
        raise UserError(
            f"{shown(word)}: fits {len(chosen)} in the trash: {listed} (type more of one)"
        )
    hint = nearest(word, (one.path.name for one in found)) or f" (it has {_names(found)})"
    raise UserError(f"{shown(word)}: nothing in {TRASH} is called so{hint}")


def _names(found: Sequence[Discarded]) -> str:
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"{', '.join(shown(one.path.name, 60) for one in found[:MOST_NAMED])}{more}"


def restore(ones: Sequence[Discarded]) -> None:
    """Moves what lies in the trash back to where it lay.

    Raises UserError, before anything is moved, where something lies there by now; and OSError.
    """
    for one in ones:
        if os.path.lexists(one.origin):
            raise UserError(f"{shown(one.origin)}: is there again (move it away first)")
    for one in ones:
        one.origin.parent.mkdir(parents=True, exist_ok=True)
        move(one.path, one.origin)
        _drop_empty(one.path.parent)


def _drop_empty(folder: Path) -> None:
    """Removes folders of the trash that are empty now, from this one upwards."""
    while folder != TRASH:
        try:
            folder.rmdir()
        except OSError:  # it is not empty
            return
        folder = folder.parent


def purge(ones: Sequence[Path]) -> None:
    """Deletes the folders of removals for good. Raises OSError."""
    for stamp in ones:
        shutil.rmtree(stamp)
