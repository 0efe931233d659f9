"""Random changes of prepared pictures, sampled apart from applied so that each can be replayed.

Geometry is one affine warp per picture that repeats the border, grey values one table look-up; both are OpenCV's.
A change says whether it mirrors: a label that says left or right must then be changed too, see :func:`swap_sides`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

_MID_GREY = 128
"""What an erased rectangle is set to."""


@dataclass(frozen=True)
class PictureAugment:
    """How strongly pictures are changed; each number is the end of a range around no change, 0 for none.

    The defaults are those of seed document S1 (doi:10.18103/mra.v13i7.6660), but for the flip, which is off: it
    swaps the patient's sides.
    """

    shift: float = 0.1
    """Down and across, each as a share of the picture's size."""
    zoom: float = 0.1
    """Scale of rows and of columns, each drawn for itself: 0.1 is 0.9 to 1.1."""
    turn_deg: float = 0.0
    flip: Literal["none", "horizontal"] = "none"
    """horizontal mirrors every second picture, by chance."""
    brightness: float = 0.0
    """Added, as a share of the range of grey values."""
    contrast: float = 0.0
    """Change of the factor on the distance from mid-grey: 0.2 is 0.8 to 1.2."""
    gamma_log: float = 0.0
    """Natural logarithm of the exponent on grey values."""
    noise: float = 0.0
    """Largest standard deviation of the noise, as a share of the range of grey values."""
    erase: float = 0.0
    """Largest side of a rectangle set to mid-grey, as a share of the picture's size."""

    def __post_init__(self) -> None:
        shares = (self.shift, self.zoom, self.brightness, self.contrast, self.noise, self.erase)
        if min(shares) < 0 or max(shares) >= 1 or self.turn_deg < 0 or self.gamma_log < 0:
            msg = (
                f"augment needs shares from 0 to below 1, turn_deg >= 0 and gamma_log >= 0, "
                f"got {shares}, {self.turn_deg}, {self.gamma_log}"
            )
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class Changes:
    """Sampled changes of n pictures; apply them with :func:`apply_changes`."""

    shift: NDArray[np.float64]
    """Down and across, shares of the size; shape (n, 2)."""
    zoom: NDArray[np.float64]
    """Scale of rows and columns; shape (n, 2)."""
    turn: NDArray[np.float64]
    """Radians; shape (n,)."""
    flipped: NDArray[np.bool_]
    """Which pictures are mirrored left to right; shape (n,)."""
    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
    gamma: NDArray[np.float64]
    noise: NDArray[np.float64]
    """Standard deviation, share of the range; shape (n,)."""
    erase: NDArray[np.float64]
    """Top, left, height and width of the rectangle, shares of the size; shape (n, 4)."""
    seeds: NDArray[np.int64]
    """Seeds of the noise; shape (n,)."""

    def __len__(self) -> int:
        return len(self.turn)

    def chosen(self, places: NDArray[np.int64]) -> Changes:
        """Return the changes at the given places."""
        return Changes(*(getattr(self, name)[places] for name in self.__dataclass_fields__))


def sample_changes(rng: np.random.Generator, n: int, config: PictureAugment) -> Changes:
    """Draw the changes of n pictures."""
    size = rng.uniform(0, config.erase, (n, 2))
    return Changes(
        shift=rng.uniform(-config.shift, config.shift, (n, 2)),
        zoom=rng.uniform(1 - config.zoom, 1 + config.zoom, (n, 2)),
        turn=np.deg2rad(rng.uniform(-config.turn_deg, config.turn_deg, n)),
        flipped=(rng.random(n) < 0.5) & (config.flip == "horizontal"),
        brightness=rng.uniform(-config.brightness, config.brightness, n),
        contrast=rng.uniform(1 - config.contrast, 1 + config.contrast, n),
        gamma=np.exp(rng.uniform(-config.gamma_log, config.gamma_log, n)),
        noise=rng.uniform(0, config.noise, n),
        erase=np.concatenate([rng.random((n, 2)) * (1 - size), size], axis=1),
        seeds=rng.integers(2**31, size=n),
    )


