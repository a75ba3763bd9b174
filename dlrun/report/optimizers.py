"""Performance, speed and tuneability: the three figures an optimizer is judged by.

Source: Schneider, Balles and Hennig 2019, "DeepOBS: a deep learning optimizer benchmark suite".
Unlike there, settings are chosen by validation, not on the test split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlrun.report.files import number
from dlrun.report.settings import learnt_nothing, mean, rows_of, settings, untrained

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from dlrun.report.read import Sweep

GOOD = 0.95  # of the way from an untrained network to the best setting of all

COLUMNS = [
    *("optimizer", "label", "num_settings", "n", "num_diverged"),
    *("performance", "performance_low", "performance_high"),
    *("test_mean", "test_low", "test_high", "threshold"),
    *("speed", "speed_seconds", "num_reached", "num_started"),
    *("tuneability", "lr_low", "lr_high", "band_open", "share_good"),
]


def performance_speed_tuneability(sweep: Sweep, threshold: float | None = None) -> pandas.DataFrame:
    """One row an optimizer, the best first; an optimizer without a finished run has its NaN last.

    threshold: what counts as good, a value of the metric; None for 95 % of the way from an
    untrained network to the best setting of all optimizers. One for all, as the problem fixes it.

    Columns: optimizer, label (its best setting by validation, of those that were repeated over
      seeds where any was: settings with one seed are then what it was tuned by), num_settings,
      n, num_diverged: seeds of that best setting
      performance, performance_low, performance_high: its mean of the metric, 95 % interval
      test_mean, test_low, test_high: the same on the test split
      threshold
      speed: mean first epoch at which its seeds are at the threshold, inf when one never is, NaN
        without curves; speed_seconds: the same in seconds since the start of training;
        num_reached of num_started seeds got there
      tuneability: width in decades (log10) of the band of learning rates around its best one that
        are good, all else as in its best setting, ends interpolated between those tried; NaN
        with fewer than 2; 0 when its best is not good; lr_low, lr_high: the ends;
        band_open: the band goes to the end of what was tried and may go on
      share_good: of all its settings, those that are good
    Good is a setting whose `score` is at the threshold: a diverged seed counts as untrained.
    """
    import pandas

    ranking = settings(sweep)
    if threshold is None:
        threshold = good_from(sweep, ranking)
    sign = 1.0 if sweep.higher_is_better else -1.0
    margin = sign * (ranking["score"].to_numpy(dtype=np.float64) - threshold)
    lr = _learning_rates(sweep, ranking)
    members: dict[str, list[int]] = {}
    for row, jobs in enumerate(ranking["jobs"]):
        members.setdefault(str(_recorded(sweep, jobs, "optimizer") or "unknown"), []).append(row)
    rows = []
    for optimizer, own in members.items():
        first = next((row for row in own if ranking["n"].iloc[row] > 1), own[0])
        best = ranking.iloc[first].to_dict()
        others = [row for row in own if row != first and _alike(sweep, best, ranking.iloc[row])]
        alike = [first, *others]
        rows.append(
            {
                "optimizer": optimizer,
                "num_settings": len(own),
                "performance": best["mean"],
                "performance_low": best["low"],
                "performance_high": best["high"],
                **{name: best[name] for name in ("label", "n", "num_diverged")},
                **{name: best[name] for name in ("test_mean", "test_low", "test_high")},
                "threshold": threshold,
                **_speed(sweep, best["jobs"], threshold),
                **band(lr[alike], margin[alike]),
                "share_good": float((margin[own] >= 0).mean()),
            }
        )
    return pandas.DataFrame(rows, columns=COLUMNS)


def good_from(sweep: Sweep, ranking: pandas.DataFrame) -> float:
    """The threshold: 95 % of the way from an untrained network to the best setting's mean."""
    start = untrained(sweep)
    if start != start:
        start = learnt_nothing(sweep)
    best = float(ranking["mean"].iloc[0]) if len(ranking) else math.nan
    return start + GOOD * (best - start)


