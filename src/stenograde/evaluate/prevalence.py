"""What a score becomes where the classes are as common as in life, and not as the test set was balanced.

How often each class is called which does not depend on how common the class is; the accuracy and the predictive
values do. They follow from the rows of the confusion matrix by Bayes' rule (10.1136/bmj.309.6947.102).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stenograde.evaluate.metrics import Metric, confusion, confusions
from stenograde.evaluate.predictions import Predictions

Floats = NDArray[np.float64]

RSNA_2024: dict[str, tuple[float, float, float]] = {
    "spinal_canal_stenosis": (0.878, 0.075, 0.048),
    "neural_foraminal_narrowing": (0.780, 0.181, 0.040),
    "subarticular_stenosis": (0.714, 0.190, 0.096),
}
"""Shares of normal/mild, moderate and severe cells by condition, counted in ``train.csv`` of RSNA 2024 (1,975 studies;
rounded, so that they sum to one only nearly)."""

_SUM_TOLERANCE = 0.01
"""How far given shares may sum from one before they are taken for a mistake; they are scaled to one."""


@dataclass(frozen=True)
class AtPrevalence:
    """Scores where the classes have given shares."""

    prevalence: tuple[float, ...]
    """Share of each class, summing to one."""
    accuracy: float
    ppv: tuple[float, ...]
    """Positive predictive value of each class; NaN for one that is never said."""
    npv: tuple[float, ...]
    """Negative predictive value of each class; NaN for one that is always said."""
    majority: float
    """Accuracy of always saying the most common class."""


def at_prevalence(predictions: Predictions, prevalence: Sequence[float]) -> AtPrevalence:
    """Return accuracy and predictive values where the classes have the given shares.

    Parameters
    ----------
    predictions : Predictions
        On a test set of any balance.
    prevalence : sequence of float, one per class
        Shares in life, in the order of the classes.

    Raises
    ------
    ValueError
        If the shares do not fit, or no picture has a class whose share is above zero.
    """
    return matrix_at_prevalence(confusion(predictions), prevalence)


def matrix_at_prevalence(matrix: ArrayLike, prevalence: Sequence[float]) -> AtPrevalence:
    """Return the same for a confusion matrix, such as a published one.

    Parameters
    ----------
    matrix : array-like of shape (classes, classes)
        Rows are true classes, columns predicted ones.
    prevalence : sequence of float, one per class

    Raises
    ------
    ValueError
        If the shares do not fit, or a class whose share is above zero has no row.
    """
    counts = np.asarray(matrix, np.float64)
    shares = _shares(prevalence, counts)
    joint = _joint(counts[None], shares)
    if np.isnan(joint).any():
        msg = f"every class with a share must have pictures, got rows of {counts.sum(1).tolist()} pictures"
        raise ValueError(msg)
    codes = range(len(shares))
    return AtPrevalence(
        prevalence=tuple(shares.tolist()),
        accuracy=float(np.trace(joint[0])),
        ppv=tuple(float(_ppv(joint, code)[0]) for code in codes),
        npv=tuple(float(_npv(joint, code)[0]) for code in codes),
        majority=float(shares.max()),
    )


def accuracy_at(prevalence: Sequence[float]) -> Metric:
    """Return the accuracy at given shares as a score, for its interval."""
    return Metric(lambda p, w: np.trace(_joints(p, w, prevalence), axis1=1, axis2=2))


def ppv_at(prevalence: Sequence[float], code: int) -> Metric:
    """Return the positive predictive value of a class at given shares as a score, for its interval."""
    return Metric(lambda p, w: _ppv(_joints(p, w, prevalence), code))


def npv_at(prevalence: Sequence[float], code: int) -> Metric:
    """Return the negative predictive value of a class at given shares as a score, for its interval."""
    return Metric(lambda p, w: _npv(_joints(p, w, prevalence), code))


def _joints(predictions: Predictions, weights: Floats, prevalence: Sequence[float]) -> Floats:
    matrices = confusions(predictions, weights)
    return _joint(matrices, _shares(prevalence, matrices[0]))


def _shares(prevalence: Sequence[float], matrix: Floats) -> Floats:
    shares = np.asarray(prevalence, np.float64)
    fits = matrix.ndim == 2 and matrix.shape == (len(shares), len(shares)) and len(shares) > 1
    if not fits or not (shares >= 0).all() or not abs(shares.sum() - 1) <= _SUM_TOLERANCE:
        msg = (
            f"prevalence must be a share for each class of a square matrix, summing to one, got {list(prevalence)} "
            f"for a matrix of shape {matrix.shape}"
        )
        raise ValueError(msg)
    return shares / shares.sum()


def _joint(matrices: Floats, shares: Floats) -> Floats:
    """Share of each pair of true and predicted class, shape (draws, classes, classes); NaN for a row of nothing."""
    rows = matrices.sum(2, keepdims=True)
    called = np.divide(matrices, rows, out=np.full_like(matrices, np.nan), where=rows > 0)
    return np.where(shares[:, None] > 0, called * shares[:, None], 0.0)


def _ppv(joints: Floats, code: int) -> Floats:
    said = joints[:, :, code].sum(1)
    return np.divide(joints[:, code, code], said, out=np.full(len(said), np.nan), where=said > 0)


def _npv(joints: Floats, code: int) -> Floats:
    unsaid = np.delete(joints, code, axis=2).sum((1, 2))
    right = np.delete(np.delete(joints, code, axis=2), code, axis=1).sum((1, 2))
    return np.divide(right, unsaid, out=np.full(len(unsaid), np.nan), where=unsaid > 0)
