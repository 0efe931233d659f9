"""Scores of predictions; each is worked out for many weightings of the pictures at once, as a bootstrap needs it.

A :class:`Metric` called with predictions gives one number. Its ``weighted`` form takes weights of shape (draws,
pictures), how often each picture is counted, and gives one number per draw. An undefined score, such as an AUC
without a positive picture, is NaN.

Means over classes leave out a class that no picture has; a class that has pictures and is never predicted has
precision 0. It is what scikit-learn gives for ``labels=<classes present>, zero_division=0``, and tests compare it so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.predictions import Predictions

Floats = NDArray[np.float64]

_LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Floor of probabilities in the logarithmic loss, as in scikit-learn's ``log_loss``."""


@dataclass(frozen=True)
class Metric:
    """One score of predictions."""

    weighted: Callable[[Predictions, Floats], Floats]
    """Predictions and weights (draws, n) to scores (draws,); NaN where undefined."""

    def __call__(self, predictions: Predictions) -> float:
        """Return the score with every picture counted once."""
        return float(self.weighted(predictions, np.ones((1, len(predictions))))[0])


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class against all others; NaN where undefined."""

    name: str
    count: int
    """Pictures that have it."""
    precision: float
    recall: float
    """Also called sensitivity."""
    f1: float
    specificity: float
    auc: float


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Return how often each true class (row) was called which class (column), shape (classes, classes)."""
    return confusions(predictions, np.ones((1, len(predictions))))[0].astype(np.int64)


def confusions(predictions: Predictions, weights: Floats) -> Floats:
    """Return confusion matrices, shape (draws, true class, predicted class), for weights of shape (draws, n)."""
    n = len(predictions.classes)
    cells = np.zeros((len(predictions), n * n))
    cells[np.arange(len(predictions)), predictions.labels * n + predictions.predicted] = 1
    return (weights @ cells).reshape(-1, n, n)


def per_class(predictions: Predictions) -> tuple[ClassScores, ...]:
    """Return the scores of each class, in the order of the classes."""
    counts = np.bincount(predictions.labels, minlength=len(predictions.classes))
    return tuple(
        ClassScores(
            name=name,
            count=int(counts[code]),
            precision=precision_of(code)(predictions),
            recall=recall_of(code)(predictions),
            f1=f1_of(code)(predictions),
            specificity=specificity_of(code)(predictions),
            auc=auc_of(code)(predictions),
        )
        for code, name in enumerate(predictions.classes)
    )


def precision_of(code: int) -> Metric:
    """Return the share of pictures called a class that have it; 0 where it was never predicted."""
    return Metric(lambda p, w: _precisions(confusions(p, w))[:, code])


def recall_of(code: int) -> Metric:
    """Return the share of pictures of a class that were called it (sensitivity)."""
    return Metric(lambda p, w: _recalls(confusions(p, w))[:, code])


def f1_of(code: int) -> Metric:
    """Return the harmonic mean of precision and recall of a class."""
    return Metric(lambda p, w: _f1s(confusions(p, w))[:, code])


def specificity_of(code: int) -> Metric:
    """Return the share of pictures without a class that were not called it."""
    return Metric(lambda p, w: _specificities(confusions(p, w), code))


def auc_of(code: int) -> Metric:
    """Return the area under the ROC curve of a class against all others."""
    return Metric(lambda p, w: weighted_auc(p.probabilities[:, code], p.labels == code, w))


