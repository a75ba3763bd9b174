"""Pictures of sweeps: what is drawn, which are drawn, and what their captions say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from report_sweep import grid, made_up, settings_frame, values_of

from dlrun.figures import pixels
from dlrun.figures.sweep_axes import interval_window, scale_value_axis
from dlrun.figures.sweep_curves import best_curves
from dlrun.figures.sweep_heat_map import lr_batch_size
from dlrun.figures.sweep_hyper_parameters import importance, parallel_coordinates
from dlrun.figures.sweep_optimizers import performance_speed_tuneability
from dlrun.figures.sweep_ranking import ranking
from dlrun.figures.sweep_sensitivity import sensitivity
from dlrun.report import captions, statistics
from dlrun.report.figures import Picture, draw_figures
from dlrun.report.read import Sweep
from dlrun.report.series import averaged_curves, best_points

ACCURACY = "accuracy/val"


def lines_at(axes: Axes, marker: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_marker() == marker]


def points_of(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def legend_texts(figure: Figure) -> list[str]:
    """In alphabetical order: where they stand depends on how many columns there is room for."""
    return sorted(text.get_text() for text in figure.legends[0].get_texts())


def pictures(sweep: Sweep) -> list[Picture]:
    return list(
        draw_figures(
            sweep,
            statistics.settings(sweep),
            statistics.performance_speed_tuneability(sweep),
            statistics.importance(sweep),
        )
    )


# Ranking


def ranked(*means: float, **columns: Sequence[Any]) -> pd.DataFrame:
    rows = []
    for k, mean in enumerate(means):
        row = {"label": f"s{k}", "mean": mean, "low": mean - 0.01, "high": mean + 0.01}
        rows.append(row | {name: values[k] for name, values in columns.items()})
    return settings_frame(rows)


def test_ranking_draws_mean_and_interval_test_beside_validation():
    table = ranked(
        0.95, 0.93, test_mean=[0.94, 0.92], test_low=[0.93, 0.91], test_high=[0.95, 0.93]
    )
    figure = ranking(table, ACCURACY, higher_is_better=True)
    axes = figure.axes[0]
    assert [points_of(line) for line in lines_at(axes, "o")] == [[(0.95, -0.16)], [(0.93, 0.84)]]
    assert [points_of(line) for line in lines_at(axes, "D")] == [[(0.94, 0.16)], [(0.92, 1.16)]]
    whiskers = [line.get_xdata() for line in axes.lines if line.get_marker() == "None"]
    assert [list(np.round(ends, 3)) for ends in whiskers] == [
        [0.94, 0.96],
        [0.92, 0.94],
        [0.93, 0.95],
        [0.91, 0.93],
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["s0", "s1"]
    assert texts(axes) == ["n = 3", "n = 3"]
    assert axes.get_xlabel() == "accuracy (%)"
    assert legend_texts(figure) == ["test", "validation, mean with 95 % interval"]


def test_ranking_without_intervals_and_test_says_so():
    table = settings_frame(
        [{"label": "a", "mean": 0.5, "n": 1}, {"label": "b", "mean": 0.4, "n": 1}]
    )
    figure = ranking(table, ACCURACY, higher_is_better=True)
    assert legend_texts(figure) == ["validation, mean"]
    assert figure.axes[0].get_xlabel() == "validation accuracy (%)"
    assert len(figure.axes[0].lines) == 2  # dots, no whiskers


def test_ranking_puts_what_is_far_behind_at_the_edge_with_its_value():
    table = ranked(0.97, 0.96, 0.95, 0.10, num_diverged=[0, 0, 0, 2])
    axes = ranking(table, ACCURACY, higher_is_better=True).axes[0]
    assert axes.get_xlim()[0] > 0.9
    assert "◂ 10.00 %" in texts(axes)
    assert "n = 3, 2 diverged" in texts(axes)
    assert len(lines_at(axes, "o")) == 3

    worse = ranking(ranked(0.1, 0.2, 0.3, 90.0), "loss/val", higher_is_better=False).axes[0]
    assert "90 ▸" in texts(worse)


def test_ranking_shows_the_best_twenty():
    figure = ranking(ranked(*(0.9 - 0.001 * k for k in range(25))), ACCURACY, True)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"s{k}" for k in range(20)]
    assert axes.get_title(loc="left") == "the best 20 of 25 settings on validation"


def test_intervals_end_where_the_metric_does():
    axes = ranking(ranked(0.995, 0.99), ACCURACY, higher_is_better=True).axes[0]
    assert max(max(line.get_xdata()) for line in axes.lines) == 1.0
    assert axes.get_xlim()[1] < 1.01


def test_window_leaves_out_one_endless_interval():
    means, ends = np.array([1.0, 1.1, 1.2]), np.array([[0.9, 1.1], [1.0, 1.2], [-50.0, 52.0]])
    low, high = interval_window(means, ends, "x", higher_is_better=True)
    assert -0.1 < low < 0.9 and 1.2 < high < 2.1


# Sensitivity


def sensitive(rows: Sequence[tuple[str, str, float, float, int]]) -> pd.DataFrame:
    """Rows of panel, series, x, mean, num_diverged; the rank is the row's number."""
    columns = ["panel", "series", "x", "mean", "num_diverged"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(rank=table.index, low=table["mean"] - 0.01, high=table["mean"] + 0.01)


NO_RUNS = pd.DataFrame({"panel": [], "series": [], "x": [], "value": []})


def test_sensitivity_draws_a_curve_a_series_in_order_of_x_and_rings_the_first_ranked():
    points = sensitive(
        [
            ("", "adam", 0.01, 0.95, 0),
            ("", "adam", 0.001, 0.96, 0),  # better, but ranked behind: other seeds diverged
            ("", "adam", 0.1, 0.20, 0),
            ("", "momentum", 0.1, 0.94, 0),
            ("", "momentum", 1.0, math.nan, 3),
        ]
    )
    figure = sensitivity(points, NO_RUNS, "learning rate", "", ["adam", "momentum"], ACCURACY, True)
    (axes,) = figure.axes
    curves = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata())]
    adam = next(line for line in curves if len(line.get_xdata()) == 3)
    assert points_of(adam) == [(0.001, 0.96), (0.01, 0.95), (0.1, 0.20)]
    rings = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert [points_of(line) for line in rings] == [[(0.01, 0.95)], [(0.1, 0.94)]]
    (cross,) = lines_at(axes, "x")
    assert list(cross.get_xdata()) == [1.0]
    assert cross.get_ydata()[0] < 0.1  # of the height: at the bottom, where it is bad
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "learning rate (log scale)"
    assert axes.get_ylabel() == "validation accuracy (%)"
    assert legend_texts(figure) == [
        "adam",
        "best",
        "diverged",
        "momentum",
        "± 1 standard deviation",
    ]


