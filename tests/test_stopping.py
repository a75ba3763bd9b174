"""Stopping criteria: each by hand, the direction of metrics, and what an unknown one is told."""

from __future__ import annotations

import math

import pytest

from dlrun import schema
from dlrun.errors import UserError
from dlrun.stopping import EarlyStopping, is_better, reached_threshold, require_metric

FIGURES = {
    "epoch": 3,
    "step": 30,
    "loss/train": 0.5,
    "loss/val": 0.6,
    "accuracy/val": 0.8,
    "mape/val": None,
    "grad_norm": 0.01,
    "lr": 0.1,
    "time/epoch": 1.0,
}


def reached(figures=FIGURES, *, update_norm=None, initial_loss=None, **settings):
    return reached_threshold(
        schema.Stopping(**settings), figures, update_norm=update_norm, initial_loss=initial_loss
    )


@pytest.mark.parametrize("metric", ["accuracy/val", "accuracy/train", "r2/val"])
def test_accuracy_and_r2_should_rise(metric):
    assert is_better(metric, 0.9, 0.8)
    assert not is_better(metric, 0.8, 0.9)
    assert not is_better(metric, 0.8, 0.8)


@pytest.mark.parametrize("metric", ["loss/val", "mse/val", "mae/val", "mape/val", "loss/train"])
def test_losses_and_errors_should_fall(metric):
    assert is_better(metric, 0.8, 0.9)
    assert not is_better(metric, 0.9, 0.8)
    assert not is_better(metric, 0.8, 0.8)


def test_min_delta_is_what_an_improvement_must_exceed():
    assert not is_better("loss/val", 0.75, 1.0, min_delta=0.25)
    assert is_better("loss/val", 0.74, 1.0, min_delta=0.25)
    assert not is_better("r2/val", 0.75, 0.5, min_delta=0.25)
    assert is_better("r2/val", 0.76, 0.5, min_delta=0.25)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_better(value):
    assert not is_better("loss/val", value, None)
    assert not is_better("accuracy/val", value, None)
    assert not is_better("loss/val", value, math.inf)


def test_anything_finite_beats_nothing():
    assert is_better("loss/val", 1e30, None)
    assert is_better("accuracy/val", 0.0, None)


def test_require_metric_gives_the_figure():
    assert require_metric("monitor", "loss/val", FIGURES) == 0.6


@pytest.mark.parametrize(
    ("metric", "guess"),
    [
        ("acuracy/val", "; did you mean accuracy/val?"),
        ("mape/val", ""),  # undefined in this run: all targets are 0, say
        ("f1", ""),
        ("epoch", ""),
        ("step", ""),
    ],
)
def test_unknown_metric_is_told_what_there_is(metric, guess):
    with pytest.raises(UserError) as error:
        require_metric("monitor", metric, FIGURES)
    expected = (
        f"monitor={metric}: this run has no such metric{guess}; "
        "there are loss/train, loss/val, accuracy/val"
    )
    assert str(error.value) == expected


def test_early_stopping_counts_from_the_last_improvement():
    stopping = EarlyStopping("accuracy/val", patience=2)
    values = [0.5, 0.4, 0.6, 0.6, 0.55]
    assert [stopping.update(value) for value in values] == [False, False, False, False, True]
    assert stopping.best == 0.6


def test_early_stopping_min_delta():
    stopping = EarlyStopping("loss/val", patience=2, min_delta=0.1)
    # 0.95 and 0.91 are better than 1.0, but not by more than 0.1; 0.8 would be
    assert [stopping.update(value) for value in (1.0, 0.95, 0.91)] == [False, False, True]
    assert stopping.best == 1.0
    stopping = EarlyStopping("loss/val", patience=2, min_delta=0.1)
    assert [stopping.update(value) for value in (1.0, 0.95, 0.8, 0.75)] == [False] * 4


def test_early_stopping_counts_nan_as_a_bad_epoch():
    stopping = EarlyStopping("loss/val", patience=2)
    assert [stopping.update(value) for value in (1.0, math.nan, math.nan)] == [False, False, True]
    assert stopping.best == 1.0


def test_early_stopping_with_patience_one_stops_at_the_first_bad_epoch():
    stopping = EarlyStopping("loss/val", patience=1)
    assert [stopping.update(value) for value in (1.0, 0.5, 0.6)] == [False, False, True]


def test_early_stopping_is_off_without_patience():
    assert EarlyStopping.from_knobs(schema.Regularization(), "loss/val") is None
    knobs = schema.Regularization(early_stopping_patience=4, early_stopping_min_delta=0.5)
    assert EarlyStopping.from_knobs(knobs, "r2/val") == EarlyStopping("r2/val", 4, 0.5)


def test_nothing_stops_by_default():
    assert reached(update_norm=0.0, initial_loss=0.001) is None


@pytest.mark.parametrize(
    ("metric", "value", "stops"),
    [
        ("accuracy/val", 0.79, True),
        ("accuracy/val", 0.8, True),  # reached exactly
        ("accuracy/val", 0.81, False),
        ("loss/val", 0.61, True),
        ("loss/val", 0.6, True),
        ("loss/val", 0.59, False),
    ],
)
def test_target(metric, value, stops):
    expected = "target" if stops else None
    assert reached(target_metric=metric, target_value=value) == expected


def test_target_of_zero_is_a_target():
    figures = {"loss/train": 0.0}
    assert reached(figures, target_metric="loss/train", target_value=0.0) == "target"


def test_unknown_target_names_its_key():
    with pytest.raises(UserError, match="^stopping.target_metric=auc/val: this run has no such"):
        reached(target_metric="auc/val", target_value=0.9)


def test_nan_never_reaches_a_target():
    figures = {"loss/train": 0.5, "loss/val": math.nan, "r2/val": math.nan}
    assert reached(figures, target_metric="loss/val", target_value=1.0) is None
    assert reached(figures, target_metric="r2/val", target_value=0.1) is None


@pytest.mark.parametrize(("norm", "expected"), [(0.9e-4, "min_update"), (1e-4, None), (None, None)])
def test_min_update(norm, expected):
    assert reached(update_norm=norm, min_update=1e-4) == expected


@pytest.mark.parametrize(("threshold", "expected"), [(0.02, "min_grad_norm"), (0.01, None)])
def test_min_grad_norm(threshold, expected):
    assert reached(min_grad_norm=threshold) == expected
    assert reached({**FIGURES, "grad_norm": None}, min_grad_norm=threshold) is None


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_always_diverges(loss):
    assert reached({"loss/train": loss}) == "divergence"
    assert reached({"loss/train": loss}, initial_loss=math.inf) == "divergence"


@pytest.mark.parametrize(("initial_loss", "expected"), [(0.04, "divergence"), (0.05, None)])
def test_divergence_factor(initial_loss, expected):
    assert reached(initial_loss=initial_loss, divergence_factor=10) == expected


def test_divergence_factor_needs_a_loss_to_compare_with():
    assert reached(initial_loss=None, divergence_factor=1.1) is None
    assert reached(initial_loss=math.nan, divergence_factor=1.1) is None


def test_divergence_comes_before_the_other_criteria():
    figures = {**FIGURES, "loss/train": math.nan}
    settings = {"target_metric": "accuracy/val", "target_value": 0.5, "min_grad_norm": 1.0}
    assert reached(figures, **settings) == "divergence"
    assert reached(**settings) == "target"
