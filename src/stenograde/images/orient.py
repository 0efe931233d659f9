"""Reorientation of slices to the usual display: sagittal with anterior left, axial with right on the left.

Slices are only transposed and flipped, and the affine with them, so points stay in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stenograde.terms import Plane

_DISPLAY: dict[Plane, tuple[tuple[int, float], tuple[int, float]]] = {
    Plane.SAGITTAL: ((2, -1.0), (1, 1.0)),
    Plane.CORONAL: ((2, -1.0), (0, 1.0)),
    Plane.AXIAL: ((1, 1.0), (0, 1.0)),
}
"""Patient axis and direction of increasing rows, then of increasing columns, per plane (LPS)."""


@dataclass(frozen=True)
class Turn:
    """Reorientation of stored slices for display: a transpose, then flips."""

    transpose: bool
    flip_rows: bool
    flip_columns: bool

    def apply(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Reorient slices of shape (..., rows, columns)."""
        turned = np.swapaxes(slices, -1, -2) if self.transpose else slices
        if self.flip_rows:
            turned = turned[..., ::-1, :]
        return turned[..., ::-1] if self.flip_columns else turned

    def undo(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Return displayed slices of shape (..., rows, columns) to their stored orientation."""
        turned = slices[..., ::-1, :] if self.flip_rows else slices
        turned = turned[..., ::-1] if self.flip_columns else turned
        return np.swapaxes(turned, -1, -2) if self.transpose else turned

    def affine(self, affine: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the affine of the reoriented slices; ``size`` is (rows, columns) as stored."""
        turned = affine.copy()
        rows, columns = size
        if self.transpose:
            turned[:, [1, 2]] = turned[:, [2, 1]]
            rows, columns = columns, rows
        if self.flip_rows:
            turned[:3, 3] += turned[:3, 1] * (rows - 1)
            turned[:3, 1] *= -1
        if self.flip_columns:
            turned[:3, 3] += turned[:3, 2] * (columns - 1)
            turned[:3, 2] *= -1
        return turned


def display_turn(affine: NDArray[np.float64], plane: Plane) -> Turn:
    """Return the turn that brings slices of a plane to the usual display.

    Parameters
    ----------
    affine : ndarray of shape (4, 4), float64
        (slice, row, column) index to LPS mm.
    plane : Plane

    Examples
    --------
    >>> display_turn(np.diag([4.0, 1.0, 1.0, 1.0]), Plane.SAGITTAL)
    Turn(transpose=True, flip_rows=True, flip_columns=False)
    """
    (row_axis, row_sense), (column_axis, column_sense) = _DISPLAY[plane]
    rows, columns = affine[:3, 1], affine[:3, 2]
    transpose = bool(
        abs(columns[row_axis]) * np.linalg.norm(rows) > abs(rows[row_axis]) * np.linalg.norm(columns)
    )
    if transpose:
        rows, columns = columns, rows
    return Turn(
        transpose, bool(rows[row_axis] * row_sense < 0), bool(columns[column_axis] * column_sense < 0)
    )
