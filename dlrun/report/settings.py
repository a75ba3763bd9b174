"""The settings of a sweep, each with mean and interval over its seeds, the best first.

Runs that diverged are results. They have no part in a mean, since the figure that such a run has
tells when it fell over and not how good it is. They do count in the order: for it a diverged run
is worth what a network is worth that has learnt nothing, so that no setting gains by losing seeds.
Trials of treatments do the same: intention to treat, the worst value for those who drop out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlrun.report.words import label, short_names

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from dlrun.report.read import Sweep

CONFIDENCE = 0.95
ROUNDING = 1e-12  # relative
UNFINISHED = ("running", "interrupted", "pending")
STATISTICS = [
    *("n", "mean", "std", "low", "high"),
    *("test_n", "test_mean", "test_std", "test_low", "test_high"),
    *("seconds", "evaluations"),
    *("num_diverged", "num_failed", "num_pruned", "num_unfinished", "score", "jobs"),
]


def settings(sweep: Sweep) -> pandas.DataFrame:
    """One row a setting, the best first, index 0, 1, … (the rank minus one).

    A setting is a choice of all swept hyper-parameters but the seed.

    Columns: label (`optimizer=adam lr=0.001`), the swept keys, then
      n, mean, std, low, high: of sweep.metric over the seeds that finished, at each one's best
        epoch; std is that of a sample (divided by n - 1); low and high are the 95 % t interval;
        NaN where n is too small. Runs of one setting and one seed are one sample, their mean
      test_n, test_mean, test_std, test_low, test_high: the same of the test split
      seconds: mean training time of the finished runs; evaluations: how often they computed the
        loss of a batch, on average
      num_diverged, num_failed, num_pruned, num_unfinished (running, interrupted, pending): runs;
        runs without a readable summary, or completed without the metric, are failed
      score: what the order goes by, in the unit of the metric: the mean over all runs that came
        to an end, a diverged one at `learnt_nothing`, a pruned one at the best it had reached, or
        at the mean where that is worse
      jobs: list of the job numbers

    Settings with several finished seeds come first, then those with one, by which the others may
    have been chosen, then those with none. Equal scores stand in the order of the jobs.
    """
    import pandas

    floor = learnt_nothing(sweep)
    rows = []
    for values, members in groups(sweep):
        row = dict(zip(sweep.swept, values, strict=True))
        rows.append(row | _statistics(sweep, members, floor))
    columns = {
        key: pandas.Series([row[key] for row in rows], dtype=sweep.runs[key].dtype)
        for key in sweep.swept
    }
    columns |= {name: pandas.Series([row[name] for row in rows]) for name in STATISTICS}
    table = pandas.DataFrame(columns)
    table.insert(0, "label", pandas.Series(_labels(rows, sweep.swept), dtype=object))
    order = sorted(table.index, key=lambda k: _rank(rows[k], sweep.higher_is_better))
    return table.loc[order].reset_index(drop=True)


def groups(sweep: Sweep) -> list[tuple[tuple[Any, ...], list[int]]]:
    """The settings as swept values, None where a key does not apply, and their rows of `runs`."""
    columns = [sweep.runs[key].tolist() for key in sweep.swept]
    rows = zip(*columns, strict=True) if columns else [()] * len(sweep.runs)
    found: dict[tuple[Any, ...], list[int]] = {}
    for position, row in enumerate(rows):
        values = tuple(None if entry != entry else entry for entry in row)
        found.setdefault(values, []).append(position)
    return list(found.items())


def learnt_nothing(sweep: Sweep) -> float:
    """What a diverged run counts as in the order of settings: the value of an untrained network.

    That is the mean at epoch 0 over all runs, or the worst value of a finished run where that is
    worse still. NaN when neither is known.
    """
    status = sweep.runs["status"].to_numpy()
    known = [untrained(sweep), *column(sweep, sweep.metric)[status == "completed"].tolist()]
    worst = min if sweep.higher_is_better else max
    return float(worst((value for value in known if value == value), default=math.nan))


def untrained(sweep: Sweep) -> float:
    """The mean of the metric at epoch 0, before training, over all runs; NaN when none tells."""
    starts: list[float] = []
    for lines in sweep.curves.values():
        if sweep.metric in lines:
            starts += lines[sweep.metric].to_numpy()[lines["epoch"].to_numpy() == 0].tolist()
    return mean(value for value in starts if value == value)


def on_test(metric: str) -> str:
    """The name of the same metric on the test split.

    >>> on_test("accuracy/val")
    'accuracy/test'
    """
    return f"{metric.partition('/')[0]}/test"


def rows_of(sweep: Sweep, jobs: Iterable[int]) -> list[int]:
    """The rows of `runs` with these job numbers."""
    return np.flatnonzero(np.isin(sweep.runs["job"].to_numpy(), list(jobs))).tolist()


def seed_values(sweep: Sweep, rows: Sequence[int], metric: str) -> dict[float, float]:
    """By seed the metric of the runs, among these rows of `runs`, that completed and have it.

    Two runs of one seed are one sample, their mean; a run whose seed is unknown is one by itself.
    """
    status = sweep.runs["status"].to_numpy()[rows]
    seeds = sweep.runs["seed"].to_numpy()[rows]
    found: dict[float, list[float]] = {}
    for k, value in enumerate(column(sweep, metric)[rows].tolist()):
        if status[k] == "completed" and value == value:
            seed = float(seeds[k])
            found.setdefault(seed if seed == seed else -1.0 - rows[k], []).append(value)
    return {seed: mean(found[seed]) for seed in sorted(found)}


def column(sweep: Sweep, name: str) -> NDArray[np.float64]:
    """A column of `runs` as numbers, NaN where a run has none or no run has the column."""
    if name not in sweep.runs:
        return np.full(len(sweep.runs), math.nan)
    return sweep.runs[name].to_numpy(dtype=np.float64)


def evaluations_tell(sweep: Sweep) -> bool:
    """Whether in some completed run the loss was computed more often than steps were taken.

    In a run that diverged it was so once, for the step that was not taken.
    """
    completed = (sweep.runs["status"] == "completed").to_numpy()
    evaluations, steps = column(sweep, "evaluations"), column(sweep, "steps")
    return bool((completed & (evaluations > steps)).any())


def mean(values: Iterable[float]) -> float:
    """The mean of the values, NaN of none."""
    values = list(values)
    return math.fsum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample (divided by n - 1), NaN for fewer than 2 values.

    Values that differ by rounding alone have none: 0.9 - 0.8 is not quite 0.3 - 0.2.
    """
    if len(values) < 2:
        return math.nan
    if np.ptp(values) <= ROUNDING * np.abs(values).max():
        return 0.0
    return float(np.std(values, ddof=1))


