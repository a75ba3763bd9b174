"""The winner beside simpler models that were fitted to the same splits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlrun.report.read import BASELINE, HIGHER_IS_BETTER
from dlrun.report.settings import column, mean, on_test, over_seeds, rows_of, seed_values, settings
from dlrun.report.winner import Comparison, compare
from dlrun.report.words import listed, plus_minus, probability, value

if TYPE_CHECKING:
    import pandas

    from dlrun.report.read import Sweep

# What models are compared by where they lack the metric that settings are chosen by.
METRICS = ("accuracy", "mse", "mae", "loss", "r2", "mape")


@dataclass(frozen=True)
class Interval:
    """Mean over n seeds, and the 95 % interval of it, NaN for fewer than 2."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return plus_minus(self.mean, self.low, self.high)


@dataclass(frozen=True)
class Model:
    """How good a model is on validation and test; lead: of the winner over it, > 0 is better.

    num_shared: seeds that the winner has too, over which the lead is. None for the winner itself.
    """

    name: str
    val: Interval
    test: Interval
    lead: Comparison | None = None
    num_shared: int = 0


@dataclass(frozen=True)
class Baselines:
    """The winner, then simpler models, the best first.

    val, test: names of the metric. on: the one that leads are measured by, the test split's where
    there is one. sentence: all this in words, for a person.
    """

    models: list[Model]
    val: str
    test: str
    on: str
    sentence: str


def baselines(sweep: Sweep) -> Baselines | None:
    """The winner beside the baselines of its splits; None where no run has any.

    A baseline has learnt from the same training split as the run of that seed, so that any run of
    the seed on the same data tells its figures.
    """
    names = dict.fromkeys(name.partition(":")[0] for name in _columns(sweep))
    ranking, val = settings(sweep), _metric(sweep)
    if val is None or not len(ranking) or ranking["n"].iloc[0] == 0:
        return None
    test = on_test(val)
    alike = _same_data(sweep, ranking)
    own = rows_of(sweep, ranking["jobs"].iloc[0])
    winner = _Figures(seed_values(sweep, own, val), seed_values(sweep, own, test))
    found = {
        name.removeprefix(BASELINE): _Figures(
            *(_by_seed(sweep, alike, f"{name}:{metric}") for metric in (val, test))
        )
        for name in names
    }
    found = {name: figures for name, figures in found.items() if figures.val or figures.test}
    if not found:
        return None
    tested = bool(winner.test) and any(figures.test for figures in found.values())
    higher = val.partition("/")[0] in HIGHER_IS_BETTER
    models = []
    for name, figures in found.items():
        one, other = (f.test if tested else f.val for f in (winner, figures))
        shared = one.keys() & other.keys()
        one, other = ({seed: values[seed] for seed in sorted(shared)} for values in (one, other))
        lead = compare(one, other) if higher else compare(other, one)
        model = Model(name, _interval(figures.val), _interval(figures.test), lead, len(shared))
        models.append(model)
    models.sort(key=lambda model: _order((model.test if tested else model.val).mean, higher))
    label = str(ranking["label"].iloc[0])
    best = Model(label, _interval(winner.val), _interval(winner.test))
    on = test if tested else val
    return Baselines([best, *models], val, test, on, _sentence(best, models, on))


@dataclass(frozen=True)
class _Figures:
    """A model's metric on validation and on the test split, by seed."""

    val: dict[float, float]
    test: dict[float, float]


def lead_rows(found: Baselines) -> list[list[str]]:
    """What a table shows of each model: name, val, test, the winner's lead, p, n."""
    rows = []
    for model in found.models:
        lead, cells = model.lead, ["", "", ""]
        if lead is not None:
            size = plus_minus(lead.difference, lead.low, lead.high)
            p = "–" if lead.test is None else probability(lead.p).removeprefix("p ").lstrip("= ")
            cells = [size, p, str(model.num_shared)]
        rows.append([_called(model.name), str(model.val), str(model.test), *cells])
    return rows


def _metric(sweep: Sweep) -> str | None:
    """By what models are compared, on validation: as the settings are, if the baselines can be."""
    own = sweep.metric.partition("/")[0]
    for base in dict.fromkeys((own, *METRICS)):
        names = (f"{base}/val", f"{base}/test")
        both = any(name in sweep.runs for name in names)
        if both and any(c.endswith(tuple(f":{n}" for n in names)) for c in _columns(sweep)):
            return names[0]
    return None


def _columns(sweep: Sweep) -> list[str]:
    return [str(name) for name in sweep.runs if str(name).startswith(BASELINE)]


def _same_data(sweep: Sweep, ranking: pandas.DataFrame) -> list[int]:
    """The rows of runs on the same data as the best setting's, whatever was done with it."""
    keys = [key for key in sweep.swept if key.partition(".")[0] == "dataset"]
    first = [value(ranking[key].iloc[0], None) for key in keys]
    alike = [
        setting["jobs"]
        for setting in ranking.to_dict("records")
        if [value(setting[key], None) for key in keys] == first
    ]
    return rows_of(sweep, [job for jobs in alike for job in jobs])


def _by_seed(sweep: Sweep, rows: list[int], name: str) -> dict[float, float]:
    """By seed what the column says; runs of one seed say the same."""
    seeds, values = column(sweep, "seed")[rows], column(sweep, name)[rows]
    known = ~np.isnan(seeds) & ~np.isnan(values)
    return {
        float(seed): mean(values[known & (seeds == seed)].tolist())
        for seed in np.unique(seeds[known])
    }


def _interval(by_seed: dict[float, float]) -> Interval:
    found = over_seeds(list(by_seed.values()), "")
    return Interval(found["mean"], found["low"], found["high"], len(by_seed))


def _order(centre: float, higher_is_better: bool) -> float:
    """What models are sorted by; those without a mean come last."""
    return math.inf if math.isnan(centre) else -centre if higher_is_better else centre


def _sentence(winner: Model, models: list[Model], on: str) -> str:
    """Who is better than whom, and whether that is more than noise."""
    from dlrun.figures import measures  # with it comes matplotlib, which is slow

    own, *others = (
        model.test if on.endswith("/test") else model.val for model in (winner, *models)
    )
    told = [f"{_called(model.name)} has {it}" for model, it in zip(models, others, strict=True)]
    text = f"The winner's {measures.metric_name(on)} is {own}; on the same splits {listed(told)}."
    return " ".join([text, *(_verdict(model, model.lead) for model in models if model.lead)])


def _verdict(model: Model, lead: Comparison) -> str:
    name = _called(model.name)
    if model.num_shared == 0:
        return f"With {name} it shares no seed."
    size = plus_minus(abs(lead.difference), *_ends(lead))
    if lead.test is None:
        return f"One seed does not tell whether its distance to {name}, {size}, is noise."
    how = f"{lead.test}, {probability(lead.p)}, n = {model.num_shared}"
    if lead.larger_than_noise:
        return f"The winner is better than {name} by {size} ({how})."
    if lead.difference < 0 and lead.p < 0.05:
        return f"The winner is worse than {name} by {size} ({how})."
    return f"Between the winner and {name} there is no difference beyond noise ({size}; {how})."


def _ends(lead: Comparison) -> tuple[float, float]:
    """The interval of the size of the lead."""
    return (lead.low, lead.high) if lead.difference >= 0 else (-lead.high, -lead.low)


def _called(name: str) -> str:
    return name.replace("_", " ")
