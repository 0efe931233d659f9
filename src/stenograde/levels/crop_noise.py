"""How noisy crops are: a net trained to look through noise does not notice when there is too much of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def noise_of(crops: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the standard deviation of the noise of each crop, in the units of its values.

    Parameters
    ----------
    crops : ndarray of shape (..., slices, rows, columns), float32
        Three rows and columns or more.

    Returns
    -------
    noise : ndarray of shape (...)
        The mean over slices. Edges count a little, so sharp pictures without noise do not give 0.

    References
    ----------
    Immerkaer, Computer Vision and Image Understanding 1996;64:300, doi:10.1006/cviu.1996.0060: the mean size of what a
    difference of two Laplacians leaves, which constant, linear and most curved surfaces do not survive.
    """
    rows = crops[..., :-2, :] - 2 * crops[..., 1:-1, :] + crops[..., 2:, :]
    left = rows[..., :-2] - 2 * rows[..., 1:-1] + rows[..., 2:]
    return np.abs(left).mean(axis=(-3, -2, -1), dtype=np.float64) * np.sqrt(np.pi / 2) / 6
