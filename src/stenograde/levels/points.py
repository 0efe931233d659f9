"""Named points of each disc level in patient space, from the discs and the canal on the mid-sagittal surface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import LevelPosition, Point
from stenograde.levels.canal import CanalLine, canal_line
from stenograde.levels.disc import Disc
from stenograde.levels.discs import DiscChain, find_discs
from stenograde.levels.marked import MarkedVolume, MidSurface, mid_surface
from stenograde.terms import LUMBAR_MRI, Level, Side, Structure

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
(``stenograde phantom --patients 40 --seed 1717``), to 0.5 mm. No reader's point was used."""

RECESS_ASIDE_MM = {
    Level.L1_L2: 8.5,
    Level.L2_L3: 8.5,
    Level.L3_L4: 8.0,
    Level.L4_L5: 7.5,
    Level.L5_S1: 7.0,
}
"""Distance of the subarticular zone's middle from the mid-sagittal surface, mm: just beside the thecal sac,
which narrows downwards (zones after Wiltse et al., doi:10.1097/00007632-199707010-00023)."""

RECESS_BACK_MM = 4.5
"""Distance of the subarticular zone's middle behind the disc's posterior margin, mm."""

DISC_REACH_MM = 20.0
"""A disc's centre is taken over the slices this far to each side; a lumbar disc is 45 to 55 mm wide, mm."""

MIN_DISC_MM2 = 60.0
"""With less disc than this over all slices its middle slice decides, mm²."""
_SENSES = {Side.LEFT: 1.0, Side.RIGHT: -1.0}


@dataclass(frozen=True, eq=False)
class LevelPoint:
    """Points of one disc level, LPS mm.

    ``left``, ``back`` and ``up`` are unit vectors of the level's own frame.
    """

    level: Level
    disc: Disc
    disc_centre: Point
    canal_centre: Point
    foramina: dict[Side, Point]
    """Anchors that crops of the foramina are cut about; see :attr:`foramen_middles`."""
    recesses: dict[Side, Point]
    """Subarticular zones."""
    left: NDArray[np.float64]
    back: NDArray[np.float64]
    up: NDArray[np.float64]
    station: int
    """Index into the canal line."""

    @property
    def foramen_middles(self) -> dict[Side, Point]:
        """Middle of each foramen: where it is shown and reported."""
        return foramen_middles(self.level, self.foramina, self.left, self.back, self.up)


