"""The report as one HTML page: no other file, nothing from the network, all names escaped."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import dlrun
from dlrun.errors import printable
from dlrun.figures import measures
from dlrun.report import captions
from dlrun.report.baselines import baselines
from dlrun.report.tables import (
    STATUSES,
    baseline_table,
    incomplete_table,
    optimizer_table,
    ranking_table,
    run_table,
)
from dlrun.report.words import figure, number_ranges, short_names
from dlrun.report.words import value as value_text

if TYPE_CHECKING:
    import pandas

    from dlrun.report.read import Sweep
    from dlrun.report.statistics import Winner

MAX_WARNINGS = 30


@dataclass(frozen=True)
class Shown:
    """A picture as the page shows it: its bytes, its width in CSS pixels, `png` or `gif`."""

    name: str
    title: str
    caption: str
    content: bytes
    width: int
    kind: str = "png"


def render(
    sweep: Sweep,
    ranked: pandas.DataFrame,
    best: Winner,
    judged: pandas.DataFrame,
    pictures: Sequence[Shown],
    missing: Mapping[str, str],
    now: datetime,
) -> str:
    """The page as text: who won, tables, pictures with captions, what did not complete, and why.

    ranked, best, judged: what `settings`, `winner` and `performance_speed_tuneability` say.
    missing: what the page does not show, and why.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_finalize)
    template = environment.from_string(
        files("dlrun.report").joinpath("report.html").read_text(encoding="utf-8")
    )
    incomplete = sweep.runs[sweep.runs["status"] != "completed"]
    return template.render(
        name=sweep.name,
        subtitle=_subtitle(sweep),
        verdict=best.sentence,
        warnings=_warnings(sweep),
        facts=_facts(sweep, ranked),
        ranking=ranking_table(sweep, ranked) if ranked["n"].gt(0).any() else None,
        baselines=_baselines(sweep),
        pictures=[_embedded(picture, sweep, judged) for picture in pictures],
        missing=missing,
        incomplete=incomplete_table(sweep, incomplete) if len(incomplete) else None,
        runs=run_table(sweep),
        method=_method(sweep, judged),
        version=dlrun.__version__,
        made=f"{now:%Y-%m-%d %H:%M}",
    )


def _finalize(value: Any) -> Any:
    """A text without characters that hide or command; markup made by the template as it is."""
    return printable(value) if type(value) is str else value


def _baselines(sweep: Sweep) -> dict[str, Any] | None:
    found = baselines(sweep)
    if found is None:
        return None
    return {"sentence": found.sentence, "table": baseline_table(found)}


def _embedded(picture: Shown, sweep: Sweep, judged: pandas.DataFrame) -> dict[str, Any]:
    return {
        "name": picture.name,
        "title": picture.title,
        "caption": picture.caption,
        "kind": picture.kind,
        "content": base64.b64encode(picture.content).decode("ascii"),
        "width": picture.width,
        "table": optimizer_table(sweep, judged) if picture.name == "optimizers" else None,
    }


def _subtitle(sweep: Sweep) -> str:
    direction = "higher" if sweep.higher_is_better else "lower"
    return f"Settings are chosen by {sweep.metric}, {direction} is better. {_progress(sweep)}."


def _progress(sweep: Sweep) -> str:
    counts = Counter(sweep.runs["status"])
    told = [f"{counts[kind]} {name}" for kind, name in STATUSES.items() if counts[kind]]
    others = [f"{number} {kind}" for kind, number in counts.items() if kind not in STATUSES]
    return f"{captions.count(len(sweep.runs), 'run')}: {', '.join([*told, *others])}"


def _warnings(sweep: Sweep) -> list[str]:
    """What is still missing from the sweep or could not be read."""
    lines = []
    counts = Counter(sweep.runs["status"])
    waiting = counts["running"] + counts["pending"] + counts["interrupted"]
    if waiting:
        lines.append(
            f"{waiting} of {captions.count(len(sweep.runs), 'run')} "
            f"{'has' if waiting == 1 else 'have'} not come to an end; "
            "the figures are those of the others."
        )
    if counts["failed"]:
        lines.append(f"{captions.count(counts['failed'], 'run')} failed; see below for the reason.")
    more = len(sweep.damaged) - MAX_WARNINGS
    lines += sweep.damaged[:MAX_WARNINGS] + ([f"and {more} more of this kind"] if more > 0 else [])
    return lines


def _facts(sweep: Sweep, ranked: pandas.DataFrame) -> list[tuple[str, str]]:
    facts = []
    names = short_names(sweep.swept)
    for key in sweep.swept:
        facts.append((names[key], _values(list(sweep.runs[key]))))
    seeds = sorted(int(seed) for seed in set(sweep.runs["seed"].dropna()))
    if seeds:
        facts.append(("seeds", number_ranges(seeds)))
    seconds = float(sweep.runs["seconds"].sum())
    facts.append(("settings", str(len(ranked))))
    if seconds > 0:
        facts.append(("training time", f"{captions.duration(seconds)} in all runs together"))
    return facts


def _values(values: Sequence[Any]) -> str:
    """The distinct values, in order; of many numbers only the ends.

    >>> _values([0.1, 0.01, None, 0.1]), _values([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
    ('0.01, 0.1, none', '1 … 13 (13 values)')
    """
    present = list(dict.fromkeys(value for value in values if not measures.is_missing(value)))
    if all(isinstance(value, (int, float)) for value in present):
        present.sort()
    words = [value_text(value) for value in present]
    if len(words) > 12:
        words = [f"{words[0]} … {words[-1]} ({len(words)} values)"]
    return ", ".join(words + ["none"] * (len(present) < len(set(map(_hashable, values)))))


def _hashable(value: Any) -> Any:
    return None if measures.is_missing(value) else value


def _method(sweep: Sweep, judged: pandas.DataFrame) -> list[str]:
    """How the figures of the page come about, a paragraph each."""
    text = [
        f"A setting is a choice of all swept hyper-parameters; its runs differ in the seed alone. "
        f"Each run counts with {sweep.metric} at its best epoch. Means are over the seeds that "
        "completed, n is their number. Whiskers and ± are 95 % t intervals of the mean. "
        "Bands around curves are one standard deviation of the runs, up to the outermost run.",
        "The winner is compared with the runner-up by a paired t test where both ran with the "
        "same seeds, by Welch's otherwise. The winner was picked as the best of many, so its own "
        "mean is a little too good; a new sweep with other seeds would tell by how much.",
    ]
    threshold = float(judged["threshold"].iloc[0]) if len(judged) > 1 else math.nan
    if math.isfinite(threshold):
        goal = figure(threshold)
        text.append(
            f"Good is a setting with {sweep.metric} {goal}: 95 % of the way from an untrained "
            "network to the best setting. Speed is the mean first epoch there; tuneability is the "
            "band of good learning rates around the best one, all else equal. Both follow DeepOBS "
            "(Schneider, Balles and Hennig 2019, arXiv:1903.05499), except that everything is "
            "chosen on validation."
        )
    if len(sweep.swept) > 0:
        text.append(
            "Shares of variance are those of a functional analysis of variance (Hutter, Hoos and "
            "Leyton-Brown 2014) over all combinations of the values tried; a model of randomised "
            "trees fills in those that were not run."
        )
    return text
