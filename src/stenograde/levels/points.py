"""Named points of each disc level in patient space, from the discs and the canal on the mid-sagittal surface."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import LevelPosition, Point
from stenograde.levels.canal import CanalLine, canal_line
from stenograde.levels.disc import Disc
from stenograde.levels.discs import DiscChain, find_discs
from stenograde.levels.foramina import FORAMEN_ASIDE_MM, SENSES, foramina_at, middles_behind_walls
from stenograde.levels.marked import MarkedVolume, MidSurface, lines_about, mid_surface
from stenograde.terms import LUMBAR_MRI, Level, Side, Structure

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
    """Anchors that the shipped grader's crops of the foramina are cut about."""
    foramen_middles: dict[Side, Point]
    """Middle of each foramen: where it is shown and reported; see :mod:`stenograde.levels.foramina`."""
    recesses: dict[Side, Point]
    """Subarticular zones."""
    left: NDArray[np.float64]
    back: NDArray[np.float64]
    up: NDArray[np.float64]
    station: int
    """Index into the canal line."""


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


def points_reach_mm(slice_mm: float) -> float:
    """Return how far beside the canal's middle slices matter to points of levels, by the distance of slices, mm."""
    return max(DISC_REACH_MM + slice_mm / 2, max(FORAMEN_ASIDE_MM.values()) + slice_mm)


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
    height = disc.height_mm if np.isfinite(disc.height_mm) else 8.0
    half_length, half_height = 30.0, height / 2 + 5
    box = lines_about(middle, float(np.hypot(half_length, half_height)) / grid, marked.size[1:])
    rows, columns = np.mgrid[box]
    along = ((rows - middle[0]) * axis[0] + (columns - middle[1]) * axis[1]) * grid
    across = ((columns - middle[1]) * axis[0] - (rows - middle[0]) * axis[1]) * grid
    window = (np.abs(along) < half_length) & (np.abs(across) < half_height)
    mid_slice = np.interp(middle[0], np.arange(len(surface.slice_of_row)), surface.slice_of_row)
    away = np.abs(np.arange(marked.size[0]) - mid_slice)
    # as far to one side as to the other, the outermost slice in part: or the centre would jump by half a slice
    reach = min(DISC_REACH_MM / marked.slice_mm, mid_slice, marked.size[0] - 1 - mid_slice)
    share = np.clip(0.5 + reach - away, 0, 1)
    near = share > 0
    p = marked.probabilities[near, Structure.DISC.code, *box][:, window]
    weight = np.where(p > 0.4, p, 0) * share[near, None]
    on_surface = geometry.as_point(surface.to_patient(middle)[0])
    if weight.sum() * grid**2 < MIN_DISC_MM2:
        return on_surface
    slices = np.flatnonzero(near)
    centre = [
        float((weight.sum(axis=1) * slices).sum() / weight.sum()),
        float((weight.sum(axis=0) * rows[window]).sum() / weight.sum()),
        float((weight.sum(axis=0) * columns[window]).sum() / weight.sum()),
    ]
    return geometry.as_point(geometry.to_patient(marked.affine, [centre])[0])


def _level_point(
    level: Level, disc: Disc, disc_centre_mm: Point, surface: MidSurface, canal: CanalLine
) -> LevelPoint:
    axis = _disc_axis(disc, canal)
    station = disc_station(disc, canal)
    canal_mm, ahead_mm = surface.to_patient(np.stack([canal.centre[station], canal.centre[station] + axis]))
    left, back, up = _frame(surface, ahead_mm - canal_mm)
    margin_mm = surface.to_patient(np.asarray(disc.margin))[0]
    foramina = foramina_at(level, margin_mm, left, back, up)
    middles = middles_behind_walls(surface.marked, level, foramina, left, back, up)
    recesses = {
        side: geometry.as_point(margin_mm + left * sense * RECESS_ASIDE_MM[level] + back * RECESS_BACK_MM)
        for side, sense in SENSES.items()
    }
    return LevelPoint(
        level,
        disc,
        disc_centre_mm,
        geometry.as_point(canal_mm),
        foramina,
        middles,
        recesses,
        left,
        back,
        up,
        station,
    )


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
