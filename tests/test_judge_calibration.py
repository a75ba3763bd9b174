"""Calibration by hand: bins, gaps, the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlrun.judge.calibration import calibrate
from dlrun.metrics import probabilities


def test_bins_and_expected_calibration_error_by_hand() -> None:
    confidence = np.array([0.30, 0.45, 0.55, 0.60, 0.95, 1.00])
    right = np.array([False, True, True, False, True, True])
    found = calibrate(confidence, right, num_bins=4)
    assert found.counts.tolist() == [0, 2, 2, 2]
    np.testing.assert_allclose(found.confidence, [np.nan, 0.375, 0.575, 0.975])
    np.testing.assert_allclose(found.accuracy, [np.nan, 0.5, 0.5, 1.0])
    assert found.ece == pytest.approx((2 * 0.125 + 2 * 0.075 + 2 * 0.025) / 6)
    assert found.mean_confidence == pytest.approx(confidence.mean())
    assert found.mean_accuracy == pytest.approx(4 / 6)


def test_an_edge_belongs_to_the_bin_below() -> None:
    edges = np.linspace(0, 1, 16)
    found = calibrate(edges[1:], np.ones(15, bool))
    assert found.counts.tolist() == [1] * 15


def test_a_perfectly_calibrated_network_has_no_error() -> None:
    confidence = np.repeat([0.5, 0.75], [100, 100])
    right = np.concatenate([np.arange(100) < 50, np.arange(100) < 75])
    assert calibrate(confidence, right).ece == 0.0


def test_probabilities_of_logits() -> None:
    two = probabilities(torch.tensor([[0.0, np.log(3.0)]]).double())
    np.testing.assert_allclose(two, [[0.25, 0.75]], rtol=1e-6)
    one = probabilities(
        torch.tensor([[np.log(3.0)], [-200.0]]).double()
    )  # a single logit for class 1
    np.testing.assert_allclose(one, [[0.25, 0.75], [1.0, 0.0]], rtol=1e-6, atol=1e-80)
