"""Resampling of pictures to another pixel spacing, by separable interpolation; pixels are areas, not points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def interpolation_weights(n_from: int, from_mm: float, n_to: int, to_mm: float) -> NDArray[np.float32]:
    """Return the matrix that resamples one axis.

    Both axes start at the same outer edge. The kernel is a triangle as wide as the coarser spacing, so that
    a coarser grid averages (no aliasing) and a finer one interpolates linearly; beyond the last centre the nearest
    value is repeated.

    Parameters
    ----------
    n_from, n_to : int
        Number of pixels before and after.
    from_mm, to_mm : float
        Pixel spacing before and after, mm.

    Returns
    -------
    weights : ndarray of shape (n_to, n_from), float32
        Rows sum to 1.

    Examples
    --------
    >>> interpolation_weights(2, 1.0, 4, 0.5).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    centres = (np.arange(n_to) + 0.5) * (to_mm / from_mm) - 0.5
    centres = np.clip(centres, 0, n_from - 1)
    width = max(1.0, to_mm / from_mm)
    weights = np.clip(1 - np.abs(centres[:, None] - np.arange(n_from)[None]) / width, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def grid_size(n_from: int, from_mm: float, to_mm: float) -> int:
    """Return how many pixels of ``to_mm`` cover ``n_from`` pixels of ``from_mm``.

    Examples
    --------
    >>> grid_size(512, 0.5, 0.6)
    427
    """
    return max(1, int(np.ceil(n_from * from_mm / to_mm - 1e-6)))


def resample(
    pictures: NDArray[np.float32],
    spacing_mm: tuple[float, float],
    to_mm: tuple[float, float],
    size: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Resample pictures to another spacing.

    Parameters
    ----------
    pictures : ndarray of shape (..., rows, columns), float32
    spacing_mm : tuple of float
        Present distance between rows and between columns, mm.
    to_mm : tuple of float
        Distances to resample to, mm.
    size : tuple of int, optional
        Rows and columns of the result; as many as cover the picture if absent.

    Returns
    -------
    resampled : ndarray of shape (..., new rows, new columns), float32
    """
    rows, columns = pictures.shape[-2:]
    to_rows, to_columns = size or (
        grid_size(rows, spacing_mm[0], to_mm[0]),
        grid_size(columns, spacing_mm[1], to_mm[1]),
    )
    down = _taps(rows, spacing_mm[0], to_rows, to_mm[0])
    across = _taps(columns, spacing_mm[1], to_columns, to_mm[1])
    return _along(_along(np.asarray(pictures, np.float32), -2, *down), -1, *across)


def _along(
    pictures: NDArray[np.float32],
    axis: int,
    places: NDArray[np.int64],
    shares: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Apply the matrix of :func:`interpolation_weights` to rows (axis -2) or columns (-1), by its :func:`_taps`."""
    shape = (len(places), *(1,) * (-1 - axis))
    out = np.take(pictures, places[:, 0], axis) * shares[:, 0].reshape(shape)
    for tap in range(1, places.shape[1]):
        out += np.take(pictures, places[:, tap], axis) * shares[:, tap].reshape(shape)
    return out


@lru_cache(maxsize=64)
def _taps(
    n_from: int, from_mm: float, n_to: int, to_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where the matrix of :func:`interpolation_weights` is not 0, and its values, shape (n_to, most in a row).

    They are kept, and read only: all slices of a stack share them.
    """
    weights = interpolation_weights(n_from, from_mm, n_to, to_mm)
    n = int((weights != 0).sum(axis=1).max())
    first = np.minimum((weights != 0).argmax(axis=1), weights.shape[1] - n)
    places = first[:, None] + np.arange(n)
    shares = np.take_along_axis(weights, places, axis=1)
    places.flags.writeable = shares.flags.writeable = False
    return places, shares


def shares_of_parts(length: int, parts: int) -> NDArray[np.float32]:
    """Return the share of each place of an axis in each of its parts, shape (parts, length).

    Parts are those of torch's ``adaptive_avg_pool2d``: from the floor of where each begins to the ceiling of its end.
    """
    shares = np.zeros((parts, length), np.float32)
    for part in range(parts):
        first, last = part * length // parts, -(-(part + 1) * length // parts)
        shares[part, first:last] = 1 / (last - first)
    return shares
