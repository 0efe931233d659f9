"""Patient space (LPS, mm) and voxel indices: affines, slice normals and distances.

An affine maps voxel indices in the order (slice, row, column) to patient coordinates: x runs to the
patient's left, y to the back, z to the head (PS3.3 C.7.6.2.1.1). The whole file is numpy; it knows no files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ORTHOGONAL_TOLERANCE = 1e-3
"""Largest |u·v| of row and column direction cosines that still count as orthogonal."""


def slice_normal(orientation: ArrayLike) -> Array:
    """Return the unit normal n = u × v of a slice.

    Parameters
    ----------
    orientation : array-like of shape (6,)
        ImageOrientationPatient: direction cosines u along a row (to growing column index), then v along a
        column (to growing row index), LPS.

    Returns
    -------
    normal : ndarray of shape (3,), float64

    Raises
    ------
    ValueError
        If the cosines are not two orthogonal unit vectors.

    References
    ----------
    PS3.3 C.7.6.2.1.1; Natalia and Sudirman, section 3 (n = u × v).

    Examples
    --------
    >>> slice_normal([0, 1, 0, 0, 0, -1]).tolist()
    [-1.0, 0.0, 0.0]
    """
    cosines = np.asarray(orientation, dtype=np.float64)
    if cosines.shape != (6,) or not np.isfinite(cosines).all():
        msg = f"orientation must be six finite direction cosines, got {cosines.tolist()}"
        raise ValueError(msg)
    u, v = cosines[:3], cosines[3:]
    lengths = float(np.linalg.norm(u)), float(np.linalg.norm(v))
    if (
        abs(lengths[0] - 1) > 0.01
        or abs(lengths[1] - 1) > 0.01
        or abs(float(u @ v)) > ORTHOGONAL_TOLERANCE * 10
    ):
        msg = f"orientation must be two orthogonal unit vectors, got {cosines.tolist()}"
        raise ValueError(msg)
    return _across(u, v)


def normal_of(affine: ArrayLike) -> Array:
    """Return the unit normal n = u × v of the slices of a volume, shape (3,).

    Examples
    --------
    >>> normal_of(np.diag([4.0, 0.5, 0.25, 1.0])).tolist()
    [-1.0, 0.0, 0.0]
    """
    matrix = _checked(affine)
    return _across(matrix[:3, 2], matrix[:3, 1])


def _across(u: Array, v: Array) -> Array:
    (ux, uy, uz), (vx, vy, vz) = u.tolist(), v.tolist()
    # (for two vectors alone np.cross takes ten times as long)
    normal = np.array([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])
    return np.asarray(normal / np.linalg.norm(normal))


def affine_of(
    position: ArrayLike, orientation: ArrayLike, pixel_spacing_mm: ArrayLike, step: ArrayLike
) -> Array:
    """Return the affine from (slice, row, column) indices to patient coordinates.

    Parameters
    ----------
    position : array-like of shape (3,)
        ImagePositionPatient of slice 0: centre of its first voxel, LPS, mm.
    orientation : array-like of shape (6,)
        ImageOrientationPatient.
    pixel_spacing_mm : array-like of shape (2,)
        PixelSpacing: distance between rows, then between columns, mm.
    step : array-like of shape (3,)
        Vector from slice 0 to slice 1, LPS, mm.

    Returns
    -------
    affine : ndarray of shape (4, 4), float64
    """
    cosines = np.asarray(orientation, dtype=np.float64)
    rows_mm, columns_mm = np.asarray(pixel_spacing_mm, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = cosines[3:] * rows_mm
    affine[:3, 2] = cosines[:3] * columns_mm
    affine[:3, 3] = position
    return affine


def to_patient(affine: ArrayLike, index_kji: ArrayLike) -> Array:
    """Map voxel indices to patient coordinates.

    Parameters
    ----------
    affine : array-like of shape (4, 4)
        Index to patient transform, LPS, mm (PS3.3 C.7.6.2.1.1).
    index_kji : array-like of shape (n, 3)
        Zero-based indices of voxel centres, order (slice, row, column); fractions allowed.

    Returns
    -------
    xyz : ndarray of shape (n, 3), float64
        Patient coordinates in mm.

    Raises
    ------
    ValueError
        If ``affine`` is not 4 by 4.

    Examples
    --------
    >>> to_patient(np.diag([4.0, 0.5, 0.5, 1.0]), [[1, 2, 3]]).tolist()
    [[4.0, 1.0, 1.5]]
    """
    matrix = _checked(affine)
    return np.asarray(index_kji, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def to_index(affine: ArrayLike, xyz: ArrayLike) -> Array:
    """Map patient coordinates to fractional voxel indices (slice, row, column).

    Parameters
    ----------
    affine : array-like of shape (4, 4)
        Index to patient transform, LPS, mm.
    xyz : array-like of shape (n, 3)
        Patient coordinates in mm.

    Returns
    -------
    index_kji : ndarray of shape (n, 3), float64

    Raises
    ------
    ValueError
        If ``affine`` is not 4 by 4.
    """
    matrix = _checked(affine)
    return (np.asarray(xyz, dtype=np.float64) - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T


def spacing_mm(affine: ArrayLike) -> tuple[float, float, float]:
    """Return distances between neighbouring slices, rows and columns, in mm.

    Examples
    --------
    >>> spacing_mm(np.diag([4.0, 0.5, 0.25, 1.0]))
    (4.0, 0.5, 0.25)
    """
    slices, rows, columns = np.linalg.norm(_checked(affine)[:3, :3], axis=0)
    return float(slices), float(rows), float(columns)


def gap_mm(affine: ArrayLike) -> float:
    """Return the distance between the planes of neighbouring slices, mm: less than their spacing where it is sheared.

    Examples
    --------
    >>> sheared = np.diag([4.0, 0.5, 0.5, 1.0])
    >>> sheared[1, 0] = 3.0
    >>> spacing_mm(sheared)[0], gap_mm(sheared)
    (5.0, 4.0)
    """
    return abs(float(_checked(affine)[:3, 0] @ normal_of(affine)))


def to_ras(affine: ArrayLike) -> Array:
    """Return the affine with its patient axes turned from LPS (DICOM) to RAS (NIfTI)."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ _checked(affine)


