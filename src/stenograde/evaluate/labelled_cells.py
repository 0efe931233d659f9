"""What is given of labelled cells, checked: a row of probabilities and a true class for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a cell may sum from one; they are divided by their sum."""


def checked_probabilities(probabilities: ArrayLike, classes: int | None = None) -> Floats:
    """Return probabilities of shape (n, classes) whose rows sum to one.

    Raises
    ------
    ValueError
        If the shape is another, or a row is not at least 0 and of sum one.
    """
    shares = np.asarray(probabilities, np.float64)
    if shares.ndim != 2 or shares.shape[1] < 2 or classes not in {None, shares.shape[1]}:
        msg = f"probabilities must be of shape (n, {classes or 'classes'}), got {shares.shape}"
        raise ValueError(msg)
    # written so that a NaN counts as wrong
    sound = (shares >= 0).all(axis=1) & (np.abs(shares.sum(axis=1) - 1) <= SUM_TOLERANCE)
    if not sound.all():
        msg = f"probabilities must be at least 0 and sum to one, got {shares[~sound][0].tolist()}"
        raise ValueError(msg)
    return shares / shares.sum(axis=1, keepdims=True)


def checked_classes(truth: ArrayLike, shape: tuple[int, ...]) -> Codes:
    """Return the true class of each cell, shape (n,), for a table of shape (n, classes).

    Raises
    ------
    ValueError
        If there are no cells, lengths differ, or a truth is no class.
    """
    codes = np.asarray(truth)
    if len(shape) != 2 or not shape[0] or codes.shape != shape[:1]:
        msg = f"cells must be some, each with a row and a class, got shapes {shape} and {codes.shape}"
        raise ValueError(msg)
    if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= shape[1]:
        msg = (
            f"true classes must be whole numbers from 0 to {shape[1] - 1}, got {codes.dtype} from {codes.min()} "
            f"to {codes.max()}; leave out cells without a label"
        )
        raise ValueError(msg)
    return codes.astype(np.int64)
