"""Exceptions whose text is all that a user sees, and what such texts are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A fault in the input: key, value received, what is accepted, what to type instead.

    The command line prints its text without a traceback and exits with code 2.
    """


class Failure(RuntimeError):
    """What went wrong around a run that was well asked for: a full disk, memory, vanished files.

    The command line prints its text without a traceback and exits with code 1.
    """


def printable(text: str) -> str:
    r"""The text with what a terminal would obey or hide written out; line breaks stay.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )


def shown(value: object, width: int = 200) -> str:
    """A value for a message: one line, of at most `width` letters, that a terminal only prints.

    >>> shown([1, 2]), shown("x" * 9, width=5)
    ('[1, 2]', 'xx…xx')
    """
    text = printable(str(value)).replace("\n", "\\n")
    half = (width - 1) // 2
    return text if len(text) <= width else f"{text[:half]}…{text[-half:]}"


def nearest(name: str, accepted: Iterable[str]) -> str:
    """`; did you mean NAME?` for the closest accepted name, or nothing when none is close.

    >>> nearest("adma", ["sgd", "adam"])
    '; did you mean adam?'
    >>> nearest("xyz", ["sgd", "adam"])
    ''
    """
    close = difflib.get_close_matches(name, list(accepted), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
