"""Where the foramina of a level lie: anchors by rule, middles behind the wall that is seen on their own slices.

How far the bodies' and the disc's back recedes beside the midline differs between patients by more than a foramen is
deep, and a disc that bulges shifts its own margin; the wall on the foramen's own slices is free of both.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Point
from stenograde.levels.marked import MarkedVolume
from stenograde.terms import Level, Side, Structure

FORAMEN_ASIDE_MM = {
    Level.L1_L2: 13.5,
    Level.L2_L3: 14.0,
    Level.L3_L4: 15.0,
    Level.L4_L5: 16.5,
    Level.L5_S1: 18.0,
}
"""Distance of a foramen's anchor from the mid-sagittal surface, mm: half the interpedicular distance plus a
third of the pedicle's width (Zhou et al., doi:10.1007/s005860000140)."""

FORAMEN_UP_MM = 4.0
"""Height of a foramen's anchor above the disc's middle, mm: the disc bounds the lower half of a foramen about
20 mm high (Hasegawa et al., doi:10.2106/00004623-199501000-00005)."""

FORAMEN_BACK_MM = {
    Level.L1_L2: 0.0,
    Level.L2_L3: 0.0,
    Level.L3_L4: -0.5,
    Level.L4_L5: -1.0,
    Level.L5_S1: -1.0,
}
"""Distance of a foramen's anchor behind the disc's posterior margin, mm: half the depth of a foramen of 8 mm,
less what the margin of a body 42 to 50 mm wide and 34 mm deep recedes that far aside (Zhou et al., ibid.).

Graders are trained on crops about the anchor, which therefore stays where it is."""

FORAMEN_MIDDLE_MM = {
    Level.L1_L2: (4.0, 6.5, 1.5),
    Level.L2_L3: (3.0, 6.0, 1.5),
    Level.L3_L4: (2.0, 6.5, 2.0),
    Level.L4_L5: (1.0, 5.5, 1.5),
    Level.L5_S1: (-0.5, 6.0, -0.5),
}
"""Way from a foramen's anchor to its middle, mm: aside, back, up.

Medians of the way to the foramina of 40 phantoms, whose anatomy is from the literature
(``stenograde phantom --patients 40 --seed 1717``), to 0.5 mm. No reader's point was used. How far back holds where no
wall is seen; see :func:`middles_behind_walls`."""

HALF_DEPTH_MM = 4.0
"""Way from the wall before a foramen to its middle, mm: half the depth of one of 8 mm (Hasegawa et al., ibid.)."""

_WALL_ASIDES_MM = (-2.0, 0.0)
"""Where the wall is looked for, beside the anchor, mm: from the pedicle's inner edge to its inner third."""

_WALL_UPS_MM = np.arange(-3.0, 10.5, 0.5)
"""Heights above the disc's middle on which the wall is looked for, mm: disc, and a third of the body above."""

_BEHIND_MM = np.arange(-25.0, 10.5, 0.5)
"""Way along the disc on which the wall is looked for, from its posterior margin, mm."""

_FRONT_MM = -10.0
"""Bone before here is a body's; what begins behind it may be a joint's, mm."""

WALL_RANGE_MM = (-8.0, 5.0)
"""Where a wall is believed, behind the margin, mm: a body 42 to 50 mm wide and 34 mm deep recedes by up to 6 mm at the
anchor (Zhou et al., ibid.), and a midline may be off by 2 mm."""

LEAST_SEEN = 0.5
"""Share of heights on which a wall must be seen."""

SENSES = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
"""Whether a side lies to the patient's left."""


def foramina_at(
    level: Level,
    margin_mm: NDArray[np.float64],
    left: NDArray[np.float64],
    back: NDArray[np.float64],
    up: NDArray[np.float64],
) -> dict[Side, Point]:
    """Return the middle of each foramen, LPS mm, from the disc's posterior margin and the axes of the level."""
    beside = {side: margin_mm + left * sense * FORAMEN_ASIDE_MM[level] for side, sense in SENSES.items()}
    return {
        side: geometry.as_point(at + back * FORAMEN_BACK_MM[level] + up * FORAMEN_UP_MM)
        for side, at in beside.items()
    }


