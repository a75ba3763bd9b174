"""What the pictures of a sweep draw: its settings as points, cells and averaged curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlrun.report.settings import deviation, mean
from dlrun.report.words import short_names
from dlrun.report.words import value as value_text

if TYPE_CHECKING:
    import pandas

    from dlrun.report.read import Sweep

BATCH_SIZE = "batch_size"
# Of a hyper-parameter with more values than this no curve each is drawn.
MAX_SERIES = 24


def lr_key(swept: Sequence[str], ranked: pandas.DataFrame) -> str | None:
    """The swept key that is the learning rate, when it has at least two numeric values."""
    return next((key for key in swept if is_lr(key) and _num_values(ranked, key) > 1), None)


def is_lr(key: str) -> bool:
    """Whether the key is the learning rate: `lr`, `optimizer.lr`."""
    return key.rpartition(".")[2] == "lr"


def batch_key(swept: Sequence[str], ranked: pandas.DataFrame) -> str | None:
    """`batch_size` when it is swept over at least two values."""
    several = BATCH_SIZE in swept and ranked[BATCH_SIZE].nunique() > 1
    return BATCH_SIZE if several else None


def numeric_keys(swept: Sequence[str], ranked: pandas.DataFrame) -> list[str]:
    """Swept keys with at least three numeric values."""
    return [key for key in swept if _num_values(ranked, key) > 2]


def _num_values(ranked: pandas.DataFrame, key: str) -> int:
    return int(numbers(ranked[key]).nunique())


def numbers(column: pandas.Series[Any]) -> pandas.Series[float]:
    """The column as floats, NaN for what is no number; a batch size of `full` is infinite."""
    import pandas

    batches = column.map(lambda value: math.inf if value == "full" else value)
    return pandas.to_numeric(batches, errors="coerce").astype("float64")


def series_key(swept: Sequence[str], ranked: pandas.DataFrame, apart: Sequence[str]) -> str | None:
    """What gets a curve each: the optimizer, or else the first key with few values.

    apart: keys that have an axis of their own already.
    """
    keys = [key for key in swept if key not in apart]
    if "optimizer" in keys and ranked["optimizer"].nunique() > 1:
        return "optimizer"
    few = (key for key in keys if 2 <= ranked[key].nunique(dropna=False) <= MAX_SERIES)
    return next(few, None)


def series_names(sweep: Sweep, ranked: pandas.DataFrame, key: str | None) -> pandas.Series[str]:
    """By setting the name of the curve that it belongs to: `adam`, or `momentum=0.9`."""
    if key is None:
        return ranked["mean"].map(lambda _: only_optimizer(sweep))
    prefix = "" if key == "optimizer" else f"{short_names(sweep.swept)[key]}="
    return ranked[key].map(lambda value: f"{prefix}{value_text(value, digits=None) or 'none'}")


def only_optimizer(sweep: Sweep) -> str:
    """The name of the one optimizer that all runs have, else `all runs`."""
    if "optimizer" in sweep.runs:
        names = set(sweep.runs["optimizer"].dropna())
        if len(names) == 1:
            return str(names.pop())
    return "all runs"


def best_points(ranked: pandas.DataFrame) -> pandas.DataFrame:
    """Of each panel, series and x the best setting; where all diverged, one without a mean.

    ranked: settings, best first, with columns panel, series, x. The points have a column rank.
    """
    known = ranked[ranked["x"].notna() & (ranked["mean"].notna() | (ranked["num_diverged"] > 0))]
    finite_first = known.assign(without=known["mean"].isna()).sort_values("without", kind="stable")
    points = finite_first.drop_duplicates(["panel", "series", "x"]).sort_index()
    return points.assign(rank=points.index)


def with_band(points: pandas.DataFrame, runs: pandas.DataFrame) -> pandas.DataFrame:
    """The points, their low and high now the ends of `band` of the single runs."""
    place = ["panel", "series", "x"]
    ends = {key: band(part.tolist()) for key, part in runs.groupby(place)["value"]}
    none = (math.nan, math.nan)
    found = [ends.get(key, none) for key in points[place].itertuples(index=False, name=None)]
    return points.assign(low=[low for low, _ in found], high=[high for _, high in found])


def band(values: Sequence[float]) -> tuple[float, float]:
    """Mean ± one standard deviation, but not beyond the values themselves; NaN for one value.

    So no band reaches where no run was: below zero on a log axis, or above 100 %.

    >>> band([1.0, 3.0]), band([0.0, 0.0, 0.0, 4.0])
    ((1.0, 3.0), (0.0, 3.0))
    """
    if len(values) < 2:
        return math.nan, math.nan
    centre, spread = mean(values), deviation(values)
    return max(centre - spread, min(values)), min(centre + spread, max(values))


def single_runs(sweep: Sweep, points: pandas.DataFrame) -> pandas.DataFrame:
    """A row for each finished run of the points' settings: panel, series, x, value."""
    import pandas

    values = finished(sweep).set_index("job")[sweep.metric]
    rows = [
        (point.panel, point.series, point.x, values[job])
        for point in points.itertuples()
        for job in point.jobs  # type: ignore[union-attr]
        if job in values.index
    ]
    table = pandas.DataFrame(rows, columns=["panel", "series", "x", "value"])
    return table.astype({"x": "float64", "value": "float64"})


