"""The values of a run by the keys that one types: hyper-parameters, figures, anything it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dlrun.errors import UserError, nearest, shown
from dlrun.overrides import spell_out
from dlrun.runs.records import Record

# What every record has, whatever its files say.
FIELDS: Mapping[str, Callable[[Record], Any]] = {
    "when": lambda record: record.begun,
    "begun": lambda record: record.begun,
    "name": lambda record: record.name,
    "path": lambda record: str(record.path),
    "kind": lambda record: record.kind,
    "status": lambda record: record.status,
    "reason": lambda record: record.reason or None,
    "time": lambda record: record.seconds,
    "seconds": lambda record: record.seconds,
    "tag": lambda record: list(record.tags) or None,
    "tags": lambda record: list(record.tags) or None,
    "epochs_done": lambda record: record.summary.get("epochs"),
}
# Groups whose settings are hyper-parameters by their last word: optimizer.lr is lr.
GROUPS = ("model", "optimizer", "dataset", "regularization", "device")
MOST_NAMED = 8
_ABSENT = object()


def value_of(record: Record, key: str) -> Any:
    """What a record has under a key: text, a number, true or false, a list, or None for nothing.

    Keys are `when`, `name`, `status`, … of FIELDS; figures (`accuracy/val`); hyper-parameters
    (`lr`, also as it is typed, `optim.lr`); entries of summary.json (`stopped_by`,
    `versions.torch`); and whatever was typed for the run (`model.init_from`).
    """
    value = _find(record, _spelled(key))
    return None if value is _ABSENT else value


def require_key(option: str, key: str, found: Sequence[Record]) -> None:
    """Raises UserError, with the nearest key that there is, where none of the records has it."""
    name = _spelled(key)
    if name in FIELDS or not found or any(_find(record, name) is not _ABSENT for record in found):
        return
    known = dict.fromkeys(key for record in found for key in _keys(record))
    hint = nearest(name, known)
    if not hint:
        hint = f"; there are {', '.join(shown(key, 40) for key in list(known)[:MOST_NAMED])}, …"
    raise UserError(f"{option}: no run here has the key {shown(key, 40)}{hint}")


def _spelled(key: str) -> str:
    return spell_out(key) if key.startswith("optim") else key


def _find(record: Record, key: str) -> Any:
    if key in FIELDS:
        return FIELDS[key](record)
    if key in record.hparams:
        return record.hparams[key]
    if (
        key in record.metrics and key != "lr"
    ):  # that is what was set, not what a schedule made of it
        return record.metrics[key]
    value = _within(record.summary, key.split("."))
    if value is _ABSENT:
        value = _typed(record.overrides, key)
    group, _, name = key.partition(".")
    if value is _ABSENT and group in GROUPS:
        value = record.hparams.get(name, _ABSENT)
    return value


def _within(summary: Mapping[str, Any], names: Iterable[str]) -> Any:
    value: Any = summary
    for name in names:
        value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
    return _ABSENT if isinstance(value, dict) else value


def _typed(overrides: Iterable[str], key: str) -> Any:
    """The value of the last override of a key, a number or a word of JSON as such."""
    value: Any = _ABSENT
    for word in overrides:
        name, sign, text = word.lstrip("+").partition("=")
        if sign and name == key:
            value = parsed(text)
    return value


def parsed(text: str) -> Any:
    """A number, true, false or null as such; all else is text, without its quotes.

    >>> parsed("1e-3"), parsed("true"), parsed("[64,64]"), parsed("'3'")
    (0.001, True, '[64,64]', '3')
    """
    try:
        value = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        quoted = len(text) > 1 and text[0] == text[-1] == "'"
        value = text[1:-1] if quoted else _number(text)
    return text if isinstance(value, (list, dict)) else value


def _number(text: str) -> float | str:
    """What Python takes for a number and JSON does not, such as .5 and 1_000, else the text."""
    try:
        value = float(text)
    except ValueError:
        return text
    return value if text.lower().strip("+-") not in ("nan", "inf", "infinity") else text


def _keys(record: Record) -> list[str]:
    """All keys of a record, as an error may name them."""
    inner = [
        f"{key}.{name}"
        for key, value in record.summary.items()
        if isinstance(value, dict) and key not in ("hparams", "metrics")
        for name in value
    ]
    scalars = [key for key, value in record.summary.items() if not isinstance(value, dict)]
    typed = [word.lstrip("+~").partition("=")[0] for word in record.overrides]
    return [*record.metrics, *record.hparams, *FIELDS, *scalars, *inner, *typed]
