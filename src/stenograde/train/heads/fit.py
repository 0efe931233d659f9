"""Fit a head: one direction of many features, held small, beside what the level alone tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from stenograde.predict.fixed_heads import STEPS, Head, answered
from stenograde.terms import LUMBAR_MRI, Severity

_LEAST_SPREAD = 0.1
"""Spread of a feature is taken as at least this share of the mean spread, so that one that never varies stays small."""


def fit_head(
    features: NDArray[np.float32],
    levels: NDArray[np.int64],
    ranks: NDArray[np.int64],
    *,
    shares: NDArray[np.float64],
    strength: float,
) -> Head:
    """Return the head of least logarithmic loss, its direction held small.

    Parameters
    ----------
    features : ndarray of shape (n, features), float32
        Those of :func:`stenograde.predict.fixed_heads.crop_features`.
    levels, ranks : ndarray of shape (n,), int64
        Place of the level among the lumbar ones, and rank of the severity.
    shares : ndarray of shape (levels, severities)
        How common each severity is at each level where the features are from.
    strength : float
        Weight of the sum of squared weights beside the mean loss, as if there were one feature: it is multiplied by
        their number, so that it means the same for any.

    Raises
    ------
    ValueError
        If there is no cell of some level, or the strength is not above 0.
    """
    seen = np.bincount(levels, minlength=len(LUMBAR_MRI.levels))
    if seen.min() < 1 or strength <= 0:
        msg = f"a head needs cells of every level and a strength above 0, got {seen.tolist()} and {strength}"
        raise ValueError(msg)
    usual = np.stack([features[levels == place].mean(axis=0) for place in range(len(LUMBAR_MRI.levels))])
    off = features - usual[levels]
    spread = off.std(axis=0)
    spread = np.maximum(spread, np.float32(max(_LEAST_SPREAD * float(spread.mean()), 1e-6)))
    off /= spread
    weights, shifts = _fitted(off, shares[levels], ranks, strength * off.shape[1])
    return Head(usual, spread, weights, shifts, shares)


def _fitted(
    off: NDArray[np.float32], shares: NDArray[np.float64], ranks: NDArray[np.int64], strength: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Weights and shifts, the first of which is 0."""
    n, width = off.shape
    truth = np.eye(len(Severity))[ranks]

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, shifts = parameters[:width], np.concatenate([[0.0], parameters[width:]])
        said = answered((off @ weights.astype(np.float32)).astype(np.float64), shifts, shares)
        wrong = (said - truth) / n
        slope = off.T @ (wrong @ STEPS).astype(np.float32) + strength * weights
        value = -np.log(np.maximum(said[np.arange(n), ranks], 1e-15)).mean()
        return float(value + strength / 2 * weights @ weights), np.concatenate([slope, wrong.sum(axis=0)[1:]])

    bounds = [(None, None)] * width + [(-10.0, 10.0)] * (len(Severity) - 1)
    start = np.zeros(width + len(Severity) - 1)
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 500}).x
    return found[:width].astype(np.float32), np.concatenate([[0.0], found[width:]])
