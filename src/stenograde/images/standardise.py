"""Standardisation of intensities; adding a constant to a picture or scaling it does not change the result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLIP_PERCENTILES = (0.5, 99.5)
"""Percentiles beyond which intensities are clipped, %."""

SAMPLE = 4
"""Step between the rows and columns used for percentiles."""


def standardise(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip each picture to its percentiles, then scale it to mean 0 and standard deviation 1.

    Parameters
    ----------
    pictures : ndarray of shape (..., rows, columns), float32
        Pictures; one with a single value gives zeros.

    Returns
    -------
    standardised : ndarray of the same shape, float32

    Examples
    --------
    >>> picture = np.arange(64, dtype=np.float32).reshape(8, 8)
    >>> bool(np.allclose(standardise(picture), standardise(3 * picture + 100), atol=1e-5))
    True
    """
    pictures = np.asarray(pictures, np.float32)
    low, high = np.percentile(
        pictures[..., ::SAMPLE, ::SAMPLE], CLIP_PERCENTILES, axis=(-2, -1), keepdims=True
    )
    clipped = np.clip(pictures, low, high, dtype=np.float32)
    centred = clipped - clipped.mean(axis=(-2, -1), keepdims=True)
    deviation = centred.std(axis=(-2, -1), keepdims=True)
    # relative to the value range, so that rounding of a constant picture does not become noise
    scale = np.maximum(np.abs(low), np.abs(high)) * 1e-5
    flat = deviation <= scale
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation)).astype(np.float32)
