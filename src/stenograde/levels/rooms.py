"""The room that nerves have: areas of fat and root in foramina, heights of lateral recesses, from maps of tissues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray
from skimage.measure import find_contours

from stenograde.grades import Probabilities
from stenograde.levels.canal_model import Scale, graded
from stenograde.terms import Side

REACH_MM = (10.0, 6.5)
"""Half height and half depth of the ellipse about a foramen's middle in which tissue counts, mm: foramina are up to 19
mm high and 12 mm deep (Stephens et al., Spine 1991;16:S525)."""

SMALLEST_MM2 = 4.0
"""Foramina and sacs smaller than this are not outlined, mm²."""


class RoomTissue(IntEnum):
    """What is told apart on a slice, by the place of its map; whatever else there is comes last."""

    FAT = 0
    NERVE = 1
    """Roots and ganglia; on axial slices the sac with all that is in it, too."""
    BONE = 2
    DISC = 3
    OTHER = 4


@dataclass(frozen=True)
class RoomView:
    """Grid on which a slice is looked at, about a foramen or the canal.

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
            msg = f"a view must be {least:g} mm wide or more, got {got}"
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
            scipy.ndimage.map_coordinates(picture, places, order=1, mode="nearest", output=np.float32)
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

    @classmethod
    def mean(cls, rooms: Sequence[ForamenRoom], weights: Sequence[float]) -> ForamenRoom:
        """Return the weighted mean of what several slices show."""
        areas = np.average([(room.fat_mm2, room.root_mm2) for room in rooms], axis=0, weights=weights)
        return cls(float(areas[0]), float(areas[1]))


def room_of(maps: NDArray[np.float32], grid_mm: float) -> ForamenRoom:
    """Measure a foramen.

    Parameters
    ----------
    maps : ndarray of shape (tissues, rows, columns), float32
        Probability of each :class:`RoomTissue`; the foramen's middle in the middle.
    grid_mm : float

    Examples
    --------
    >>> room = room_of(np.full((5, 96, 96), 0.2, np.float32), 0.4)
    >>> bool(abs(room.area_mm2 - 0.4 * np.pi * REACH_MM[0] * REACH_MM[1]) < 1)
    True
    """
    inside = _inside(maps.shape[1:], grid_mm)
    fat, root = (float(maps[one][inside].sum()) * grid_mm**2 for one in (RoomTissue.FAT, RoomTissue.NERVE))
    return ForamenRoom(fat, root)


PEDICLES_MM = (10.0, 16.0, 3.0)
"""Where pedicles lie above and below a foramen's middle: from, to, and to either side of it, mm."""


def enclosed(maps: NDArray[np.float32], grid_mm: float) -> float:
    """Return how surely a slice runs between the two pedicles of a foramen, 0 to 1: bone above its middle and below.

    Beside the foramen, in the canal or out among the muscles, one of the two is missing.
    """
    row_mm, column_mm = _off_mm(maps.shape[1:], grid_mm)
    near, far, aside = PEDICLES_MM
    bone = maps[RoomTissue.BONE][:, np.abs(column_mm) < aside]
    above, below = (float(bone[(sense * row_mm > near) & (sense * row_mm < far)].mean()) for sense in (-1, 1))
    return above * below


def middle_of(maps: NDArray[np.float32], grid_mm: float) -> tuple[float, float]:
    """Return how far below and behind the view's middle that of fat and root lies, mm; 0 where there is neither."""
    room = (maps[RoomTissue.FAT] + maps[RoomTissue.NERVE]) * _inside(maps.shape[1:], grid_mm)
    total = float(room.sum())
    if total * grid_mm**2 < SMALLEST_MM2:
        return 0.0, 0.0
    row_mm, column_mm = _off_mm(maps.shape[1:], grid_mm)
    return float(room.sum(axis=1) @ row_mm) / total, float(room.sum(axis=0) @ column_mm) / total


def outline_of(maps: NDArray[np.float32], grid_mm: float) -> NDArray[np.float64] | None:
    """Return the border of fat and root about the middle, shape (n, 2), px; None where there is too little of them."""
    room = (maps[RoomTissue.FAT] + maps[RoomTissue.NERVE]) * _inside(maps.shape[1:], grid_mm)
    parts, n = scipy.ndimage.label(room > 0.5)
    if not n:
        return None
    sizes = scipy.ndimage.sum_labels(room > 0.5, parts, range(1, n + 1)) * grid_mm**2
    if sizes.max() < SMALLEST_MM2:
        return None
    return _border(parts == 1 + int(np.argmax(sizes)))


