"""Intensities brought to a common scale; adding a constant or scaling a picture changes nothing after it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLIP_PERCENTILES = (0.5, 99.5)
"""Intensities beyond these are clipped, %."""

_SAMPLE = 4
"""Every so many-th row and column is enough for a percentile."""


def standardise(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip each picture to its percentiles, then bring it to mean 0 and deviation 1.

    Parameters
    ----------
    pictures : ndarray of shape (..., rows, columns), float32
        A picture of one value only comes back as zeros.

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
        pictures[..., ::_SAMPLE, ::_SAMPLE], CLIP_PERCENTILES, axis=(-2, -1), keepdims=True
    )
    clipped = np.clip(pictures, low, high, dtype=np.float32)
    centred = clipped - clipped.mean(axis=(-2, -1), keepdims=True)
    deviation = centred.std(axis=(-2, -1), keepdims=True)
    # relative to the value range, so that rounding of a constant picture does not become noise
    scale = np.maximum(np.abs(low), np.abs(high)) * 1e-5
    flat = deviation <= scale
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation)).astype(np.float32)