@dataclass(frozen=True, eq=False)
class LevelPoints:
    """What was found of the spine: points per imaged level, and what they were found from."""

    levels: dict[Level, LevelPoint]
    surface: MidSurface
    canal: CanalLine
    chain: DiscChain
    disc_centres: dict[str, Point]
    """Centre of each disc of the chain by its name, over all slices that show it."""

    @cached_property
    def acquired(self) -> NDArray[np.bool_]:
        """Whether the canal's middle was acquired at each of its stations, shape (stations,)."""
        return self.surface.acquired(self.canal.centre[:, 0])

    @cached_property
    def measured(self) -> CanalLine:
        """The canal with its diameters where its middle was acquired; NaN elsewhere."""
        return replace(self.canal, diameter_mm=np.where(self.acquired, self.canal.diameter_mm, np.nan))

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against the names of the levels."""
        return self.chain.doubts

    def doubted(self, doubts: Iterable[str]) -> LevelPoints:
        """Return the same points with further doubts about their names, before those there are."""
        return replace(self, chain=replace(self.chain, doubts=(*doubts, *self.chain.doubts)))

    def positions(self) -> tuple[LevelPosition, ...]:
        """Position of each lumbar level; one outside the imaged field has no point."""
        return tuple(
            LevelPosition(
                level=level,
                point=self.levels[level].canal_centre if level in self.levels else None,
                imaged=level in self.levels,
                certain=level in self.levels and self.chain.certain,
            )
            for level in LUMBAR_MRI.levels
        )


def find_levels(marked: MarkedVolume) -> LevelPoints | None:
    """Find the disc levels of a marked sagittal volume; None when no canal or no disc can be seen."""
    surface = mid_surface(marked)
    canal = canal_line(surface) if surface is not None else None
    if surface is None or canal is None:
        return None
    chain = find_discs(surface)
    if not chain.discs:
        return None
    by_name = {level.shown: level for level in LUMBAR_MRI.levels}
    centres = {disc.name: disc_centre(disc, surface) for disc in chain.discs}
    levels = {
        by_name[disc.name]: _level_point(by_name[disc.name], disc, centres[disc.name], surface, canal)
        for disc in chain.discs
        if disc.name in by_name
    }
    return LevelPoints(levels, surface, canal, chain, centres)


def disc_station(disc: Disc, canal: CanalLine) -> int:
    """Index of the station behind a disc.

    It lies behind the middle of the posterior margin, half way between the directions of the disc and of the
    canal's normal there: where a reader looks for the narrowest place, also at the wedge-shaped L5/S1.
    """
    margin = np.asarray(disc.margin)
    tangent = canal.tangent[int(np.argmin(np.linalg.norm(canal.centre - margin, axis=1)))]
    direction = _disc_axis(disc, canal) + np.array([-tangent[1], tangent[0]])
    direction = direction / np.linalg.norm(direction)
    away = canal.centre - margin
    aside = np.abs(away @ np.array([-direction[1], direction[0]]))
    behind = away @ direction > 0
    return int(np.argmin(np.where(behind, aside, np.inf) if behind.any() else aside))


def disc_centre(disc: Disc, surface: MidSurface) -> Point:
    """Centre of a disc over the slices within :data:`DISC_REACH_MM` of the mid-sagittal surface.

    Its middle slice alone would give a point too far forward, as the disc's back is hollow there.
    """
    marked, grid = surface.marked, surface.marked.grid_mm
    middle, axis = np.asarray(disc.centre), np.asarray(disc.axis)
    rows, columns = np.indices(marked.size[1:])
    along = ((rows - middle[0]) * axis[0] + (columns - middle[1]) * axis[1]) * grid
    across = ((columns - middle[1]) * axis[0] - (rows - middle[0]) * axis[1]) * grid
    height = disc.height_mm if np.isfinite(disc.height_mm) else 8.0
    window = (np.abs(along) < 30) & (np.abs(across) < height / 2 + 5)
    mid_slice = np.interp(middle[0], np.arange(len(surface.slice_of_row)), surface.slice_of_row)
    away = np.abs(np.arange(marked.size[0]) - mid_slice)
    # as far to one side as to the other, the outermost slice in part: or the centre would jump by half a slice
    reach = min(DISC_REACH_MM / marked.slice_mm, mid_slice, marked.size[0] - 1 - mid_slice)
    share = np.clip(0.5 + reach - away, 0, 1)
    near = share > 0
    p = marked.probabilities[near][:, Structure.DISC.code][:, window]
    weight = np.where(p > 0.4, p, 0) * share[near, None]
    on_surface = as_point(surface.to_patient(middle)[0])
    if weight.sum() * grid**2 < MIN_DISC_MM2:
        return on_surface
    slices = np.flatnonzero(near)
    centre = [
        float((weight.sum(axis=1) * slices).sum() / weight.sum()),
        float((weight.sum(axis=0) * rows[window]).sum() / weight.sum()),
        float((weight.sum(axis=0) * columns[window]).sum() / weight.sum()),
    ]
    return as_point(geometry.to_patient(marked.affine, [centre])[0])


def _level_point(
    level: Level, disc: Disc, disc_centre_mm: Point, surface: MidSurface, canal: CanalLine
) -> LevelPoint:
    axis = _disc_axis(disc, canal)
    station = disc_station(disc, canal)
    canal_mm, ahead_mm = surface.to_patient(np.stack([canal.centre[station], canal.centre[station] + axis]))
    left, back, up = _frame(surface, ahead_mm - canal_mm)
    margin_mm = surface.to_patient(np.asarray(disc.margin))[0]
    foramina = foramina_at(level, margin_mm, left, back, up)
    recesses = {
        side: as_point(margin_mm + left * sense * RECESS_ASIDE_MM[level] + back * RECESS_BACK_MM)
        for side, sense in _SENSES.items()
    }
    return LevelPoint(
        level, disc, disc_centre_mm, as_point(canal_mm), foramina, recesses, left, back, up, station
    )


def foramina_at(
    level: Level,
    margin_mm: NDArray[np.float64],
    left: NDArray[np.float64],
    back: NDArray[np.float64],
    up: NDArray[np.float64],
) -> dict[Side, Point]:
    """Return the middle of each foramen, LPS mm, from the disc's posterior margin and the axes of the level."""
    beside = {side: margin_mm + left * sense * FORAMEN_ASIDE_MM[level] for side, sense in _SENSES.items()}
    return {
        side: as_point(at + back * FORAMEN_BACK_MM[level] + up * FORAMEN_UP_MM) for side, at in beside.items()
    }


def _disc_axis(disc: Disc, canal: CanalLine) -> NDArray[np.float64]:
    """Direction of the disc to the back, held within 30 degrees of the canal's normal beside it."""
    axis = np.asarray(disc.axis)
    tangent = canal.tangent[int(np.argmin(np.linalg.norm(canal.centre - np.asarray(disc.centre), axis=1)))]
    normal = np.array([-tangent[1], tangent[0]])
    if not np.isfinite(disc.length_mm):
        return normal
    return axis if float(axis @ normal) > np.cos(np.deg2rad(30)) else normal


def _frame(
    surface: MidSurface, ahead: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return unit vectors to the patient's left, the back and the head at a level."""
    across = surface.marked.affine[:3, 0]
    left = across / np.linalg.norm(across) * (1.0 if across[0] > 0 else -1.0)
    back = ahead - left * float(ahead @ left)
    back = back / np.linalg.norm(back)
    return left, back, np.cross(left, back)


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
        side: as_point(np.asarray(point) + straight + left * (aside_mm * _SENSES[side]))
        for side, point in anchors.items()
    }


def as_point(xyz: NDArray[np.float64]) -> Point:
    """Return a point as a tuple of three floats."""
    return float(xyz[0]), float(xyz[1]), float(xyz[2])
