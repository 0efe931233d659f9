"""Turn slices to the usual display: sagittal with the front to the left, axial with the right side to the left.

Only transposes and flips; the affine is turned along, so points stay where they are.
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
"""Per plane: patient axis and sense of growing rows, then of growing columns (LPS)."""


@dataclass(frozen=True)
class Turn:
    """How stored slices are turned for display: transpose first, then flip."""

    transpose: bool
    flip_rows: bool
    flip_columns: bool

    def apply(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Turn slices of shape (..., rows, columns)."""
        turned = np.swapaxes(slices, -1, -2) if self.transpose else slices
        if self.flip_rows:
            turned = turned[..., ::-1, :]
        return turned[..., ::-1] if self.flip_columns else turned

    def undo(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Turn displayed slices of shape (..., rows, columns) back to how they are stored."""
        turned = slices[..., ::-1, :] if self.flip_rows else slices
        turned = turned[..., ::-1] if self.flip_columns else turned
        return np.swapaxes(turned, -1, -2) if self.transpose else turned

    def affine(self, affine: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the affine of the turned slices; ``size`` is (rows, columns) as stored."""
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
