"""Vector scaling: logits to probabilities that mean what they say, severity by severity.

One temperature for all severities and one shift for each: the shift moves the probabilities of a severity as a
whole, which one temperature cannot (training weighs severe cells more, so uncorrected probabilities of severe are too
high).

References
----------
Guo et al., "On calibration of modern neural networks", 2017, arXiv:1706.04599, section 4.2 (vector scaling; here with
one temperature instead of one per class, as severe cells are few).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TEMPERATURES = (0.05, 20.0)
"""Where the temperature is sought."""

_STEADY = 0.25
"""Weight of the squared shifts beside the summed loss: half a cell for a shift of 1, so that a severity that is rare or
missing among the calibration cells keeps a probability."""


@dataclass(frozen=True)
class VectorScaling:
    """Divides logits by a temperature and adds a shift to each.

    Raises
    ------
    ValueError
        If the temperature is not above zero or a shift is not finite.
    """

    temperature: float = 1.0
    shifts: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Shift of each severity, ascending; they sum to 0."""

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not np.isfinite(self.shifts).all():
            msg = f"scaling needs a temperature above 0 and finite shifts, got {self.temperature}, {self.shifts}"
            raise ValueError(msg)

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Return probabilities of logits, both of shape (..., severities).

        Examples
        --------
        >>> VectorScaling(2.0).probabilities([0.0, 0.0, 2 * np.log(2)]).round(6).tolist()
        [0.25, 0.25, 0.5]
        """
        scaled = np.asarray(logits, np.float64) / self.temperature + np.asarray(self.shifts)
        odds = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return odds / odds.sum(axis=-1, keepdims=True)


def fit_vector_scaling(
    logits: Floats, severities: NDArray[np.int64], *, temperature: float | None = None
) -> VectorScaling:
    """Return the scaling of least logarithmic loss; fit it on patients that were neither trained nor are tested on.

    Parameters
    ----------
    logits : ndarray of shape (n, severities)
    severities : ndarray of shape (n,), int64
        Rank of the true severity.
    temperature : float, optional
        Only shifts are fitted where it is given.

    Raises
    ------
    ValueError
        If there is nothing to fit on or lengths differ.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - 0.1 s that grading does not need

    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2 or len(logits) == 0 or len(severities) != len(logits):
        got = f"{logits.shape}, {len(severities)}"
        msg = f"scaling must be fitted on logits (n, severities) and n severities, got {got}"
        raise ValueError(msg)
    rows, truth = np.arange(len(logits)), np.eye(logits.shape[1])[severities]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        inverse, shifts = np.exp(parameters[0]), parameters[1:]
        scaled = logits * inverse + shifts
        top = scaled.max(axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
        off = (np.exp(scaled - log_sum[:, None]) - truth) / len(logits)
        steady = _STEADY / len(logits) * shifts
        slope = np.concatenate([[(off * logits).sum() * inverse], off.sum(axis=0) + 2 * steady])
        return float(np.mean(log_sum - scaled[rows, severities]) + steady @ shifts), slope

    low, high = -np.log(_TEMPERATURES[1]), -np.log(_TEMPERATURES[0])
    start = np.zeros(1 + logits.shape[1])
    if temperature is not None:
        low = high = start[0] = -np.log(temperature)
    bounds: Sequence[tuple[float | None, float | None]] = [(low, high), *[(-10.0, 10.0)] * logits.shape[1]]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    shifts = found[1:] - found[1:].mean()
    return VectorScaling(float(np.exp(-found[0])), tuple(float(shift) for shift in shifts))
