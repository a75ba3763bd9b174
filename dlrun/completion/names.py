"""What one may type for a run: `last`, a name that `find_run` takes for this run, or its path."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from dlrun.completion.line import Candidate
from dlrun.runs.find import OUTPUTS, short_name, sweep_folders
from dlrun.runs.jobs import sorted_entries
from dlrun.runs.records import DEEPEST, TRASH, is_run, is_searched
from dlrun.runs.summaries import Damaged, begun, read_summary

SHOWN = 100  # runs, the newest, where nothing is typed yet; of others the date is left out


def run_candidates(word: str, *, sweeps: bool = False) -> list[Candidate]:
    """The runs below outputs that may be called so, newest first, before them `last`.

    Names are the short ones that lists show, else those of the directories, else paths where a
    name would not do. sweeps: those too.
    """
    paths = list(run_paths(str(OUTPUTS)))
    if not paths:
        return []
    if sweeps:
        paths += map(str, sweep_folders(OUTPUTS))
    names = {path: (short_name(Path(path)), path.rpartition(os.sep)[2]) for path in paths}
    counted = Counter(name for both in names.values() for name in set(both))
    found = [Candidate("word", "last", "the run that was begun last")]
    fitting = (path for path in paths if any(n.startswith(word) for n in (*names[path], path)))
    for when, path in newest_first(fitting):
        usable = [name for name in names[path] if counted[name] == 1 and is_free(name)] or [path]
        if name := next((name for name in usable if name.startswith(word)), None):
            is_shown = len(found) <= SHOWN
            about = f"{datetime.fromtimestamp(when):%Y-%m-%d %H:%M}" if is_shown else ""
            found.append(Candidate("word", name, about))
        if not word and len(found) > SHOWN:
            break
    return found if "last".startswith(word) else found[1:]


def run_paths(folder: str, depth: int = DEEPEST) -> Iterator[str]:
    """The directories that `run_folders` finds, as text: a Path for each of 10,000 takes longer."""
    if os.path.exists(f"{folder}/summary.json"):
        yield folder
        return
    try:
        entries = sorted_entries(folder)
    except OSError:
        return
    if is_run(entries):
        yield folder
    elif depth:
        for entry in filter(is_searched, entries):
            yield from run_paths(entry.path, depth - 1)


def newest_first(paths: Iterable[str]) -> list[tuple[float, str]]:
    """When each was begun, without a look into it where its path says so, and the path."""
    return sorted(((begun(path, {}) or 0.0, path) for path in paths), reverse=True)


def is_free(name: str) -> bool:
    """Whether a verb takes a word for the name of a run: no flag, override or file is called so."""
    is_special = name[0] in "-~" or name == "last" or "=" in name
    return not is_special and not os.path.lexists(name)


def sweep_candidates(word: str) -> list[Candidate]:
    """The folders of sweeps below outputs, the newest first."""
    found = newest_first(map(str, sweep_folders(OUTPUTS)))
    return [Candidate("word", path) for _, path in found if path.startswith(word)]


def metric_candidates(word: str) -> list[Candidate]:
    """The figures that the run begun last has written down and that begin so, behind a `-` too."""
    try:
        runs = newest_first(run_paths(str(OUTPUTS)))
        metrics = read_summary(runs[0][1])["metrics"] if runs else {}
    except Damaged:
        return []
    sign = "-" * word.startswith("-")
    texts = (sign + name for name in metrics)
    return [Candidate("word", text) for text in texts if text.startswith(word)]


def trash_candidates(word: str) -> list[Candidate]:
    """What lies in the trash, the last first."""
    try:
        entries = sorted_entries(str(TRASH))
    except OSError:
        return []
    names = [entry.name for entry in reversed(entries) if entry.name[0] != "."]
    return [Candidate("word", name) for name in names if name.startswith(word)]
