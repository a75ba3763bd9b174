"""`dlrun ls [DIR...]`: the runs and sweeps below some folders, as a table or as JSON."""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from dlrun.errors import UserError, shown
from dlrun.runs.find import OUTPUTS, find_run
from dlrun.runs.keys import require_key, value_of
from dlrun.runs.records import Record, best_figure, records
from dlrun.runs.table import counted, numbers, table
from dlrun.runs.where import WHERE_HELP, matching, why_none
from dlrun.verbs import VerbParser

FIRST_RUN = "dlrun model=mlp optim=adam trains one"


def ls(words: Sequence[str]) -> int:
    """Exit code of `dlrun ls WORDS`: 0, also where there is nothing to list."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(joined(words)))
    folders = [folder(word) for word in args.folders or [str(OUTPUTS)]]
    everything = in_order(folders)
    chosen = everything if args.where is None else matching(args.where, everything)
    if args.sort is not None:
        chosen = ordered(chosen, args.sort)
    if args.number is not None:
        chosen = chosen[: args.number] if args.sort else chosen[-args.number :]
    if args.json:
        sys.stdout.writelines(json_lines(chosen))
        return 0
    place = " ".join(map(str, folders))
    sys.stdout.writelines(f"{line}\n" for line in lines(chosen, everything, args.where, place))
    return 0


def in_order(folders: Sequence[Path]) -> list[Record]:
    """All runs and sweeps below the folders, the one that was begun last at the end."""
    gc.disable()  # all that is read stays; to look for garbage among it takes a tenth more
    try:
        return sorted(records(folders), key=lambda record: record.begun or 0.0)
    finally:
        gc.enable()


def flag_parser() -> VerbParser:
    """The parser of what follows `dlrun ls`."""
    parser = VerbParser(
        "ls",
        usage="dlrun ls [--sort KEY] [--where CONDITION] [-n N] [--json] [DIR ...]",
        description="List runs and sweeps, the newest last, next to the prompt: when each began, "
        "its name, how it stands, its best figure on the validation split, how long it trained, "
        "and what was typed for it. A sweep is one line; name its folder to list its jobs.",
        example="dlrun ls --sort -accuracy/val",
    )
    parser.add_argument("folders", nargs="*", metavar="DIR", help=f"where to look ({OUTPUTS})")
    parser.add_argument(
        "--sort",
        metavar="KEY",
        help="by a figure, a hyper-parameter, when, time, name or status, upwards; -KEY "
        "downwards; runs that do not have it come last",
    )
    parser.add_argument("--where", metavar="CONDITION", help=f"only those that fit: {WHERE_HELP}")
    parser.add_argument(
        "-n",
        dest="number",
        metavar="N",
        type=whole_number,
        help="the newest N, or with --sort the first N",
    )
    parser.add_argument("--json", action="store_true", help="all that is known of each, as JSON")
    return parser


def joined(words: Sequence[str]) -> Iterator[str]:
    """The words, those of a sort downwards as one: argparse takes `-key` for a flag.

    >>> list(joined(["--sort", "-lr", "runs"]))
    ['--sort=-lr', 'runs']
    """
    rest = iter(words)
    for word in rest:
        key = next(rest, None) if word == "--sort" else None
        yield word if key is None else f"{word}={key}"


def whole_number(text: str) -> int:
    """A number of runs. Raises argparse.ArgumentTypeError for what is none."""
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{shown(text)}: expected a whole number above 0")
    return int(text)


def folder(word: str) -> Path:
    """The folder that a word means: a path, or that of a run or a sweep by name."""
    path = Path(word)
    if path.is_dir() or path == OUTPUTS:  # which the first run makes
        return path
    if path.exists():
        raise UserError(f"{shown(word)}: no folder; expected one below which runs lie")
    return find_run(word)


def ordered(found: Sequence[Record], sort: str) -> list[Record]:
    """The records by the value of a key, upwards, or downwards behind `-`; those without it last.

    Numbers come before text. Raises UserError for a key that none has.
    """
    key = sort.removeprefix("-")
    require_key("--sort", key, found)
    values = [value_of(record, key) for record in found]
    present = [(rank(v), k) for k, v in enumerate(values) if v is not None]
    present.sort(key=lambda pair: pair[0], reverse=sort.startswith("-"))
    absent = [record for record, value in zip(found, values, strict=True) if value is None]
    return [*(found[k] for _, k in present), *absent]


def rank(value: Any) -> tuple[bool, float, str]:
    """What puts numbers, then text whatever its case, in their order."""
    is_text = not isinstance(value, (int, float))
    return is_text, 0.0 if is_text else value, str(value).lower() if is_text else ""


def lines(
    chosen: Sequence[Record], everything: Sequence[Record], where: str | None, place: str
) -> Iterator[str]:
    """What is printed: the table, and in the last line how many there are."""
    if not everything:
        yield f"no runs below {shown(place)} ({FIRST_RUN})"
        return
    on_terminal = sys.stdout.isatty()
    coloured = on_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    if chosen:
        width = shutil.get_terminal_size().columns if on_terminal else None
        yield from table(chosen, width=width, coloured=coloured)
    if len(chosen) == len(everything):
        yield counted(everything)
    elif chosen:
        yield f"{counted(chosen)} (of {len(everything):,})"
    else:
        why = why_none(where, everything) if where is not None else ""
        yield f"none of {numbers(everything)} fits" + (f": {why}" if why else "")


def json_lines(found: Sequence[Record]) -> Iterator[str]:
    """The records as one JSON array, each on a line of its own."""
    names = [field.name for field in fields(Record)]
    yield "["
    for k, record in enumerate(found):
        figure = best_figure(record)
        best = None if figure is None else {"metric": figure[0], "value": figure[1]}
        entry = {name: getattr(record, name) for name in names} | {"best": best}
        yield (",\n" if k else "\n") + json_text(entry | {"path": str(record.path)})
    yield "\n]\n"


def json_text(entry: dict[str, Any]) -> str:
    try:
        return json.dumps(entry, allow_nan=False)
    except ValueError:  # 1e999 is infinity, for which JSON has no number
        from dlrun.run_files import plain

        return json.dumps(plain(entry), allow_nan=False)
