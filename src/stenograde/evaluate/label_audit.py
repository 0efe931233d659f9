"""Which labels to look at again: confident learning on out-of-fold probabilities.

Labels are ranked by self-confidence, the probability of the stated label. Where probabilities are calibrated and a
wrong label may be any, no other order finds more wrong labels; so they are calibrated on the labels first, which also
makes conditions comparable, and :func:`audit_cells` asks what the rest of the patient says, too. A cell is counted as
wrongly labelled only where it is as probably of another class as cells that bear the label of that class are on average
(the off-diagonal of the confident joint).

References
----------
Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021, JAIR 70:1373,
10.1613/jair.1.12125 (the confident joint; ranking by self-confidence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stenograde.evaluate.label_context import probabilities_in_context
from stenograde.evaluate.labelled_cells import Codes, Floats, checked_classes, checked_probabilities
from stenograde.evaluate.vector_scaling import fit_vector_scaling
from stenograde.terms import Cell

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
    """Of all classes, by what the label is audited with."""
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
    return _ranked(_calibrated(shares, stated, names), stated, names)


def audit_cells(
    probabilities: ArrayLike, truth: ArrayLike, cells: Sequence[Cell], patients: Sequence[str]
) -> tuple[AuditedLabel, ...]:
    """Return the labels of cells of the spine, the most suspicious first, with the rest of the patient in view.

    Probabilities are calibrated for each condition; then the patient's other labels, and what the grader says of those,
    are asked (:func:`~stenograde.evaluate.label_context.probabilities_in_context`). Where each patient has one cell,
    this is :func:`audit_labels`.

    Parameters
    ----------
    probabilities, truth
        As of :func:`audit_labels`, classes being severities.
    cells : sequence of Cell
        Of the lumbar scheme, each at most once for a patient.
    patients : sequence of str

    Raises
    ------
    ValueError
        As :func:`audit_labels` and :func:`~stenograde.evaluate.label_context.probabilities_in_context`.
    """
    shares = checked_probabilities(probabilities)
    stated = checked_classes(truth, shares.shape)
    conditions = np.array([cell.condition.value for cell in cells])
    if conditions.shape != stated.shape:
        msg = f"cells must be one for each of {len(stated)} labels, got {len(cells)}"
        raise ValueError(msg)
    calibrated = _calibrated(shares, stated, conditions)
    return _ranked(probabilities_in_context(calibrated, stated, cells, patients), stated, conditions)


def _calibrated(shares: Floats, stated: Codes, groups: NDArray[np.str_]) -> Floats:
    """Return probabilities that mean what they say, fitted to the labels of each group."""
    calibrated = np.empty_like(shares)
    for name in np.unique(groups):
        chosen = groups == name
        logits = np.log(np.maximum(shares[chosen], _LEAST_PROBABILITY))
        calibrated[chosen] = fit_vector_scaling(logits, stated[chosen]).probabilities(logits)
    return calibrated


def _ranked(probabilities: Floats, stated: Codes, groups: NDArray[np.str_]) -> tuple[AuditedLabel, ...]:
    """Return all labels, the least probable first; what is confident is counted within each group."""
    suggested = np.empty_like(stated)
    for name in np.unique(groups):
        chosen = groups == name
        suggested[chosen] = confident_classes(probabilities[chosen], stated[chosen])
    scores = probabilities[np.arange(len(stated)), stated]
    return tuple(
        AuditedLabel(
            place,
            int(stated[place]),
            None if suggested[place] == stated[place] else int(suggested[place]),
            tuple(probabilities[place].tolist()),
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
