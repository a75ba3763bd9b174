"""What the files of a run directory say of it, where anybody may have written anything there."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

LARGEST_SUMMARY = 8 * 2**20  # bytes; a run writes a few thousand
LARGEST_TAGS = 2**16
DEEPEST_VALUE = 64  # brackets within brackets in a summary; a run writes 4
# A run's directory is <date>/<time>-…, a sweep's NAME/<date>_<time>-…
DATE_AND_TIME = re.compile(r"(?:.*/)?(\d{4})-(\d\d)-(\d\d)[/_](\d\d)-(\d\d)-(\d\d)-[^/]*")
# The line of `started` as a run writes it, at the top of the file.
STARTED = re.compile(rb'^  "started": "([^"\\]+)",?$', re.MULTILINE)
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)  # NaN and infinity, no words of JSON
_FIELDS: dict[str, type] = {"overrides": list, "hparams": dict, "metrics": dict}


class Damaged(ValueError):
    """What is wrong with a file of a run, in a few words; is_missing where there is none."""

    is_missing = False


def read_summary(folder: str) -> dict[str, Any]:
    """What summary.json says; status, overrides, hparams and metrics are there and of their kind.

    Figures in metrics are finite or None. Raises Damaged where it is not what a run writes.
    """
    try:
        content = read_file(f"{folder}/summary.json", LARGEST_SUMMARY)
    except OSError as error:
        damaged = Damaged(f"summary.json: {error.strerror}")
        damaged.is_missing = isinstance(error, FileNotFoundError)
        raise damaged from None
    if not content.strip():
        raise Damaged("summary.json: empty")
    try:
        summary = _DECODER.decode(content.decode())
    except RecursionError:
        raise Damaged("summary.json: nested too deep") from None
    except ValueError:  # also bytes that are no text, and numbers of thousands of digits
        raise Damaged("summary.json: not the JSON of a run, or cut off") from None
    if not isinstance(summary, dict):
        raise Damaged("summary.json: expected an object")
    if content.count(b"{") + content.count(b"[") > DEEPEST_VALUE and _is_deep(summary):
        raise Damaged("summary.json: nested too deep")
    return _checked(summary)


def _is_deep(value: Any) -> bool:
    """Whether there are more brackets within brackets than what walks through them may bear."""
    level = [value]
    for _ in range(DEEPEST_VALUE):
        inner = [item.values() if isinstance(item, dict) else item for item in level]
        level = [one for items in inner for one in items if isinstance(one, (dict, list))]
    return bool(level)


def _checked(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary, complete and with finite figures. Raises Damaged for one of another kind."""
    if not isinstance(summary.get("status"), str):
        raise Damaged("summary.json: has no status")
    for key, kind in _FIELDS.items():
        if not isinstance(summary.setdefault(key, kind()), kind):
            raise Damaged(f"summary.json: {key} is no {'list' if kind is list else 'object'}")
    if not all(isinstance(word, str) for word in summary["overrides"]):
        raise Damaged("summary.json: overrides are not all text")
    try:
        summary["train_seconds"] = _figure(summary.get("train_seconds"))
        summary["metrics"] = {name: _figure(value) for name, value in summary["metrics"].items()}
    except TypeError:
        raise Damaged("summary.json: a figure is no number") from None
    return summary


def _figure(value: Any) -> float | None:
    """A number that is finite, None for one that is not. Raises TypeError for all else."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if value is None:
        return None
    if type(value) is not int:
        raise TypeError
    return value if -(2**1000) < value < 2**1000 else None  # as floats, which go no further


def read_file(path: str, largest: int) -> bytes:
    """What a regular file holds. Raises OSError, also for a pipe, and for more bytes than that."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # no wait for a pipe
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file", path)
        if status.st_size > largest:
            raise OSError(0, f"{status.st_size:,} bytes, which no run writes", path)
        return os.read(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def read_tags(folder: str) -> tuple[tuple[str, ...], str]:
    """The words in the file `tags`, one a line, and what is wrong with it, if anything is."""
    try:
        text = read_file(f"{folder}/tags", LARGEST_TAGS).decode()
    except FileNotFoundError:
        return (), ""
    except OSError as error:
        return (), f"tags: {error.strerror}"
    except ValueError:
        return (), "tags: no text"
    return tuple(line.strip() for line in text.splitlines() if line.strip()), ""


def status_now(folder: str, summary: Mapping[str, Any]) -> str:
    """The status that the run wrote; `killed` where it says running, but no process does so."""
    status = str(summary["status"])
    return "killed" if status == "running" and not is_held(folder) else status


def is_held(folder: str) -> bool:
    """Whether a process holds the directory, as `run_files.locked` does; nothing is written.

    Where the system does not say, it is taken to be held.
    """
    try:
        import fcntl

        descriptor = os.open(f"{folder}/.lock", os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except (ImportError, OSError):
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)  # which lets go of it as well
    return False


def started(folder: str) -> str | None:
    """When a run says that it began, if it does: `last` asks ten thousand, so none is decoded."""
    try:
        content = read_file(f"{folder}/summary.json", LARGEST_SUMMARY)
    except OSError:  # then its path or its files tell it
        return None
    if b'"started"' not in content:
        return None
    line = STARTED.search(content)
    if line:
        return line[1].decode(errors="replace")
    try:
        value = read_summary(folder).get("started")
    except Damaged:
        return None
    return value if isinstance(value, str) else None


def begun(folder: str, summary: Mapping[str, Any]) -> float | None:
    """When a run was begun, in seconds since 1970: as its summary, its path or its files say."""
    told = summary.get("started")
    if isinstance(told, str):
        with suppress(ValueError, OverflowError, OSError):  # no time, or one of no calendar
            return datetime.fromisoformat(told.replace("Z", "+00:00")).timestamp()
    found = DATE_AND_TIME.fullmatch("/".join(last_names(folder)))
    if found:
        with suppress(ValueError, OverflowError, OSError):
            year, month, day, hour, minute, second = map(int, found.groups())
            return datetime(year, month, day, hour, minute, second).timestamp()
    return _oldest(folder)


def last_names(folder: str) -> list[str]:
    """The last two names of a path, of one that is typed as `.` too."""
    names = folder.rsplit(os.sep, 2)[-2:]
    if len(names) < 2 or not all(name.strip(".") for name in names):
        names = os.path.abspath(folder).rsplit(os.sep, 2)[-2:]
    return names


def _oldest(folder: str) -> float | None:
    """When the first of a run's files was written for the last time."""
    times = []
    for place in (folder, f"{folder}/.hydra"):
        with suppress(OSError), os.scandir(place) as entries:
            files = [entry for entry in entries if not entry.is_dir(follow_symlinks=False)]
            times += [entry.stat(follow_symlinks=False).st_mtime for entry in files]
    return min(times, default=None)