def test_sensitivity_of_a_loss_has_its_crosses_on_top_and_lets_explosions_leave():
    rows = [("", "sgd", 0.1**k, 0.1 + 0.1 * k, 0) for k in range(5)]
    rows += [("", "sgd", 10.0, 1e6, 0), ("", "sgd", 100.0, math.nan, 1)]
    axes = sensitivity(sensitive(rows), NO_RUNS, "lr", "", ["sgd"], "loss/val", False).axes[0]
    assert lines_at(axes, "x")[0].get_ydata()[0] > 0.9
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[1] < 100
    assert axes.get_ylabel() == "validation loss, log scale"


def test_sensitivity_has_a_panel_a_batch_size():
    points = sensitive(
        [("32", "a", 0.1, 0.9, 0), ("32", "a", 1.0, 0.8, 0), ("64", "a", 0.1, 0.7, 0)]
    )
    figure = sensitivity(points, NO_RUNS, "lr", "batch size", ["a"], ACCURACY, True)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "batch size 32",
        "batch size 64",
    ]
    first, second = (
        max(axes.lines, key=lambda line: len(line.get_xdata())) for axes in figure.axes
    )
    assert points_of(first) == [(0.1, 0.9), (1.0, 0.8)]
    assert points_of(second) == [(0.1, 0.7)]


