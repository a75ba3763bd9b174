"""From what one types to the directory of a run: a path, an archive, a name's beginning, `last`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlrun.errors import UserError, nearest, shown
from dlrun.runs import summaries
from dlrun.runs.jobs import sorted_entries
from dlrun.runs.records import DEEPEST, TRASH, is_run, is_searched

__all__ = ["OUTPUTS", "TRASH", "find_run", "run_folders"]

OUTPUTS = Path("outputs")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"\d\d-\d\d-\d\d-")
JOB = re.compile(r"(\d{4,})-")
SWEEP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-(\w+)")
MOST_NAMED = 5  # runs that an error lists


def find_run(word: str) -> Path:
    """The directory of the run that a word means: its path, `last`, or how its name begins.

    Names are those of directories below outputs, also with the folder above: `14-03-22-mlp` or
    `2026-11-22/14-03`; the four letters at the end of a name do as well. `last` is the run that
    was begun last. An archive of `dlrun pack` is unpacked, once. The path of a sweep stays one.
    Raises UserError where nothing fits, or more than one run does.
    """
    if word != "last" and os.path.exists(word):
        return _at(word)
    runs = list(run_folders(OUTPUTS))
    if not runs:
        raise UserError(f"{shown(word)}: no such directory, and there are no runs below {OUTPUTS}")
    if word == "last":
        return max(runs, key=begun)
    found = called(word, runs) or called(word, list(sweep_folders(OUTPUTS)))
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{shown(word)}: fits {len(found)} runs: {_listed(found)}")
    names = {name for path in runs for name in (path.name, short_name(path))}
    hint = nearest(word, names) or " (dlrun ls lists the runs)"
    raise UserError(f"{shown(word)}: no such run below {OUTPUTS}{hint}")


def called(word: str, paths: Sequence[Path]) -> list[Path]:
    """Those of the paths whose name the word is, or if there are none, begins."""
    exact = [path for path in paths if word in (path.name, short_name(path))]
    return exact or [path for path in paths if word and fits(path, word)]


def _at(word: str) -> Path:
    """What lies at a path: a directory, or the one that an archive is unpacked to."""
    path = Path(word)
    if path.is_dir():
        return path
    if not path.is_file():
        raise UserError(f"{shown(word)}: neither a directory nor an archive of dlrun pack")
    from dlrun.pack.unpacked import opened_archive

    return opened_archive(path)


def short_name(path: Path) -> str:
    """How lists call a run or a sweep, whose date stands beside it; `find_run` knows it by that.

    >>> short_name(Path("outputs/runs/2026-11-22/14-03-22-mlp-adam-mnist5k-0f3a"))
    'mlp-adam-mnist5k-0f3a'
    >>> short_name(Path("outputs/sweeps/momentum/2026-11-22_14-03-22-0f3a"))
    'momentum/0f3a'
    >>> short_name(Path("outputs/sweeps/momentum/2026-11-22_14-03-22-0f3a/0012-seed=1"))
    '0f3a/0012'
    """
    above, name = summaries.last_names(str(path))
    if DATE.fullmatch(above) and TIME.match(name):
        return TIME.sub("", name)
    if dated := SWEEP.fullmatch(name):
        return f"{above}/{dated[1]}"
    if (dated := SWEEP.fullmatch(above)) and (job := JOB.match(name)):
        return f"{dated[1]}/{job[1]}"
    return name


def fits(path: Path, word: str) -> bool:
    """Whether a run in this directory may be called so.

    >>> fits(Path("outputs/runs/2026-11-22/14-03-22-mlp-adam-mnist5k-0f3a"), "0f3a")
    True
    """
    by_end = len(word) == 4 and path.name.endswith(f"-{word}")
    names = (path.name, f"{path.parent.name}/{path.name}", short_name(path))
    return by_end or any(name.startswith(word) for name in names)


def _listed(found: Sequence[Path]) -> str:
    """The first few runs, by name, or by path where a name does not tell them apart."""
    alike = len({path.name for path in found}) < len(found)
    names = ", ".join(shown(path if alike else path.name) for path in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"{names}{more} (type {'the path' if alike else 'more'} of one)"


def begun(path: Path) -> tuple[float, str]:
    """When the run in a directory was begun, in seconds since 1970; its path, where two were."""
    folder = str(path)
    summary = {"started": summaries.started(folder)}
    return summaries.begun(folder, summary) or 0.0, folder


def run_folders(folder: Path, depth: int = DEEPEST) -> Iterator[Path]:
    """The directories of runs below a folder, jobs of sweeps too; none within another, no trash."""
    if os.path.exists(folder / "summary.json"):  # which is quicker than to list the folder
        yield folder
        return
    try:
        entries = sorted_entries(str(folder))
    except OSError:  # what may not be read, or has gone, has no runs for us
        return
    if is_run(entries):
        yield folder
    elif depth:
        for entry in entries:
            if is_searched(entry):
                yield from run_folders(Path(entry.path), depth - 1)


def sweep_folders(folder: Path) -> Iterator[Path]:
    """The directories of sweeps below a folder, as dlrun lays them: sweeps/NAME/DATE_TIME-1a2b."""
    return (plan.parent for plan in sorted(folder.glob("sweeps/*/*/sweep.yaml")))
