"""Whether learning rate / batch size decides, and not the learning rate by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlrun.figures import measures
from dlrun.report import series
from dlrun.report.picture import Picture
from dlrun.report.settings import mean

if TYPE_CHECKING:
    import pandas

    from dlrun.report.read import Sweep

MAX_ROWS = 4  # optimizers, the best ones
MAX_SIZES = 8
FILLED = 0.3  # of all pairs; values drawn at random fill less, and make no curves
COLUMNS = ["series", "x", "panel", "rank", "mean", "low", "high", "std", "n", "num_diverged"]


@dataclass(frozen=True)
class Spread:
    """How far the curves of the batch sizes lie apart, and how far seeds alone would part them.

    by_lr, by_ratio: standard deviation between the curves where two or more have a value, at the
    same learning rate and at the same learning rate / batch size; mean over these places; NaN
    where there are none. noise: standard deviation of a point, which is a mean over seeds; NaN
    without two seeds. In the unit of the metric, or, if `factors`, of its natural logarithm.
    """

    by_lr: float
    by_ratio: float
    noise: float
    factors: bool


def lr_over_batch_size(
    sweep: Sweep, ranked: pandas.DataFrame, lr: str, batch: str
) -> Iterator[Picture]:
    """The picture of all learning rates and batch sizes that were tried, if there are two each."""
    from dlrun.figures import sweep_batch_sizes
    from dlrun.figures.sweep_axes import spread_decades

    points = _points(sweep, ranked, lr, batch)
    names = [
        name
        for name in points.loc[points["mean"].notna(), "series"].drop_duplicates()
        if _has_curves(points[points["series"] == name])
    ][:MAX_ROWS]
    points = points[points["series"].isin(names)]
    if not names or points["batch_size"].nunique() > MAX_SIZES:
        return
    figure = sweep_batch_sizes.lr_over_batch_size(
        points, names, sweep.metric, sweep.higher_is_better
    )
    values = points["mean"].dropna().to_numpy(np.float64)
    factors = not sweep.higher_is_better and spread_decades(values)
    told = {name: spread(points[points["series"] == name], factors) for name in names}
    text = _caption(sweep, told, full=bool((ranked[batch] == "full").any()))
    yield Picture("lr_over_batch_size", "Does lr / batch size decide?", figure, text)


def _points(sweep: Sweep, ranked: pandas.DataFrame, lr: str, batch: str) -> pandas.DataFrame:
    """The best setting at each learning rate of each batch size, which is a finite number."""
    key = series.series_key(sweep.swept, ranked, apart=(lr, batch))
    named = ranked.assign(
        series=series.series_names(sweep, ranked, key),
        x=series.numbers(ranked[lr]),
        panel=series.numbers(ranked[batch]),
    )
    numbered = named[(named["x"] > 0) & (named["panel"] > 0) & (named["panel"] < math.inf)]
    points = series.best_points(numbered)[COLUMNS].rename(
        columns={"x": "lr", "panel": "batch_size"}
    )
    return points.assign(ratio=points["lr"] / points["batch_size"])


def _has_curves(points: pandas.DataFrame) -> bool:
    """Whether two batch sizes have a curve, and the pairs tried are no random ones."""
    known = points[points["mean"].notna()]
    several = int((known.groupby("batch_size")["lr"].nunique() > 1).sum()) > 1
    return several and len(points) >= FILLED * points["lr"].nunique() * (
        points["batch_size"].nunique()
    )


def spread(points: pandas.DataFrame, factors: bool) -> Spread:
    """How far the curves lie apart: between two points they run straight over the log of x.

    points: columns batch_size, lr, ratio, mean, std, n. factors: distances are ratios.
    """
    known = points[points["mean"].notna()]
    if factors:
        known = known.assign(std=known["std"] / known["mean"], mean=np.log(known["mean"]))
    seen = known[known["n"] > 1]
    variances = (seen["std"] ** 2 / seen["n"]).tolist()
    noise = math.sqrt(mean(variances)) if variances else math.nan
    return Spread(_between(known, "lr"), _between(known, "ratio"), noise, factors)


def _between(known: pandas.DataFrame, x_name: str) -> float:
    """The standard deviation between the curves, mean over all x where two of them are."""
    places = np.unique(np.log(known[x_name].to_numpy(np.float64)).round(9))
    rows = []
    for _, part in known.sort_values(x_name).groupby("batch_size"):
        at = np.log(part[x_name].to_numpy(np.float64)).round(9)
        values = part["mean"].to_numpy(np.float64)
        rows.append(np.interp(places, at, values, left=math.nan, right=math.nan))
    heights = np.stack(rows)  # (batch sizes, places)
    heights = heights[:, (~np.isnan(heights)).sum(axis=0) > 1]
    return mean(np.nanstd(heights, axis=0, ddof=1).tolist()) if heights.size else math.nan


def _caption(sweep: Sweep, told: dict[str, Spread], full: bool) -> str:
    text = [
        "Left, the curves of the batch sizes over the learning rate; right, the same points over "
        "learning rate / batch size, in which they fall together if that ratio decides. Other "
        "hyper-parameters at their best."
    ]
    text += [_distance(sweep, name if len(told) > 1 else "", it) for name, it in told.items()]
    text.append(
        "For SGD the rule follows from the noise of its gradient (Smith et al. 2018), as long as "
        "learning rates are small and epochs, not steps, are the same; for Adam and its like the "
        "square root of the batch size takes its place (Malladi et al. 2022)."
    )
    if full:
        text.append("Full batches are left out.")
    return " ".join(text)


def _distance(sweep: Sweep, name: str, it: Spread) -> str:
    """How far apart in both panels, and what that says."""
    who = f"{name}: at" if name else "At"
    apart = f"{who} the same learning rate the curves lie {_size(sweep, it, it.by_lr)} apart"
    if math.isnan(it.by_ratio):
        return f"{apart}; at the same ratio no two of them have a point."
    apart += (
        f" (standard deviation between batch sizes), at the same ratio "
        f"{_size(sweep, it, it.by_ratio)}"
    )
    if not math.isnan(it.noise):
        apart += f"; seeds alone make {_size(sweep, it, it.noise)}"
    return f"{apart}. {_verdict(it)}"


def _verdict(it: Spread) -> str:
    if it.by_ratio <= 2 * it.noise:
        return "That is hardly more than noise: they are one curve."
    if it.by_ratio <= 0.5 * it.by_lr:
        return "So the ratio explains most of it, if not all."
    if it.by_ratio < it.by_lr:
        return "So the ratio brings them closer, but they are not one curve."
    return "So here the ratio does not decide."


def _size(sweep: Sweep, it: Spread, distance: float) -> str:
    """A distance in words: points of accuracy, a factor, or the metric's own unit.

    >>> from types import SimpleNamespace
    >>> one = SimpleNamespace(metric="accuracy/val")
    >>> _size(one, Spread(0, 0, 0, factors=False), 0.0312)
    '3.1 points'
    >>> _size(one, Spread(0, 0, 0, factors=True), 0.0312)
    'a factor of 1.03'
    """
    if it.factors:
        return f"a factor of {math.exp(distance):.3g}"
    if sweep.metric.startswith("accuracy/"):
        return f"{100 * round(distance, 9):.2g} points"
    return measures.number_text(float(f"{distance:.2g}"))
