"""What everything else about a patient says of a label: probabilities in context, cross-fitted by patient.

The labels of a patient's other cells, and what the grader says of those, tell of a cell what its own crops do not: how
strict its reader was, and what is narrow next to it. For each condition a multinomial logistic regression that starts
from the grader's calibrated probabilities learns this from the labels as they are, wrong ones too; each fifth of the
patients is judged by what the others taught.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.labelled_cells import Codes, Floats
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Side

_FOLDS = 5

_PENALTIES = (30.0, 300.0)
"""Of half the squared weights of what describes the cell itself, and of all else, beside the summed loss: in a small
cohort the calibrated probabilities remain. The second was chosen among 5 to 1000 on the predictions of the 4th place of
RSNA 2024, on other planted labels than those that docs/conformal.md reports."""

_STEPS = 60
"""Of the fit at most; more of them changed the logarithmic loss by less than 1e-4."""

_LEAST = 1e-6
"""Stands for a probability of 0, which has no logarithm."""

_PLACES = tuple((condition, side) for condition in Condition for side in Side)
"""Where the cells of a level stand, sides of a condition beside each other; the canal stands on both."""


def probabilities_in_context(
    calibrated: Floats, stated: Codes, cells: Sequence[Cell], patients: Sequence[str]
) -> Floats:
    """Return the probability of each severity of a cell, given all that is known of its patient but its own label.

    Parameters
    ----------
    calibrated : ndarray of shape (n, severities)
        What the grader says of the cell, out of fold.
    stated : ndarray of shape (n,), int64
        Rank of the stated severity.
    cells : sequence of Cell
        Those of the lumbar scheme, each at most once for a patient.
    patients : sequence of str

    Returns
    -------
    probabilities : ndarray of shape (n, severities)
        As they were given where no patient has a second cell, or there are fewer than five.

    Raises
    ------
    ValueError
        If a cell is none of the lumbar scheme, or lengths differ.
    """
    unknown = set(cells) - set(LUMBAR_MRI.cells)
    if unknown or not len(stated) == len(calibrated) == len(cells) == len(patients):
        got = f"{len(calibrated)}, {len(stated)}, {len(cells)}, {len(patients)}, {[one.name for one in unknown]}"
        msg = (
            f"labels in context must have a row, class, cell of the lumbar scheme and patient each, got {got}"
        )
        raise ValueError(msg)
    names, numbers = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) == len(stated) or len(names) < _FOLDS:
        return calibrated.copy()
    own, around = _described(calibrated, stated, cells, numbers)
    described = np.concatenate([own, around], axis=1)
    penalties = np.repeat(_PENALTIES, (own.shape[1], around.shape[1]))
    conditions = np.array([cell.condition.value for cell in cells])
    out = np.empty_like(calibrated)
    for condition in np.unique(conditions):
        for fold in range(_FOLDS):
            of, test = conditions == condition, numbers % _FOLDS == fold
            taught, judged = np.flatnonzero(of & ~test), np.flatnonzero(of & test)
            x, asked = _standardised(described[taught], described[judged])
            start = np.log(np.maximum(calibrated, _LEAST))
            weights = softmax_weights(x, start[taught], stated[taught], penalties=penalties, steps=_STEPS)
            out[judged] = _softmax(start[judged] + asked @ weights)
    return out


def softmax_weights(x: Floats, start: Floats, classes: Codes, *, penalties: Floats, steps: int) -> Floats:
    """Return the weights, shape (features, classes), of least loss of ``softmax(start + x @ weights)``.

    Parameters
    ----------
    x : ndarray of shape (n, features)
    start : ndarray of shape (n, classes)
        Logits without any weight.
    classes : ndarray of shape (n,), int64
    penalties : ndarray of shape (features,)
        Of half the squared weights, beside the logarithmic loss summed over rows.
    steps : int
        At most as many.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - 0.1 s that grading does not need

    truth = np.eye(start.shape[1])[classes]
    rows = np.arange(len(x))

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(x.shape[1], -1)
        said, shrunk = _softmax(start + x @ weights), penalties[:, None] * weights
        value = (
            -np.log(np.maximum(said[rows, classes], np.finfo(float).tiny)).sum()
            + 0.5 * (shrunk * weights).sum()
        )
        return float(value), (x.T @ (said - truth) + shrunk).ravel()

    begin = np.zeros(x.shape[1] * start.shape[1])
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    return found.reshape(x.shape[1], -1)


def _softmax(logits: Floats) -> Floats:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _standardised(taught: Floats, judged: Floats) -> tuple[Floats, Floats]:
    """Return what describes cells with mean 0 and spread 1 among those taught from; absent is as usual, 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column that is absent everywhere
        mean, spread = np.nanmean(taught, axis=0), np.nanstd(taught, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    one, other = (np.nan_to_num((values - mean) / spread) for values in (taught, judged))
    return one, other


def _described(
    calibrated: Floats, stated: Codes, cells: Sequence[Cell], patients: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Return what describes each cell, itself and around it; NaN where absent, and its own label is in neither.

    Itself is its odds. Around it is its level, with the odds again; of each cell of the level and of those above and
    below, seen from its own side, the label and what the grader says; and how far the labels of the patient's other
    cells lie above the grader, in severities, by condition.
    """
    n, severities = calibrated.shape
    rows = np.arange(n)
    level = np.array([LUMBAR_MRI.levels.index(cell.level) for cell in cells])
    place = np.array([_PLACES.index((cell.condition, cell.side or Side.LEFT)) for cell in cells])
    both = np.array([place + (cell.side is None) for place, cell in zip(place, cells, strict=True)])
    odds = np.diff(np.log(np.maximum(calibrated, _LEAST)), axis=1)
    own = np.column_stack([np.ones(n), odds, odds**2, odds.prod(axis=1)])
    by_level = np.eye(len(LUMBAR_MRI.levels))[level][:, :, None] * own[:, None, :3]
    one_hot = np.eye(severities)[stated]
    told = np.concatenate([one_hot[:, 1:], calibrated[:, 1:]], axis=1)
    # a row of nothing above the first level and below the last
    table = np.full((patients.max() + 1, len(LUMBAR_MRI.levels) + 2, len(_PLACES), told.shape[1]), np.nan)
    for at in (place, both):
        table[patients, level + 1, at] = told
    seen = np.arange(len(_PLACES)) ^ (place % 2)[:, None]  # its own side first
    near = np.stack([table[patients[:, None], (level + step)[:, None], seen] for step in range(3)], axis=1)
    near[rows, 1, place // 2 * 2] = near[rows, 1, place // 2 * 2 + (both != place)] = np.nan  # itself
    above = (one_hot - calibrated) @ np.arange(severities)
    sums = np.zeros((len(table), len(Condition)))
    np.add.at(sums, (patients, place // 2), above)
    others = sums[patients]
    others[rows, place // 2] -= above
    return own, np.concatenate([by_level.reshape(n, -1), near.reshape(n, -1), others], axis=1)
