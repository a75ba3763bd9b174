"""Learning rate over batch size: how far curves lie apart, and what is drawn and said of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_runs import sweep_of

from dlrun.figures.sweep_batch_sizes import lr_over_batch_size as draw
from dlrun.report.batch_rule import Spread, _verdict, lr_over_batch_size, spread
from dlrun.report.picture import Picture
from dlrun.report.read import Sweep
from dlrun.report.statistics import settings

SIZES = (16, 64)
RATES = (0.01, 0.04, 0.16)


def points(height: Callable[[float, float], float], std: float = 0.0, n: int = 3) -> pd.DataFrame:
    """A point for each learning rate and batch size."""
    rows = [
        {"series": "sgd", "batch_size": size, "lr": lr, "ratio": lr / size}
        | {"mean": height(lr, size), "std": std, "n": n, "num_diverged": 0}
        | {"low": height(lr, size) - std, "high": height(lr, size) + std, "rank": 0}
        for size in SIZES
        for lr in RATES
    ]
    return pd.DataFrame(rows)


def test_curves_that_follow_the_ratio_are_one_over_it() -> None:
    # log4(lr / size): over lr the curves lie 1 apart, which is a standard deviation of 1/√2.
    found = spread(points(lambda lr, size: math.log(lr / size, 4), std=0.3), factors=False)
    assert found.by_lr == pytest.approx(1 / math.sqrt(2))
    assert found.by_ratio == pytest.approx(0.0, abs=1e-12)
    assert found.noise == pytest.approx(0.3 / math.sqrt(3))


def test_curves_that_follow_the_learning_rate_are_one_over_it() -> None:
    found = spread(points(lambda lr, size: math.log(lr, 4)), factors=False)
    assert (found.by_lr, found.by_ratio) == pytest.approx((0.0, 1 / math.sqrt(2)))


def test_between_points_curves_run_straight_over_the_logarithm() -> None:
    # Over lr / size the curve of 64 has its points halfway between those of 16.
    shifted = points(lambda lr, size: math.log(lr / size, 4)).assign(
        ratio=lambda table: table["ratio"] * np.where(table["batch_size"] == 64, 2.0, 1.0)
    )
    # Each stands half a step too far right: 0.5 apart, a standard deviation of 0.5/√2.
    assert spread(shifted, factors=False).by_ratio == pytest.approx(0.5 / math.sqrt(2))


def test_losses_over_decades_are_told_in_factors() -> None:
    found = spread(points(lambda lr, size: lr / size, std=0.0), factors=True)
    assert math.exp(found.by_lr) == pytest.approx(math.exp(math.log(4) / math.sqrt(2)))


def test_without_seeds_or_common_places_nothing_is_made_up() -> None:
    table = points(lambda lr, size: lr, n=1).assign(ratio=[1.0, 2.0, 3.0, 10.0, 20.0, 30.0])
    found = spread(table, factors=False)
    assert math.isnan(found.noise) and math.isnan(found.by_ratio) and found.by_lr == 0


def test_each_batch_size_has_a_curve_in_both_panels_and_crosses_where_it_diverged() -> None:
    table = points(lambda lr, size: 0.9 - lr)
    table.loc[(table["batch_size"] == 64) & (table["lr"] == 0.16), "mean"] = math.nan
    table.loc[(table["batch_size"] == 64) & (table["lr"] == 0.16), "num_diverged"] = 3
    figure = draw(table, ["sgd"], "accuracy/val", higher_is_better=True)
    over_lr, over_ratio = figure.axes
    small, large = (line for line in over_lr.lines if line.get_marker() in "os")
    assert np.allclose(small.get_xdata(), RATES)
    assert np.allclose(large.get_xdata(), RATES[:2])
    assert np.allclose(over_ratio.lines[0].get_xdata(), [lr / 16 for lr in RATES])
    crosses = [line for line in over_ratio.lines if line.get_marker() == "x"]
    assert [list(cross.get_xdata()) for cross in crosses] == [[0.16 / 64]]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        *("batch size 16", "batch size 64"),
        *("95 % interval of the mean", "diverged"),
    ]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]


def swept(
    folder: Path, optimizers: tuple[str, ...] = ("sgd",), sizes: tuple[int | str, ...] = SIZES
) -> Sweep:
    """Accuracy falls with the distance of lr / batch size from 0.01, a little by seed."""
    runs = [
        {
            **{"optimizer": optimizer, "optimizer.lr": lr, "batch_size": size, "seed": seed},
            "value": 0.9 - 0.1 * abs(math.log10(lr / (16 if size == "full" else size) / 0.01))
            + 0.001 * seed,
        }
        for optimizer in optimizers
        for lr in RATES
        for size in sizes
        for seed in range(3)
    ]  # fmt: skip
    return sweep_of(folder, runs)


def drawn(sweep: Sweep) -> list[Picture]:
    return list(lr_over_batch_size(sweep, settings(sweep), "optimizer.lr", "batch_size"))


def test_the_caption_tells_distances_and_what_they_say(tmp_path: Path) -> None:
    (picture,) = drawn(swept(tmp_path / "s", sizes=(*SIZES, "full")))
    # log10(4)/10 apart over lr where both fall: 6.0 points, √2 of which is their deviation 4.3.
    assert "At the same learning rate the curves lie 4.3 points apart" in picture.caption
    assert "at the same ratio 0 points; seeds alone make 0.058 points" in picture.caption
    assert (
        "they are one curve" in picture.caption and "Full batches are left out" in picture.caption
    )


def test_optimizers_have_a_row_each(tmp_path: Path) -> None:
    (picture,) = drawn(swept(tmp_path / "s", ("sgd", "adam")))
    assert len(picture.figure.axes) == 4
    assert "sgd: at the same" in picture.caption and "adam: at the same" in picture.caption


def test_one_batch_size_makes_no_picture(tmp_path: Path) -> None:
    assert drawn(swept(tmp_path / "s", sizes=(16, "full"))) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Spread(0.05, 0.004, 0.003, False), "they are one curve"),
        (Spread(0.05, 0.02, 0.003, False), "explains most of it"),
        (Spread(0.05, 0.04, 0.003, False), "brings them closer"),
        (Spread(0.05, 0.06, math.nan, False), "the ratio does not decide"),
    ],
)
def test_the_verdict(found: Spread, said: str) -> None:
    assert said in _verdict(found)