def band(lr: NDArray[np.float64], margin: NDArray[np.float64]) -> dict[str, float | bool]:
    """Tuneability, lr_low, lr_high, band_open of learning rates, the best setting's first.

    margin: by how much each is good, >= 0, or fails to be. Between a learning rate that is good
    and the next one that is not, the end is where a line through both, over log lr, is at 0.

    >>> band(np.array([0.1, 0.01, 1.0]), np.array([0.3, 0.1, -0.3]))["tuneability"]
    1.5
    """
    tried = (lr > 0) & ~np.isnan(margin)
    if tried.sum() < 2 or not tried[0]:
        return {
            "tuneability": math.nan,
            "lr_low": math.nan,
            "lr_high": math.nan,
            "band_open": False,
        }
    if margin[0] < 0:
        return {"tuneability": 0.0, "lr_low": math.nan, "lr_high": math.nan, "band_open": False}
    order = np.argsort(lr[tried], kind="stable")
    x, good = np.log10(lr[tried][order]), margin[tried][order]
    best = int(np.flatnonzero(order == 0)[0])
    low, open_below = _end(x[best::-1], good[best::-1])
    high, open_above = _end(x[best:], good[best:])
    return {
        "tuneability": high - low,
        "lr_low": 10**low,
        "lr_high": 10**high,
        "band_open": open_below or open_above,
    }


def _end(x: NDArray[np.float64], good: NDArray[np.float64]) -> tuple[float, bool]:
    """Where `good` first falls below 0 along x, and whether it never does."""
    bad = np.flatnonzero(good < 0)
    if not len(bad):
        return float(x[-1]), True
    k = int(bad[0])
    share = good[k - 1] / (good[k - 1] - good[k])
    return float(x[k - 1] + share * (x[k] - x[k - 1])), False


def _speed(sweep: Sweep, jobs: Sequence[int], threshold: float) -> dict[str, float]:
    """First epochs and seconds at the threshold, averaged over the runs that have curves."""
    epochs, seconds = [], []
    for job in jobs:
        lines = sweep.curves.get(job)
        if lines is None or sweep.metric not in lines or not _ended(sweep, job):
            continue
        values = lines[sweep.metric].to_numpy()
        there = values >= threshold if sweep.higher_is_better else values <= threshold
        first = np.flatnonzero(there)[:1]
        total = (
            lines["time/total"].to_numpy()
            if "time/total" in lines
            else np.full(len(lines), math.nan)
        )
        epochs.append(float(lines["epoch"].to_numpy()[first[0]]) if len(first) else math.inf)
        seconds.append(float(total[first[0]]) if len(first) else math.inf)
    return {
        "speed": mean(epochs),
        "speed_seconds": mean(seconds),
        "num_reached": sum(epoch < math.inf for epoch in epochs),
        "num_started": len(epochs),
    }


def _ended(sweep: Sweep, job: int) -> bool:
    (row,) = rows_of(sweep, [job])
    return sweep.runs["status"].iloc[row] in ("completed", "diverged")


def _recorded(sweep: Sweep, jobs: Sequence[int], name: str) -> Any:
    """What the first of the jobs that knows it has under this name, or None."""
    if name not in sweep.runs:
        return None
    entries = sweep.runs[name].iloc[rows_of(sweep, jobs)]
    return next((entry for entry in entries if entry is not None and entry == entry), None)


def _lr_key(sweep: Sweep) -> str:
    """The column of the learning rate: the swept one, else the recorded one."""
    return next((key for key in sweep.swept if key.rpartition(".")[2] == "lr"), "lr")


def _learning_rates(sweep: Sweep, ranking: pandas.DataFrame) -> NDArray[np.float64]:
    """The learning rate of each setting, NaN where it is unknown."""
    found = []
    for jobs in ranking["jobs"]:
        entry = _recorded(sweep, jobs, _lr_key(sweep))
        entry = _recorded(sweep, jobs, "lr") if entry is None else entry
        found.append(number(entry))
    return np.array(found, dtype=np.float64)


def _alike(sweep: Sweep, best: Mapping[Any, Any], other: pandas.Series[Any]) -> bool:
    """Whether two settings differ in nothing but the learning rate."""
    lr = _lr_key(sweep)
    pairs = ((best[key], other[key]) for key in sweep.swept if key != lr)
    return all(a == b or (_absent(a) and _absent(b)) for a, b in pairs)


def _absent(entry: Any) -> bool:
    return entry is None or entry != entry
