"""`dlrun rm RUN...`: runs and sweeps to the trash, back from it, or deleted for good."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from dlrun.errors import UserError, shown
from dlrun.failures import failures_told
from dlrun.runs.find import OUTPUTS, TRASH
from dlrun.runs.records import Record, best_figure, records
from dlrun.runs.removal import removable, require_removable
from dlrun.runs.sizes import folder_size, size_text
from dlrun.runs.trash import discard, discarded, new_stamp, purge, restore, stamps, wanted
from dlrun.runs.where import WHERE_HELP, matching
from dlrun.terminal import display_path
from dlrun.verbs import RUN_HELP, VerbParser

MOST_LISTED = 100
NOTHING = "nothing was removed"


@failures_told()
def rm(words: Sequence[str]) -> int:
    """Exit code of `dlrun rm WORDS`: 0, also where the answer to the question was no."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(words))
    asked = [bool(args.runs), args.where is not None, args.purge, args.restore is not None]
    if sum(asked) != 1:
        parser.error("expected one of RUN..., --where, --purge and --restore")
    console = Console(highlight=False)
    if args.restore is not None:
        bring_back(args.restore, console)
    elif args.purge:
        empty_trash(console, yes=args.yes)
    else:
        found = removable(args.runs) if args.runs else chosen_by(args.where, console)
        throw_away(found, console, yes=args.yes)
    return 0


def flag_parser() -> argparse.ArgumentParser:
    """The parser of what follows `dlrun rm`."""
    parser = VerbParser(
        "rm",
        "dlrun rm [-y] RUN [RUN ...]\n"
        "       dlrun rm [-y] --where CONDITION | --purge | --restore NAME",
        f"Move runs and sweeps to {TRASH}, after telling which and asking. One that is running "
        f"is never moved, nor a job without its sweep. {RUN_HELP}",
        "dlrun rm last",
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a run or a sweep")
    parser.add_argument(
        "--where", metavar="CONDITION", help=f"all below {OUTPUTS} that fit: {WHERE_HELP}"
    )
    parser.add_argument("--purge", action="store_true", help="empty the trash, for good")
    parser.add_argument(
        "--restore",
        metavar="NAME",
        help="bring a run or sweep back from the trash by its name, or all of one removal by its "
        "date and time; last: of the newest",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    return parser


def chosen_by(text: str, console: Console) -> list[Record]:
    """The runs and sweeps below outputs that fit a condition.

    Those that may not be removed, such as running ones, are told and left out. Raises UserError
    for a text that is no condition.
    """
    found = matching(text, list(records([OUTPUTS])))
    chosen = []
    for record in found:
        try:
            require_removable(record.path)
            chosen.append(record)
        except UserError as error:
            console.print(Text(f"left out: {error}", "yellow"), soft_wrap=True)
    return chosen


def throw_away(found: Sequence[Record], console: Console, *, yes: bool) -> None:
    """Lists what would go, asks, and moves it to the trash."""
    if not found:
        console.print(f"no run or sweep fits; {NOTHING}")
        return
    sizes = [folder_size(record.path) for record in found]
    for line in listing(found, sizes, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=True)
    question = f"{counted(found)}, {size_text(sum(sizes))}: move to {TRASH}?"
    if not confirmed(question, console, yes=yes):
        console.print(NOTHING)
        return
    stamp = new_stamp()
    moved: list[Path] = []
    try:
        for record in found:
            moved.append(discard(record.path, stamp))
    finally:  # what was moved is to be known also where the next one could not be
        if moved:
            console.print(f"moved {counted(found[: len(moved)])} to {stamp}", soft_wrap=True)
            back = f"dlrun rm --restore {stamp.name} takes that back"
            console.print(Text(back, "dim"), soft_wrap=True)


def listing(found: Sequence[Record], sizes: Sequence[int], width: int | None) -> list[Text]:
    """A line for each run or sweep: where it lies, how it stands, its size, its best figure.

    width: of the terminal; where it is too narrow the figure is left out.
    """
    first_ones = list(zip(found, sizes, strict=True))[:MOST_LISTED]
    rows = [
        (_place(record), shown(record.status, 20), size_text(size), _best(record))
        for record, size in first_ones
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    is_wide = width is None or sum(widths) + 6 <= width
    lines = []
    for place, status, size, best in rows:
        text = f"{place:<{widths[0]}}  {status:<{widths[1]}}  {size:>{widths[2]}}"
        lines.append(Text(f"{text}  {best}".rstrip() if is_wide else text))
    if len(found) > MOST_LISTED:
        lines.append(Text(f"and {len(found) - MOST_LISTED:,} more"))
    return lines


def _place(record: Record) -> str:
    return shown(display_path(record.path))


def _best(record: Record) -> str:
    best = best_figure(record)
    return "" if best is None else f"{shown(best[0], 20)} {best[1]:.4g}"


def counted(found: Sequence[Record]) -> str:
    """How many runs and sweeps there are, in words."""
    sweeps = [record for record in found if record.kind == "sweep"]
    jobs = sum(sum(record.summary.get("jobs", {}).values()) for record in sweeps)
    parts = [_number(len(found) - len(sweeps), "run")] if len(found) > len(sweeps) else []
    if sweeps:
        parts.append(f"{_number(len(sweeps), 'sweep')} of {_number(jobs, 'job')}")
    return " and ".join(parts)


def _number(count: int, noun: str) -> str:
    """A count with its noun.

    >>> _number(1, "run"), _number(1200, "job")
    ('1 run', '1,200 jobs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def confirmed(question: str, console: Console, *, yes: bool) -> bool:
    """Whether the question is answered with yes; it need not be asked with --yes.

    Raises UserError where there is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        console.print(Text(question), soft_wrap=True)
        raise UserError(f"there is nobody to ask, {NOTHING} (type --yes behind the command)")
    console.print(Text(f"{question} [y/N] "), end="", soft_wrap=True)
    try:
        return input().strip().lower() in ("y", "yes")
    except EOFError:
        console.print()
        return False


def bring_back(word: str, console: Console) -> None:
    """Moves what a word means of the trash back to where it lay, and says where that is."""
    ones = wanted(word)
    restore(ones)
    for one in ones:
        console.print(Text(f"back in {shown(display_path(one.origin))}"), soft_wrap=True)


def empty_trash(console: Console, *, yes: bool) -> None:
    """Says what the trash holds, asks, and deletes it for good."""
    found = stamps()
    if not found:
        console.print(f"{TRASH} is empty")
        return
    number = sum(len(discarded(stamp)) for stamp in found)
    size = sum(folder_size(stamp) for stamp in found)
    since = _day(found[0])
    what = f"{number:,} runs or sweeps" if number != 1 else "1 run or sweep"
    question = f"{what}, {size_text(size)}, in {TRASH} since {since}: delete for good?"
    if not confirmed(question, console, yes=yes):
        console.print("nothing was deleted")
        return
    purge(found)
    console.print(f"deleted {what}, {size_text(size)}")


def _day(stamp: Path) -> str:
    return stamp.name.partition("_")[0]
