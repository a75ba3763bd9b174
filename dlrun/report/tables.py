"""The tables of the page: settings, optimizers, runs; cells know by which number they sort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlrun.figures import measures
from dlrun.report.baselines import Baselines, lead_rows
from dlrun.report.results import why
from dlrun.report.settings import evaluations_tell, on_test
from dlrun.report.words import figure, plus_minus, short_names
from dlrun.report.words import value as value_text

if TYPE_CHECKING:
    import pandas

    from dlrun.report.read import Sweep

MAX_KEYS = 10  # with more swept keys than this a setting is one column of the table
MAX_ROWS = 2000  # of one table: a page beyond is slow to open, and results.csv has them all
STATUSES = {
    "completed": "completed",
    "running": "still running",
    "pending": "not started",
    "interrupted": "interrupted",
    "diverged": "diverged",
    "pruned": "pruned",
    "failed": "failed",
    "damaged": "unreadable",
}


@dataclass(frozen=True)
class Cell:
    """What a table shows, and the number that it is sorted by, if it is one."""

    text: str
    order: float | None = None


@dataclass(frozen=True)
class Column:
    name: str
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Row:
    cells: Sequence[Cell]
    best: bool = False


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""


def ranking_table(sweep: Sweep, ranked: pandas.DataFrame) -> Table:
    """A row a setting: its values, validation and test with their intervals, n, time."""
    keys = [key for key in sweep.swept if len(sweep.swept) <= MAX_KEYS]
    names = short_names(sweep.swept)
    has_test = bool(ranked["test_mean"].notna().any())
    costs = ["seconds", *["evaluations"] * evaluations_tell(sweep)]
    lost = [
        name
        for name in ("diverged", "failed", "pruned", "unfinished")
        if ranked[f"num_{name}"].gt(0).any()
    ]
    columns = [
        Column("rank", numeric=True),
        *([Column(names[key]) for key in keys] or [Column("setting", wide=True)]),
        Column(sweep.metric, numeric=True),
        *([Column(on_test(sweep.metric), numeric=True)] if has_test else []),
        Column("n", numeric=True),
        *(Column(name, numeric=True) for name in (*costs, *lost)),
    ]
    rows = []
    for rank, setting in enumerate(ranked.head(MAX_ROWS).to_dict("records"), start=1):
        cells = [Cell(str(rank), rank)]
        cells += [_value_cell(setting[key]) for key in keys] or [Cell(str(setting["label"]))]
        cells.append(_interval_cell(*(setting[k] for k in ("mean", "low", "high"))))
        if has_test:
            ends = (setting[f"test_{name}"] for name in ("mean", "low", "high"))
            cells.append(_interval_cell(*ends))
        cells.append(Cell(str(setting["n"]), float(setting["n"])))
        cells += [_number_cell(setting[name]) for name in costs]
        cells += [Cell(str(setting[f"num_{name}"]), setting[f"num_{name}"]) for name in lost]
        rows.append(Row(cells, best=rank == 1 and setting["n"] > 0))
    note = (
        "Mean over n seeds ± half the 95 % t interval; seconds: mean training time of a run. "
        "The test split decides nothing."
    )
    if "evaluations" in costs:
        note += " Evaluations: how often a run computed the loss of a batch, on average."
    if "diverged" in lost:
        note += " For the order a diverged run counts as a network that has learnt nothing."
    if "pruned" in lost:
        note += " For the order a pruned run counts by the best that it had reached."
    if len(ranked) > MAX_ROWS:
        note += f" The first {MAX_ROWS} of {len(ranked)} settings; results.csv has all runs."
    return Table(columns, rows, note)


def _value_cell(value: Any) -> Cell:
    text = value_text(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and text:
        return Cell(text, float(value))
    return Cell(text or "–")


def _number_cell(value: Any) -> Cell:
    number = float(value)
    if not math.isfinite(number):
        return Cell("–")
    return Cell(measures.number_text(number), number)


def _interval_cell(mean: float, low: float, high: float) -> Cell:
    if not math.isfinite(mean):
        return Cell("–")
    return Cell(plus_minus(mean, low, high), mean)


def optimizer_table(sweep: Sweep, judged: pandas.DataFrame) -> Table:
    """Performance, speed and tuneability in numbers, a row an optimizer."""
    goal = figure(float(judged["threshold"].iloc[0]))
    columns = [
        Column("optimizer"),
        Column("its best setting", wide=True),
        Column(sweep.metric, numeric=True),
        Column(on_test(sweep.metric), numeric=True),
        Column(f"epochs to {goal}", numeric=True),
        Column(f"seconds to {goal}", numeric=True),
        Column("decades of good lr", numeric=True),
        Column("n", numeric=True),
    ]
    rows = []
    for row in judged.to_dict("records"):
        speed, wide = float(row["speed"]), float(row["tuneability"])
        never = Cell("never", 1e300) if math.isinf(speed) else None
        seconds = never or _number_cell(row["speed_seconds"])
        decades = Cell("–")
        if math.isfinite(wide):
            decades = Cell(("≥ " if row["band_open"] else "") + f"{wide:.1f}", wide)
        cells = [
            Cell(str(row["optimizer"])),
            Cell(str(row["label"])),
            _interval_cell(*(row[f"performance{end}"] for end in ("", "_low", "_high"))),
            _interval_cell(*(row[f"test_{end}"] for end in ("mean", "low", "high"))),
            never or _number_cell(speed),
            seconds,
            decades,
            Cell(str(row["n"]), float(row["n"])),
        ]
        rows.append(Row(cells))
    return Table(columns, rows)


def baseline_table(found: Baselines) -> Table:
    """A row a model, the winner first, and how far the winner leads."""
    heads = (found.val, found.test, f"winner better by ({found.on})", "p", "n")
    columns = [Column("model", wide=True), *(Column(name, numeric=True) for name in heads)]
    rows = []
    for model, texts in zip(found.models, lead_rows(found), strict=True):
        lead = model.lead
        orders = [None, model.val.mean, model.test.mean]
        orders += [lead.difference, lead.p, model.num_shared] if lead else [None] * 3
        cells = [
            Cell(text or "–", order if order is not None and math.isfinite(order) else None)
            for text, order in zip(texts, orders, strict=True)
        ]
        rows.append(Row(cells, best=lead is None))
    tests = {model.lead.test for model in found.models if model.lead and model.lead.test}
    note = "Mean ± half the 95 % t interval over seeds; n: seeds that both have."
    if tests:
        note += f" p: {' or '.join(sorted(tests))}, two-sided, not corrected for several models."
    return Table(columns, rows, note)


def incomplete_table(sweep: Sweep, runs: pandas.DataFrame) -> Table:
    """Job, folder, status and reason of each run that did not complete; failures first."""
    order = {"failed": 0, "damaged": 1, "interrupted": 2, "diverged": 3, "pruned": 4}
    ordered = runs.iloc[
        sorted(range(len(runs)), key=lambda k: order.get(runs["status"].iloc[k], 9))
    ]
    rows = []
    for run in ordered.head(MAX_ROWS).to_dict("records"):
        status = Cell(STATUSES.get(run["status"], run["status"]))
        reason, folder = Cell(why(run) or "–"), Cell(run["folder"] or "–")
        rows.append(Row([Cell(str(run["job"]), run["job"]), status, reason, folder]))
    names = [Column("job", numeric=True), Column("status")]
    return Table([*names, Column("reason", wide=True), Column("folder", wide=True)], rows)


def run_table(sweep: Sweep) -> Table:
    """A row a run: what was swept, the seed, and what came of it."""
    keys = sweep.swept[:MAX_KEYS]
    names = short_names(sweep.swept)
    metrics = [m for m in (sweep.metric, on_test(sweep.metric), "loss/train") if m in sweep.runs]
    columns = [
        Column("job", numeric=True),
        *(Column(names[key]) for key in keys),
        Column("seed", numeric=True),
        Column("status"),
        *(Column(metric, numeric=True) for metric in dict.fromkeys(metrics)),
        Column("best epoch", numeric=True),
        Column("epochs", numeric=True),
        Column("seconds", numeric=True),
    ]
    rows = []
    for run in sweep.runs.head(MAX_ROWS).to_dict("records"):
        cells = [Cell(str(run["job"]), run["job"]), *(_value_cell(run[key]) for key in keys)]
        cells += [_number_cell(run["seed"]), Cell(STATUSES.get(run["status"], run["status"]))]
        for metric in dict.fromkeys(metrics):
            value = float(run[metric])
            cells.append(Cell(figure(value), value) if math.isfinite(value) else Cell("–"))
        cells += [_number_cell(run[name]) for name in ("best_epoch", "epochs_done", "seconds")]
        rows.append(Row(cells))
    return Table(columns, rows)