def foramen_middles(
    level: Level,
    anchors: Mapping[Side, Point],
    left: NDArray[np.float64],
    back: NDArray[np.float64],
    up: NDArray[np.float64],
) -> dict[Side, Point]:
    """Return the middles of a level's foramina from their anchors and the level's own unit vectors, LPS mm."""
    aside_mm, back_mm, up_mm = FORAMEN_MIDDLE_MM[level]
    straight = back * back_mm + up * up_mm
    return {
        side: geometry.as_point(np.asarray(point) + straight + left * (aside_mm * SENSES[side]))
        for side, point in anchors.items()
    }


def middles_behind_walls(
    marked: MarkedVolume,
    level: Level,
    anchors: Mapping[Side, Point],
    left: NDArray[np.float64],
    back: NDArray[np.float64],
    up: NDArray[np.float64],
) -> dict[Side, Point]:
    """Return the middles of a level's foramina, each behind the wall of bodies and disc on its own slices, LPS mm.

    Parameters
    ----------
    marked : MarkedVolume
    level : Level
    anchors : mapping
        By :func:`foramina_at`.
    left, back, up : ndarray of shape (3,), float64
        Unit vectors of the level's own frame.

    Where less of a wall is seen than on :data:`LEAST_SEEN` of the heights, the middle lies by rule.
    """
    middles = foramen_middles(level, anchors, left, back, up)
    from_margin = back * FORAMEN_BACK_MM[level] + up * FORAMEN_UP_MM
    for side, by_rule in middles.items():
        wall = _wall_mm(marked, np.asarray(anchors[side]) - from_margin, left * SENSES[side], back, up)
        if wall is not None:
            ruled = FORAMEN_BACK_MM[level] + FORAMEN_MIDDLE_MM[level][1]
            behind = float(np.clip(wall, *WALL_RANGE_MM)) + HALF_DEPTH_MM
            middles[side] = geometry.as_point(np.asarray(by_rule) + back * (behind - ruled))
    return middles


def _wall_mm(
    marked: MarkedVolume,
    beside: NDArray[np.float64],
    aside: NDArray[np.float64],
    back: NDArray[np.float64],
    up: NDArray[np.float64],
) -> float | None:
    """Return how far behind a point beside the margin the wall lies, mm: the median over heights; None if not seen."""
    ways = np.meshgrid(_WALL_ASIDES_MM, _WALL_UPS_MM, _BEHIND_MM, indexing="ij")
    places = beside + sum(way[..., None] * axis for way, axis in zip(ways, (aside, up, back), strict=True))
    at = np.moveaxis(geometry.to_index(marked.affine, places.reshape(-1, 3)), -1, 0)
    first, last = np.array([np.floor(at.min(axis=1)), np.ceil(at.max(axis=1))]).astype(int)
    first, last = (
        np.clip(first, 0, None),
        np.minimum(last + 2, marked.probabilities.shape[:1] + marked.size[1:]),
    )
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    if any(part.start >= part.stop for part in box):
        return None
    near = marked.probabilities[box[0], :, box[1], box[2]]
    solid = np.maximum(near[:, Structure.VERTEBRA.code], near[:, Structure.DISC.code])
    values = scipy.ndimage.map_coordinates(solid, at - first[:, None], order=1, cval=0.0)
    is_solid = (values > 0.5).reshape(-1, len(_BEHIND_MM))
    walls = _ends_of_body(is_solid)
    return float(np.median(walls)) if len(walls) >= LEAST_SEEN * len(is_solid) else None


def _ends_of_body(is_solid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return where the bone or disc that reaches farthest back from the front ends, mm, on each line where one does."""
    starts = is_solid & (_BEHIND_MM <= _FRONT_MM)
    last = len(_BEHIND_MM) - 1 - np.argmax(starts[:, ::-1], axis=1)
    gaps = ~is_solid & (np.arange(len(_BEHIND_MM)) > last[:, None])
    ends = starts.any(axis=1) & gaps.any(axis=1)
    return np.asarray(_BEHIND_MM[np.argmax(gaps[ends], axis=1) - 1])