def finished(sweep: Sweep) -> pandas.DataFrame:
    """The runs that count: completed, with a value of the metric."""
    runs = sweep.runs
    if sweep.metric not in runs:
        return runs.assign(**{sweep.metric: math.nan}).iloc[:0]
    return runs[(runs["status"] == "completed") & runs[sweep.metric].notna()]


def averaged_curves(
    sweep: Sweep, best: pandas.DataFrame, metrics: Sequence[str]
) -> pandas.DataFrame:
    """Curves of settings, averaged over their finished seeds, against what they have cost.

    best: settings with columns series and jobs.

    Rows: series, metric, against (epoch, seconds, evaluations), x, mean, low, high (ends of
    `band`), n. Against seconds and evaluations an epoch stands at its mean of them; before the
    first evaluation there is no point. Once fewer than half of the seeds still train, the curve
    ends.
    """
    import pandas

    counted = set(finished(sweep)["job"])
    frames = []
    for name, jobs in zip(best["series"], best["jobs"], strict=True):
        runs = [sweep.curves[job] for job in jobs if job in counted and job in sweep.curves]
        for metric in metrics:
            average = _average(runs, metric).assign(series=name, metric=metric)
            frames.append(average.assign(against="epoch", x=average["epoch"]))
            timed = average[average["seconds"].notna()]
            if timed["seconds"].gt(0).any():
                frames.append(timed.assign(against="seconds", x=timed["seconds"]))
            computed = average[average["evaluations"] > 0]
            frames.append(computed.assign(against="evaluations", x=computed["evaluations"]))
    columns = ["series", "metric", "against", "x", "mean", "low", "high", "n"]
    known = [frame[columns] for frame in frames if len(frame)]
    return pandas.concat(known, ignore_index=True) if known else pandas.DataFrame(columns=columns)


def _average(runs: Sequence[pandas.DataFrame], metric: str) -> pandas.DataFrame:
    """By epoch the mean of the metric, the ends of its band, and the mean costs."""
    import pandas

    costs = {"seconds": "time/total", "evaluations": "evaluations"}
    names = ["epoch", metric, *costs.values()]
    lines = [run.reindex(columns=names).dropna(subset=["epoch", metric]) for run in runs]
    lines = [line.drop_duplicates("epoch", keep="last") for line in lines if len(line)]
    rows = []
    if lines:
        for epoch, line in pandas.concat(lines).groupby("epoch"):
            values = line[metric].tolist()
            if 2 * len(values) >= len(lines):
                spent = [mean(line[name].dropna()) for name in costs.values()]
                rows.append((epoch, *spent, mean(values), *band(values), len(values)))
    columns = ["epoch", *costs, "mean", "low", "high", "n"]
    return pandas.DataFrame(rows, columns=columns, dtype="float64")
