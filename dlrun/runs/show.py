"""`dlrun show RUN`: what was trained and how it went, in one screen or two."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from dlrun.errors import UserError, shown
from dlrun.failures import failures_told
from dlrun.runs.config import config_groups, read_config
from dlrun.runs.find import OUTPUTS, find_run
from dlrun.runs.history import Line, finite, history_plots, read_history
from dlrun.runs.records import Record, read_record
from dlrun.runs.show_sweep import show_sweep
from dlrun.runs.sizes import size_text
from dlrun.terminal import Terminal, display_path, typed_path
from dlrun.verbs import RUN_HELP, VerbParser

GOOD = ("completed", "running", "pruned")
RUNS = OUTPUTS / "runs"
CUT_SHORT = ("interrupted", "killed", "failed")
CHECKPOINTS = ("best.pt", "last.pt")
MOST_FIGURES = 12
PROGRAMS = ("dlrun", "python", "torch")  # whose versions are told; summary.json has more
LABEL = 12  # columns


@failures_told()
def show(words: Sequence[str]) -> int:
    """Exit code of `dlrun show WORDS`: 0 when the run was shown, however it ended."""
    parser = VerbParser(
        "show",
        "dlrun show RUN",
        "Show a run: its config, its figures, their history, and where everything lies; of a "
        f"sweep how its jobs stand and which are best. {RUN_HELP}",
        "dlrun show last",
    )
    parser.add_argument("run", metavar="RUN", help="a run or a sweep")
    record = read_record(find_run(parser.parse_args(list(words)).run))
    console = Console(highlight=False)
    if record.kind == "sweep":
        show_sweep(record, console)
    else:
        show_run(record, console)
    return 0


def show_run(record: Record, console: Console) -> None:
    """Prints what the files of a run tell, as far as they can be read.

    Raises UserError for a directory that has none of them.
    """
    config, config_fault = read_config(record.path)
    lines, history_fault = read_history(record.path)
    if not record.summary and not config and not lines:
        reason = record.reason or "there is no summary.json"
        raise UserError(f"{shown(record.path)}: is no run that can be read: {reason}")
    faults = [fault for fault in (record.reason, config_fault, history_fault) if fault]
    if record.summary and not lines and not finite(record.summary.get("epochs")):
        faults = [fault for fault in faults if fault != history_fault]  # it ended before that
    terminal = Terminal(console=console)
    groups = config_groups(config, record.hparams)
    if groups:
        terminal.config(display_path(record.path), groups)
    else:
        console.print(Text(display_path(record.path), "bold"), soft_wrap=True)
    terminal.result(
        headline(record, lines),
        record.metrics or _last_figures(lines),
        {},
        good=record.status in GOOD,
        baselines=_baselines(record),
        remarks=[shown(fault) for fault in faults],
    )
    best = record.summary.get("best_epoch")
    for line in history_plots(lines, console.width, best if type(best) is int else None):
        console.print(line)
    _print_pairs(console, [*origins(record), *files(record, console.width), *next_steps(record)])


def headline(record: Record, lines: Sequence[Line]) -> str:
    """How the run ended, or how far it has come, in a line; what ended it, in a second one."""
    told, status = record.summary, record.status
    planned, done = finite(record.hparams.get("epochs")), finite(told.get("epochs")) or 0
    last = int(lines[-1]["epoch"] or 0) if lines else 0
    so_far = ", figures of the last" if lines and not record.metrics else ""
    if status == "damaged":
        return f"damaged: {last:,} epochs can be read"
    if status in ("running", "killed"):
        text = f"{last:,} of {planned:,.0f} epochs" if planned is not None else f"{last:,} epochs"
        text = f"{status}: {text}{so_far}"
        return text if status == "running" else f"{text}; it stopped without a word"
    text = f"{shown(status, 40)}: {done:,.0f} epoch{'' if done == 1 else 's'}{so_far}"
    if (steps := finite(told.get("steps"))) is not None:
        text += f", {steps:,.0f} steps"
    if record.seconds is not None:
        text += f", {record.seconds:,.1f} s of training"
    if (best := finite(told.get("best_epoch"))) is not None:
        text += f"; best epoch {best:.0f}"
    if told.get("stopped_by") not in (None, "epochs"):
        text += f"; stopped by {shown(told['stopped_by'], 40)}"
    return text


def _last_figures(lines: Sequence[Line]) -> dict[str, float | None]:
    """Those of the last epoch, for a run that has not said which was best."""
    return {name: value for name, value in (lines[-1] if lines else {}).items() if "/" in name}


def _baselines(record: Record) -> dict[str, dict[str, float | None]]:
    found = record.summary.get("baselines")
    rows = found.items() if isinstance(found, Mapping) else ()
    return {
        str(name): {str(metric): finite(value) for metric, value in figures.items()}
        for name, figures in rows
        if isinstance(figures, Mapping)
    }


def origins(record: Record) -> list[tuple[str, str]]:
    """What ended it, what was typed, when, on what, with which versions, and its tags."""
    told = record.summary
    pairs = []
    if told.get("error"):
        pairs += [("error", line) for line in str(told["error"]).splitlines()[:3]]
    if record.overrides:
        pairs.append(("typed", " ".join(record.overrides)))
    if record.begun is not None:
        when = f"{datetime.fromtimestamp(record.begun):%Y-%m-%d %H:%M:%S}"
        pairs.append(("begun", when))
    if told.get("device"):
        precision = record.hparams.get("precision")
        pairs.append(("device", f"{told['device']}{f', {precision}' if precision else ''}"))
    pairs += [("data", text) for text in [data_text(told.get("data"))] if text]
    versions = told.get("versions")
    if isinstance(versions, Mapping):
        kept = [f"{name} {versions[name]}" for name in PROGRAMS if name in versions]
        pairs.append(("versions", ", ".join(kept)))
    git = told.get("git")
    if isinstance(git, Mapping) and git.get("commit"):
        dirty = ", with changes" if git.get("dirty") else ""
        pairs.append(("commit", f"{str(git['commit'])[:12]}{dirty}"))
    resumed = told.get("resumed")
    if isinstance(resumed, list) and resumed:
        pairs.append(("resumed", "once" if len(resumed) == 1 else f"{len(resumed)} times"))
    if record.tags:
        pairs.append(("tags", " ".join(record.tags)))
    return [(name, shown(text)) for name, text in pairs]


def data_text(data: Any) -> str:
    """Name, samples and checksum of the data, as far as the summary has them.

    >>> data_text({"name": "digits", "checksum": "0123456789abcdef"})
    'digits, SHA-256 0123456789ab…'
    """
    if not isinstance(data, Mapping):
        return ""
    parts = [str(data["name"])] if data.get("name") else []
    counts = data.get("num_samples")
    if isinstance(counts, Mapping):
        sizes = {name: finite(count) for name, count in counts.items()}
        parts.append(", ".join(f"{n:,.0f} {name}" for name, n in sizes.items() if n is not None))
    if data.get("checksum"):
        parts.append(f"SHA-256 {str(data['checksum'])[:12]}…")
    return ", ".join(part for part in parts if part)


def files(record: Record, width: int) -> list[tuple[str, str]]:
    """Folders of figures and checkpoints with what is in them, and the command for TensorBoard."""
    pairs = []
    pictures = _names(record.path / "figures", (".png", ".gif"))
    told = [shown(path.name, 60) for path in pictures[:MOST_FIGURES]]
    if len(pictures) > MOST_FIGURES:
        told.append(f"and {len(pictures) - MOST_FIGURES} more")
    weights = [p for p in _names(record.path / "checkpoints", (".pt",)) if p.name in CHECKPOINTS]
    sizes = [f"{path.name} ({size_text(path.lstat().st_size)})" for path in weights]
    for name, paths, texts in (("figures", pictures, told), ("checkpoints", weights, sizes)):
        if paths:
            lines = textwrap.wrap(", ".join(texts), max(width - LABEL - 1, 20))
            pairs += [(name, f"{typed_path(paths[0].parent)}/"), *((name, line) for line in lines)]
    return [*pairs, ("TensorBoard", f"tensorboard --logdir {typed_path(record.path)}")]


def _names(folder: Path, endings: Sequence[str]) -> list[Path]:
    """The files in a folder with these endings, by name; none where there is no folder."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in endings)
    except (FileNotFoundError, NotADirectoryError):
        return []


def next_steps(record: Record) -> list[tuple[str, str]]:
    """What one may want to type now."""
    # Short where a name does: it holds date and hex, and so is no other run's.
    is_usual = RUNS in record.path.parents
    place = shlex.quote(record.path.name) if is_usual else typed_path(record.path)
    checkpoints = record.path / "checkpoints"
    verbs = []
    if record.status in CUT_SHORT and (checkpoints / "last.pt").is_file():
        verbs.append(f"dlrun resume {place}")
    is_network = record.hparams.get("surface") is None
    if record.status == "completed" and is_network and (checkpoints / "best.pt").is_file():
        verbs += [f"dlrun evaluate {place}", f"dlrun predict {place} FILE"]
    if record.status not in ("running", "damaged"):
        verbs.append(f"dlrun rerun {place}")
    return [("next", verb) for verb in verbs]


def _print_pairs(console: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """A line each, its label only before the first of several; never cut: they are copied."""
    before = ""
    for name, text in pairs:
        label = "" if name == before else name
        line = Text(f"{label:<{LABEL}} ", "dim").append(text, "not dim")
        console.print(line, soft_wrap=True)
        before = name
