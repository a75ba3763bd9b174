"""The one exception for what a user can put right: its text is all that they see."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A fault in the input: key, value received, what is accepted, what to type instead.

    The command line prints its text without a traceback and exits with code 2.
    """


def nearest(name: str, accepted: Iterable[str]) -> str:
    """`; did you mean NAME?` for the closest accepted name, or nothing when none is close.

    >>> nearest("adma", ["sgd", "adam"])
    '; did you mean adam?'
    >>> nearest("xyz", ["sgd", "adam"])
    ''
    """
    close = difflib.get_close_matches(name, list(accepted), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
