"""Which hyper-parameters mattered: shares of the variance of the metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlrun.report.settings import deviation, rows_of, seed_values, settings

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from dlrun.report.read import Sweep

NUM_TREES = 64
MAX_POINTS = 4096  # at which the model is asked; of more combinations
SAMPLED = 512  # are drawn at random
MAX_LEVELS = 64  # of one hyper-parameter


def importance(sweep: Sweep) -> pandas.DataFrame:
    """One row a hyper-parameter, the most important first; empty with fewer than 2 settings.

    Columns: hyper_parameter (a swept key; "seed" for the noise between seeds of one setting,
      where that was measured), share (of the variance of single runs, explained by this one
      alone, 0 to 1), share_with_interactions (together with what it does in concert with others;
      NaN for the seed)

    Method: functional ANOVA (Hutter, Hoos and Leyton-Brown 2014) of the settings' `score` over
    all combinations of the values tried, each as frequent as it was tried; share is the first
    order, share_with_interactions the total Sobol' index (Sobol' 1993, Homma and Saltelli 1996).
    Combinations that were not tried are filled in by a model of extremely randomised trees
    (Geurts et al. 2006), which gives back those that were tried exactly: on a full grid this is
    the classical analysis of variance. The noise that is left in a mean of seeds counts as the
    hyper-parameters' own. Where a key applies to some optimizers only, what it does
    and what the optimizer does cannot wholly be told apart.
    """
    import pandas

    ranking = settings(sweep)
    ranking = ranking[ranking["score"].notna()]
    columns = ["hyper_parameter", "share", "share_with_interactions"]
    if len(ranking) < 2 or not sweep.swept:
        return pandas.DataFrame(columns=columns)
    codes = np.stack([_codes(ranking[key].tolist()) for key in sweep.swept], axis=1)
    scores = ranking["score"].to_numpy(dtype=np.float64)
    alone, together, between = sobol(codes, scores)
    if np.ptp(scores) == 0:  # but for rounding
        alone, together, between = [0.0] * len(alone), [0.0] * len(alone), 0.0
    noise = _noise(sweep, ranking["jobs"].tolist())
    total = between + (0.0 if math.isnan(noise) else noise)
    scale = 1 / total if total > 0 else 0.0
    rows = [
        (key, scale * one, scale * all_)
        for key, one, all_ in zip(sweep.swept, alone, together, strict=True)
    ]
    rows.sort(key=lambda row: -row[1])
    if not math.isnan(noise):
        rows.append(("seed", scale * noise, math.nan))
    return pandas.DataFrame(rows, columns=columns)


def sobol(
    codes: NDArray[np.intp], scores: NDArray[np.float64]
) -> tuple[list[float], list[float], float]:
    """By hyper-parameter the variance of scores it explains alone and in all, and their variance.

    codes: (N, D), the number of the value of each of D hyper-parameters in N settings.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    model = ExtraTreesRegressor(NUM_TREES, random_state=0, max_features=None)
    model.fit(codes, scores)
    points, weights = _points(codes)
    alone, together = [], []
    for d in range(codes.shape[1]):
        levels, frequencies = _levels(codes[:, d])
        moved = np.tile(points, (len(levels), 1))
        moved[:, d] = np.repeat(levels, len(points))
        predicted = model.predict(moved).reshape(len(levels), len(points))
        alone.append(float(_variance(predicted @ weights, frequencies)))
        together.append(float(_variance(predicted, frequencies) @ weights))
    return alone, together, float(_variance(model.predict(points), weights))


def _variance(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted variance along the first axis; weights sum to 1."""
    spread: NDArray[np.float64] = weights @ (values - weights @ values) ** 2
    return spread


def _codes(entries: Sequence[Any]) -> NDArray[np.intp]:
    """The number of each value among those that occur: numbers in order, then texts, none first."""

    def place(entry: Any) -> tuple[int, float, str]:
        if entry is None or entry != entry:
            return 0, 0.0, ""
        return (2, 0.0, entry) if isinstance(entry, str) else (1, float(entry), "")

    places = [place(entry) for entry in entries]
    order = {one: k for k, one in enumerate(sorted(set(places)))}
    return np.array([order[one] for one in places], dtype=np.intp)


def _levels(codes: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The values of one hyper-parameter and how often each occurs, as shares.

    Of very many, as a random search has, every so-manyth stands for its neighbours.
    """
    levels, counts = np.unique(codes, return_counts=True)
    if len(levels) > MAX_LEVELS:
        middles = (np.arange(MAX_LEVELS) + 0.5) / MAX_LEVELS * len(codes)
        levels, counts = np.unique(np.sort(codes)[middles.astype(int)], return_counts=True)
    return levels, counts / counts.sum()


def _points(codes: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Combinations of values (P, D) and their weights: all, or a sample of very many."""
    levels = [_levels(column) for column in codes.T]
    if math.prod(len(values) for values, _ in levels) > MAX_POINTS:
        generator = np.random.default_rng(0)
        drawn = [generator.choice(values, SAMPLED, p=shares) for values, shares in levels]
        return np.stack(drawn, axis=1), np.full(SAMPLED, 1 / SAMPLED)
    grids = np.meshgrid(*(values for values, _ in levels), indexing="ij")
    shares = np.meshgrid(*(shares for _, shares in levels), indexing="ij")
    points = np.stack([grid.ravel() for grid in grids], axis=1)
    return points, np.prod([share.ravel() for share in shares], axis=0)


def _noise(sweep: Sweep, jobs: Sequence[Sequence[int]]) -> float:
    """The variance between seeds of one setting, pooled over settings; NaN where none has two."""
    squares, degrees = 0.0, 0
    for own in jobs:
        values = list(seed_values(sweep, rows_of(sweep, own), sweep.metric).values())
        if len(values) > 1:
            squares += deviation(values) ** 2 * (len(values) - 1)
            degrees += len(values) - 1
    return squares / degrees if degrees else math.nan