def test_many_series_have_a_panel_each_with_the_others_in_grey():
    names = [f"o{k}" for k in range(8)]
    points = sensitive([("", name, x, 0.5, 0) for name in names for x in (0.1, 1.0)])
    figure = sensitivity(points, NO_RUNS, "lr", None, names, ACCURACY, True)
    assert [axes.get_title(loc="left") for axes in figure.axes] == names
    grey = [line for line in figure.axes[0].lines if line.get_color() == "#CCCCCC"]
    assert len(grey) == 8


def test_a_random_search_is_drawn_as_points():
    points = sensitive([("", "a", 0.001 * k, 0.5, 0) for k in range(1, 20)])
    runs = points.rename(columns={"mean": "value"})[["panel", "series", "x", "value"]]
    axes = sensitivity(points, runs, "lr", "", ["a"], ACCURACY, True).axes[0]
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 19)
    assert curve.get_linestyle() == "None"


def test_a_zero_has_its_place_on_a_log_axis():
    axes = Figure().subplots()
    scale_value_axis(axes, [0.0, 1e-4, 1e-2], log=True)
    places = axes.transData.transform([(0.0, 0), (1e-4, 0), (1e-2, 0)])[:, 0]
    assert places[0] < places[1] - 5 and places[1] < places[2] - 5
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.0001", "0.01"]


def test_best_points_take_the_best_ranked_setting_and_keep_what_only_diverged():
    table = pd.DataFrame(
        {
            "panel": "",
            "series": "a",
            "x": [0.1, 0.1, 1.0, 1.0, 10.0, 100.0],
            "mean": [0.9, 0.95, math.nan, 0.5, math.nan, math.nan],
            "num_diverged": [0, 1, 2, 0, 3, 0],
        }
    )
    points = best_points(table)
    assert list(points["rank"]) == [0, 3, 4]  # x = 100 has neither a mean nor a diverged run
    assert list(points["x"]) == [0.1, 1.0, 10.0]


# Heat map


def cells(table: Mapping[tuple[float, float], float], best: tuple[float, float]) -> pd.DataFrame:
    """Cells of one series by (lr, batch size)."""
    rows = [
        ("adam", lr, size, 0 if (lr, size) == best else 1 + k, mean, int(math.isnan(mean)))
        for k, ((lr, size), mean) in enumerate(table.items())
    ]
    columns = ["series", "lr", "batch_size", "rank", "mean", "num_diverged"]
    return pd.DataFrame(rows, columns=columns)


GRID = {
    (0.1, 32.0): 0.9,
    (0.2, 32.0): 0.8,
    (0.4, 32.0): math.nan,
    (0.1, 64.0): 0.7,
    (0.2, 64.0): 0.95,
    (0.4, 64.0): 0.6,
    (0.1, 128.0): 0.5,
    (0.2, 128.0): 0.85,
}


