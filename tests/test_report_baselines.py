"""The winner beside simpler models on the same splits: figures, leads, tests, sentence."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from report_runs import sweep_of
from rich.console import Console

from dlrun.report.baselines import baselines, lead_rows
from dlrun.report.html import render
from dlrun.report.read import Sweep
from dlrun.report.results import print_report, write_results
from dlrun.report.statistics import performance_speed_tuneability, settings, winner

MSE = {"metric": "mse/val", "direction": "minimize"}


def run(lr: float, seed: int, value: float, test: float, **models: float) -> dict[str, Any]:
    """A run whose baselines have these test figures, and 1 more on validation."""
    told = {name: {"mse/val": mse + 1, "mse/test": mse} for name, mse in models.items()}
    figures = {"metric": "mse", "value": value, "test": test}
    return {"optimizer.lr": lr, "seed": seed, "baselines": told, **figures}


# Test figures of lr 0.1: 10, 11, 12. linear lies 4, 5 and 6 above it, the forest as much below
# it as above.
RUNS = [
    run(0.1, 0, 9.0, 10.0, linear=14.0, random_forest=9.0),
    run(0.1, 1, 9.5, 11.0, linear=16.0, random_forest=11.0),
    run(0.1, 2, 10.0, 12.0, linear=18.0, random_forest=13.0),
    *(run(0.01, seed, 30.0, 30.0, linear=14.0 + 2 * seed) for seed in range(3)),
]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return sweep_of(tmp_path / "s", RUNS, **MSE)


def test_the_lead_is_that_over_shared_seeds_and_positive_where_the_winner_is_better(sweep):
    found = baselines(sweep)
    assert found is not None and (found.val, found.on) == ("mse/val", "mse/test")
    best, forest, linear = found.models
    assert (best.name, best.test.mean, best.lead) == ("lr=0.1", 11.0, None)
    assert (forest.name, forest.val.mean, forest.test.mean, forest.test.n) == (
        *("random_forest", 12.0, 11.0),
        3,
    )
    assert forest.lead is not None and forest.lead.difference == 0.0
    # Differences 4, 5, 6: mean 5, standard error 1/√3, t(2) at 97.5 % is 4.3027.
    assert linear.lead is not None and linear.lead.test == "paired t test"
    assert linear.lead.difference == 5.0 and linear.num_shared == 3
    assert linear.lead.high == pytest.approx(5.0 + 4.3027 / 3**0.5, abs=1e-3)
    assert linear.lead.p == pytest.approx(0.0131, abs=1e-3)  # t = 8.66


def test_the_sentence_can_be_read_out(sweep):
    found = baselines(sweep)
    assert found is not None
    assert found.sentence == (
        "The winner's test mean squared error is 11.0 ± 2.5; on the same splits random forest has "
        "11.0 ± 5.0 and linear has 16.0 ± 5.0. Between the winner and random forest there is no "
        "difference beyond noise (0.0 ± 2.5; paired t test, p = 1, n = 3). The winner is better "
        "than linear by 5.0 ± 2.5 (paired t test, p = 0.013, n = 3)."
    )


def test_of_accuracy_more_is_better_and_a_worse_winner_is_told(tmp_path: Path) -> None:
    def one(seed: int, test: float) -> dict[str, Any]:
        knn = {"knn": {"accuracy/test": test + 0.1 + 0.01 * seed, "accuracy/val": 0.9}}
        return {"optimizer.lr": 0.1, "seed": seed, "value": 0.8, "test": test, "baselines": knn}

    found = baselines(sweep_of(tmp_path / "s", [one(0, 0.7), one(1, 0.71), one(2, 0.72)]))
    assert found is not None and found.models[1].lead is not None
    assert found.models[1].lead.difference == pytest.approx(-0.11)
    assert "The winner is worse than knn by 0.110 ± 0.025" in found.sentence


def test_seeds_that_only_one_of_them_has_do_not_count(tmp_path: Path) -> None:
    runs = [run(0.1, 0, 9.0, 10.0, linear=14.0), run(0.1, 1, 9.5, 11.0)]
    found = baselines(sweep_of(tmp_path / "s", runs, **MSE))
    assert found is not None
    linear = found.models[1]
    assert (linear.num_shared, linear.lead and linear.lead.difference) == (1, 4.0)
    assert "One seed does not tell whether its distance to linear, 4.0000, is noise." in (
        found.sentence
    )
    assert lead_rows(found)[1] == ["linear", "15.0000", "14.0000", "4.0000", "–", "1"]


def test_without_a_test_split_validation_is_compared(tmp_path: Path) -> None:
    runs = [run(0.1, seed, 9.0 + seed, 0.0, linear=14.0) for seed in range(2)]
    for entry in runs:
        del entry["test"]
        entry["baselines"] = {"linear": {"mse/val": 11.0}}
    found = baselines(sweep_of(tmp_path / "s", runs, **MSE))
    assert found is not None and found.on == "mse/val"
    assert found.models[1].lead is not None and found.models[1].lead.difference == 1.5
    assert "validation mean squared error" in found.sentence


def test_baselines_of_other_data_are_no_measure(tmp_path: Path) -> None:
    runs = [
        {**run(0.1, 0, 9.0, 10.0, linear=14.0), "dataset": "boston"},
        {**run(0.1, 0, 50.0, 60.0, linear=90.0), "dataset": "diabetes"},
    ]
    found = baselines(sweep_of(tmp_path / "s", runs, **MSE))
    assert found is not None and found.models[1].test.mean == 14.0


@pytest.mark.parametrize("told", [{}, None, [], {"linear": 3}, {"linear": {"f1/val": 1.0}}])
def test_without_baselines_there_is_no_table(told: Any, tmp_path: Path) -> None:
    entry = {"optimizer.lr": 0.1, "seed": 0, "value": 0.9, "baselines": told}
    assert baselines(sweep_of(tmp_path / "s", [entry])) is None


def test_results_have_a_column_for_each_figure(sweep: Sweep, tmp_path: Path) -> None:
    write_results(sweep, tmp_path / "results.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "results.csv").read_text())))
    assert [row["baseline_linear:mse/test"] for row in rows[:2]] == ["14", "16"]
    assert rows[3]["baseline_random_forest:mse/val"] == ""


def test_terminal_and_page_show_the_table(sweep: Sweep) -> None:
    file = io.StringIO()
    print_report(sweep, Console(file=file, width=120))
    lines = file.getvalue().splitlines()
    start = next(k for k, line in enumerate(lines) if "Baselines on the same splits" in line)
    assert lines[start + 3].split() == ["lr=0.1", "9.5", "±", "1.2", "11.0", "±", "2.5"]
    assert lines[start + 5].split() == (
        ["linear", "17.0", "±", "5.0", "16.0", "±", "5.0", "5.0", "±", "2.5", "0.013", "3"]
    )
    judged = performance_speed_tuneability(sweep)
    page = render(sweep, settings(sweep), winner(sweep), judged, [], {}, datetime(2025, 1, 1))
    assert 'id="baselines"' in page and "better than linear by 5.0 ± 2.5" in page
