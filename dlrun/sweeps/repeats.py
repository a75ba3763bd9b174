"""The best setting of each optimizer, say, once more with many seeds.

So DeepOBS compares optimizers (Schneider et al. 2019): one seed finds the learning rate, ten seeds
tell how good it is. Chosen by the sweep's metric, which is never one of the test split.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from dlrun.errors import UserError, nearest, shown
from dlrun.sweeps.plan import Plan
from dlrun.sweeps.points import Point, spread


def check_repeats(repeat_best: Mapping[str, Any], swept: list[str]) -> None:
    """Raises UserError unless it says which key's values each get their best setting repeated."""
    expected = "hydra.sweeper.repeat_best: expected {of_each:KEY,seeds:range(10)}"
    if set(repeat_best) != {"of_each", "seeds"}:
        raise UserError(f"{expected}, got {shown(dict(repeat_best))}")
    key = repeat_best["of_each"]
    if key not in swept:
        known = ", ".join(swept)
        raise UserError(
            f"hydra.sweeper.repeat_best.of_each={shown(key)}: is not swept"
            f"{nearest(str(key), swept)}; there are {known}"
        )
    spread("seed", repeat_best["seeds"])


def best_of_each(
    plan: Plan, values: Mapping[int, float | None], repeat_best: Mapping[str, Any]
) -> list[Point]:
    """The best setting for each value of a key, with each of the seeds.

    values: the plan's metric of jobs by number. Repeats that are planned already have no say.
    """
    sign = 1.0 if plan.direction == "maximize" else -1.0
    means: dict[str, dict[tuple[tuple[str, str], ...], list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for job in plan.jobs:
        value = values.get(job.number)
        if value is not None and not job.repeat:
            setting = tuple((key, v) for key, v in job.values.items() if key != "seed")
            means[job.values.get(repeat_best["of_each"], "")][setting].append(value)
    points = []
    for settings in means.values():
        best = max(settings, key=lambda s: sign * sum(settings[s]) / len(settings[s]))
        points += [{**dict(best), "seed": seed} for seed in spread("seed", repeat_best["seeds"])]
    return points
