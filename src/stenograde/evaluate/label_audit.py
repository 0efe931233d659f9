"""Which labels to look at again: confident learning on out-of-fold probabilities.

Labels are ranked by self-confidence, the probability that the grader gives to the stated label. Where probabilities are
calibrated and a wrong label may be any, no other order finds more wrong labels; so they are calibrated on the labels
first, which also makes conditions comparable. A cell is counted as wrongly labelled only where the grader is as sure of
another class as it is on average of cells that bear the label of that class (the off-diagonal of the confident joint).

References
----------
Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021, JAIR 70:1373,
10.1613/jair.1.12125 (the confident joint; ranking by self-confidence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stenograde.evaluate.labelled_cells import Codes, Floats, checked_classes, checked_probabilities
from stenograde.evaluate.vector_scaling import fit_vector_scaling

_LEAST_PROBABILITY = 1e-6
"""Stands for a probability of 0, which has no logarithm; what six decimals leave."""


@dataclass(frozen=True)
class AuditedLabel:
    """A label and what the grader thinks of it."""

    place: int
    """Row of the cell in what was given."""
    stated: int
    """Class of the label."""
    suggested: int | None
    """Class that confident learning would put in its place; None where it would keep the label."""
    probabilities: tuple[float, ...]
    """What the grader says, calibrated on the labels."""
    score: float
    """Probability of the stated class."""


def audit_labels(
    probabilities: ArrayLike, truth: ArrayLike, *, groups: Sequence[str] | None = None
) -> tuple[AuditedLabel, ...]:
    """Return all labels, the most suspicious first; equals as they were given.

    Parameters
    ----------
    probabilities : ndarray of shape (n, classes)
        Of cells that the grader was not trained on, such as out-of-fold ones: a grader knows by heart what it was
        trained on, wrong labels too.
    truth : ndarray of shape (n,), int
        Number of the stated class.
    groups : sequence of length n, optional
        What to calibrate apart, such as the condition; all together when not given.

    Raises
    ------
    ValueError
        If lengths differ, there is nothing, a row does not sum to one or a label is no class.

    Examples
    --------
    >>> said = [(0.9, 0.1), (0.8, 0.2), (0.1, 0.9), (0.1, 0.9)]
    >>> worst, *_ = audit_labels(said, [0, 0, 1, 0])
    >>> worst.place, worst.stated, worst.suggested
    (3, 0, 1)
    """
    shares = checked_probabilities(probabilities)
    stated = checked_classes(truth, shares.shape)
    names = np.asarray([""] * len(stated) if groups is None else groups)
    if names.shape != stated.shape:
        msg = f"groups must be one for each of {len(stated)} cells, got shape {names.shape}"
        raise ValueError(msg)
    calibrated, suggested = np.empty_like(shares), np.empty_like(stated)
    for name in np.unique(names):
        chosen = names == name
        logits = np.log(np.maximum(shares[chosen], _LEAST_PROBABILITY))
        calibrated[chosen] = fit_vector_scaling(logits, stated[chosen]).probabilities(logits)
        suggested[chosen] = confident_classes(calibrated[chosen], stated[chosen])
    scores = calibrated[np.arange(len(stated)), stated]
    return tuple(
        AuditedLabel(
            place,
            int(stated[place]),
            None if suggested[place] == stated[place] else int(suggested[place]),
            tuple(calibrated[place].tolist()),
            float(scores[place]),
        )
        for place in np.argsort(scores, kind="stable").tolist()
    )


def confident_classes(probabilities: Floats, stated: Codes) -> Codes:
    """Return the class that each cell is confidently of, its stated one where it is of none.

    A cell is confidently of a class if its probability is at least the mean over the cells of that label; of several,
    the most probable one.

    Parameters
    ----------
    probabilities : ndarray of shape (n, classes)
    stated : ndarray of shape (n,), int64

    Returns
    -------
    classes : ndarray of shape (n,), int64
    """
    n_classes = probabilities.shape[1]
    counts = np.bincount(stated, minlength=n_classes)
    sums = np.bincount(stated, weights=probabilities[np.arange(len(stated)), stated], minlength=n_classes)
    usual = np.divide(sums, counts, out=np.full(n_classes, np.inf), where=counts > 0)
    confident = np.where(probabilities >= usual, probabilities, -1.0)
    return np.where(confident.max(axis=1) >= 0, confident.argmax(axis=1), stated)
