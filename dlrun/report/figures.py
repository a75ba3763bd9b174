"""Which pictures make sense for what was swept; an empty one is never among them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dlrun.figures import measures
from dlrun.report import captions, series
from dlrun.report.batch_rule import lr_over_batch_size
from dlrun.report.picture import Animation, Picture
from dlrun.report.settings import evaluations_tell
from dlrun.report.side_by_side import side_by_side
from dlrun.report.surface import paths_and_race
from dlrun.report.words import short_names
from dlrun.report.words import value as value_text

if TYPE_CHECKING:
    import pandas

    from dlrun.report.read import Sweep

# With more batch sizes than this the best of them stands for all, in one panel.
MAX_PANELS = 6
MAX_CURVES = 6  # in one panel, told apart by colour
MAX_CELLS = 20  # along one side of a heat map
MAX_SENSITIVITIES = 3


def draw_figures(
    sweep: Sweep, ranked: pandas.DataFrame, judged: pandas.DataFrame, mattered: pandas.DataFrame
) -> Iterator[Picture | Animation]:
    """The pictures of a sweep, one after another, so that each can be saved and let go.

    ranked, judged, mattered: what `settings`, `performance_speed_tuneability` and `importance`
    of dlrun.report.statistics say of the sweep.
    """
    if not ranked["mean"].notna().any():
        return
    yield from _ranking(sweep, ranked)
    yield from _best_curves(sweep, ranked)
    yield from paths_and_race(sweep, ranked)
    lr, batch = series.lr_key(sweep.swept, ranked), series.batch_key(sweep.swept, ranked)
    if lr is not None:
        yield from _sensitivity(sweep, ranked, lr, batch)
    else:
        for key in series.numeric_keys(sweep.swept, ranked)[:MAX_SENSITIVITIES]:
            yield from _sensitivity(sweep, ranked, key, None)
    if lr is not None and batch is not None:
        yield from _heat_map(sweep, ranked, lr, batch)
        yield from lr_over_batch_size(sweep, ranked, lr, batch)
    if len(judged) > 1 and judged["performance"].notna().any():
        yield from _optimizers(sweep, judged)
    if len(mattered) > 1 and mattered["share"].notna().any():
        yield from _importance(sweep, mattered)
    if len(sweep.swept) > 1 and len(ranked) > 3:
        yield from _parallel_coordinates(sweep, ranked)
    yield from side_by_side(sweep, ranked)


def _ranking(sweep: Sweep, ranked: pandas.DataFrame) -> Iterator[Picture]:
    from dlrun.figures.sweep_ranking import ranking

    if len(ranked) < 2:
        return
    figure = ranking(ranked, sweep.metric, sweep.higher_is_better)
    yield Picture("ranking", "Ranking of the settings", figure, captions.ranking(sweep, ranked))


def _best_curves(sweep: Sweep, ranked: pandas.DataFrame) -> Iterator[Picture]:
    from dlrun.figures.sweep_curves import best_curves

    key = series.series_key(sweep.swept, ranked, apart=())
    named = ranked.assign(series=series.series_names(sweep, ranked, key))
    best = named[named["mean"].notna()].drop_duplicates("series")
    metrics = {sweep.metric: sweep.higher_is_better}
    if sweep.metric != "loss/train":
        metrics["loss/train"] = False
    averages = series.averaged_curves(sweep, best, list(metrics))
    metrics = {name: higher for name, higher in metrics.items() if _has_course(averages, name)}
    if not metrics:
        return
    averages = averages[averages["metric"].isin(list(metrics))]
    names = list(best["series"])
    labels = {
        name: f"{measures.one_line(str(label), 60)} (n = {n})"
        for name, label, n in zip(names, best["label"], best["n"], strict=True)
    }
    timed = averages[averages["against"] != "evaluations"]
    figure = best_curves(timed, names, labels, metrics)
    title = "Learning curves of the best settings"
    yield Picture("best_curves", title, figure, captions.best_curves(sweep, best, timed))
    computed = averages[averages["against"] == "evaluations"]
    if evaluations_tell(sweep) and len(computed):
        figure = best_curves(computed, names, labels, metrics)
        text = captions.evaluations(sweep, best, computed)
        yield Picture("loss_over_evaluations", "What an evaluation buys", figure, text)


def _has_course(averages: pandas.DataFrame, metric: str) -> bool:
    """Whether some curve of the metric has two points, and so is more than a dot."""
    of_metric = averages[(averages["metric"] == metric) & (averages["against"] == "epoch")]
    return bool((of_metric.groupby("series")["mean"].count() > 1).any())


def _sensitivity(
    sweep: Sweep, ranked: pandas.DataFrame, x_key: str, panel_key: str | None
) -> Iterator[Picture]:
    from dlrun.figures.sweep_sensitivity import sensitivity

    points = _points(sweep, ranked, x_key, panel_key)
    finite = points[points["mean"].notna()]
    if finite["x"].nunique() < 2:
        return
    names = list(finite.sort_values("rank")["series"].drop_duplicates())
    points = points[points["series"].isin(names)]
    runs = series.single_runs(sweep, points)
    points = series.with_band(points, runs)
    is_lr, is_batch = series.is_lr(x_key), x_key == series.BATCH_SIZE
    x_name = "learning rate" if is_lr else short_names(sweep.swept)[x_key]
    panel_name = "batch size" if points["panel"].nunique() > 1 else None
    figure = sensitivity(
        points,
        runs,
        "batch size in samples" if is_batch else x_name,
        "" if panel_name is None and len(names) <= MAX_CURVES else panel_name,
        names,
        sweep.metric,
        sweep.higher_is_better,
        log=bool(points["x"].min() >= 0) and (is_lr or is_batch or _spreads(points["x"])),
    )
    caption = captions.sensitivity(sweep, points, x_name, panel_name)
    if is_batch and (ranked[x_key] == "full").any():
        caption += " Full batches have no place on the axis."
    yield Picture(
        "lr_sensitivity" if is_lr else f"sensitivity_{_file_part(x_key)}",
        f"Sensitivity to the {x_name}" if is_lr else f"Sensitivity to {x_name}",
        figure,
        caption,
    )


def _points(
    sweep: Sweep, ranked: pandas.DataFrame, x_key: str, panel_key: str | None
) -> pandas.DataFrame:
    """The best setting at each x of each curve; of each panel where curves and panels are few."""
    key = series.series_key(sweep.swept, ranked, apart=[x_key, *([panel_key] if panel_key else [])])
    named = ranked.assign(
        series=series.series_names(sweep, ranked, key),
        x=series.numbers(ranked[x_key]),
        panel="",
        size=0.0,
    )
    if panel_key is not None and named["series"].nunique() <= MAX_CURVES:
        sizes = series.numbers(named[panel_key])
        if sizes.nunique() <= MAX_PANELS:
            named = named.assign(panel=named[panel_key].map(value_text), size=sizes)
    points = series.best_points(named[named["x"].abs() < math.inf])
    return points.sort_values("size", kind="stable")


def _spreads(values: pandas.Series[float]) -> bool:
    """Whether the values above zero span a decade."""
    positive = values[values > 0]
    return len(positive) > 0 and bool(positive.max() >= 10 * positive.min())


def _heat_map(sweep: Sweep, ranked: pandas.DataFrame, lr: str, batch: str) -> Iterator[Picture]:
    from dlrun.figures.sweep_heat_map import lr_batch_size

    key = series.series_key(sweep.swept, ranked, apart=(lr, batch))
    named = ranked.assign(
        series=series.series_names(sweep, ranked, key),
        x=series.numbers(ranked[lr]),
        panel=series.numbers(ranked[batch]),
    )
    cells = series.best_points(named[named["panel"].notna()])
    names = list(cells.loc[cells["mean"].notna(), "series"].drop_duplicates())[:MAX_CURVES]
    columns = ["series", "x", "panel", "rank", "mean", "num_diverged"]
    cells = cells.loc[cells["series"].isin(names), columns]
    cells = cells.rename(columns={"x": "lr", "panel": "batch_size"})
    rates, sizes = cells["lr"].nunique(), cells["batch_size"].nunique()
    if not names or not (1 < rates <= MAX_CELLS and 1 < sizes <= MAX_CELLS):
        return
    if len(cells) < 0.3 * rates * sizes * len(names):  # drawn at random: mostly holes
        return
    figure = lr_batch_size(cells, names, sweep.metric, sweep.higher_is_better)
    title = "Learning rate and batch size"
    yield Picture("lr_batch_size", title, figure, captions.heat_map(sweep, cells, names))


def _optimizers(sweep: Sweep, judged: pandas.DataFrame) -> Iterator[Picture]:
    from dlrun.figures.sweep_optimizers import performance_speed_tuneability

    figure = performance_speed_tuneability(judged, sweep.metric, sweep.higher_is_better)
    title = "Performance, speed and tuneability"
    yield Picture("optimizers", title, figure, captions.optimizers(sweep, judged))


def _importance(sweep: Sweep, mattered: pandas.DataFrame) -> Iterator[Picture]:
    from dlrun.figures.sweep_hyper_parameters import importance

    names = short_names(sweep.swept)
    named = mattered.assign(
        hyper_parameter=mattered["hyper_parameter"].map(lambda k: names.get(k, k))
    )
    figure = importance(named, sweep.metric)
    title = "Which hyper-parameters mattered"
    yield Picture("importance", title, figure, captions.importance(sweep, named))


def _parallel_coordinates(sweep: Sweep, ranked: pandas.DataFrame) -> Iterator[Picture]:
    from dlrun.figures.sweep_hyper_parameters import MAX_AXES, parallel_coordinates

    shown = ranked[ranked["mean"].notna() | (ranked["num_diverged"] > 0)]
    if len(shown) < 4:
        return
    names = short_names(sweep.swept)
    keys = [key for key in sweep.swept if ranked[key].nunique(dropna=False) > 1][:MAX_AXES]
    figure = parallel_coordinates(
        shown.reset_index(drop=True),
        {key: names[key] for key in keys},
        sweep.metric,
        sweep.higher_is_better,
    )
    text = captions.parallel_coordinates(sweep, shown, keys, len(ranked) - len(shown))
    yield Picture("parallel_coordinates", "All settings at once", figure, text)


def _file_part(key: str) -> str:
    """The key as a part of a file's name.

    >>> _file_part("regularization.dropout"), _file_part("a/../b")
    ('regularization_dropout', 'a____b')
    """
    return "".join(char if char.isascii() and char.isalnum() else "_" for char in key)[:60]