def test_heat_map_writes_each_cell_and_leaves_out_what_was_not_tried():
    axes = lr_batch_size(cells(GRID, (0.2, 64.0)), ["adam"], ACCURACY, True).axes[0]
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {
        (0, 2): "90.0",
        (0, 1): "80.0",
        (0, 0): "×",
        (1, 2): "70.0",
        (1, 1): "95.0",
        (1, 0): "60.0",
        (2, 2): "50.0",
        (2, 1): "85.0",
    }
    assert [label.get_text() for label in axes.get_xticklabels()] == ["32", "64", "128"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.4", "0.2", "0.1"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("batch size (samples)", "learning rate")


def test_heat_map_draws_constant_lr_over_batch_size_through_the_best_cell():
    figure = lr_batch_size(cells(GRID, (0.2, 64.0)), ["adam"], ACCURACY, True)
    axes = figure.axes[0]
    (frame,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert frame.get_x() < 1 < frame.get_x() + frame.get_width()
    assert frame.get_y() < 1 < frame.get_y() + frame.get_height()
    (rule,) = axes.lines
    columns, rows = rule.get_data()
    # lr / batch size = 1/320: 0.1 at 32 (row 2), 0.2 at 64 (row 1), 0.4 at 128 (row 0).
    assert np.interp([0, 1, 2], columns, rows) == pytest.approx([2, 1, 0], abs=0.01)
    assert legend_texts(figure) == ["best", "constant lr / batch size", "diverged"]


def test_heat_map_of_a_whole_batch_has_no_rule():
    table = {(0.1, 32.0): 0.9, (0.2, 32.0): 0.8, (0.1, math.inf): 0.7, (0.2, math.inf): 0.6}
    figure = lr_batch_size(cells(table, (0.1, 32.0)), ["adam"], ACCURACY, True)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["32", "full"]
    assert not figure.axes[0].lines
    assert legend_texts(figure) == ["best"]


@pytest.mark.parametrize("higher", [True, False])
def test_heat_map_is_brightest_where_it_is_best(higher: bool):
    values = [0.2, 0.3, 0.4, 0.5] if not higher else [0.5, 0.4, 0.3, 0.2]
    table = dict(zip([(0.1, 32.0), (0.2, 32.0), (0.1, 64.0), (0.2, 64.0)], values, strict=True))
    axes = lr_batch_size(cells(table, (0.1, 32.0)), ["adam"], "loss/val", higher).axes[0]
    image = axes.images[0]
    shades = [sum(image.cmap(image.norm(value))[:3]) for value in values]
    assert shades == sorted(shades, reverse=True)


# Learning curves


def curve(accuracy: Sequence[float], seconds: Sequence[float]) -> pd.DataFrame:
    epochs = np.arange(len(accuracy), dtype=np.float64)
    return pd.DataFrame({"epoch": epochs, ACCURACY: accuracy, "time/total": seconds})


def sweep_of(runs: pd.DataFrame, curves: dict[int, pd.DataFrame]) -> Sweep:
    return Sweep("s", Path("s"), ACCURACY, True, [], runs, curves, [])


def test_curves_are_averaged_by_epoch_and_stand_at_its_mean_time():
    runs = pd.DataFrame({"job": [0, 1, 2], "status": ["completed"] * 2 + ["failed"], ACCURACY: 0.9})
    curves = {
        0: curve([0.1, 0.5, 0.9], [0.0, 1.0, 2.0]),
        1: curve([0.3, 0.7, 0.7], [0.0, 3.0, 6.0]),
        2: curve([1.0, 1.0, 1.0], [0.0, 9.0, 9.0]),  # failed: not counted
    }
    best = pd.DataFrame({"series": ["a"], "jobs": [[0, 1, 2]]})
    table = averaged_curves(sweep_of(runs, curves), best, [ACCURACY])
    by_epoch, by_seconds = (table[table["against"] == name] for name in ("epoch", "seconds"))
    assert list(by_epoch["x"]) == [0, 1, 2]
    assert list(by_seconds["x"]) == [0, 2, 4]
    assert list(by_epoch["mean"]) == pytest.approx([0.2, 0.6, 0.8])
    assert list(by_epoch["low"]) == pytest.approx([0.1, 0.5, 0.7])  # never beyond the runs
    assert list(by_epoch["high"]) == pytest.approx([0.3, 0.7, 0.9])
    assert list(by_epoch["n"]) == [2, 2, 2]


def test_a_curve_ends_when_fewer_than_half_of_the_seeds_still_train():
    runs = pd.DataFrame({"job": range(3), "status": "completed", ACCURACY: 0.9})
    curves = {
        0: curve([0.1, 0.2], [0, 1]),
        1: curve([0.1, 0.2, 0.3], [0, 1, 2]),
        2: curve([0.1, 0.2, 0.5, 0.9], [0, 1, 2, 3]),
    }
    best = pd.DataFrame({"series": ["a"], "jobs": [[0, 1, 2]]})
    table = averaged_curves(sweep_of(runs, curves), best, [ACCURACY])
    by_epoch = table[table["against"] == "epoch"]
    assert list(by_epoch["x"]) == [0, 1, 2]  # at epoch 3 one of three is left
    assert list(by_epoch["mean"]) == pytest.approx([0.1, 0.2, 0.4])


def averages(series: Sequence[str], against: Sequence[str] = ("epoch", "seconds")) -> pd.DataFrame:
    rows = [
        (name, metric, axis, x, 0.5 + 0.1 * x, 0.4 + 0.1 * x, 0.6 + 0.1 * x)
        for name in series
        for metric in (ACCURACY, "loss/train")
        for axis in against
        for x in (0.0, 1.0, 2.0)
    ]
    return pd.DataFrame(rows, columns=["series", "metric", "against", "x", "mean", "low", "high"])


def test_best_curves_are_drawn_over_epochs_and_over_seconds():
    metrics = {ACCURACY: True, "loss/train": False}
    figure = best_curves(averages("ab"), ["a", "b"], {"a": "A (n = 3)", "b": "$B$"}, metrics)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        assert [points_of(line) for line in axes.lines] == [[(0, 0.5), (1, 0.6), (2, 0.7)]] * 2
        assert len([c for c in axes.collections if isinstance(c, PolyCollection)]) == 2
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "epoch", "training time (s)"]
    assert figure.axes[0].get_ylabel() == "validation accuracy (%)"
    assert legend_texts(figure) == ["$B$", "A (n = 3)", "± 1 standard deviation"]


def test_without_times_there_are_no_panels_over_seconds():
    figure = best_curves(averages("a", ["epoch"]), ["a"], {"a": "A"}, {ACCURACY: True})
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch"]


def test_only_the_best_six_curves_have_a_colour():
    names = list("abcdefgh")
    figure = best_curves(averages(names), names, {n: n for n in names}, {ACCURACY: True})
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert colours.count("#CCCCCC") == 2
    assert len(set(colours)) == 7
    assert legend_texts(figure)[-2:] == ["the others", "± 1 standard deviation"]


# Performance, speed, tuneability


def judged(**columns: Sequence[Any]) -> pd.DataFrame:
    table = {
        "optimizer": ["adam", "sgd"],
        "n": [3, 3],
        "performance": [0.97, 0.95],
        "performance_low": [0.96, 0.94],
        "performance_high": [0.98, 0.96],
        "threshold": [0.9, 0.9],
        "speed": [2.5, math.inf],
        "num_reached": [3, 1],
        "num_started": [3, 3],
        "tuneability": [1.5, 0.0],
        "lr_low": [0.001, math.nan],
        "lr_high": [0.0316, math.nan],
        "band_open": [True, False],
    }
    return pd.DataFrame({**table, **columns})


def test_optimizers_are_judged_in_three_panels():
    figure = performance_speed_tuneability(judged(), ACCURACY, higher_is_better=True)
    performance, speed, tuneability = figure.axes
    assert [points_of(line) for line in lines_at(performance, "o")] == [[(0.97, 0)], [(0.95, 1)]]
    assert [bar.get_width() for bar in speed.patches] == [2.5]
    assert texts(speed) == [" 2.5", "reached by 1 of 3"]
    assert speed.get_xlabel() == "first epoch at 90.00 %"
    assert list(tuneability.lines[0].get_xdata()) == [0.001, 0.0316]
    assert texts(tuneability) == ["  ≥ 1.5 decades", "none is good"]


def test_what_could_not_be_measured_has_no_panel():
    table = judged(speed=[math.nan] * 2, tuneability=[math.nan] * 2)
    figure = performance_speed_tuneability(table, ACCURACY, higher_is_better=True)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["performance"]


# Hyper-parameters


def test_importance_draws_shares_alone_and_with_interactions():
    table = pd.DataFrame(
        {
            "hyper_parameter": ["lr", "seed"],
            "share": [0.6, 0.1],
            "share_with_interactions": [0.8, math.nan],
        }
    )
    axes = importance(table, ACCURACY).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([80, 10, 60, 10])
    assert texts(axes) == [" 60 – 80 %", " 10 %"]
    assert axes.get_xlabel() == "share of the variance of validation accuracy (%)"


def test_parallel_coordinates_draw_the_best_thick_and_the_diverged_dotted():
    table = settings_frame(
        [
            {"optimizer": "adam", "beta": None, "mean": 0.9},
            {"optimizer": "sgd", "beta": 0.5, "mean": 0.8},
            {"optimizer": "sgd", "beta": 0.9, "mean": 0.7},
            {"optimizer": "sgd", "beta": 0.99, "mean": math.nan, "num_diverged": 3},
        ]
    )
    names = {"optimizer": "optimizer", "beta": "β"}
    axes = parallel_coordinates(table, names, ACCURACY, higher_is_better=True).axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(curves) == 4
    (best,) = [line for line in curves if line.get_linewidth() > 3]
    (dotted,) = [line for line in curves if line.get_linestyle() == ":"]
    ends = [float(line.get_ydata()[-1]) for line in curves]
    assert best.get_ydata()[-1] == max(ends)
    assert dotted.get_ydata()[-1] == min(ends)
    assert all(max(abs(np.diff(line.get_ydata()))) < 0.2 for line in curves)  # no jump at an axis
    shown = texts(axes)
    for text in ("adam", "sgd", "none", "0.5", "0.9", "0.99", "90.00 %", "diverged"):
        assert text in shown
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "optimizer",
        "β",
        "validation\naccuracy (%)",
    ]


