"""Calibration: whether a network that is 90 % sure is right nine times out of ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15

# Losses whose outputs are the logits of probabilities; the hinge loss only ranks the classes.
PROBABILISTIC = ("cross_entropy", "nll", "bce")


@dataclass(frozen=True)
class Calibration:
    """Samples by how sure the network is of the class that it predicts, in bins of equal width.

    edges (B + 1,); of each bin counts, mean confidence and accuracy (B,), NaN in an empty one.
    ece: expected calibration error, the mean gap between the two, weighted by counts.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    ece: float

    @property
    def mean_confidence(self) -> float:
        return float(np.nansum(self.counts * self.confidence) / self.counts.sum())

    @property
    def mean_accuracy(self) -> float:
        return float(np.nansum(self.counts * self.accuracy) / self.counts.sum())


def calibrate(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], num_bins: int = NUM_BINS
) -> Calibration:
    """The calibration of predictions with this confidence (N,), the largest probability each.

    Bin b holds confidences in (b / B, (b + 1) / B]. ece = sum_b n_b / N |accuracy_b -
    confidence_b|. Source: Guo et al. 2017, with their 15 bins.

    >>> calibrate(np.array([0.9, 0.9]), np.array([True, False])).ece
    0.4
    """
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    bins = np.digitize(confidence, edges[1:-1], right=True)  # (N,)
    counts = np.bincount(bins, minlength=num_bins)
    filled = np.where(counts > 0, counts, np.nan)
    mean_confidence = np.bincount(bins, weights=confidence, minlength=num_bins) / filled
    accuracy = np.bincount(bins, weights=right, minlength=num_bins) / filled
    gaps = np.abs(accuracy - mean_confidence)
    ece = float(np.nansum(counts * gaps) / len(confidence))
    return Calibration(edges, counts.astype(np.int64), mean_confidence, accuracy, ece)
