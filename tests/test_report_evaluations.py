"""What an evaluation of the loss buys: told where runs need more of them than steps."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_runs import sweep_of
from rich.console import Console

from dlrun.report import statistics
from dlrun.report.figures import draw_figures
from dlrun.report.picture import Picture
from dlrun.report.read import Sweep
from dlrun.report.results import print_report
from dlrun.report.series import averaged_curves
from dlrun.report.settings import evaluations_tell, settings
from dlrun.report.tables import ranking_table

LOSS = {"metric": "loss/val", "direction": "minimize"}


def run(optimizer: str, seed: int, curve: list[float], each: int | None) -> dict[str, Any]:
    """A run whose steps, ten an epoch, took so many evaluations each."""
    told: dict[str, Any] = {"metric": "loss", "value": curve[-1], "curve": curve}
    told["steps"] = 10 * (len(curve) - 1)
    if each is not None:
        told["evaluations"] = each * told["steps"]
        told["lines"] = {"evaluations": [10 * each * k for k in range(len(curve))]}
    return {"optimizer": optimizer, "seed": seed, **told}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    runs = [
        *(run("adam", seed, [4.0, 1.0 + seed, 0.5], 1) for seed in (0, 1)),
        *(run("cma_es", seed, [4.0, 3.0, 2.0 + seed], 20 + 2 * seed) for seed in (0, 1)),
    ]
    return sweep_of(tmp_path / "s", runs, **LOSS)


def pictures(sweep: Sweep) -> dict[str, Picture]:
    drawn = draw_figures(
        sweep,
        settings(sweep),
        statistics.performance_speed_tuneability(sweep),
        statistics.importance(sweep),
    )
    return {picture.name: picture for picture in drawn if isinstance(picture, Picture)}


def test_settings_tell_the_mean_number(sweep: Sweep) -> None:
    assert settings(sweep)["evaluations"].tolist() == [20, 420]


def test_an_epoch_stands_at_its_mean_number_and_the_first_has_no_place(sweep: Sweep) -> None:
    best = settings(sweep).assign(series=["adam", "cma_es"])
    averages = averaged_curves(sweep, best, ["loss/val"])
    found = averages[averages["against"] == "evaluations"]
    rows = found[["series", "x", "mean", "low", "high"]].to_numpy().tolist()
    spread = float(np.std([1.0, 2.0], ddof=1))
    assert rows[0] == ["adam", 10.0, 1.5, *(pytest.approx(v) for v in (1.0, 2.0))]
    assert spread > 0.5  # so that the band ends at the outermost runs
    assert [row[:3] for row in rows[1:]] == [
        ["adam", 20.0, 0.5],
        *(["cma_es", 210.0, 3.0], ["cma_es", 420.0, 2.5]),
    ]


def test_the_picture_has_a_logarithmic_axis_and_the_caption_the_numbers(sweep: Sweep) -> None:
    found = pictures(sweep)
    picture = found["loss_over_evaluations"]
    (axes,) = picture.figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "evaluations of the loss (log scale)"
    drawn = [np.asarray(line.get_xdata()).tolist() for line in axes.lines]
    assert sorted(drawn) == [[10.0, 20.0], [210.0, 420.0]]
    low, high = axes.get_ylim()
    assert low < 0.5 and high > 3.0  # the slow one is seen as well
    # cma_es ends at 2.5, where adam is after its first epoch.
    assert picture.caption.endswith(
        "To a validation loss of 2.5 get: adam after 10 and cma_es after 420."
    )
    over = {axes.get_xlabel() for axes in found["best_curves"].figure.axes}
    assert over == {"epoch", "training time (s)"}


def test_both_rankings_have_a_column(sweep: Sweep) -> None:
    file = io.StringIO()
    print_report(sweep, Console(file=file, width=120))
    (row,) = (line for line in file.getvalue().splitlines() if line.startswith("2  cma_es"))
    assert row.split()[-1] == "420"
    table = ranking_table(sweep, settings(sweep))
    column = [column.name for column in table.columns].index("evaluations")
    assert [row.cells[column].text for row in table.rows] == ["20", "420"]
    assert "computed the loss of a batch" in table.note


@pytest.mark.parametrize("each", [1, None])
def test_where_each_step_is_one_evaluation_nothing_is_said(each: int | None, tmp_path: Path):
    runs = [run(name, 0, [4.0, 1.0], each) for name in ("adam", "sgd")]
    sweep = sweep_of(tmp_path / "s", runs, **LOSS)
    assert not evaluations_tell(sweep)
    assert "loss_over_evaluations" not in pictures(sweep)
    file = io.StringIO()
    print_report(sweep, Console(file=file, width=120))
    assert "evaluations" not in file.getvalue()
