"""How often the surest answers are wrong: risk against the share of cells that are answered.

References
----------
El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 2010;11:1605.
Geifman and El-Yaniv, "Selective classification for deep neural networks", 2017, arXiv:1705.08500.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Share of wrong answers among the surest, as more and more are taken; each array has shape (confidences,)."""

    coverage: Floats
    """Share of all cells that is answered, ascending; below 1 at the end where some have no answer."""
    risk: Floats
    """Share of these answers that are wrong."""

    def at(self, share: float) -> float:
        """Return the risk where at least a share of all cells is answered; NaN where so many are not.

        Examples
        --------
        >>> curve = risk_coverage([0.9, 0.8, 0.8, 0.5], [False, False, True, True], n=5)
        >>> [round(curve.at(share), 2) for share in (0.2, 0.4, 0.8, 1.0)]
        [0.0, 0.33, 0.5, nan]
        """
        place = int(np.searchsorted(self.coverage, share - 1e-12))
        return float(self.risk[place]) if place < self.risk.size else math.nan

    @property
    def area(self) -> float:
        """Mean risk over the answers, taken from the surest on; less is better."""
        return float(np.average(self.risk, weights=np.diff(self.coverage, prepend=0.0)))


def risk_coverage(confidence: ArrayLike, wrong: ArrayLike, *, n: int) -> RiskCoverage:
    """Return how the risk grows as less and less sure answers are taken; equal ones are taken together.

    Parameters
    ----------
    confidence : array-like of shape (answers,)
    wrong : array-like of shape (answers,), bool
    n : int
        All cells, those without an answer, too.

    Raises
    ------
    ValueError
        If there are no answers, lengths differ, or there are more answers than cells.
    """
    sure, missed = np.asarray(confidence, np.float64), np.asarray(wrong, np.float64)
    if sure.ndim != 1 or sure.shape != missed.shape or not 1 <= sure.size <= n:
        msg = f"risk needs a confidence for each of 1 to {n} answers, got shapes {sure.shape} and {missed.shape}"
        raise ValueError(msg)
    values, place = np.unique(-sure, return_inverse=True)
    taken = np.cumsum(np.bincount(place, minlength=values.size))
    mistakes = np.cumsum(np.bincount(place, weights=missed, minlength=values.size))
    return RiskCoverage(taken / n, mistakes / taken)
