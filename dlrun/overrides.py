"""Overrides as people type them, and Python values as overrides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Settings of a sweep that no config of a run has: they may be typed without `hydra.sweeper.`
SWEEPER_WORDS = ("search", "n_trials", "metric", "direction", "pruner", "dry_run")


def spell_out(word: str) -> str:
    """The override with short words written out: `optim`, `-q`, and the settings of sweeps.

    >>> spell_out("optim=adam"), spell_out("+optim.lr=1"), spell_out("optimism=1"), spell_out("-q")
    ('optimizer=adam', '+optimizer.lr=1', 'optimism=1', 'quiet=true')
    >>> spell_out("dry_run=true"), spell_out("search=tpe")
    ('hydra.sweeper.dry_run=true', 'hydra.sweeper.search=tpe')
    """
    if word in ("-q", "--quiet"):
        return "quiet=true"
    if word.partition("=")[0] in SWEEPER_WORDS:
        return f"hydra.sweeper.{word}"
    return re.sub(r"^(\+\+|\+|~)?optim(?=[.=@]|$)", r"\1optimizer", word)


def to_override(value: Any) -> str:
    """A Python value in Hydra's override grammar.

    >>> to_override(None), to_override(True), to_override([1, "a b"]), to_override({"k": 0.5})
    ('null', 'true', '[1,"a b"]', '{k:0.5}')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(to_override(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{to_override(item)}' for key, item in value.items())}}}"
    if isinstance(value, (str, Path)):
        return _text(str(value))
    return str(value)


def _text(text: str) -> str:
    """Text as a word where it is one and means nothing else, else in quotes."""
    word = re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII)
    if word and text.lower() not in ("null", "true", "false", "nan", "inf"):
        return text
    # Within quotes a backslash is one, but for those right before a quote or the end.
    escaped = re.sub(
        r'(\\*)("|\Z)', lambda found: found[1] * 2 + found[2].replace('"', '\\"'), text
    )
    return f'"{escaped}"'
