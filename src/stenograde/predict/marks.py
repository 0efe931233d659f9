"""Run a locator over sagittal pictures: class probabilities and heat maps on its grid, masks on theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stenograde.images.resample import grid_size, resample
from stenograde.images.standardise import standardise
from stenograde.terms import Structure

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(n, 1, rows, columns) standardised pictures to (n, classes + heat maps, rows, columns) logits."""

N_CLASSES = len(Structure) + 1

PATCH_MM = 3.0
"""A patch this wide in which nothing changes is padding, mm."""

LEAST_CHANGE = 1e-3
"""Change within a patch, as a share of the picture's own range, from which on it shows something."""

JOINED_MM = 5.0
"""Structures nearer than this belong together; what is joined to no spine is dropped, mm."""


@dataclass(frozen=True, eq=False)
class Marks:
    """What a locator says about a stack of pictures.

    ``probabilities`` has shape (n, classes, grid rows, grid columns) and ``heat`` (n, 2, grid rows, grid
    columns): centres of all discs, then of the lumbosacral disc. Grid and pictures share their outer edge at
    the top left.
    """

    probabilities: NDArray[np.float32]
    heat: NDArray[np.float32]
    grid_mm: float
    spacing_mm: tuple[float, float]
    size_px: tuple[int, int]
    """Rows and columns of the pictures."""
    shown: NDArray[np.bool_] | None = None
    """Where the pictures show anything, shape (n, grid rows, grid columns)."""

    def fine(self) -> NDArray[np.float32]:
        """Probabilities on the pictures' own grid, shape (n, classes, rows, columns)."""
        return resample(self.probabilities, (self.grid_mm, self.grid_mm), self.spacing_mm, self.size_px)

    def masks(self) -> NDArray[np.uint8]:
        """Masks on the pictures' own grid, shape (n, rows, columns), values of :attr:`Structure.code`."""
        return np.argmax(self.fine(), axis=1).astype(np.uint8)

    def to_picture(self, grid_points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (row, column) on the grid to (row, column) in the pictures; shape (m, 2)."""
        return (np.asarray(grid_points, float) + 0.5) * self.grid_mm / np.asarray(self.spacing_mm) - 0.5


def mark(
    pictures: NDArray[np.float32],
    spacing_mm: tuple[float, float],
    run: Run,
    *,
    grid_mm: float,
    stride: int,
) -> Marks:
    """Run a locator over pictures.

    Parameters
    ----------
    pictures : ndarray of shape (n, rows, columns), float32
        Sagittal, head up, front to the left.
    spacing_mm : tuple of float
        Between rows, between columns, mm.
    run : callable
        See :data:`Run`.
    grid_mm : float
        Pixel spacing the locator works on, mm.
    stride : int
        Rows and columns given to the locator are multiples of this.

    Returns
    -------
    marks : Marks
    """
    rows, columns = pictures.shape[1:]
    size = (grid_size(rows, spacing_mm[0], grid_mm), grid_size(columns, spacing_mm[1], grid_mm))
    fine = standardise(resample(pictures, spacing_mm, (grid_mm, grid_mm), size))
    padding = [(0, -length % stride) for length in size]
    padded = np.pad(fine, ((0, 0), *padding), mode="constant", constant_values=float(fine.min()))
    logits = np.concatenate([run(padded[i : i + 1, None]) for i in range(len(padded))])
    logits = logits[:, :, : size[0], : size[1]]
    exponents = np.exp(logits[:, :N_CLASSES] - logits[:, :N_CLASSES].max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    heat = 1 / (1 + np.exp(-np.clip(logits[:, N_CLASSES:], -30, 30)))
    outside = ~_spine(np.argmax(probabilities, axis=1), grid_mm)
    probabilities[np.broadcast_to(outside[:, None], probabilities.shape)] = 0
    probabilities[:, 0][outside] = 1
    heat[np.broadcast_to(outside[:, None], heat.shape)] = 0
    return Marks(probabilities, heat, grid_mm, spacing_mm, (rows, columns), _shown(fine, grid_mm))


def _shown(fine: NDArray[np.float32], grid_mm: float) -> NDArray[np.bool_]:
    """Where pictures show anything but padding; shape (n, rows, columns)."""
    size = (1, *(2 * [2 * round(PATCH_MM / 2 / grid_mm) + 1]))
    change = ndimage.maximum_filter(fine, size) - ndimage.minimum_filter(fine, size)
    low, high = np.percentile(fine, (1, 99), axis=(1, 2), keepdims=True)
    return np.asarray(change > LEAST_CHANGE * np.maximum(high - low, 1e-9))


def _spine(classes: NDArray[np.int64], grid_mm: float) -> NDArray[np.bool_]:
    """Where the largest connected group of structures lies, with a rim; shape (n, rows, columns)."""
    reach = max(1, round(JOINED_MM / 2 / grid_mm))
    marked = classes > 0
    near = np.stack([ndimage.uniform_filter(one.astype(np.float32), 2 * reach + 1) > 1e-3 for one in marked])
    labels, n = ndimage.label(near, structure=np.ones((3, 3, 3)))
    if n <= 1:
        return near
    sizes = ndimage.sum_labels(marked, labels, range(1, n + 1))
    return labels == int(np.argmax(sizes)) + 1
