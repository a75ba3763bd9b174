"""What ended a run from outside, in a line: a full disk, no memory, a file that has gone."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from dlrun.errors import Failure, printable

HINTS = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within your quota",
    errno.EFBIG: "ulimit -f, or the file system, limits how large a file may be",
    errno.EMFILE: "ulimit -n limits how many files may be open",
    errno.ENOENT: "if it has gone, put it back",
}


@contextmanager
def failures_told(batch_size: int | None = None) -> Iterator[None]:
    """Raises Failure, in words, for what is nobody's error but the machine's.

    batch_size: of the training steps within it, where memory for them may run out.
    """
    try:
        yield
    except Failure:
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        text = explain(error, batch_size)
        if text is None:
            raise
        raise Failure(text) from error


def explain(error: BaseException, batch_size: int | None = None) -> str | None:
    """What happened and what to do about it, or None for an error that is none of these.

    >>> explain(OSError(errno.ENOSPC, "No space left on device", "last.pt"))
    'last.pt: No space left on device (make room on the disk)'
    >>> explain(MemoryError(), batch_size=64)
    'out of memory at batch_size=64 (batch_size=32 in a new run halves what a batch takes)'
    """
    text = str(error)
    if isinstance(error, OSError):
        if error.errno is None or isinstance(error, BrokenPipeError):
            return None
        hint = f" ({HINTS[error.errno]})" if error.errno in HINTS else ""
        return f"{_name(error)}{error.strerror}{hint}"
    if _says(error, "out of memory", "ALLOC_FAILED"):  # torch.OutOfMemoryError is one of them
        return f"out of GPU memory{_details(text, batch_size)}"
    if isinstance(error, MemoryError) or _says(error, "allocate memory", "not enough memory"):
        return f"out of memory{_details(text, batch_size)}"
    return None


def _name(error: OSError) -> str:
    """The file it is about, where that is known: writing to an open file does not say which."""
    if isinstance(error.filename, (str, bytes)):
        return f"{printable(os.fsdecode(error.filename))}: "
    return ""


def _says(error: BaseException, *phrases: str) -> bool:
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)


def _details(text: str, batch_size: int | None) -> str:
    """Where memory ran out, how much was asked for if the error says so, and what takes less.

    >>> _details("Tried to allocate 2.00 GiB.", batch_size=1)
    ' at batch_size=1: 2.00 GiB were asked for (try a smaller model or less data)'
    """
    batch = "" if batch_size is None else f" at batch_size={batch_size}"
    smaller = "try a smaller model or less data"
    if batch_size is not None and batch_size > 1:
        smaller = f"batch_size={batch_size // 2} in a new run halves what a batch takes"
    found = re.search(r"(?:tried|Tried|Unable) to allocate ([\d.]+) ([KMGTPE]iB|bytes)", text)
    asked = ""
    if found is not None:
        amount, unit = found.groups()
        if unit == "bytes":
            amount, unit = f"{int(amount) / 2**30:,.1f}", "GiB"
        asked = f": {amount} {unit} were asked for"
    return f"{batch}{asked} ({smaller})"