@pytest.mark.parametrize("higher", [True, False])
def test_parallel_coordinates_end_the_higher_the_better(higher: bool):
    means = [0.1, 0.2, 0.3, 50.0] if not higher else [0.9, 0.8, 0.7, 0.1]
    table = settings_frame([{"x": float(k), "mean": mean} for k, mean in enumerate(means)])
    axes = parallel_coordinates(table, {"x": "x"}, "loss/val", higher).axes[0]
    ends = {}
    for line in axes.lines:
        if len(line.get_xdata()) > 2:
            ends[round(float(line.get_ydata()[0]), 2)] = float(line.get_ydata()[-1])
    in_order_of_x = [ends[start] for start in sorted(ends)]
    assert in_order_of_x == sorted(in_order_of_x, reverse=True)


# Which pictures there are

ALL = [
    "ranking",
    "best_curves",
    "lr_sensitivity",
    "lr_batch_size",
    "lr_over_batch_size",
    "optimizers",
    "importance",
    "parallel_coordinates",
]


@pytest.fixture(scope="module")
def grid_sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return made_up(tmp_path_factory.mktemp("sweep") / "grid", grid())


@pytest.fixture(scope="module")
def grid_pictures(grid_sweep: Sweep) -> list[Picture]:
    return pictures(grid_sweep)


