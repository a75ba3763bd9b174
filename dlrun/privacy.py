"""What is said of a run without saying who ran it: no home directories, no users' names."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

SEPARATORS = ("/", "\\")
BEFORE_PATH = re.compile(r"[^\s'\"=,;:()\[\]{}<>|]*$")  # how far a path reaches back
AFTER_PATH = re.compile(r"[\s'\"=,;:()\[\]{}<>|/\\]|$")
REST_OF_KEY = re.compile(r"[\w./]*=")  # as in hydra/launcher=local


def without_names(text: str) -> str:
    """The text with the home directory written `~`, and the user's name in paths `USER`.

    In a path from the root on the name counts wherever it stands as a word, in any other where it
    is a part of its own. `model=mlp` names a model, whoever the user is.
    """
    return _without(text, homes(), user_names())


def all_without_names(value: Any) -> Any:
    """Nested dicts and lists with `without_names` of every text in them; keys stay."""
    known = homes(), user_names()

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            return _without(value, *known)
        if isinstance(value, dict):
            return {key: cleaned(item) for key, item in value.items()}
        return [cleaned(item) for item in value] if isinstance(value, list) else value

    return cleaned(value)


def homes() -> list[str]:
    """How the home directory may be written, the longest first; none where it is the root."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without an entry anywhere
        return []
    written = {str(home), home.as_posix(), os.path.realpath(home)}
    return sorted((text for text in written if len(text) > 1), key=len, reverse=True)


def user_names() -> list[str]:
    """The names by which a path may tell the user: of the account, and of the home directory."""
    names = set()
    with suppress(KeyError, OSError, ImportError):  # a number without a name, as containers have
        names.add(getpass.getuser())
    names |= {Path(home).name for home in homes() if Path(home).parent.name in ("home", "Users")}
    return sorted(filter(None, names))


def _without(text: str, homes: Sequence[str], names: Sequence[str]) -> str:
    if not any(separator in text for separator in SEPARATORS):  # as nearly all texts
        return text
    for home in homes:
        text = re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w-]|\.\w)", "~", text)
    for name in names:
        text = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", _in_path_as_user, text)
    return text


def _in_path_as_user(found: re.Match[str]) -> str:
    before, after = found.string[: found.start()], found.string[found.end() :]
    begun = BEFORE_PATH.search(before)
    assert begun is not None  # it matches the empty text
    path = begun[0]
    if path.startswith((*SEPARATORS, "~")):
        return "USER"
    is_part = not path or path.endswith(SEPARATORS)
    is_part = is_part and AFTER_PATH.match(after) is not None
    is_part = is_part and bool(path or after.startswith(SEPARATORS))
    return "USER" if is_part and not REST_OF_KEY.match(after) else found[0]
