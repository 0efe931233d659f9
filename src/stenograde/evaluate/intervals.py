"""Intervals of scores: whole patients are drawn again and again, since pictures of one patient resemble each other.

References
----------
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile interval).
Field and Welsh, "Bootstrapping clustered data", 2007, 10.1111/j.1467-9868.2007.00593.x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.metrics import METRICS, Metric, metric_named
from stenograde.evaluate.predictions import Predictions

Floats = NDArray[np.float64]

COVERAGE = 0.95
"""Share of the draws that lie within an interval."""

_BLOCK = 2_000_000
"""Weights held at once (16 MB), so that many pictures do not fill the memory."""


@dataclass(frozen=True)
class Interval:
    """A score and the interval around it."""

    value: float
    """Score on the pictures as they are; NaN where it is undefined."""
    low: float = math.nan
    high: float = math.nan
    draws: int = field(default=0, compare=False)
    """Draws in which the score was defined; without any, the bounds are NaN."""

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    @property
    def known(self) -> bool:
        """Whether the score is defined."""
        return math.isfinite(self.value)

    @property
    def bounded(self) -> bool:
        """Whether its interval is defined, too."""
        return self.known and math.isfinite(self.low) and math.isfinite(self.high)

    def shown(self, digits: int = 3) -> str:
        """Return the score with its interval for a table; a dash where it is undefined.

        Examples
        --------
        >>> Interval(0.8312, 0.79, 0.87).shown(2), Interval(0.5).shown(), Interval(math.nan).shown()
        ('0.83 (0.79 to 0.87)', '0.500', '–')
        """
        if not self.bounded:
            return f"{self.value:.{digits}f}" if self.known else "–"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def patient_bootstrap(
    predictions: Predictions, metric: str | Metric, *, draws: int = 1000, seed: int = 0
) -> Interval:
    """Return a score with its 95 % interval over patients.

    The metric is a name in ``METRICS``, or a score such as ``recall_of(2)``. Each draw takes as many patients as there
    are, with replacement.

    Raises
    ------
    ValueError
        If the metric is unknown or there are no draws.
    """
    chosen = metric_named(metric) if isinstance(metric, str) else metric
    return bootstrap_scores(predictions, {"score": chosen}, draws=draws, seed=seed)["score"]


def bootstrap_scores(
    predictions: Predictions, metrics: Mapping[str, Metric] = METRICS, *, draws: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return several scores with their 95 % intervals, all from the same draws of patients.

    Raises
    ------
    ValueError
        If there are no draws.
    """
    found: dict[str, list[Floats]] = {name: [] for name in metrics}
    for weights in patient_weights(predictions.units, draws=draws, seed=seed):
        for name, metric in metrics.items():
            found[name].append(metric.weighted(predictions, weights))
    return {
        name: interval_of(metric(predictions), np.concatenate(found[name]))
        for name, metric in metrics.items()
    }


def interval_of(value: float, drawn: Floats) -> Interval:
    """Return the percentile interval of drawn scores; draws that are NaN are left out."""
    known = drawn[~np.isnan(drawn)]
    if known.size == 0:
        return Interval(value)
    tail = 100 * (1 - COVERAGE) / 2
    low, high = (float(bound) for bound in np.percentile(known, (tail, 100 - tail)))
    return Interval(value, low, high, int(known.size))


def patient_weights(units: NDArray[np.int64], *, draws: int, seed: int) -> Iterator[Floats]:
    """Yield how often each picture is counted, shape (some draws, n), until all draws are made.

    Parameters
    ----------
    units : ndarray of shape (n,)
        Number of each picture's patient, from 0.
    draws, seed : int
        The same numbers give the same draws, whatever is scored.

    Raises
    ------
    ValueError
        If there are no draws.
    """
    if draws < 1:
        msg = f"draws must be at least 1, got {draws}"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    n_patients = int(units.max()) + 1
    share = np.full(n_patients, 1 / n_patients)
    block = max(1, _BLOCK // len(units))
    for first in range(0, draws, block):
        counts = rng.multinomial(n_patients, share, size=min(block, draws - first))
        yield counts[:, units].astype(np.float64)