def test_a_grid_has_every_picture(grid_pictures: list[Picture]):
    assert [picture.name for picture in grid_pictures] == ALL


def is_drawn(artist: object) -> bool:
    """Whether there is something finite to see in it."""
    if isinstance(artist, Line2D):
        return bool(np.isfinite(np.asarray(artist.get_xydata(), dtype=np.float64)).all(1).any())
    if isinstance(artist, AxesImage):
        return bool(np.isfinite(np.ma.filled(artist.get_array(), np.nan)).any())
    return isinstance(artist, (Rectangle, PathCollection)) and artist.get_visible()


def test_no_panel_is_empty_and_all_have_names_and_captions(grid_pictures: list[Picture]):
    for picture in grid_pictures:
        assert picture.caption.endswith(".") and "nan" not in picture.caption.lower()
        for axes in picture.figure.axes:
            if axes.get_label() == "<colorbar>":
                continue
            assert any(map(is_drawn, [*axes.lines, *axes.images, *axes.patches])), picture.name
        labels = [axes.get_xlabel() for axes in picture.figure.axes]
        assert any(labels) or picture.name == "parallel_coordinates", picture.name


def test_no_text_is_cut_off(grid_pictures: list[Picture]):
    for picture in grid_pictures:
        height, width, _ = pixels(picture.figure).shape
        found = [text for text in picture.figure.findobj(Text) if isinstance(text, Text)]
        boxes = {text.get_text(): text.get_window_extent() for text in found if text.get_text()}
        assert len(boxes) > 5
        for text, box in boxes.items():
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            # Ticks beyond an axis' ends exist, too, and are not drawn.
            outside = box.x1 < 0 or box.y1 < 0 or box.x0 > width or box.y0 > height
            assert inside or outside, (picture.name, text)