def t_interval(centre: float, standard_error: float, degrees: float) -> tuple[float, float]:
    """The ends of the 95 % interval of Student's t; NaN without degrees of freedom.

    Source: Student 1908.

    >>> low, high = t_interval(10.0, 1.0, 4)
    >>> round(low, 3), round(high, 3)
    (7.224, 12.776)
    """
    from scipy.special import stdtrit

    if not degrees > 0:
        return math.nan, math.nan
    half = float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) * standard_error
    return centre - half, centre + half


def _statistics(sweep: Sweep, rows: list[int], floor: float) -> dict[str, Any]:
    status = sweep.runs["status"].to_numpy()[rows].tolist()
    has_metric = ~np.isnan(column(sweep, sweep.metric)[rows])
    done = [
        row
        for row, kind, there in zip(rows, status, has_metric, strict=True)
        if kind == "completed" and there
    ]
    seeds = seed_values(sweep, rows, sweep.metric)
    num_diverged, num_pruned = status.count("diverged"), status.count("pruned")
    num_unfinished = sum(status.count(kind) for kind in UNFINISHED)
    reached = [
        _best_reached(sweep, row)
        for row, kind in zip(rows, status, strict=True)
        if kind == "pruned"
    ]
    if seeds:  # a run that was cut short adds nothing to a setting's merit
        worse = min if sweep.higher_is_better else max
        reached = [worse(mean(seeds.values()), value) for value in reached]
    scored = [*seeds.values(), *[floor] * num_diverged, *reached]
    return {
        **over_seeds(list(seeds.values()), ""),
        **over_seeds(list(seed_values(sweep, done, on_test(sweep.metric)).values()), "test_"),
        **{name: _known_mean(column(sweep, name)[done]) for name in ("seconds", "evaluations")},
        "num_diverged": num_diverged,
        "num_failed": len(rows) - len(done) - num_diverged - num_pruned - num_unfinished,
        "num_pruned": num_pruned,
        "num_unfinished": num_unfinished,
        "score": mean(value for value in scored if value == value),
        "jobs": [int(job) for job in sweep.runs["job"].to_numpy()[rows]],
    }


def _known_mean(values: NDArray[np.float64]) -> float:
    return mean(value for value in values.tolist() if value == value)


def over_seeds(values: Sequence[float], prefix: str) -> dict[str, float]:
    """n, mean, std, low and high of a value for each seed, as `settings` has them."""
    std = deviation(values)
    low, high = t_interval(mean(values), std / math.sqrt(max(1, len(values))), len(values) - 1)
    named = {"n": len(values), "mean": mean(values), "std": std, "low": low, "high": high}
    return {f"{prefix}{name}": value for name, value in named.items()}


def _best_reached(sweep: Sweep, row: int) -> float:
    """The best value that a run had when it was stopped, NaN when it tells none."""
    own = float(column(sweep, sweep.metric)[row])
    lines = sweep.curves.get(int(sweep.runs["job"].to_numpy()[row]))
    if own == own or lines is None or sweep.metric not in lines:
        return own
    best = np.nanmax if sweep.higher_is_better else np.nanmin
    values = lines[sweep.metric].to_numpy()
    return float(best(values)) if not np.isnan(values).all() else math.nan


def _labels(rows: Sequence[dict[str, Any]], swept: Sequence[str]) -> list[str]:
    """What the settings are called: numbers with as many digits as tell them apart."""
    names = short_names(swept)
    labels: list[str] = []
    for digits in (4, None):
        labels = [label({key: row[key] for key in swept}, names, digits) for row in rows]
        if len(set(labels)) == len(labels):
            break
    return labels


def _rank(row: dict[str, Any], higher_is_better: bool) -> tuple[int, float]:
    score = -row["score"] if higher_is_better else row["score"]
    if score != score:
        return 3, 0.0
    return 2 - min(row["n"], 2), score