def as_point(xyz: ArrayLike) -> tuple[float, float, float]:
    """Return a point as three floats."""
    x_mm, y_mm, z_mm = np.asarray(xyz, np.float64)
    return float(x_mm), float(y_mm), float(z_mm)


def distance_mm(a: ArrayLike, b: ArrayLike) -> float:
    """Return the distance between two points, in mm.

    Examples
    --------
    >>> distance_mm([0, 0, 0], [3, 4, 0])
    5.0
    """
    return float(np.linalg.norm(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)))


def is_inside(affine: ArrayLike, shape: tuple[int, int, int], xyz: ArrayLike, margin_mm: float = 0.0) -> bool:
    """Say whether a point lies in a volume's field of view.

    Parameters
    ----------
    affine : array-like of shape (4, 4)
    shape : tuple of int
        (slices, rows, columns).
    xyz : array-like of shape (3,)
        Patient coordinates in mm.
    margin_mm : float
        How far outside the outermost voxel borders a point still counts, mm.
    """
    index = to_index(affine, np.reshape(np.asarray(xyz, dtype=np.float64), (1, 3)))[0]
    margin = margin_mm / np.asarray(spacing_mm(affine)) + 0.5
    return bool(np.all(index >= -margin) and np.all(index <= np.asarray(shape) - 1 + margin))


def _checked(affine: ArrayLike) -> Array:
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        msg = f"affine must have shape (4, 4), got {matrix.shape}"
        raise ValueError(msg)
    return matrix
