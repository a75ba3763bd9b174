"""A table of runs as lines of text: as wide as the terminal, whole where it goes into a file."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from dlrun.errors import printable
from dlrun.runs.find import short_name
from dlrun.runs.records import Record, best_figure

# Settings that say where a run lies and what it shows, not what is trained.
PLACING = re.compile(r"[+~]*(hydra\.|(quiet|figures|data_dir|log_every_steps|checkpoint)\b)")
COLOURS = {
    "completed": "32",
    "running": "36",
    "interrupted": "33",
    "killed": "33",
    "pending": "33",
    "pruned": "2",
    "diverged": "31",
    "failed": "31",
    "damaged": "1;31",
}
DIM = "2"
GAP = "  "
NARROWEST_NAME = 12
RIGHT = ("best", "time")
GAVE_NOTHING = "–"


def table(found: Sequence[Record], *, width: int | None, coloured: bool) -> list[str]:
    """The lines: titles, then one for each record, in their order.

    width: columns of the terminal, into which the lines are cut, the settings first and then the
    names; None leaves them whole.
    """
    columns = _columns(found, short_dates=width is not None)
    widths = {title: widest(cells) for title, cells in columns.items()}
    if width is not None:
        widths = fitting(widths, width)
        columns = {title: columns[title] for title in widths}
        for title in ("name", "settings"):
            if title in columns:
                columns[title] = [cut(cell, widths[title]) for cell in columns[title]]
    last = "settings"  # whose end is the end of the line
    padded = [
        cells if title == last else _padded(cells, widths[title], right=title in RIGHT)
        for title, cells in columns.items()
    ]
    titles = list(columns)
    lines = [GAP.join(cells).rstrip() for cells in zip(*padded, strict=True)]
    if width is not None:  # where not even short names leave room for the rest
        lines = [cut(line, width) for line in lines]
    if coloured and "status" in titles:
        before = sum(widths[title] + len(GAP) for title in titles[: titles.index("status")])
        rows = [
            _coloured(line, before, record.status)
            for line, record in zip(lines[1:], found, strict=True)
        ]
        lines = [f"\x1b[{DIM}m{lines[0]}\x1b[0m", *rows]
    return lines


def fitting(widths: dict[str, int], width: int) -> dict[str, int]:
    """The widths of columns that fit: settings give way first, to nothing, and then the name.

    >>> fitting({"name": 20, "status": 9, "settings": 40}, 50)
    {'name': 20, 'status': 9, 'settings': 17}
    >>> fitting({"name": 20, "status": 9, "settings": 40}, 29)
    {'name': 18, 'status': 9}
    """
    widths = dict(widths)
    over = sum(widths.values()) + len(GAP) * (len(widths) - 1) - width
    if over > 0 and (settings := widths.pop("settings", 0)):
        if settings - over >= len("settings"):
            return {**widths, "settings": settings - over}
        over -= settings + len(GAP)
    if over > 0:
        widths["name"] = max(min(NARROWEST_NAME, widths["name"]), widths["name"] - over)
    return widths


def counted(found: Sequence[Record]) -> str:
    """How many runs and sweeps there are, and how they stand."""
    statuses = Counter(record.status for record in found).most_common()
    return f"{numbers(found)}: {', '.join(f'{n:,} {_one_line(status)}' for status, n in statuses)}"


def numbers(found: Sequence[Record]) -> str:
    """How many runs there are, and how many sweeps, where there are any.

    >>> numbers([])
    'no runs'
    """
    kinds = Counter(record.kind for record in found)
    parts = [f"{n:,} {kind}{'s'[: n != 1]}" for kind in ("run", "sweep") if (n := kinds[kind])]
    return " and ".join(parts) or "no runs"


def _columns(found: Sequence[Record], *, short_dates: bool) -> dict[str, list[str]]:
    """The cells of each column below its title; no column of tags where no run has one."""
    figures = [best_figure(record) for record in found]
    metrics = {figure[0] for figure in figures if figure is not None}
    one_metric = metrics.pop() if len(metrics) == 1 else None  # which is then the title
    year = time.localtime().tm_year if short_dates else None
    columns = {
        "when": ["when", *(when(record.begun, year) for record in found)],
        "name": ["name", *(_one_line(short_name(record.path)) for record in found)],
        "status": ["status", *(_one_line(record.status) for record in found)],
        "best": [one_metric or "best", *(_best(figure, one_metric) for figure in figures)],
        "time": ["time", *(clock(record.seconds) for record in found)],
        "tags": ["tags", *(_one_line(" ".join(record.tags)) for record in found)],
        "settings": ["settings", *(_one_line(settings(record)) for record in found)],
    }
    if not any(columns["tags"][1:]):
        del columns["tags"]
    return columns


def settings(record: Record) -> str:
    """What was typed for a run, without what only places it; of a sweep, its jobs; or the damage.

    A sweep's keys are those in which its jobs differ.
    """
    if record.status == "damaged":
        return record.reason
    typed = [word for word in record.overrides if not PLACING.match(word)]
    # A job's name has what its sweep varies; the rest is the same for all of them.
    typed.sort(key=lambda word: f"{word.partition('=')[0]}=" not in record.name)
    if record.kind == "sweep":
        typed = [*_jobs(record), *typed]
    return " ".join([*typed, f"({record.reason})"] if record.reason else typed)


def _jobs(record: Record) -> list[str]:
    """How many jobs a sweep has, how they stand where not all are alike, and what they differ in.

    For example `3 jobs (2 completed, 1 pending): lr, seed;`.
    """
    jobs = Counter(record.summary["jobs"])
    number = sum(jobs.values())
    text = f"{number} job{'s'[: number != 1]}"
    if len(jobs) > 1 or record.status not in jobs:
        text += f" ({', '.join(f'{n} {status}' for status, n in jobs.most_common())})"
    swept = ", ".join(key for key in record.summary["swept"] if not PLACING.match(key))
    return [f"{text}: {swept};"] if swept else [text]


def when(begun: float | None, year: int | None) -> str:
    """A time as date and hour; on a line with little room the year only where it is another one.

    >>> when(None, 2026)
    '–'
    """
    try:
        moment = datetime.fromtimestamp(begun) if begun is not None else None
    except (ValueError, OverflowError, OSError):  # a time of no calendar
        moment = None
    if moment is None:
        return GAVE_NOTHING
    if year is None:
        return moment.isoformat(" ", "seconds")
    return f"{moment:%m-%d %H:%M}" if moment.year == year else f"{moment:%Y-%m-%d}"


def clock(seconds: float | None) -> str:
    """Minutes and seconds, with hours when there are any; tenths of what took no minute.

    >>> clock(2.868), clock(75), clock(3700)
    ('2.9 s', '1:15', '1:01:40')
    """
    if seconds is None:
        return GAVE_NOTHING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def figure(value: float) -> str:
    """A figure with four decimals, or few digits where those would tell nothing.

    >>> figure(0.99117), figure(47840143343616.0), figure(0.00002)
    ('0.9912', '4.784e+13', '2.000e-05')
    """
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def _best(found: tuple[str, float] | None, title: str | None) -> str:
    if found is None:
        return GAVE_NOTHING
    name, value = found
    return figure(value) if name == title else f"{_one_line(name)} {figure(value)}"


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return printable(text).replace("\n", "\\n")


def _coloured(line: str, before: int, status: str) -> str:
    """The line with its status, behind so many columns, in a colour."""
    colour = COLOURS.get(status)
    # Wide letters before it stand in fewer places than columns; such a line stays as it is.
    if colour is None or line[before : before + len(status)] != status:
        return line
    end = before + len(status)
    return f"{line[:before]}\x1b[{colour}m{status}\x1b[0m{line[end:]}"


def _width(text: str) -> int:
    """Columns that a text takes on a terminal, where some letters are two wide."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def widest(cells: Sequence[str]) -> int:
    """Columns that the longest cell takes."""
    return max(map(len if "".join(cells).isascii() else _width, cells))


def _padded(cells: Sequence[str], width: int, *, right: bool) -> list[str]:
    if "".join(cells).isascii():  # ten thousand cells a column: worth the shorter way
        return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]
    blanks = [" " * (width - _width(cell)) for cell in cells]
    pairs = zip(blanks, cells, strict=True)
    return [blank + cell if right else cell + blank for blank, cell in pairs]


def cut(text: str, width: int) -> str:
    """The text in at most so many columns, its end kept where it is a name of a run.

    >>> cut("mlp-adam-mnist5k-0f3a", 12), cut("epochs=5 seed=1", 8)
    ('mlp-ad…-0f3a', 'epochs=…')
    """
    if _width(text) <= width:
        return text
    tail = text[-5:] if width >= NARROWEST_NAME and re.search(r"-[0-9a-f]{4}$", text) else ""
    from rich.cells import set_cell_size

    return f"{set_cell_size(text, width - 1 - len(tail)).rstrip()}…{tail}"