def apply_changes(changes: Changes, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Change pictures.

    Parameters
    ----------
    changes : Changes
        One for each picture.
    pictures : ndarray of shape (n, rows, columns), uint8

    Returns
    -------
    changed : ndarray of shape (n, rows, columns), uint8

    Raises
    ------
    ValueError
        If there are not as many changes as pictures.
    """
    if len(changes) != len(pictures):
        msg = f"there must be a change for each picture, got {len(changes)} for {len(pictures)}"
        raise ValueError(msg)
    changed = np.empty(pictures.shape, np.uint8)
    rows, columns = pictures.shape[1:]
    matrices = source_matrices(changes, (rows, columns))
    borders, tables = _borders(matrices, (rows, columns)), _tables(changes)
    for picture, matrix, border, into in zip(pictures, matrices, borders.tolist(), changed, strict=True):
        # a repeated border is copied first: the warp itself is quicker when nothing lies outside
        top, bottom, left, right = border
        stored = np.ascontiguousarray(picture)
        wider = cv2.copyMakeBorder(stored, top, bottom, left, right, cv2.BORDER_REPLICATE)
        matrix[:, 2] += left, top
        cv2.warpAffine(
            wider, matrix, (columns, rows), dst=into, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
    if tables is not None:
        for into, table in zip(changed, tables, strict=True):
            cv2.LUT(into, table, dst=into)
    for place in np.flatnonzero(changes.noise > 0):
        changed[place] = _noisy(changed[place], changes.noise[place], changes.seeds[place])
    boxes = np.rint(changes.erase * (rows, columns, rows, columns)).astype(int)
    for place in np.flatnonzero((boxes[:, 2:] > 0).all(axis=1)):
        row, column, height, width = boxes[place]
        changed[place, row : row + height, column : column + width] = _MID_GREY
    return changed


def source_matrices(changes: Changes, size_px: tuple[int, int]) -> NDArray[np.float64]:
    """Return for each change the matrix from a changed picture's pixels to its source's.

    Parameters
    ----------
    changes : Changes
    size_px : tuple of int
        Rows and columns.

    Returns
    -------
    matrices : ndarray of shape (n, 2, 3)
        On (column, row, 1), as OpenCV has it; the picture's centre is the fixed point of zoom and turn.
    """
    rows, columns = size_px
    cos, sin, mirror = np.cos(changes.turn), np.sin(changes.turn), np.where(changes.flipped, -1.0, 1.0)
    across, down = changes.zoom[:, 1] * mirror, changes.zoom[:, 0]
    # across / down are steps in the source for one step in the changed picture, as in Keras
    linear = np.stack([np.stack([cos * across, -sin * down], 1), np.stack([sin * across, cos * down], 1)], 1)
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2])
    offset = centre - linear @ centre + changes.shift[:, ::-1] * (columns, rows)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def swap_sides(
    values: NDArray[Any], flipped: NDArray[np.bool_], pairs: Sequence[tuple[int, int]]
) -> NDArray[Any]:
    """Swap what says left or right where pictures are mirrored.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, f)
        Class codes, whose values are swapped; or one column per side, whose places are swapped.
    flipped : ndarray of shape (n,), bool
        As in :class:`Changes`.
    pairs : sequence of (int, int)
        Codes, or columns, of left and right.

    Returns
    -------
    swapped : ndarray of the shape of ``values``

    Examples
    --------
    >>> swap_sides(np.array([0, 1, 2]), np.array([True, False, True]), [(0, 1)])
    array([1, 1, 2])
    """
    swapped = values.copy()
    for one, other in pairs:
        if values.ndim == 1:
            swapped[flipped & (values == one)] = other
            swapped[flipped & (values == other)] = one
        else:
            swapped[flipped, one] = values[flipped, other]
            swapped[flipped, other] = values[flipped, one]
    return swapped


def _borders(matrices: NDArray[np.float64], size_px: tuple[int, int]) -> NDArray[np.int64]:
    """Return how far beyond top, bottom, left and right each change looks, shape (n, 4), px."""
    rows, columns = size_px
    last = np.array([columns - 1, rows - 1])
    corners = np.array([[0, 0, 1], [last[0], 0, 1], [0, last[1], 1], [*last, 1]], float)
    places = matrices @ corners.T
    before = np.maximum(0, -np.floor(places.min(axis=2)))
    after = np.maximum(0, np.ceil(places.max(axis=2)) - last)
    # one more, for places are rounded and a pixel's neighbour counts, too
    return np.stack([before[:, 1], after[:, 1], before[:, 0], after[:, 0]], axis=1).astype(np.int64) + 1


def _tables(changes: Changes) -> NDArray[np.uint8] | None:
    """Return each picture's new value for every grey value, shape (n, 256); None where none changes."""
    if (changes.brightness == 0).all() and (changes.contrast == 1).all() and (changes.gamma == 1).all():
        return None
    grey = np.linspace(0, 1, 256)[None] ** changes.gamma[:, None]
    grey = (grey - 0.5) * changes.contrast[:, None] + 0.5 + changes.brightness[:, None]
    return np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def _noisy(picture: NDArray[np.uint8], deviation: float, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal(picture.shape, np.float32)
    return np.clip(np.rint(picture + 255 * np.float32(deviation) * noise), 0, 255).astype(np.uint8)
