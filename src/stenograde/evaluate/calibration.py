"""Whether probabilities mean what they say, and the temperature that would make them do so.

References
----------
Guo et al., "On calibration of modern neural networks", 2017, arXiv:1706.04599 (expected calibration error over the
most probable class, temperature scaling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from stenograde.evaluate.predictions import Predictions

Floats = NDArray[np.float64]

BINS = 10
"""Bins of equal width over 0 to 1."""

_TEMPERATURES = (0.05, 20.0)
"""Where the temperature is sought; far outside anything a trained network needed (Guo et al., 1 to 4)."""

_LEAST_PROBABILITY = 1e-12
"""Stands for a probability of 0, which has no logarithm."""


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Stated against observed, in the bins that hold pictures; each array has shape (filled bins,)."""

    said: Floats
    """Mean of the stated probabilities."""
    seen: Floats
    """Share of the pictures for which it was true."""
    counts: NDArray[np.int64]
    """Pictures in the bin."""

    @property
    def error(self) -> float:
        """Mean distance between stated and observed over the pictures."""
        return float(np.average(np.abs(self.said - self.seen), weights=self.counts))


def reliability(said: Floats, true: NDArray[np.bool_], *, bins: int = BINS) -> ReliabilityCurve:
    """Return how often something was true, by the probability stated for it.

    Parameters
    ----------
    said : ndarray of shape (n,)
        Probabilities.
    true : ndarray of shape (n,), bool
    bins : int
        Number of bins of equal width over 0 to 1; a probability on an edge belongs to the bin above, and 1 to the last.

    Raises
    ------
    ValueError
        If nothing is given, lengths differ, or there are no bins.
    """
    if bins < 1 or len(said) == 0 or np.shape(said) != np.shape(true):
        msg = (
            f"reliability needs bins and as many truths as probabilities, got {bins} bins, {np.shape(said)} "
            f"probabilities, {np.shape(true)} truths"
        )
        raise ValueError(msg)
    places = np.minimum((np.asarray(said) * bins).astype(np.int64), bins - 1)
    counts = np.bincount(places, minlength=bins)
    filled = counts > 0
    sums = (np.bincount(places, weights=np.asarray(of, np.float64), minlength=bins) for of in (said, true))
    means = [total[filled] / counts[filled] for total in sums]
    return ReliabilityCurve(said=means[0], seen=means[1], counts=counts[filled])


def class_reliability(predictions: Predictions, code: int, *, bins: int = BINS) -> ReliabilityCurve:
    """Return how reliable the probabilities of one class are."""
    return reliability(predictions.probabilities[:, code], predictions.labels == code, bins=bins)


def top_reliability(predictions: Predictions, *, bins: int = BINS) -> ReliabilityCurve:
    """Return how reliable the probability of the most probable class is."""
    return reliability(
        predictions.probabilities.max(1), predictions.predicted == predictions.labels, bins=bins
    )


def fit_temperature(predictions: Predictions) -> float:
    """Return the temperature that gives the least logarithmic loss; fit it on pictures that are not the test.

    Above 1, the probabilities were overconfident.
    """
    logs = np.log(np.maximum(predictions.probabilities, _LEAST_PROBABILITY))
    rows = np.arange(len(predictions))

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        top = scaled.max(1)
        sums = top + np.log(np.exp(scaled - top[:, None]).sum(1))
        return float(np.mean(sums - scaled[rows, predictions.labels]))

    # in the inverse temperature the loss is convex, so it has one valley in its logarithm too
    found = minimize_scalar(loss, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))
