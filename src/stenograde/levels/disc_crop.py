"""Crops around discs on a sagittal picture, the spine upright in each: the same cut for a data set and for a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.images.standardise import standardise

FULL_SCALE = 3.0
"""So many standard deviations of a slice beside its mean are the ends of a crop's scale."""


@dataclass(frozen=True)
class DiscCropConfig:
    """What is cut out around a disc."""

    rows: int = 128
    columns: int = 160
    pixel_mm: float = 0.375
    behind_mm: float = 4.0
    """How far the middle of a crop lies behind the middle of its disc, so that the canal is in it, mm."""

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 16 or self.pixel_mm <= 0:
            msg = f"crops need rows and columns of 16 or more and pixel_mm above 0, got {self}"
            raise ValueError(msg)


def to_scale(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a whole slice (rows, columns) to -1 to 1: :data:`FULL_SCALE` deviations below its mean, and above."""
    return np.clip(standardise(picture) / FULL_SCALE, -1, 1).astype(np.float32)


def cut_discs(
    scaled: NDArray[np.float32],
    spacing_mm: tuple[float, float],
    centres: Sequence[tuple[float, float]],
    config: DiscCropConfig,
    only: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Cut discs out of a sagittal picture.

    Parameters
    ----------
    scaled : ndarray of shape (rows, columns), float32
        A whole slice, head up, front to the left, by :func:`to_scale`.
    spacing_mm : tuple of float
        Between rows, between columns, mm.
    centres : sequence of (row, column)
        Centres of all discs of the chain, in order along the spine, px; the direction of the spine at a disc is that
        from one of its neighbours to the other.
    config : DiscCropConfig
    only : sequence of int, optional
        Places in ``centres`` of the discs that are cut out; all when absent.

    Returns
    -------
    crops : ndarray of shape (discs, rows, columns), float32
        Beyond the edge of the picture its last pixel is repeated.

    Raises
    ------
    ValueError
        If there are fewer than two discs: one alone has no direction.
    """
    if len(centres) < 2:
        msg = f"discs must be two or more, so that the spine has a direction, got {len(centres)}"
        raise ValueError(msg)
    spacing = np.asarray(spacing_mm, np.float64)
    places = np.asarray(centres, np.float64) * spacing
    rows = (np.arange(config.rows) - (config.rows - 1) / 2) * config.pixel_mm
    columns = (np.arange(config.columns) - (config.columns - 1) / 2) * config.pixel_mm + config.behind_mm
    chosen = range(len(places)) if only is None else only
    crops = np.empty((len(chosen), config.rows, config.columns), np.float32)
    for crop, place in zip(crops, chosen, strict=True):
        down = _down(places, place)
        back = np.array([-down[1], down[0]])
        grid = places[place] + rows[:, None, None] * down + columns[None, :, None] * back
        at = np.moveaxis(grid / spacing, -1, 0)
        scipy.ndimage.map_coordinates(scaled, at, output=crop, order=1, mode="nearest", prefilter=False)
    return crops


def _down(centres: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    """Direction of the spine at a disc, towards the feet, as a unit vector (rows, columns)."""
    along = centres[min(place + 1, len(centres) - 1)] - centres[max(place - 1, 0)]
    along = along if along[0] > 0 else -along
    return np.asarray(along / np.linalg.norm(along))
