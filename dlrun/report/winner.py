"""Which setting won, and whether it won by more than the noise between seeds."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlrun.report.settings import (
    deviation,
    learnt_nothing,
    mean,
    on_test,
    rows_of,
    seed_values,
    settings,
    t_interval,
)
from dlrun.report.words import figure, plus_minus, probability

if TYPE_CHECKING:
    from dlrun.report.read import Sweep

SIGNIFICANT = 0.05

Row = dict[Hashable, Any]  # of `settings`


@dataclass(frozen=True)
class Winner:
    """The best setting, the runner-up, and what can be said of the lead.

    label, runner_up: None where there is none. values: the winner's swept keys that apply.
    mean, low, high, n: of the metric, as in `settings`.
    difference: mean of the winner minus that of the runner-up, turned so that > 0 is better, with
    its 95 % interval; p: two-sided, of `test` ("paired t test", "Welch's t test"; None where
    seeds are too few: then the interval and p are NaN). larger_than_noise: p < 0.05 in favour of
    the winner. sentence: all this in words, for a person.
    """

    sentence: str
    label: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    runner_up: str | None = None
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    p: float = math.nan
    test: str | None = None
    larger_than_noise: bool = False


@dataclass(frozen=True)
class Comparison:
    """The difference of two means, its 95 % interval, and the two-sided p of the test named.

    Without a test (None) interval and p are NaN.
    """

    difference: float
    low: float
    high: float
    p: float
    test: str | None

    @property
    def larger_than_noise(self) -> bool:
        return self.difference > 0 and self.p < SIGNIFICANT


def winner(sweep: Sweep) -> Winner:
    """The setting that is best by validation, and whether its lead is larger than the noise."""
    ranking = settings(sweep)
    table = ranking[ranking["n"] > 0].to_dict("records")
    if not table:
        sentence = f"No run has completed with {sweep.metric}: there is no winner yet."
        return Winner(sentence)
    best = table[0]
    second = table[1] if len(table) > 1 else None
    lead = Comparison(math.nan, math.nan, math.nan, math.nan, None)
    if second is not None:
        one, other = (
            seed_values(sweep, rows_of(sweep, row["jobs"]), sweep.metric) for row in (best, second)
        )
        lead = compare(one, other) if sweep.higher_is_better else compare(other, one)
    sentences = [
        _result(sweep, best),
        _lead(sweep, best, second, lead, len(ranking)),
        _on_test(sweep, best),
    ]
    return Winner(
        label=best["label"],
        values={
            key: best[key]
            for key in sweep.swept
            if best[key] is not None and best[key] == best[key]
        },
        mean=best["mean"],
        low=best["low"],
        high=best["high"],
        n=best["n"],
        runner_up=None if second is None else second["label"],
        difference=lead.difference,
        difference_low=lead.low,
        difference_high=lead.high,
        p=lead.p,
        test=lead.test,
        larger_than_noise=lead.larger_than_noise,
        sentence=" ".join(sentence for sentence in sentences if sentence),
    )


def compare(one: Mapping[float, float], other: Mapping[float, float]) -> Comparison:
    """The mean of one minus the mean of the other, both values by seed.

    Where both have the same seeds the test is paired: they share split, initial weights and order
    of batches, so that what a seed does to both cancels. Else it is Welch's, which does not ask
    for equal variances. Sources: Student 1908; Welch 1947, degrees of freedom by Satterthwaite.
    """
    difference = mean(one.values()) - mean(other.values())
    if min(len(one), len(other)) < 2:
        return Comparison(difference, math.nan, math.nan, math.nan, None)
    if one.keys() == other.keys():
        test, degrees = "paired t test", len(one) - 1.0
        error = deviation([one[seed] - other[seed] for seed in one]) / math.sqrt(len(one))
    else:
        test = "Welch's t test"
        parts = [deviation(list(side.values())) ** 2 / len(side) for side in (one, other)]
        error = math.sqrt(sum(parts))
        spread = parts[0] ** 2 / (len(one) - 1) + parts[1] ** 2 / (len(other) - 1)
        degrees = sum(parts) ** 2 / spread if spread > 0 else 1.0
    low, high = t_interval(difference, error, degrees)
    return Comparison(difference, low, high, _two_sided(difference, error, degrees), test)


def _two_sided(difference: float, error: float, degrees: float) -> float:
    from scipy.special import stdtr

    if error == 0:  # every seed says exactly the same
        return 1.0 if difference == 0 else 0.0
    return 2 * float(stdtr(degrees, -abs(difference / error)))


def _result(sweep: Sweep, best: Row) -> str:
    figures = plus_minus(best["mean"], best["low"], best["high"])
    interval = "95 % interval, " if best["n"] > 1 else ""
    ends = {"diverged": best["num_diverged"], "failed": best["num_failed"]}
    lost = [f"; {num} more {kind}" for kind, num in ends.items() if num]
    counts = f"{interval}n = {best['n']}{''.join(lost)}"
    if not sweep.swept:
        return f"All runs have one setting: {sweep.metric} {figures} ({counts})."
    return f"{best['label']} is best: {sweep.metric} {figures} ({counts})."


def _lead(sweep: Sweep, best: Row, second: Row | None, lead: Comparison, num_settings: int) -> str:
    """What the lead over the runner-up is worth."""
    if second is None:
        return "No other setting has a finished run to compare it with." if sweep.swept else ""
    if lead.difference < 0:
        return (
            f"The finished runs of the runner-up, {second['label']}, are better by "
            f"{figure(-lead.difference)}, but {_lost(sweep, second)}."
        )
    size = plus_minus(lead.difference, lead.low, lead.high)
    over = f"Its lead over the runner-up, {second['label']}, is {size}"
    if lead.test is None:
        few = "one seed" if best["n"] == second["n"] == 1 else "too few seeds"
        return f"{over}; with {few} nobody can tell whether that is noise (type seed=range(5))."
    test = f"{lead.test}, {probability(lead.p)}"
    if num_settings > 2:
        test += f", not corrected for choosing among {num_settings} settings"
    if lead.larger_than_noise:
        return f"{over}: larger than the noise between seeds ({test})."
    return f"{over}: not larger than the noise between seeds ({test})."


def _lost(sweep: Sweep, row: Row) -> str:
    """What puts a setting back in the order."""
    total, texts = len(row["jobs"]), []
    if row["num_diverged"]:
        floor = f"{sweep.metric} {figure(learnt_nothing(sweep))}"
        texts.append(
            f"{row['num_diverged']} of its {total} diverged: in the order such a run counts as one "
            f"that has learnt nothing ({floor})"
        )
    if row["num_pruned"]:
        texts.append(
            f"{row['num_pruned']} of its {total} were pruned: in the order such a run counts by "
            "the best that it had reached"
        )
    return ", and ".join(texts)


def _on_test(sweep: Sweep, best: Row) -> str:
    if not best["test_n"]:
        return ""
    figures = plus_minus(best["test_mean"], best["test_low"], best["test_high"])
    return f"On the test split, which had no say: {on_test(sweep.metric)} {figures}."
