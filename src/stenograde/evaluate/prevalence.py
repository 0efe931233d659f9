"""What a score becomes where the classes are as common as in life, not as in a balanced test set.

How often each class is called which does not depend on how common the class is; the accuracy and the predictive
values do. They follow from the rows of the confusion matrix by Bayes' rule (10.1136/bmj.309.6947.102).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.metrics import Metric, confusions
from stenograde.evaluate.predictions import Predictions

Floats = NDArray[np.float64]

_SUM_TOLERANCE = 0.01
"""How far given shares may sum from one before they are taken for a mistake; they are scaled to one."""


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