@pytest.mark.parametrize(
    ("jobs", "names"),
    [
        (values_of(seed=[0, 1]), ["best_curves"]),
        (
            values_of(model__activation=["relu", "tanh"], seed=[0, 1]),
            ["ranking", "best_curves", "importance"],
        ),
        (
            values_of(regularization__dropout=[0.0, 0.2, 0.5], seed=[0, 1]),
            ["ranking", "best_curves", "sensitivity_regularization_dropout", "importance"],
        ),
        (
            values_of(optimizer=["adam", "momentum"], seed=[0, 1]),
            ["ranking", "best_curves", "optimizers", "importance"],
        ),
        (
            values_of(optimizer__lr=[0.1, 0.01], seed=[0]),
            ["ranking", "best_curves", "lr_sensitivity"],
        ),
        (
            [
                {"optimizer.lr": 0.001 * (1 + k), "batch_size": 2 ** (k % 8), "seed": 0}
                for k in range(16)
            ],  # drawn at random: a heat map would be full of holes
            ["ranking", "best_curves", "lr_sensitivity", "importance", "parallel_coordinates"],
        ),
    ],
)
def test_only_pictures_that_make_sense(
    jobs: Sequence[Mapping[str, Any]], names: Sequence[str], tmp_path: Path
):
    assert [picture.name for picture in pictures(made_up(tmp_path / "s", jobs))] == names


@pytest.mark.parametrize("status", ["pending", "running", "failed", "diverged"])
def test_without_a_finished_run_there_is_no_picture(status: str, tmp_path: Path):
    jobs = values_of(optimizer__lr=[0.1, 0.01], seed=[0, 1])
    sweep = made_up(tmp_path / "s", jobs, statuses=dict.fromkeys(range(4), status))
    assert pictures(sweep) == []


def test_a_sweep_that_is_under_way_shows_what_there_is(tmp_path: Path):
    statuses = dict.fromkeys(range(50, 90), "pending") | {49: "running"}
    shown = pictures(made_up(tmp_path / "s", grid(), statuses=statuses))
    assert [picture.name for picture in shown] == ALL


def test_names_are_drawn_as_they_are(tmp_path: Path):
    evil = "$x^2$ \\frac <b>\x1b[2J _"
    jobs = [
        {"optimizer": name, "optimizer.lr": lr, evil: name, "seed": seed}
        for name in (f"_{evil}", f"{evil}é")
        for lr in (0.1, 0.01)
        for seed in (0, 1)
    ]
    shown = pictures(made_up(tmp_path / "s", jobs))
    assert len(shown) > 4
    for picture in shown:
        picture.figure.savefig(tmp_path / "p.svg")
    legend = legend_texts(next(p for p in shown if p.name == "lr_sensitivity").figure)
    assert any("_$x^2$" in text for text in legend) and not any("\x1b" in text for text in legend)