def _border(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the longest border of a mask, shape (n, 2), px."""
    soft = scipy.ndimage.gaussian_filter(mask.astype(np.float32), 0.7)
    lines = find_contours(np.pad(soft, 1), min(0.5, 0.6 * float(soft.max())))
    return np.asarray(max(lines, key=len) - 1)


def _inside(shape: tuple[int, ...], grid_mm: float) -> NDArray[np.bool_]:
    row_mm, column_mm = _off_mm(shape, grid_mm)
    return np.asarray(np.hypot((row_mm / REACH_MM[0])[:, None], column_mm / REACH_MM[1]) < 1)


BESIDE_MM = (0.3, 3.3)
"""Where a recess begins and ends beside the sac, mm; its height is its area over this width."""

SMALLEST_RECESS_MM2 = 1.0
"""Recesses smaller than this are not outlined, mm²."""

RECESS_MAP: Final = len(RoomTissue)
"""Place of the map of the recesses themselves, whatever fills them, behind those of tissues; foramina have none."""

SAC_REACH_MM = (12.0, 14.0)
"""The sac lies within this distance before or behind, and beside, the canal's middle, mm."""

_OPENED = 2
"""Bridges between sac and roots narrower than about so many pixels on both sides are cut."""


@dataclass(frozen=True, eq=False)
class Recess:
    """One lateral recess: its mean height, and its border, shape (n, 2), px; maybe none."""

    height_mm: float
    outline: NDArray[np.float64] | None


def recesses_of(maps: NDArray[np.float32], grid_mm: float) -> dict[Side, Recess]:
    """Measure both lateral recesses on an axial slice; nothing where no sac is seen.

    Parameters
    ----------
    maps : ndarray of shape (tissues + 1, rows, columns), float32
        Probability of each :class:`RoomTissue` and, at :data:`RECESS_MAP`, of a recess; the canal in the middle,
        columns to the patient's left.
    grid_mm : float
    """
    sac = sac_of(maps[RoomTissue.NERVE], grid_mm)
    if sac is None:
        return {}
    _, column_mm = _off_mm(maps.shape[1:], grid_mm)
    left_mm = column_mm - float(column_mm[np.nonzero(sac)[1]].mean())
    wide_mm = BESIDE_MM[1] - BESIDE_MM[0]
    found = {}
    for side, sense in ((Side.LEFT, 1.0), (Side.RIGHT, -1.0)):
        room = maps[RECESS_MAP] * (sense * left_mm > 0)
        area_mm2 = float(room.sum()) * grid_mm**2
        outline = _border(_surest(room)) if area_mm2 >= SMALLEST_RECESS_MM2 else None
        found[side] = Recess(area_mm2 / wide_mm, outline)
    return found


def _surest(room: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the surest places, as many as the probabilities add up to: a low recess is nowhere sure."""
    n = max(1, round(float(room.sum())))
    surest = np.zeros(room.shape, bool)
    surest.flat[np.argpartition(room, -n, axis=None)[-n:]] = True
    return surest


def sac_of(nerve: NDArray[np.float32], grid_mm: float) -> NDArray[np.bool_] | None:
    """Return where the dural sac is on an axial slice, from the map of nerves; None where none is seen."""
    row_mm, column_mm = _off_mm(nerve.shape, grid_mm)
    inside = (np.abs(row_mm) < SAC_REACH_MM[0])[:, None] & (np.abs(column_mm) < SAC_REACH_MM[1])
    parts, n = scipy.ndimage.label(scipy.ndimage.binary_opening((nerve > 0.5) & inside, iterations=_OPENED))
    if not n:
        return None
    away = [
        np.hypot(*(part.mean() - (size - 1) / 2 for part, size in zip(at, nerve.shape, strict=True)))
        * grid_mm
        - _PULL_PER_MM2 * len(at[0]) * grid_mm**2
        for at in (np.nonzero(parts == k) for k in range(1, n + 1))
    ]
    sac = parts == 1 + int(np.argmin(away))
    return np.asarray(sac) if sac.sum() * grid_mm**2 >= SMALLEST_MM2 else None


_PULL_PER_MM2 = 0.125
"""How much nearer to the middle a patch counts for each mm²: the sac is the large one."""


def _off_mm(shape: tuple[int, ...], grid_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far rows and columns lie from the middle, mm."""
    row_mm, column_mm = ((np.arange(n, dtype=np.float64) - (n - 1) / 2) * grid_mm for n in shape)
    return row_mm, column_mm


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

    def probabilities(self, room: ForamenRoom, usual: ForamenRoom) -> Probabilities:
        """Return the probabilities of the severities of a foramen, given what is usual at its level."""
        return graded(self.narrowing(room, usual), self.steepness)


@dataclass(frozen=True)
class RecessModel:
    """Severity of subarticular stenosis from the height of the recess, on one scale as for the canal."""

    height_mm: Scale = field(
        default_factory=lambda: Scale(
            3.0,
            2.0,
            1.0,
            "height of the lateral recess: 3 mm and less suggests stenosis, 2 mm and less proves it: Ciric et al., "
            "J Neurosurg 1980;53:433",
        )
    )
    steepness: float = 2.0
    """Slope of both logistic curves, per unit of narrowing, 1 mm: half the canal's, as a height is read off to half a
    millimetre at best."""

    def probabilities(self, height_mm: float) -> Probabilities:
        """Return the probabilities of the severities at a height."""
        return graded(self.height_mm.narrowing(height_mm), self.steepness)
