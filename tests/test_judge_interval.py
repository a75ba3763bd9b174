"""Bootstrap intervals beside what theory says, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dlrun.judge import interval
from dlrun.judge.interval import mean_intervals, resamples, share_interval


def test_of_a_share_the_quantiles_are_the_binomials() -> None:
    low, high = share_interval(940, 1000)
    expected = stats.binom(1000, 0.94).ppf([0.025, 0.975]) / 1000
    np.testing.assert_allclose([low, high], expected, atol=0.0011)  # one sample


def test_a_share_of_all_or_none_is_a_point() -> None:
    assert share_interval(10, 10) == (1.0, 1.0)
    assert share_interval(0, 10) == (0.0, 0.0)


def test_of_means_the_interval_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, (400, 2))
    values[:, 1] *= 10
    narrow, wide = mean_intervals(values)
    for (low, high), column in zip((narrow, wide), values.T, strict=True):
        error = column.std() / np.sqrt(400)
        assert low == pytest.approx(column.mean() - 1.96 * error, abs=0.1 * error)
        assert high == pytest.approx(column.mean() + 1.96 * error, abs=0.1 * error)


def test_resampling_zeros_and_ones_is_what_the_binomial_says() -> None:
    values = (np.arange(200) < 150).astype(float)[:, None]
    np.testing.assert_allclose(mean_intervals(values)[0], share_interval(150, 200), atol=0.0051)


def test_the_same_each_time_and_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random((50, 1))
    whole = mean_intervals(values)
    assert mean_intervals(values) == whole
    assert mean_intervals(values, seed=1) != whole
    monkeypatch.setattr(interval, "AT_ONCE", 50_000)
    np.testing.assert_allclose(mean_intervals(values), whole, atol=0.01)


def test_fewer_resamples_of_very_many_samples() -> None:
    assert [resamples(count) for count in (1, 40_000, 100_000, 10**9)] == [
        *(10_000, 10_000, 4_000, 1_000)
    ]
