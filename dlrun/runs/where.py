"""Conditions on runs: `optimizer=adam and accuracy/val>0.95`, read by hand, never evaluated."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from dlrun.errors import UserError, nearest, shown
from dlrun.runs.keys import parsed, require_key, value_of
from dlrun.runs.records import Record
from dlrun.runs.table import when

OPTION = "--where"
EXAMPLE = "(for example --where 'optimizer=adam and accuracy/val>0.95')"
WHERE_HELP = (
    "key op value, with = != < <= > >= ~ (contains), and, or, not and parentheses; keys are "
    "hyper-parameters (lr, optimizer), figures (accuracy/val), status, name, kind, tag, when, "
    "seconds and what else summary.json holds (versions.torch)"
)
ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = ("=", "==", "!=", "~", *ORDERED)
DEEPEST = 50  # parentheses within parentheses
TOKEN = re.compile(
    r"""\s*(?: (?P<sign>[()]|[=!<>~]=?)
          | "(?P<double>[^"]*)" | '(?P<single>[^']*)'
          | (?P<word>[^\s()=!<>~"']+)
          | (?P<bad>\S) )""",
    re.VERBOSE,
)
VERSION = re.compile(r"\d+(?:\.\d+)+")
DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
TIMES = ("when", "begun")


class Comparison(NamedTuple):
    """key op value, the value as it was typed."""

    key: str
    operator: str
    text: str
    is_quoted: bool


@dataclass(frozen=True)
class Condition:
    """Whether a record is one of those that a text describes; what is compared, in its order."""

    holds: Callable[[Record], bool]
    comparisons: tuple[Comparison, ...]

    def __call__(self, record: Record) -> bool:
        return self.holds(record)


class Token(NamedTuple):
    """A sign, a word or a quoted text, and where it begins; the last one is the end."""

    kind: str
    text: str
    place: int


def matching(text: str, found: Sequence[Record]) -> list[Record]:
    """Those of the records for which the condition holds.

    Raises UserError for a text that is no condition, and for a key that none of them has.
    """
    holds = condition(text)
    for comparison in holds.comparisons:
        require_key(OPTION, comparison.key, found)
    return [record for record in found if holds(record)]


def why_none(text: str, found: Sequence[Record]) -> str:
    """What keeps a condition from holding for any record: a value that none has, or nothing."""
    for comparison in condition(text).comparisons:
        holds = _test(comparison)
        if comparison.operator == "=" and not any(holds(record) for record in found):
            values = {_plain(value_of(record, comparison.key)) for record in found}
            is_text = not _is_number(parsed(comparison.text))  # near numbers are no slips
            hint = nearest(comparison.text.lower(), sorted(values)) if is_text else ""
            return f"none has {shown(f'{comparison.key}={comparison.text}')}{hint}"
    return ""


def condition(text: str) -> Condition:
    """The condition that a text states: comparisons `key op value`, and, or, not, parentheses.

    Numbers are compared as numbers, text whatever its case, versions by their numbers, `when`
    with a date; `~` is contains. What a record does not have is null: neither less nor greater
    than anything, and different from it. Values with spaces or signs in them stand in quotes.
    Raises UserError, with the place, for a text that is none.
    """
    parser = _Parser(text)
    holds = parser.either(0)
    if parser.next.kind != "end":
        parser.refuse("expected and, or, or the end")
    return Condition(holds, tuple(parser.comparisons))


class _Parser:
    """Goes through the tokens of a condition, one function for each rule of its grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.comparisons: list[Comparison] = []

    @property
    def next(self) -> Token:
        return self.tokens[0]

    def take(self, *words: str) -> bool:
        """Goes on behind the next token, if it is one of these words or signs."""
        if self.next.kind in ("word", "sign") and self.next.text.lower() in words:
            self.tokens.pop(0)
            return True
        return False

    def refuse(self, expected: str) -> NoReturn:
        token = self.next
        place = "the end" if token.kind == "end" else f"{shown(token.text, 40)!r}"
        where = f"{place} (letter {token.place + 1})" if token.kind != "end" else place
        raise UserError(f"{OPTION} {shown(self.text, 80)!r}: {expected} at {where} {EXAMPLE}")

    def either(self, depth: int) -> Callable[[Record], bool]:
        """A or B or …"""
        parts = [self.both(depth)]
        while self.take("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else lambda record: any(part(record) for part in parts)

    def both(self, depth: int) -> Callable[[Record], bool]:
        """A and B and …, which binds more than or."""
        parts = [self.one(depth)]
        while self.take("and"):
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)

    def one(self, depth: int) -> Callable[[Record], bool]:
        """A comparison, not A, or what stands in parentheses."""
        if depth > DEEPEST:
            self.refuse(f"more than {DEEPEST} conditions within one another")
        if self.take("not"):
            inner = self.one(depth + 1)
            return lambda record: not inner(record)
        if self.take("("):
            inner = self.either(depth + 1)
            if not self.take(")"):
                self.refuse("expected )")
            return inner
        return self.comparison()

    def comparison(self) -> Callable[[Record], bool]:
        if self.next.kind not in ("word", "quoted"):
            self.refuse("expected a key")
        key = self.tokens.pop(0).text
        if self.next.kind != "sign" or self.next.text not in OPERATORS:
            self.refuse(f"expected one of {' '.join(('=', '!=', *ORDERED, '~'))}")
        sign = self.tokens.pop(0).text
        if self.next.kind not in ("word", "quoted"):
            self.refuse("expected a value")
        value = self.next
        found = Comparison(key, "=" if sign == "==" else sign, value.text, value.kind == "quoted")
        if sign in ORDERED and not _has_order(found):
            kind = "a date such as 2026-11-22" if key in TIMES else "a number"
            self.refuse(f"expected {kind} behind {shown(key, 40)}{sign}")
        self.tokens.pop(0)
        self.comparisons.append(found)
        return _test(found)


def _tokens(text: str) -> Iterable[Token]:
    end = len(text.rstrip())
    for match in TOKEN.finditer(text, 0, end):
        kind = match.lastgroup or ""
        place = match.start(kind)
        if kind == "bad":
            fault = f"a quote without its other one at letter {place + 1}"
            raise UserError(f"{OPTION} {shown(text, 80)!r}: {fault} {EXAMPLE}")
        quoted = kind in ("double", "single")
        yield Token("quoted" if quoted else kind, match[kind], place - quoted)
    yield Token("end", "", end)


def _has_order(comparison: Comparison) -> bool:
    """Whether something can be less than the value: a number, a version, a date."""
    if comparison.key in TIMES and _seconds(comparison.text) is not None:
        return True
    value = parsed(comparison.text)
    return _is_number(value) or VERSION.fullmatch(comparison.text) is not None


def _test(comparison: Comparison) -> Callable[[Record], bool]:
    """What a comparison says of a record."""
    key, sign, text, is_quoted = comparison
    wanted = text if is_quoted else parsed(text)
    if sign in ORDERED:
        seconds = _seconds(text) if key in TIMES else None
        wanted = wanted if seconds is None else seconds
        return lambda record: _is_ordered(ORDERED[sign], value_of(record, key), wanted, text)
    if key in TIMES and wanted is not None:  # 2026-11-22 is all of that day
        day = text.replace("T", " ")
        return lambda record: when(record.begun, None).startswith(day) != (sign == "!=")
    if sign == "~":
        return lambda record: text.lower() in _plain(value_of(record, key))
    return lambda record: _is_same(value_of(record, key), wanted, text) != (sign == "!=")


def _is_same(value: Any, wanted: Any, text: str) -> bool:
    """Whether a value is the one asked for; of a list, such as tags, one of its entries too."""
    if value is None or wanted is None:
        return value is wanted
    if _is_number(value) and _is_number(wanted):
        return bool(value == wanted)
    if isinstance(value, list) and any(_is_same(entry, wanted, text) for entry in value):
        return True
    return _plain(value) == (text.replace(" ", "") if isinstance(value, list) else text).lower()


def _is_ordered(compare: Callable[[Any, Any], bool], value: Any, wanted: Any, text: str) -> bool:
    if _is_number(value):
        return _is_number(wanted) and compare(value, wanted)
    version = VERSION.match(value) if isinstance(value, str) else None
    if version is None or not re.fullmatch(r"\d+(\.\d+)*", text):
        return False
    return compare(_numbers(version[0]), _numbers(text))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    """A value as it is typed, in small letters; nothing where there is none."""
    if isinstance(value, list):
        return f"[{','.join(_plain(entry) for entry in value)}]"
    return "" if value is None else str(value).lower()


def _seconds(text: str) -> float | None:
    """A date, with or without a time, in seconds since 1970; None for what is none."""
    for form in DATES:
        try:
            return datetime.strptime(text, form).timestamp()
        except ValueError:
            continue
    return None
