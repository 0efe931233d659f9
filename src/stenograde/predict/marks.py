"""Run a locator over sagittal pictures: class probabilities and heat maps on its grid, masks on theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from stenograde.images.resample import grid_size, resample
from stenograde.images.standardise import standardise
from stenograde.terms import Structure
from stenograde.workers import in_threads

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
    n, rows, columns = pictures.shape
    size = (grid_size(rows, spacing_mm[0], grid_mm), grid_size(columns, spacing_mm[1], grid_mm))
    fine = np.empty((n, *size), np.float32)
    probabilities = np.empty((n, N_CLASSES, *size), np.float32)
    shown, near = np.empty((2, n, *size), bool)

    def prepare(place: int) -> None:
        fine[place] = on_grid(pictures[place], spacing_mm, grid_mm)
        shown[place] = _shown(fine[place], grid_mm)

    in_threads(prepare, range(n))
    beyond = float(fine.min())
    padding = [(0, -length % stride) for length in size]

    def look(place: int) -> NDArray[np.float32]:
        padded = np.pad(fine[place], padding, mode="constant", constant_values=beyond)
        logits = run(padded[None, None])[0, :, : size[0], : size[1]]
        probabilities[place] = _softmax(logits[:N_CLASSES])
        near[place] = _near_structures(probabilities[place], grid_mm)
        return expit(logits[N_CLASSES:])

    heat = np.stack(in_threads(look, range(n)))
    inside = _spine(probabilities, near)
    probabilities *= inside[:, None]
    probabilities[:, 0] += ~inside
    heat *= inside[:, None]
    return Marks(probabilities, heat, grid_mm, spacing_mm, (rows, columns), shown)


def on_grid(
    picture: NDArray[np.float32], spacing_mm: tuple[float, float], grid_mm: float
) -> NDArray[np.float32]:
    """Return a picture (rows, columns) as a locator sees it: on its grid, which covers the picture, standardised."""
    return standardise(resample(picture, spacing_mm, (grid_mm, grid_mm)))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponents = np.exp(logits - logits.max(axis=0))
    exponents /= exponents.sum(axis=0)
    return exponents


def _shown(fine: NDArray[np.float32], grid_mm: float) -> NDArray[np.bool_]:
    """Where a picture shows anything but padding; shape (rows, columns)."""
    reach = round(PATCH_MM / 2 / grid_mm)
    highest, lowest = _over_patch(fine, reach, np.maximum), _over_patch(fine, reach, np.minimum)
    low, high = np.percentile(fine, (1, 99))
    return np.asarray(highest - lowest > LEAST_CHANGE * max(high - low, 1e-9))


def _over_patch(values: NDArray[np.float32], reach: int, most: np.ufunc) -> NDArray[np.float32]:
    """Return the highest or lowest value within a reach along rows and columns; what lies outside does not count."""
    for axis in (0, 1):
        out = values.copy()
        changed, lines = np.swapaxes(out, 0, axis), np.swapaxes(values, 0, axis)
        for step in range(1, min(reach, len(lines) - 1) + 1):
            most(changed[step:], lines[:-step], out=changed[step:])
            most(changed[:-step], lines[step:], out=changed[:-step])
        values = out
    return values


def _near_structures(probabilities: NDArray[np.float32], grid_mm: float) -> NDArray[np.bool_]:
    """Where a slice shows a structure, with a rim; shape (rows, columns)."""
    reach = max(1, round(JOINED_MM / 2 / grid_mm))
    return ndimage.uniform_filter(_marked(probabilities).astype(np.float32), 2 * reach + 1) > 1e-3


def _marked(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where a structure is likelier than none, for (..., classes, rows, columns)."""
    structures = probabilities[..., 1:, :, :].max(axis=-3)
    return np.asarray(structures > probabilities[..., 0, :, :])


def _spine(probabilities: NDArray[np.float32], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the largest connected group of structures lies, with a rim; shape (n, rows, columns)."""
    labels, n = ndimage.label(near, structure=np.ones((3, 3, 3)))
    if n <= 1:
        return near
    sizes = np.bincount(labels[_marked(probabilities)], minlength=n + 1)
    return np.asarray(labels == int(np.argmax(sizes[1:])) + 1)
