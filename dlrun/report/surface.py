"""The ways of optimizers over a test function of two parameters, and their race."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dlrun.figures import measures
from dlrun.report import series
from dlrun.report.picture import Animation, Picture
from dlrun.report.settings import rows_of
from dlrun.report.words import brief_label, listed

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from dlrun.report.read import Sweep
    from dlrun.surfaces import Surface

MOST = 10  # ways in one picture, told apart by colour
POSITION = ["x/val", "y/val"]
RACE_INCHES = 9.6


def paths_and_race(sweep: Sweep, ranked: pandas.DataFrame) -> Iterator[Picture | Animation]:
    """A picture and an animation of runs on one surface, if all are on the same."""
    found = _surface(sweep)
    if found is None:
        return
    shown, some = _shown(sweep, ranked)
    jobs = {label: job for label, own in shown.items() if (job := _first(sweep, own)) is not None}
    if not jobs:
        return
    courses = {label: _course(sweep, job) for label, job in jobs.items()}
    losses = {label: _heights(found, course) for label, course in courses.items()}
    ways = {label: _in_view(found, course) for label, course in courses.items()}
    from dlrun.figures.animation import gif
    from dlrun.figures.surface import race_frames, surface_paths
    from dlrun.surfaces import contour

    x, y, values = (part.numpy() for part in contour(found))
    minima = [(minimum[0], minimum[1]) for minimum in found.minima]
    figure = surface_paths(
        x, y, values, ways, minima=minima, title=found.name, log_levels=found.log_levels
    )
    caption = f"{some}, of each the run with its first seed.{_arrivals(sweep, jobs, losses)}"
    yield Picture("paths", f"Ways over {found.name}", figure, caption)
    frames = race_frames(
        *(x, y, values, ways, losses),
        minima=minima,
        log_levels=found.log_levels,
        title=found.name,
    )
    text = (
        "The same runs at once: left where they are, right how high, without noise. A step is an "
        "epoch."
    )
    yield Animation("race", f"Race on {found.name}", gif(frames), RACE_INCHES, text)


def _surface(sweep: Sweep) -> Surface | None:
    """The surface that all runs are on, if it has two parameters."""
    if "surface" not in sweep.runs:
        return None
    names = set(sweep.runs.loc[sweep.runs["job"].isin(list(sweep.curves)), "surface"])
    if len(names) != 1 or not any(set(POSITION) <= set(lines) for lines in sweep.curves.values()):
        return None
    from dlrun.surfaces import CONDITION_NUMBER, SURFACES, surface

    name = names.pop()
    if name not in SURFACES or len(SURFACES[name].start) != 2:
        return None
    key = next((k for k in sweep.runs if str(k).rpartition(".")[2] == "condition_number"), None)
    conditions = set() if key is None else set(series.numbers(sweep.runs[key]).dropna())
    if len(conditions) > 1:
        return None
    return surface(name, conditions.pop() if conditions else CONDITION_NUMBER)


def _shown(sweep: Sweep, ranked: pandas.DataFrame) -> tuple[dict[str, list[int]], str]:
    """By label the jobs of the settings to draw, and which they are in words.

    Of more than ten settings the best of each optimizer, say.
    """
    some = f"All {len(ranked)} settings" if len(ranked) > 1 else "The one setting"
    if len(ranked) > MOST:
        key = series.series_key(sweep.swept, ranked, apart=())
        named = ranked.assign(series=series.series_names(sweep, ranked, key))
        ranked = named.drop_duplicates("series").head(MOST)
        some = "Each at its best setting" if len(ranked) > 1 else "The best setting"
    labels = {
        brief_label({key: row[key] for key in sweep.swept}, sweep.swept): row["jobs"]
        for row in ranked.to_dict("records")
    }
    return labels, some


def _first(sweep: Sweep, jobs: Sequence[int]) -> int | None:
    """Of the jobs that tell their positions the one with the first seed."""
    runs = sweep.runs.iloc[rows_of(sweep, jobs)].sort_values("seed", kind="stable")
    told = (job for job in runs["job"].tolist() if job in sweep.curves)
    return next((job for job in told if set(POSITION) <= set(sweep.curves[job])), None)


def _course(sweep: Sweep, job: int) -> NDArray[np.float64]:
    """Positions (T, 2) of a run after each epoch."""
    lines = sweep.curves[job].drop_duplicates("epoch", keep="last").sort_values("epoch")
    course: NDArray[np.float64] = lines[POSITION].to_numpy(np.float64)
    return course


def _in_view(found: Surface, course: NDArray[np.float64]) -> NDArray[np.float64]:
    """The course up to the first position of those that lie outside for good.

    What jumps to and fro beyond the edges would cross the picture again and again.
    """
    left, right, bottom, top = found.view
    x, y = course.T
    inside = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
    return course[: inside[-1] + 2] if len(inside) else course


def _heights(found: Surface, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The surface's values (N,) at positions (N, 2)."""
    import torch

    heights: NDArray[np.float64] = found.function(torch.tensor(positions)).numpy()
    return heights


def _arrivals(sweep: Sweep, jobs: dict[str, int], losses: dict[str, NDArray[np.float64]]) -> str:
    """Who ends how high, the lowest first, and who diverged."""
    status = dict(zip(sweep.runs["job"], sweep.runs["status"], strict=True))
    ends = {label: float(losses[label][-1]) for label in jobs if len(losses[label])}
    lost = [label for label in ends if status[jobs[label]] == "diverged"]
    there = [label for label in ends if math.isfinite(ends[label]) and label not in lost]
    told = [
        f"{label} at {measures.number_text(ends[label])}"
        for label in sorted(there, key=lambda label: ends[label])
    ]
    text = f" At the end: {listed(told, 6)}." if told else ""
    return text + (f" Diverged: {listed(lost, 6)}." if lost else "")
