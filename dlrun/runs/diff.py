"""`dlrun diff A B...`: what runs were given otherwise, and what came of it, side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from string import ascii_uppercase as LETTERS
from typing import Any

from rich.console import Console
from rich.text import Text

from dlrun.errors import UserError, shown
from dlrun.failures import failures_told
from dlrun.run_files import plain
from dlrun.runs.comparison import COUNTS, NOT_COMPARED, Rows, compare, differs
from dlrun.runs.find import find_run
from dlrun.runs.records import Record, read_record
from dlrun.terminal import display_path, plain_table
from dlrun.verbs import RUN_HELP, VerbParser

ABSENT = "-"
LONGEST_KEY, LONGEST = 40, 32  # letters of a cell


@failures_told()
def diff(words: Sequence[str]) -> int:
    """Exit code of `dlrun diff WORDS`: 0 when the runs were compared, the same or not."""
    parser = VerbParser(
        "diff",
        "dlrun diff [--json] RUN RUN [RUN ...]",
        "Compare runs: config keys that differ, metrics side by side (* marks the best), and the "
        f"versions, device and data that differ. {RUN_HELP}",
        "dlrun diff last 2026-11-22/14-03",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="two runs or more")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    args = parser.parse_intermixed_args(list(words))
    if not 2 <= len(args.runs) <= len(LETTERS):
        parser.error(f"expected 2 to {len(LETTERS)} runs, got {len(args.runs)}")
    runs = {letter: _run(word) for letter, word in zip(LETTERS, args.runs, strict=False)}
    require_different(args.runs, runs)
    faults, parts = compare(runs)
    if args.json:
        print(as_json(runs, parts, faults))
    else:
        print_comparison(runs, parts, faults, Console(highlight=False))
    return 0


def _run(word: str) -> Record:
    record = read_record(find_run(word))
    if record.kind == "sweep":
        raise UserError(
            f"{shown(word)}: is a sweep, expected runs (name its jobs, or type dlrun report)"
        )
    if record.status == "damaged":
        raise UserError(f"{shown(word)}: cannot be compared, {shown(record.reason)}")
    return record


def require_different(words: Sequence[str], runs: Mapping[str, Record]) -> None:
    """Raises UserError where two words mean one run."""
    named: dict[str, str] = {}
    for word, record in zip(words, runs.values(), strict=True):
        place = os.path.realpath(record.path)
        if place in named:
            raise UserError(f"{shown(word)}: is the same run as {shown(named[place])}")
        named[place] = word


def as_json(runs: Mapping[str, Record], parts: Sequence[Rows], faults: Sequence[str]) -> str:
    """One JSON object; a run that lacks a key has no entry there, as `-` in the tables."""
    named = {
        letter: {"path": str(record.path), "name": record.name, "status": record.status}
        for letter, record in runs.items()
    }
    content: dict[str, Any] = {"runs": named, **{part.title: part.rows for part in parts}}
    content |= {"best": parts[1].best, "faults": faults, "note": parts[1].note}
    return json.dumps(plain(content), indent=2, default=str)


def print_comparison(
    runs: Mapping[str, Record], parts: Sequence[Rows], faults: Sequence[str], console: Console
) -> None:
    """Prints which letter is which run, then config, metrics and environment."""
    for letter, record in runs.items():
        line = Text(f"{letter}  ", "bold").append(shown(display_path(record.path)), "not bold")
        console.print(line, soft_wrap=True)
    for fault in faults:
        console.print(Text(shown(fault), "yellow"), soft_wrap=True)
    for part in parts:
        same = _same(part, runs)
        console.print()
        if same:
            console.print(Text(same))
        if not same or part.title == "metrics" and part.rows:
            _print_rows(part, list(runs), console)
        if part.note:
            console.print(Text(part.note, "dim"))


def _same(part: Rows, runs: Mapping[str, Record]) -> str:
    """Says that nothing differs, where nothing does."""
    if part.title != "metrics":
        return "" if part.rows else f"{part.title}: the same"
    if not part.rows:
        return "metrics: none, no run is over"
    compared = {k: row for k, row in part.rows.items() if k.partition("/")[0] not in NOT_COMPARED}
    if any(differs(row, runs) for row in compared.values()):
        return ""
    return "metrics: the same to the last digit (times aside)"


def _print_rows(part: Rows, letters: Sequence[str], console: Console) -> None:
    """A table, in several below one another where the runs do not fit beside each other."""
    cells = {key: _cells(part, key, letters) for key in part.rows}
    keys = {key: shown(key, LONGEST_KEY) for key in cells}
    first = max(len(part.title), *map(len, keys.values()))
    left = list(range(len(letters)))
    while left:
        taken, used = 1, first
        widths = [max(len(row[k]) for row in cells.values()) + 2 for k in left]
        used += widths[0]
        while taken < len(left) and used + widths[taken] <= console.width:
            used += widths[taken]
            taken += 1
        table = plain_table()
        table.add_column(part.title, no_wrap=True)
        for k in left[:taken]:
            table.add_column(letters[k], justify="right", overflow="fold")
        for key, row in cells.items():
            shown_row = [Text(row[k], _style(part, key, letters[k])) for k in left[:taken]]
            table.add_row(Text(keys[key]), *shown_row)
        console.print(table)
        left = left[taken:]


def _style(part: Rows, key: str, letter: str) -> str:
    return "bold green" if letter in part.best.get(key, ()) else ""


def _cells(part: Rows, key: str, letters: Sequence[str]) -> list[str]:
    """What stands in a row; of metrics the best has a star, which leaves room beside the others."""
    row = part.rows[key]
    if part.title != "metrics":
        return [value_text(row[one]) if one in row else ABSENT for one in letters]
    best = part.best.get(key, ())
    texts = figure_texts([row.get(one) for one in letters], whole=key in COUNTS)
    return [
        f"{text}{'*' if one in best else ' '}" for one, text in zip(letters, texts, strict=True)
    ]


def value_text(value: Any) -> str:
    """A value as one would type it, on one line, the middle of a long one left out.

    >>> value_text(True), value_text(None), value_text([64, 64])
    ('true', 'null', '[64,64]')
    """
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return shown(str(value).replace(", ", ","), LONGEST)


def figure_texts(values: Sequence[float | None], *, whole: bool = False) -> list[str]:
    """Figures with four decimals, with more where different ones would look the same.

    whole: counts, with decimals only where there are any.

    >>> figure_texts([0.5, None]), figure_texts([0.50001, 0.50002])
    (['0.5000', '-'], ['0.50001', '0.50002'])
    """
    present = [value for value in values if value is not None]
    if whole and all(value == int(value) for value in present):
        return [ABSENT if value is None else f"{value:,.0f}" for value in values]
    for form in (".4f", ".6g", ".10g", ".17g"):
        form = ".4g" if form == ".4f" and any(abs(value) >= 1e5 for value in present) else form
        texts = [ABSENT if value is None else f"{value:{form}}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts
