"""The answer of a sweep as results.csv and in the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlrun.report.baselines import Baselines, baselines, lead_rows
from dlrun.report.settings import evaluations_tell, learnt_nothing, on_test, settings
from dlrun.report.winner import winner
from dlrun.report.words import counted, figure, number_ranges, plus_minus, short_names, value
from dlrun.run_files import replace_text
from dlrun.terminal import literal, plain_table

if TYPE_CHECKING:
    import pandas
    from rich.console import Console, JustifyMethod
    from rich.table import Table

    from dlrun.report.read import Sweep

TOP = 10  # settings in the terminal's ranking
MAX_REASON = 300  # letters

# Statuses in the order in which a person wants to hear of them; completed needs no words.
TROUBLES = ("failed", "running", "interrupted", "diverged")
REASONS = {
    "running": "no end is recorded: it is running, or it was killed",
    "interrupted": "stopped by a signal",
    "pruned": "stopped early by the search, which is no failure",
}


def write_results(sweep: Sweep, path: Path) -> None:
    """Replaces a tidy CSV file: one row a run, one column a hyper-parameter and a metric.

    Columns stand in the order of `sweep.runs`. Numbers are written in full, whole hyper-parameters
    and counts without a point, missing values as nothing, so that equal sweeps give equal files
    but for the columns `seconds` and `time/…`.
    """
    columns = [
        [value(entry, digits=None) for entry in sweep.runs[name].tolist()] for name in sweep.runs
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(sweep.runs.columns)
    writer.writerows(zip(*columns, strict=True))
    replace_text(path, file.getvalue())


def print_report(sweep: Sweep, console: Console) -> None:
    """Prints what did not complete and why, the ranking of settings, and who won.

    Names out of files appear as they are: neither rich's markup nor escape sequences in them do
    anything.
    """
    ranking = settings(sweep)
    console.print()
    console.print(literal(_headline(sweep), "bold"))
    troubles = _troubles(sweep, ranking)
    if troubles.row_count:
        console.print()
        console.print(troubles)
    for line in sweep.damaged[:TOP]:
        console.print(literal(f"warning: {line}", "yellow"))
    if len(sweep.damaged) > TOP:
        more = counted(len(sweep.damaged) - TOP, "more warning")
        console.print(literal(f"and {more}", "yellow"))
    if len(ranking):
        console.print()
        console.print(literal(_what_is_ranked(sweep, ranking)))
        console.print()
        console.print(_ranking(sweep, ranking.head(TOP), console))
        if len(ranking) > TOP:
            console.print(literal(f"and {len(ranking) - TOP:,} more in results.csv", "dim"))
    console.print()
    best = winner(sweep)
    console.print(literal(best.sentence, "bold green" if best.larger_than_noise else "bold"))
    if beside := baselines(sweep):
        console.print()
        console.print(_baselines(beside))
        console.print()
        console.print(literal(beside.sentence))


def _headline(sweep: Sweep) -> str:
    """How many runs came to what end."""
    counts = sweep.runs["status"].value_counts()
    order = ["completed", "damaged", *TROUBLES, "pruned", "pending"]
    known = [kind for kind in order if kind in counts.index]
    kinds = [*known, *sorted(set(counts.index) - set(order))]
    told = ", ".join(f"{counts[kind]:,} {kind}" for kind in kinds)
    return f"{sweep.name}: {counted(len(sweep.runs), 'run')}" + (f": {told}" if told else "")


def _what_is_ranked(sweep: Sweep, ranking: pandas.DataFrame) -> str:
    direction = "higher" if sweep.higher_is_better else "lower"
    text = f"{counted(len(ranking), 'setting')} by {sweep.metric}, {direction} is better"
    if (ranking["n"] > 1).any():
        text += "; mean ± 95 % interval over n seeds"
    if (ranking["num_diverged"] > 0).any():
        floor = figure(learnt_nothing(sweep))
        text += f"; for the order a diverged run counts as {floor}: nothing learnt"
    return text


def _ranking(sweep: Sweep, ranking: pandas.DataFrame, console: Console) -> Table:
    """A row a setting, swept keys side by side; in a narrow terminal without times, or in one."""
    endless = console.options.update(max_width=10_000)
    for keys, times in ((sweep.swept, True), (sweep.swept, False), (["label"], True)):
        table = _ranking_by(keys or ["label"], times, sweep, ranking)
        if console.measure(table, options=endless).maximum <= console.width:
            return table
    return _ranking_by(["label"], False, sweep, ranking)


def _ranking_by(keys: Sequence[str], times: bool, sweep: Sweep, ranking: pandas.DataFrame) -> Table:
    names = {"label": "setting", **short_names(sweep.swept)}
    rows = ranking.to_dict("records")
    others = [_not_in_mean(row) for row in rows]
    has_test = any(row["test_n"] for row in rows)
    table = plain_table(collapse_padding=True)
    table.add_column("", justify="right")
    for key in keys:
        justify: JustifyMethod = "left" if ranking[key].dtype == object else "right"
        table.add_column(literal(names[key]), justify=justify, overflow="fold")
    tests, seconds = [on_test(sweep.metric)] * has_test, ["seconds"] * times
    evaluations = ["evaluations"] * (times and evaluations_tell(sweep))
    for name in (sweep.metric, *tests, "n", *seconds, *evaluations):
        table.add_column(literal(name), justify="right", no_wrap=True)
    if any(others):
        table.add_column("other runs")
    for rank, (row, other) in enumerate(zip(rows, others, strict=True)):
        cells = [value(row[key]) for key in keys]
        cells.append(plus_minus(row["mean"], row["low"], row["high"]))
        if has_test:
            cells.append(plus_minus(row["test_mean"], row["test_low"], row["test_high"]))
        cells += [str(row["n"]), *([_seconds(row["seconds"])] * times)]
        cells += [_seconds(row["evaluations"])] * len(evaluations) + [other] * any(others)
        style = "bold" if rank == 0 and row["n"] else ""
        table.add_row(str(rank + 1), *(literal(cell) for cell in cells), style=style)
    return table


def _baselines(beside: Baselines) -> Table:
    """A row a model, the winner on top: validation, test, and how far the winner leads."""
    table = plain_table(collapse_padding=True)
    table.title = literal(f"Baselines on the same splits, compared by {beside.on}")
    table.title_justify = "left"
    table.add_column("", overflow="fold")
    for name in (beside.val, beside.test, "winner better by", "p", "n"):
        table.add_column(literal(name), justify="right", no_wrap=True)
    for row in lead_rows(beside):
        cells = (literal(cell) for cell in row)
        table.add_row(*cells, style="bold" if row[3] == "" else "")
    return table


def _not_in_mean(row: dict[Any, Any]) -> str:
    """The runs of a setting that its mean does not hold.

    >>> _not_in_mean({"num_diverged": 1, "num_failed": 0, "num_pruned": 0, "num_unfinished": 2})
    '1 diverged, 2 unfinished'
    """
    kinds = ("diverged", "failed", "pruned", "unfinished")
    return ", ".join(f"{row[f'num_{kind}']} {kind}" for kind in kinds if row[f"num_{kind}"])


def _troubles(sweep: Sweep, ranking: pandas.DataFrame) -> Table:
    """A row for what runs of one setting met with: job numbers, status, reason.

    Diverged seeds of one setting share a row, with the reason of the first.
    """
    labels = {job: row["label"] for row in ranking.to_dict("records") for job in row["jobs"]}
    found: dict[tuple[int, str, str], list[tuple[int, str]]] = {}
    for run in sweep.runs[["job", "status", "stopped_by", "error"]].to_dict("records"):
        job, status = run["job"], run["status"]
        if status not in TROUBLES:
            continue
        reason = why(run) or "no reason recorded"
        shared = "" if status == "diverged" else reason
        key = (TROUBLES.index(status), labels[job], shared)
        found.setdefault(key, []).append((job, reason))
    table = plain_table(collapse_padding=True)
    table.add_column("jobs", justify="right")
    for name in ("setting", "status", "reason"):
        table.add_column(name)
    for (kind, setting, _), runs in sorted(found.items(), key=lambda item: (item[0][0], item[1])):
        reason = runs[0][1]
        if any(other != reason for _, other in runs):
            reason = f"job {runs[0][0]} {reason}"
        jobs = number_ranges(job for job, _ in runs)
        style = "red" if TROUBLES[kind] == "failed" else "yellow"
        cells = [literal(text) for text in (jobs, setting)]
        table.add_row(*cells, literal(TROUBLES[kind], style), literal(reason))
    return table


def why(run: Mapping[Any, Any]) -> str:
    """Why a run, a row of `runs`, did not complete: one line, "" where nothing tells."""
    reason = run["error"] or REASONS.get(run["status"]) or run["stopped_by"] or ""
    reason = " ".join(reason.split())
    return reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…"


def _seconds(seconds: float) -> str:
    """A time with three digits.

    >>> _seconds(0.01234), _seconds(9.43), _seconds(1234.5), _seconds(float("nan"))
    ('0.0123', '9.43', '1,234', '–')
    """
    if seconds != seconds:
        return "–"
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