# Captions


def test_captions_give_the_numbers(grid_sweep: Sweep, grid_pictures: list[Picture]):
    best = statistics.settings(grid_sweep).iloc[0]
    said = {picture.name: picture.caption for picture in grid_pictures}
    assert said["ranking"].startswith("The best 20 of 30 settings, the best on top")
    assert f"{100 * best['mean']:.2f} % ({best['label']})" in said["ranking"]
    assert "mean over seeds (n = 2 to 3)" in said["lr_sensitivity"]
    assert "Crosses: runs that diverged (momentum at 1)." in said["lr_sensitivity"]
    assert (
        "momentum: from batch size 32 to 512 the best learning rate goes from"
        in (said["lr_batch_size"])
    )
    assert "the rule says 16." in said["lr_batch_size"]
    assert "30 settings" in said["parallel_coordinates"]
    assert "3 settings diverged (dotted)." in said["parallel_coordinates"]


def test_the_heat_maps_caption_compares_with_the_rule():
    table = cells(GRID, (0.2, 64.0))
    text = captions.heat_map(sweep_of(pd.DataFrame(), {}), table, ["adam"])
    # Ranked first are 0.1 at 32 and, of 128, 0.1.
    assert "from batch size 32 to 128 the best learning rate goes from 0.1 to 0.1" in text
    assert "a factor of 1; the rule says 4." in text


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "90.00 %: adam gets there first, after 2.5 epochs."),
        ({"speed": [1.0, 1.0]}, "90.00 %: adam and sgd get there first, after 1 epoch."),
        ({"speed": [math.inf] * 2}, "90.00 %: none gets there with all its seeds."),
        ({}, "widest for adam, at least 1.5 decades (0.001 to 0.0316); ≥ says that"),
        ({"tuneability": [0.0, 0.0]}, "good learning rates: none has one."),
        ({}, "Performance, validation accuracy of the best setting with its 95 % interval: adam"),
    ],
)
def test_the_caption_of_optimizers(columns: dict[str, Sequence[Any]], said: str):
    text = captions.optimizers(sweep_of(pd.DataFrame(), {}), judged(**columns))
    assert said in text


def test_noise_that_explains_more_than_any_hyper_parameter_is_told():
    def say(share: float, noise: float) -> str:
        table = pd.DataFrame(
            {
                "hyper_parameter": ["lr", "seed"],
                "share": [share, noise],
                "share_with_interactions": [share, math.nan],
            }
        )
        return captions.importance(sweep_of(pd.DataFrame(), {}), table)

    assert say(0.7, 0.3).startswith("lr mattered most.")
    assert say(0.3, 0.7).startswith("No hyper-parameter by itself mattered as much as the seed")
    assert "lr 70 %, seed 30 %" in say(0.7, 0.3)


def test_sensitivity_says_how_far_the_best_may_be_missed():
    points = sensitive(
        [
            ("", "adam", 0.01, 0.95, 0),
            ("", "adam", 0.001, 0.945, 0),
            ("", "adam", 0.1, 0.93, 0),
            ("", "sgd", 0.1, 0.9, 0),
        ]
    ).assign(n=3)
    text = captions.sensitivity(sweep_of(pd.DataFrame(), {}), points, "learning rate", None)
    assert "adam is best at 0.01 (95.00 %), and within 1 point of that from 0.001 to 0.01." in text
    assert "sgd is best at 0.1 (90.00 %), and within 1 point of that at no other value." in text
    assert "mean over seeds (n = 3) with a band of one standard deviation of the runs" in text
    alone = captions.sensitivity(
        sweep_of(pd.DataFrame(), {}), points.assign(n=1), "learning rate", None
    )
    assert "one run each (n = 1), so without a band" in alone
