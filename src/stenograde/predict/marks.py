"""Run a locator over sagittal pictures: class probabilities and heat maps on its grid, masks on theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.images.resample import grid_size, resample
from stenograde.images.standardise import standardise
from stenograde.terms import Structure

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(n, 1, rows, columns) standardised pictures to (n, classes + heat maps, rows, columns) logits."""

N_CLASSES = len(Structure) + 1


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

    def masks(self) -> NDArray[np.uint8]:
        """Masks on the pictures' own grid, shape (n, rows, columns), values of :attr:`Structure.code`."""
        grid = (self.grid_mm, self.grid_mm)
        fine = resample(self.probabilities, grid, self.spacing_mm, self.size_px)
        return np.argmax(fine, axis=1).astype(np.uint8)

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
    return Marks(probabilities, heat, grid_mm, spacing_mm, (rows, columns))
