"""The room of a neural foramen on a parasagittal slice: the fat and the root in it, outlined, in mm²."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

from stenograde.grades import Probabilities
from stenograde.levels.canal_model import Scale

REACH_MM = (10.0, 6.5)
"""Half height and half depth of the ellipse about a foramen's middle in which tissue counts, mm: foramina are up to 19
mm high and 12 mm deep (Stephens et al., Spine 1991;16:S525)."""

SMALLEST_MM2 = 4.0
"""Patches smaller than this are not outlined, mm²."""


class ForamenTissue(IntEnum):
    """What a slice through a foramen shows, by the place of its map; whatever else there is comes last."""

    FAT = 0
    ROOT = 1
    BONE = 2
    DISC = 3
    OTHER = 4


@dataclass(frozen=True)
class ForamenView:
    """Grid on which a foramen is looked at.

    Raises
    ------
    ValueError
        If a number is not above zero, or the grid does not hold what counts (:data:`REACH_MM`).
    """

    size_px: int = 96
    """Rows and columns."""
    grid_mm: float = 0.4

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.grid_mm <= 0 or self.size_px * self.grid_mm < 2 * max(REACH_MM):
            least, got = 2 * max(REACH_MM), f"{self.size_px} px of {self.grid_mm} mm"
            msg = f"a view of a foramen must be {least:g} mm wide or more, got {got}"
            raise ValueError(msg)

    def places(self, row: float, column: float, spacing_mm: Sequence[float]) -> NDArray[np.float64]:
        """Return where the grid lies in a slice, shape (2, rows, columns), px, from its middle there."""
        off = (np.arange(self.size_px) - (self.size_px - 1) / 2) * self.grid_mm
        rows, columns = np.meshgrid(off / spacing_mm[0] + row, off / spacing_mm[1] + column, indexing="ij")
        return np.stack([rows, columns])

    def cut(
        self, picture: NDArray[np.float32], row: float, column: float, spacing_mm: Sequence[float]
    ) -> NDArray[np.float32]:
        """Cut the view out of a slice about a place in it; what lies beyond the slice repeats its edge."""
        places = self.places(row, column, spacing_mm)
        return np.asarray(
            ndimage.map_coordinates(picture, places, order=1, mode="nearest", output=np.float32)
        )


def normalised(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring crops (n, rows, columns) to a range of about -1 to 1, each by its own percentiles."""
    low, high = np.percentile(crops, (2, 98), axis=(1, 2), keepdims=True)
    shown = (crops - low) / np.maximum(high - low, 1e-6)
    return (2 * np.clip(shown, -0.3, 1.6) - 1).astype(np.float32)


@dataclass(frozen=True)
class ForamenRoom:
    """What fills a foramen.

    Parameters
    ----------
    fat_mm2, root_mm2 : float
        Area of the fat, and of root and ganglion, each pixel by its probability.
    """

    fat_mm2: float
    root_mm2: float

    @property
    def area_mm2(self) -> float:
        """Area of what is not bone, disc, joint or ligament."""
        return self.fat_mm2 + self.root_mm2

    def between(self, other: ForamenRoom, share: float) -> ForamenRoom:
        """Return what lies between two slices, ``share`` of the way to the other."""
        fat = self.fat_mm2 + share * (other.fat_mm2 - self.fat_mm2)
        return ForamenRoom(fat, self.root_mm2 + share * (other.root_mm2 - self.root_mm2))


def room_of(maps: NDArray[np.float32], grid_mm: float) -> ForamenRoom:
    """Measure a foramen.

    Parameters
    ----------
    maps : ndarray of shape (tissues, rows, columns), float32
        Probability of each :class:`ForamenTissue`; the foramen's middle in the middle.
    grid_mm : float

    Examples
    --------
    >>> room = room_of(np.full((5, 96, 96), 0.2, np.float32), 0.4)
    >>> bool(abs(room.area_mm2 - 0.4 * np.pi * REACH_MM[0] * REACH_MM[1]) < 1)
    True
    """
    inside = _inside(maps.shape[1:], grid_mm)
    fat, root = (
        float(maps[one][inside].sum()) * grid_mm**2 for one in (ForamenTissue.FAT, ForamenTissue.ROOT)
    )
    return ForamenRoom(fat, root)


def outline_of(maps: NDArray[np.float32], grid_mm: float) -> NDArray[np.float64] | None:
    """Return the border of fat and root about the middle, shape (n, 2), px; None where there is too little of them."""
    room = (maps[ForamenTissue.FAT] + maps[ForamenTissue.ROOT]) * _inside(maps.shape[1:], grid_mm)
    parts, n = ndimage.label(room > 0.5)
    if not n:
        return None
    sizes = ndimage.sum_labels(room > 0.5, parts, range(1, n + 1)) * grid_mm**2
    if sizes.max() < SMALLEST_MM2:
        return None
    one = ndimage.gaussian_filter((parts == 1 + int(np.argmax(sizes))).astype(np.float32), 0.7)
    lines = find_contours(np.pad(one, 1), 0.5)
    return np.asarray(max(lines, key=len) - 1)


def _inside(shape: tuple[int, ...], grid_mm: float) -> NDArray[np.bool_]:
    down, across = (
        (np.arange(n) - (n - 1) / 2) * grid_mm / reach for n, reach in zip(shape, REACH_MM, strict=True)
    )
    return np.asarray(np.hypot(down[:, None], across) < 1)


_THIRDS = (
    "narrowed by more than a third and two thirds: Lurie et al., 10.1097/BRS.0b013e3181791af3, of what is usual at the "
    "level in phantoms without narrowing"
)


@dataclass(frozen=True)
class ForamenModel:
    """Severity of foraminal narrowing from a foramen's fat and room, on one scale as for the canal.

    Each is taken as a share of what is usual at its level; P(at least moderate) and P(severe) are logistic curves
    through 0 and 1 of their weighted mean narrowing.
    """

    fat_ratio: Scale = field(
        default_factory=lambda: Scale(2 / 3, 1 / 3, 1.0, f"fat about the root, {_THIRDS}")
    )
    area_ratio: Scale = field(default_factory=lambda: Scale(2 / 3, 1 / 3, 1.0, f"fat and root, {_THIRDS}"))
    steepness: float = 4.0
    """Slope of both logistic curves, per unit of narrowing."""

    def narrowing(self, room: ForamenRoom, usual: ForamenRoom) -> float:
        """Return the weighted mean narrowing of a foramen, given what is usual at its level."""
        fat = self.fat_ratio.narrowing(room.fat_mm2 / usual.fat_mm2)
        area = self.area_ratio.narrowing(room.area_mm2 / usual.area_mm2)
        weights = self.fat_ratio.weight, self.area_ratio.weight
        return (weights[0] * fat + weights[1] * area) / sum(weights)

    def probabilities(self, narrowing: float) -> Probabilities:
        """Return the probabilities of the severities at a narrowing.

        Examples
        --------
        >>> [round(p, 3) for p in ForamenModel().probabilities(1.0)]
        [0.018, 0.482, 0.5]
        """
        at_least_moderate, severe = (
            1 / (1 + math.exp(-self.steepness * (narrowing - at))) for at in (0.0, 1.0)
        )
        return Probabilities((1 - at_least_moderate, at_least_moderate - severe, severe))