def weighted_auc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the area under the ROC curve for each weighting of the rows; equal scores count half.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Higher means more likely positive.
    positive : ndarray of shape (n,), bool
    weights : ndarray of shape (draws, n)

    Returns
    -------
    areas : ndarray of shape (draws,)
        NaN where positives or negatives have no weight.
    """
    order = np.argsort(scores, kind="stable")
    ordered = np.asarray(scores)[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    up = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    down = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(down, axis=1) - down / 2
    return _ratio((up * below).sum(1), up.sum(1) * down.sum(1))


def _ratio(upper: Floats, lower: Floats, otherwise: float = np.nan) -> Floats:
    full = np.full(np.broadcast_shapes(np.shape(upper), np.shape(lower)), otherwise)
    return np.divide(upper, lower, out=full, where=np.asarray(lower) != 0)


def _diagonals(matrices: Floats) -> Floats:
    return np.diagonal(matrices, axis1=1, axis2=2)


def _recalls(matrices: Floats) -> Floats:
    return _ratio(_diagonals(matrices), matrices.sum(2))


def _precisions(matrices: Floats) -> Floats:
    said = _ratio(_diagonals(matrices), matrices.sum(1), otherwise=0.0)
    return np.where(matrices.sum(2) > 0, said, np.nan)


def _f1s(matrices: Floats) -> Floats:
    both = matrices.sum(1) + matrices.sum(2)
    return np.where(matrices.sum(2) > 0, _ratio(2 * _diagonals(matrices), both), np.nan)


def _specificities(matrices: Floats, code: int) -> Floats:
    without = np.delete(matrices, code, axis=1)
    total = without.sum((1, 2))
    return _ratio(total - without[:, :, code].sum(1), total)


def _mean_known(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1).astype(np.float64))


def _accuracy(predictions: Predictions, weights: Floats) -> Floats:
    return _mean(predictions.predicted == predictions.labels, weights)


def _macro_precision(predictions: Predictions, weights: Floats) -> Floats:
    return _mean_known(_precisions(confusions(predictions, weights)))


def _macro_recall(predictions: Predictions, weights: Floats) -> Floats:
    return _mean_known(_recalls(confusions(predictions, weights)))


def _macro_f1(predictions: Predictions, weights: Floats) -> Floats:
    return _mean_known(_f1s(confusions(predictions, weights)))


def _macro_auc(predictions: Predictions, weights: Floats) -> Floats:
    codes = range(len(predictions.classes))
    return _mean_known(np.stack([auc_of(code).weighted(predictions, weights) for code in codes], axis=-1))


def _log_loss(predictions: Predictions, weights: Floats) -> Floats:
    shares = predictions.probabilities[np.arange(len(predictions)), predictions.labels]
    sums = predictions.probabilities.sum(1)
    return _mean(-np.log(np.maximum(shares / sums, _LEAST_PROBABILITY)), weights)


def _brier(predictions: Predictions, weights: Floats) -> Floats:
    truth = np.eye(len(predictions.classes))[predictions.labels]
    return _mean(((predictions.probabilities - truth) ** 2).sum(1), weights)


def _quadratic_kappa(predictions: Predictions, weights: Floats) -> Floats:
    matrices = confusions(predictions, weights)
    codes = np.arange(len(predictions.classes))
    penalty = (codes[:, None] - codes[None, :]) ** 2
    by_chance = matrices.sum(2)[:, :, None] * matrices.sum(1)[:, None, :]
    seen, expected = ((penalty * table).sum((1, 2)) for table in (matrices, by_chance))
    return 1 - _ratio(seen * matrices.sum((1, 2)), expected)


def _mean(values: NDArray[np.generic], weights: Floats) -> Floats:
    return _ratio(weights @ np.asarray(values, np.float64), weights.sum(1))


def _any(predictions: Predictions) -> tuple[Floats, NDArray[np.bool_]]:
    # minus the first probability orders as one minus it does, without rounding neighbours together
    return -predictions.probabilities[:, 0], predictions.labels > 0


def _worst(predictions: Predictions) -> tuple[Floats, NDArray[np.bool_]]:
    return predictions.probabilities[:, -1], predictions.labels == len(predictions.classes) - 1


QUESTIONS: dict[str, Callable[[Predictions], tuple[Floats, NDArray[np.bool_]]]] = {
    "auc_any": _any,
    "auc_worst": _worst,
}
"""Yes-or-no questions by the name of their score: what orders the pictures (n,), and which are positive (n,)."""


def _area(question: str) -> Metric:
    return Metric(lambda p, w: weighted_auc(*QUESTIONS[question](p), w))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_accuracy),
    # the same number as macro_recall, under the word that imbalance is discussed in
    "balanced_accuracy": Metric(_macro_recall),
    "macro_precision": Metric(_macro_precision),
    "macro_recall": Metric(_macro_recall),
    "macro_f1": Metric(_macro_f1),
    "auc_any": _area("auc_any"),
    "auc_worst": _area("auc_worst"),
    "macro_auc": Metric(_macro_auc),
    "log_loss": Metric(_log_loss),
    "brier": Metric(_brier),
    "quadratic_kappa": Metric(_quadratic_kappa),
}
"""Scores by name. ``auc_any``: any class but the first against the first; ``auc_worst``: the last class against the
others; ``macro_auc``: mean over classes, each against the others; ``log_loss``: natural logarithm; ``brier``: sum over
classes of squared errors, 0 to 2 (Brier 1950, 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2); ``quadratic_kappa``:
Cohen's kappa with squared distance of codes (10.1037/h0026256), for classes in an order."""

LOWER_IS_BETTER = frozenset({"log_loss", "brier"})
"""Scores of which less is better."""


def metric_named(name: str) -> Metric:
    """Return a score by its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in METRICS:
        msg = f"metric must be one of {', '.join(METRICS)}, got {name!r}"
        raise ValueError(msg)
    return METRICS[name]
