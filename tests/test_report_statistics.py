"""Settings, winner, optimizers, importance: against numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_runs import sweep_of

from dlrun.report.importance import sobol
from dlrun.report.optimizers import band
from dlrun.report.read import read_sweep
from dlrun.report.settings import learnt_nothing
from dlrun.report.statistics import (
    importance,
    performance_speed_tuneability,
    settings,
    winner,
)
from dlrun.report.winner import compare

START = [0.1]  # a curve that tells only what the network was before training


def seeds(*values: float | None, **told: Any) -> list[dict[str, Any]]:
    """A run a value, of seeds 0, 1, …; None for one that diverged."""
    return [
        {"seed": seed, "value": value, "status": "completed", "curve": START, **told}
        if value is not None
        else {"seed": seed, "value": 0.99, "status": "diverged", "curve": START, **told}
        for seed, value in enumerate(values)
    ]


def test_a_setting_is_a_mean_over_seeds_with_its_interval(tmp_path: Path) -> None:
    runs = [
        {"x": 1, "seed": 0, "value": 0.9, "test": 0.5, "train_seconds": 1.0},
        {"x": 2, "seed": 0, "value": 0.7, "train_seconds": 5.0},
        {"x": 1, "seed": 1, "value": 0.8, "test": 0.7, "train_seconds": 2.0},
        {"x": 1, "seed": 2, "value": 1.0, "train_seconds": 6.0},
    ]
    best, other = settings(sweep_of(tmp_path, runs)).to_dict("records")
    assert (best["label"], best["x"], best["n"], best["jobs"]) == ("x=1", 1, 3, [0, 2, 3])
    assert best["mean"] == pytest.approx(0.9)
    assert best["std"] == pytest.approx(0.1)  # sqrt((0 + 0.01 + 0.01) / 2)
    half = 4.302653 * 0.1 / math.sqrt(3)  # 97.5 % quantile of t with 2 degrees of freedom
    assert best["low"] == pytest.approx(0.9 - half)
    assert best["high"] == pytest.approx(0.9 + half)
    assert (best["test_n"], best["test_mean"]) == (2, pytest.approx(0.6))
    assert best["test_high"] - best["test_mean"] == pytest.approx(12.706205 * 0.1)
    assert best["seconds"] == pytest.approx(3.0)
    assert best["score"] == pytest.approx(0.9)
    assert (other["n"], other["mean"], other["test_n"]) == (1, 0.7, 0)
    assert all(math.isnan(other[name]) for name in ("std", "low", "high", "test_mean"))


def test_the_best_comes_first_whatever_best_means(tmp_path: Path) -> None:
    runs = [{"x": k, "value": value} for k, value in enumerate((0.5, 0.9, 0.7))]
    assert settings(sweep_of(tmp_path / "up", runs))["x"].tolist() == [1, 2, 0]
    down = sweep_of(tmp_path / "down", runs, direction="minimize")
    assert settings(down)["x"].tolist() == [0, 2, 1]


def test_the_test_split_has_no_say(tmp_path: Path) -> None:
    runs = [{"x": 1, "value": 0.8, "test": 0.1}, {"x": 2, "value": 0.7, "test": 0.9}]
    sweep = sweep_of(tmp_path, runs)
    assert settings(sweep)["x"].tolist() == [1, 2]
    assert winner(sweep).label == "x=1"


def test_equal_settings_keep_the_order_of_the_jobs(tmp_path: Path) -> None:
    runs = [{"x": k, "value": 0.5, "train_seconds": 9.0 - k} for k in (3, 1, 2)]
    assert settings(sweep_of(tmp_path, runs))["x"].tolist() == [3, 1, 2]


def test_diverged_seeds_are_no_part_of_the_mean_and_cost_rank(tmp_path: Path) -> None:
    runs = [*seeds(0.9, 0.9, None, x=1), *seeds(0.7, 0.7, 0.7, x=2), *seeds(None, None, x=3)]
    sweep = sweep_of(tmp_path, runs)
    assert learnt_nothing(sweep) == pytest.approx(0.1)
    steady, shaky, lost = settings(sweep).to_dict("records")
    assert (steady["x"], shaky["x"], lost["x"]) == (2, 1, 3)
    assert (shaky["n"], shaky["mean"], shaky["num_diverged"]) == (2, pytest.approx(0.9), 1)
    assert shaky["score"] == pytest.approx((0.9 + 0.9 + 0.1) / 3)
    assert (lost["n"], lost["num_diverged"], lost["score"]) == (0, 2, pytest.approx(0.1))
    assert math.isnan(lost["mean"])


@pytest.mark.parametrize(("direction", "worst"), [("maximize", 0.05), ("minimize", 0.9)])
def test_a_diverged_run_is_worth_no_more_than_any_finished_one(
    tmp_path: Path, direction: str, worst: float
) -> None:
    sweep = sweep_of(tmp_path, [*seeds(0.05, x=1), *seeds(0.9, None, x=2)], direction=direction)
    assert learnt_nothing(sweep) == pytest.approx(worst)


def test_without_curves_a_diverged_run_is_worth_the_worst_finished_one(tmp_path: Path) -> None:
    runs = [
        {"x": 1, "seed": 0, "value": 0.5},
        {"x": 2, "seed": 0, "value": 0.6},
        {"x": 2, "seed": 1, "status": "diverged"},
    ]
    table = settings(sweep_of(tmp_path, runs))
    assert dict(zip(table["x"], table["score"], strict=True)) == pytest.approx({2: 0.55, 1: 0.5})


def test_all_kinds_of_ends_are_counted(tmp_path: Path) -> None:
    ends = ["completed", "diverged", "failed", "pruned", "running", "interrupted", "pending"]
    runs = [{"x": 1, "seed": k, "value": 0.5, "status": s} for k, s in enumerate(ends)]
    runs += [{"x": 1, "seed": 7, "value": None}, {"x": 1, "seed": 8, "value": 0.5}, {"x": 2}]
    sweep_of(tmp_path, runs)
    (tmp_path / "0008" / "summary.json").write_text("torn")
    row = settings(read_sweep([tmp_path])).to_dict("records")[0]
    assert (row["n"], row["num_diverged"], row["num_pruned"], row["num_unfinished"]) == (1, 1, 1, 3)
    assert row["num_failed"] == 3  # it, the one that has no metric, the unreadable one
    assert row["jobs"] == list(range(9))


def test_a_pruned_trial_counts_with_the_best_it_had_reached(tmp_path: Path) -> None:
    runs = [
        {"x": 1, "seed": 0, "value": 0.9},
        {"x": 1, "seed": 1, "status": "pruned", "curve": [0.1, 0.5, 0.3]},
        {"x": 2, "seed": 0, "value": 0.8},
        {"x": 3, "seed": 0, "status": "pruned", "curve": [0.1, 0.95]},
    ]
    table = settings(sweep_of(tmp_path, runs))
    assert table["x"].tolist() == [2, 1, 3]  # one that never finished is no winner
    assert table["score"].tolist() == pytest.approx([0.8, 0.7, 0.95])
    assert table["mean"].tolist()[1] == 0.9


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_pruned_trial_never_lifts_its_setting(tmp_path: Path, direction: str) -> None:
    sign = 1 if direction == "maximize" else -1
    runs = [
        {"x": 1, "seed": 0, "value": sign * 0.5},
        {"x": 1, "seed": 1, "value": sign * 0.9, "status": "pruned"},
        {"x": 2, "seed": 0, "value": sign * 0.6},
        {"x": 2, "seed": 1, "value": sign * 0.4, "status": "pruned"},
    ]
    table = settings(sweep_of(tmp_path, runs, direction=direction))
    assert table["x"].tolist() == [1, 2]
    assert table["score"].tolist() == pytest.approx([sign * 0.5, sign * 0.5])
    text = winner(sweep_of(tmp_path / "b", runs, direction=direction)).sentence
    assert "the runner-up, x=2, are better by 0.1000, but 1 of its 2 were pruned: in the" in text


def test_two_runs_of_one_seed_are_one_sample(tmp_path: Path) -> None:
    runs = [{"x": 1, "seed": 0, "value": 0.4}, {"x": 1, "seed": 0, "value": 0.6}]
    row = settings(sweep_of(tmp_path, runs)).to_dict("records")[0]
    assert (row["n"], row["mean"]) == (1, pytest.approx(0.5))


def test_labels(tmp_path: Path) -> None:
    runs = [
        {"optimizer": "momentum", "optimizer.lr": 0.1, "optimizer.momentum": 0.9, "value": 0.9},
        {"optimizer": "adam", "optimizer.lr": 1e-05, "value": 0.8},
        {"optimizer": "adam", "optimizer.lr": 0.00012345678, "value": 0.7},
    ]
    assert settings(sweep_of(tmp_path / "a", runs))["label"].tolist() == [
        "optimizer=momentum lr=0.1 momentum=0.9",
        "optimizer=adam lr=1e-05",
        "optimizer=adam lr=0.0001235",
    ]
    close = [{"optimizer.lr": 0.123451, "value": 0.9}, {"optimizer.lr": 0.123452, "value": 0.8}]
    labels = settings(sweep_of(tmp_path / "b", close))["label"].tolist()
    assert labels == ["lr=0.123451", "lr=0.123452"]
    only = settings(sweep_of(tmp_path / "c", [{"seed": 0, "value": 1.0}, {"seed": 1}]))
    assert only["label"].tolist() == ["all runs"]


def test_a_sweep_that_has_not_begun(tmp_path: Path) -> None:
    none = sweep_of(tmp_path / "none", [])
    assert len(settings(none)) == 0
    assert winner(none).sentence == (
        "No run has completed with accuracy/val: there is no winner yet."
    )
    assert len(performance_speed_tuneability(none)) == 0
    assert len(importance(none)) == 0
    pending = sweep_of(tmp_path / "pending", [{"x": k, "status": "pending"} for k in (1, 2)])
    table = settings(pending)
    assert table["num_unfinished"].tolist() == [1, 1]
    assert (winner(pending).label, winner(pending).n) == (None, 0)
    assert math.isnan(performance_speed_tuneability(pending)["performance"].iloc[0])
    assert len(importance(pending)) == 0


def test_paired_t_test() -> None:
    one, other = {0: 0.9, 1: 0.8, 2: 1.0}, {0: 0.85, 1: 0.7, 2: 0.9}
    found = compare(one, other)
    assert found.test == "paired t test"
    assert found.difference == pytest.approx(0.25 / 3)
    # Differences 0.05, 0.1, 0.1: standard error 1/60, t = 5; with 2 degrees of freedom the two
    # tails hold 1 - t / sqrt(t² + 2).
    assert found.p == pytest.approx(1 - 5 / math.sqrt(27))
    assert found.high - found.difference == pytest.approx(4.302653 / 60)
    assert found.difference - found.low == pytest.approx(4.302653 / 60)
    assert found.larger_than_noise
    assert not compare(other, one).larger_than_noise  # p is the same, the sign is not


def test_welchs_t_test() -> None:
    found = compare({0: 1.0, 1: 3.0}, {2: 0.0, 3: 0.0, 4: 0.0})
    assert found.test == "Welch's t test"
    assert found.difference == 2
    # Standard error sqrt(2 / 2 + 0 / 3) = 1 with 1 degree of freedom: Cauchy's distribution.
    assert found.p == pytest.approx(1 - 2 / math.pi * math.atan(2))
    assert found.high - 2 == pytest.approx(12.706205)
    assert not found.larger_than_noise


def test_both_tests_agree_with_scipy() -> None:
    from scipy.stats import ttest_ind, ttest_rel

    generator = np.random.default_rng(0)
    a, b = generator.normal(1, 1, 7), generator.normal(0, 3, 7)
    paired = compare(dict(enumerate(a)), dict(enumerate(b)))
    assert paired.p == pytest.approx(ttest_rel(a, b).pvalue)
    welch = compare(dict(enumerate(a)), dict(enumerate(b[:5])))
    expected = ttest_ind(a, b[:5], equal_var=False)
    assert welch.p == pytest.approx(expected.pvalue)
    assert (welch.low, welch.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_seeds_that_all_say_the_same() -> None:
    same = compare({0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.5})
    assert (same.p, same.low, same.high) == (0.0, 0.25, 0.25)
    assert compare({0: 0.5, 1: 0.5}, {2: 0.5, 3: 0.5}).p == 1.0


def test_differences_that_only_rounding_tells_apart() -> None:
    found = compare({0: 0.9, 1: 0.3, 2: 0.7}, {0: 0.8, 1: 0.2, 2: 0.6})
    assert found.low == found.high == found.difference == pytest.approx(0.1)
    assert found.p == 0.0


def test_one_seed_cannot_be_tested() -> None:
    found = compare({0: 1.0}, {0: 0.5, 1: 0.5})
    assert (found.difference, found.test, found.larger_than_noise) == (0.5, None, False)
    assert math.isnan(found.p)


def test_the_winner_and_its_lead(tmp_path: Path) -> None:
    runs = [
        *seeds(0.9, 0.8, 1.0, test=0.75, x=1),
        *seeds(0.85, 0.7, 0.9, x=2),
        *seeds(0.5, 0.5, 0.5, x=3),
    ]
    best = winner(sweep_of(tmp_path, runs))
    assert (best.label, best.values, best.n, best.runner_up) == ("x=1", {"x": 1}, 3, "x=2")
    assert best.difference == pytest.approx(0.25 / 3)
    assert (best.test, best.larger_than_noise) == ("paired t test", True)
    assert best.sentence == (
        "x=1 is best: accuracy/val 0.90 ± 0.25 (95 % interval, n = 3). Its lead over the "
        "runner-up, x=2, is 0.083 ± 0.072: larger than the noise between seeds (paired t test, "
        "p = 0.038, not corrected for choosing among 3 settings). On the test split, which had no "
        "say: accuracy/test 0.7500 ± 0."
    )


def test_a_lead_within_the_noise_of_a_loss(tmp_path: Path) -> None:
    runs = [*seeds(1.0, 3.0, x=1), *seeds(4.0, 4.0, 4.0, x=2)]
    best = winner(sweep_of(tmp_path, runs, direction="minimize"))
    assert (best.label, best.difference) == ("x=1", 2.0)  # turned: better is > 0
    assert best.difference_low == pytest.approx(2 - 12.706205)
    assert best.sentence == (
        "x=1 is best: accuracy/val 2 ± 13 (95 % interval, n = 2). Its lead over the runner-up, "
        "x=2, is 2 ± 13: not larger than the noise between seeds (Welch's t test, p = 0.3)."
    )


def test_a_winner_of_one_seed(tmp_path: Path) -> None:
    best = winner(sweep_of(tmp_path, [{"x": 1, "value": 0.9}, {"x": 2, "value": 0.8}]))
    assert (best.test, best.larger_than_noise) == (None, False)
    assert best.sentence == (
        "x=1 is best: accuracy/val 0.9000 (n = 1). Its lead over the runner-up, x=2, is 0.1000; "
        "with one seed nobody can tell whether that is noise (type seed=range(5))."
    )


def test_a_winner_without_a_rival(tmp_path: Path) -> None:
    best = winner(sweep_of(tmp_path, [{"x": 1, "value": 0.9}, {"x": 2, "status": "pending"}]))
    assert best.runner_up is None
    assert best.sentence == (
        "x=1 is best: accuracy/val 0.9000 (n = 1). "
        "No other setting has a finished run to compare it with."
    )


def test_a_runner_up_that_is_better_but_for_its_diverged_seed(tmp_path: Path) -> None:
    runs = [*seeds(0.7, 0.7, 0.7, x=1), *seeds(0.9, 0.9, None, x=2)]
    best = winner(sweep_of(tmp_path, runs))
    assert (best.label, best.runner_up, best.larger_than_noise) == ("x=1", "x=2", False)
    assert best.difference == pytest.approx(-0.2)
    assert best.sentence == (
        "x=1 is best: accuracy/val 0.7000 ± 0 (95 % interval, n = 3). The finished runs of the "
        "runner-up, x=2, are better by 0.2000, but 1 of its 3 diverged: in the order such a run "
        "counts as one that has learnt nothing (accuracy/val 0.1000)."
    )


def judged(tmp_path: Path, runs: list[dict[str, Any]], **told: Any) -> dict[str, dict[str, Any]]:
    table = performance_speed_tuneability(sweep_of(tmp_path, runs), **told)
    return {row["optimizer"]: row for row in table.to_dict("records")}


def test_performance_speed_and_tuneability(tmp_path: Path) -> None:
    slow, fast = [0.1, 0.5, 0.8, 0.9], [0.1, 0.9, 0.9, 0.9]
    runs = [
        {"optimizer": "sgd", "optimizer.lr": 1.0, "seed": 0, "value": 0.1, "curve": slow},
        {"optimizer": "sgd", "optimizer.lr": 0.1, "seed": 0, "value": 0.9, "curve": slow},
        {"optimizer": "sgd", "optimizer.lr": 0.01, "seed": 0, "value": 0.5, "curve": slow},
        {"optimizer": "adam", "optimizer.lr": 0.1, "seed": 0, "value": 0.8, "test": 0.7},
        {"optimizer": "adam", "optimizer.lr": 0.01, "seed": 0, "value": 0.7, "curve": fast},
    ]
    table = judged(tmp_path, runs)
    assert list(table) == ["sgd", "adam"]
    sgd, adam = table["sgd"], table["adam"]
    assert sgd["label"] == "optimizer=sgd lr=0.1"
    assert (sgd["num_settings"], sgd["n"], sgd["performance"]) == (3, 1, 0.9)
    assert sgd["threshold"] == pytest.approx(0.1 + 0.95 * 0.8)
    assert (sgd["speed"], sgd["speed_seconds"]) == (3, 6)  # first at 0.86 in epoch 3
    assert (sgd["num_reached"], sgd["num_started"]) == (1, 1)
    # Between 0.9 and 0.1 the line over log lr is at 0.86 after a twentieth of a decade, between
    # 0.9 and 0.5 after a tenth.
    assert sgd["tuneability"] == pytest.approx(0.15)
    assert sgd["lr_low"] == pytest.approx(10**-1.1)
    assert sgd["lr_high"] == pytest.approx(10**-0.95)
    assert not sgd["band_open"]
    assert sgd["share_good"] == pytest.approx(1 / 3)
    assert (adam["performance"], adam["test_mean"]) == (0.8, 0.7)
    assert math.isnan(adam["speed"])  # its best setting left no curve
    assert (adam["tuneability"], adam["share_good"]) == (0, 0)


def test_a_seed_that_never_gets_there_makes_speed_infinite(tmp_path: Path) -> None:
    told = {"optimizer": "sgd", "optimizer.lr": 0.1}
    runs = [
        {**told, "seed": 0, "value": 0.9, "curve": [0.1, 0.9]},
        {**told, "seed": 1, "value": 0.5, "curve": [0.1, 0.5]},
        {**told, "seed": 2, "status": "diverged", "curve": [0.1, 0.9, 0.2]},
        {**told, "seed": 3, "status": "running", "curve": [0.1]},
        {"optimizer": "sgd", "optimizer.lr": 0.5, "seed": 0, "value": 0.2},
    ]
    sgd = judged(tmp_path, runs, threshold=0.9)["sgd"]
    assert (sgd["n"], sgd["num_diverged"]) == (2, 1)
    assert (sgd["speed"], sgd["num_reached"], sgd["num_started"]) == (math.inf, 2, 3)


def test_tuneability_varies_the_learning_rate_alone(tmp_path: Path) -> None:
    def run(lr: float, batch_size: int, value: float) -> dict[str, Any]:
        return {"optimizer": "sgd", "optimizer.lr": lr, "batch_size": batch_size, "value": value}

    runs = [run(0.1, 8, 0.9), run(0.01, 8, 0.8), run(1.0, 8, 0.2), run(0.001, 16, 0.85)]
    sgd = judged(tmp_path, runs, threshold=0.55)["sgd"]
    # With batch size 8 all down to 0.01 is good, where it ends: the band may go on. Upwards it
    # ends where the line from 0.9 to 0.2 is at 0.55, in the middle.
    assert (sgd["lr_low"], sgd["lr_high"]) == pytest.approx((0.01, 10**-0.5))
    assert (sgd["tuneability"], sgd["band_open"]) == (pytest.approx(1.5), True)
    assert sgd["share_good"] == 0.75


def test_an_optimizer_is_judged_by_what_was_repeated(tmp_path: Path) -> None:
    def run(lr: float, seed: int, value: float) -> dict[str, Any]:
        return {"optimizer": "sgd", "optimizer.lr": lr, "seed": seed, "value": value}

    runs = [run(0.1, 0, 0.8), run(0.1, 1, 0.6), run(0.01, 0, 0.9)]
    sgd = judged(tmp_path, runs)["sgd"]
    assert (sgd["label"], sgd["n"]) == ("lr=0.1", 2)
    assert sgd["performance"] == pytest.approx(0.7)


def test_tuneability_of_one_learning_rate_is_unknown() -> None:
    alone = band(np.array([0.1]), np.array([1.0]))
    assert math.isnan(float(alone["tuneability"]))


def test_a_band_ends_at_the_first_bad_learning_rate() -> None:
    lr = np.array([0.1, 1.0, 10.0, 100.0, 0.01])
    found = band(lr, np.array([0.5, 0.5, -0.5, 0.5, math.nan]))
    assert (found["lr_low"], found["lr_high"]) == pytest.approx((0.1, 10**0.5))
    assert found["band_open"]


def test_a_band_that_may_go_on_upwards() -> None:
    found = band(np.array([1.0, 0.1]), np.array([0.5, -0.5]))
    assert (found["lr_low"], found["lr_high"]) == pytest.approx((10**-0.5, 1.0))
    assert found["band_open"]


def grid(scores: Any) -> tuple[list[float], list[float], float]:
    """Shares of a full grid of scores, one axis a hyper-parameter."""
    codes = np.array(list(np.ndindex(scores.shape)))
    return sobol(codes, scores.ravel())


def test_importance_on_a_full_grid_is_the_analysis_of_variance() -> None:
    a, b = np.array([0.0, 0.2]), np.array([0.0, 0.3, 0.6])
    alone, together, total = grid(a[:, None] + b[None, :])
    # Variances 0.01 and 0.06; without interaction the whole is their sum.
    assert alone == pytest.approx([0.01, 0.06])
    assert together == pytest.approx([0.01, 0.06])
    assert total == pytest.approx(0.07)


def test_importance_in_concert_alone() -> None:
    alone, together, total = grid(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert alone == pytest.approx([0, 0], abs=1e-12)
    assert together == pytest.approx([0.25, 0.25])
    assert total == pytest.approx(0.25)


def test_importance_of_hyper_parameters_and_of_the_seed(tmp_path: Path) -> None:
    runs = [
        {"a": a, "b": b, "seed": seed, "value": 0.5 + 0.2 * a + 0.1 * (seed - 0.5) + 0 * len(b)}
        for a in (0, 1)
        for b in ("x", "y", "z")
        for seed in (0, 1)
    ]
    table = importance(sweep_of(tmp_path, runs))
    assert table["hyper_parameter"].tolist() == ["a", "b", "seed"]
    # a: 0.1²; between two seeds 0.1 apart the variance of a sample is 0.1² / 2.
    assert table["share"].tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    assert table["share_with_interactions"].tolist()[:2] == pytest.approx([2 / 3, 0])
    assert math.isnan(table["share_with_interactions"][2])


def test_noise_is_pooled_over_settings(tmp_path: Path) -> None:
    runs = [*seeds(0.4, 0.6, x=1), *seeds(0.4, 0.4, 0.7, x=2)]
    table = importance(sweep_of(tmp_path, runs)).set_index("hyper_parameter")
    # Equal means; squares 0.02 with 1 and 0.06 with 2 degrees of freedom: all is noise.
    assert table["share"].to_dict() == pytest.approx({"x": 0, "seed": 1})
    more = importance(sweep_of(tmp_path / "b", [*runs, *seeds(0.9, x=3)]))
    between = np.var([0.5, 0.5, 0.9])
    noise = 0.08 / 3
    assert more["share"].tolist() == pytest.approx(
        [between / (between + noise), noise / (between + noise)]
    )


def test_importance_where_nothing_mattered(tmp_path: Path) -> None:
    table = importance(sweep_of(tmp_path, [{"a": a, "value": 1 / 3} for a in (1, 2, 3)]))
    assert table["share"].tolist() == [0]


def test_importance_in_a_random_search(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    runs = [
        {
            "optimizer.lr": float(lr),
            "a": float(a),
            "b": float(b),
            "value": 0.5 + 0.1 * lr + 0.01 * a,
        }
        for lr, a, b in generator.uniform(0.1, 1, (100, 3))
    ]
    table = importance(sweep_of(tmp_path, runs)).set_index("hyper_parameter")
    assert table["share"]["optimizer.lr"] > 0.8
    assert (table["share"][["a", "b"]] < 0.1).all()
