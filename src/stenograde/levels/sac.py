"""The dural sac on axial T2 slices: outlined where its border can be followed, with its area in mm²."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Measurement, Point
from stenograde.levels.points import LevelPoint, LevelPoints
from stenograde.levels.slices import Seen, slice_through
from stenograde.study import Series
from stenograde.terms import LUMBAR_MRI, Level, Quantity

GRID_MM = 0.4
"""Pixel spacing of the patch that the sac is looked for in, mm."""

HALF_WIDTH_MM = 14.0
"""The sac lies within this distance of the canal's centre, from side to side, mm."""

SMOOTH_MM = 0.8
"""Fluid and roots are merged at this scale, mm."""

THRESHOLD = 0.4
"""The sac's border: this share of the way from the dark surroundings to its signal."""

FLUID_CAP = 0.6
"""Signal above this share of the patch's range is free fluid, beside which roots would seem dark."""

DARK_RUN_MM = 1.0
"""A ray from the middle has left the sac where it stays below the threshold for this long, mm."""

N_RAYS = 72
"""Rays from the middle, evenly around."""

LEAK_RAYS = 15
"""Rays are compared with this many around them; where a root sleeve or fat lets one run on, it is cut."""

LEAK = 1.15
"""Longest that a ray may be, as a multiple of the median around it."""

FINE_MM = 0.4
"""The border is found again at this finer scale, mm."""

INSIDE_MM, OUTSIDE_MM = 3.0, 1.0
"""How far inside and outside of the first border the second is looked for along each ray, mm."""

FALLEN, FALLEN_BEHIND = 0.5, 0.2
"""Share of its way down, from the fluid or root inside to the dark outside, at which a ray has left the sac.

Behind the sac lies a triangle of fat that is bright too, with the dura between too thin to be dark: there the fall to
the lamina begins at the sac's border and has its middle in the fat. Found on phantoms, whose border is known.
"""

BEHIND_DEG, BEHIND_FADES_DEG = 50.0, 20.0
"""Rays within this angle of straight back have fat behind them; around it one share gives way to the other."""

DURA_MM = (-0.5, 2.5)
"""Where the dura is looked for on rays to the back: so far from the canal's own wall, mm."""

DURA_DIP = 0.1
"""The dura shows as a line that is darker by this share than what lies on both its sides."""

FAT_RUN_MM = 0.6
"""A ray has left the sac where fat is surer than nerve for this long, mm."""

LEAST_SHARE = 0.6
"""No border is looked for nearer to the middle than this share of half the canal's depth: cord and clumps of roots are
dark there."""

NEIGHBOUR_RAYS = 7
"""The second border is smoothed by the median over this many rays."""

MIN_CLOSED = 0.85
"""Share of rays that must find a border."""

AREA_MM2 = (15.0, 330.0)
"""Areas outside this range are not believed; a normal sac has about 150 mm², deviation 54
(Lim et al. 2017, as the phantom's population)."""

MIN_CONTRAST = 0.15
"""The sac must be brighter than its surroundings by this share of the patch's range."""

MAX_TILT_DEG = 25.0
"""Slices more oblique to the canal show no cross-section of it."""

MAX_AWAY_MM = 3.0
"""The slice must lie so near the level's middle, mm."""


FatOverNerve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""How much surer it is that there is fat than nerve at points of a slice, shape (n, 3), LPS mm; shape (n,), -1 to 1."""


@dataclass(frozen=True, eq=False)
class _Patch:
    """Axial picture around the canal, rows to the back, columns to the left, with the way back to patient space."""

    picture: NDArray[np.float64]
    fat: NDArray[np.float64] | None
    """How much surer fat is than nerve, at each pixel."""
    corner: NDArray[np.float64]
    back: NDArray[np.float64]
    left: NDArray[np.float64]

    def to_patient(self, line: NDArray[np.float64]) -> tuple[Point, ...]:
        at = self.corner + (line[:, :1] * self.back + line[:, 1:] * self.left) * GRID_MM
        return tuple(geometry.as_point(p) for p in at)


def measure_sac(
    axial: Series,
    points: LevelPoints,
    measurements: tuple[Measurement, ...],
    fat: Mapping[Level, FatOverNerve] = MappingProxyType({}),
) -> tuple[Measurement, ...]:
    """Measure the dural sac's area at each level where an axial slice lies across it.

    Parameters
    ----------
    axial : Series
        Axial T2.
    points : LevelPoints
    measurements : tuple of Measurement
        The canal's anteroposterior diameter at each level, whose walls bound the sac.
    fat : mapping, optional
        What tells fat from nerve on the slice that shows a level. Epidural fat is nearly as bright as the sac on T2,
        and the dura between them often too thin to be seen: signal alone takes some of it for the sac.

    Returns
    -------
    areas : tuple of Measurement
        The dural sac's area with the points of its outline; levels where it could not be followed are left out.
    """
    walls = {m.level: m.points for m in measurements if m.quantity is Quantity.CANAL_AP_DIAMETER}
    found = []
    for level in LUMBAR_MRI.levels:
        if level not in points.levels or level not in walls:
            continue
        point = points.levels[level]
        centre = np.mean(walls[level], axis=0)
        # the slice that the report shows for this level, though the narrowest place may lie beside it
        seen = slice_through(axial, point.canal_centre, point.up)
        if seen is None or seen.away_mm > MAX_AWAY_MM or _tilt_deg(seen, point) > MAX_TILT_DEG:
            continue
        front, back = (float((np.asarray(w) - centre) @ point.back) for w in walls[level])
        patch = _patch(seen, centre, point, fat.get(level))
        outline = _outline(patch, front, back)
        if outline is not None:
            line, area_mm2 = outline
            found.append(Measurement(Quantity.DURAL_SAC_AREA, level, area_mm2, patch.to_patient(line)))
    return tuple(found)


def _tilt_deg(seen: Seen, point: LevelPoint) -> float:
    normal = geometry.normal_of(seen.volume.affine)
    return float(np.degrees(np.arccos(min(1.0, abs(float(normal @ point.up))))))


def _patch(seen: Seen, centre: NDArray[np.float64], point: LevelPoint, fat: FatOverNerve | None) -> _Patch:
    """Sample the slice around where the canal passes it, on a grid along the level's own axes."""
    affine = seen.volume.affine
    normal = geometry.normal_of(affine)
    left = point.left - normal * float(point.left @ normal)
    left = left / np.linalg.norm(left)
    back = point.back - normal * float(point.back @ normal) - left * float(point.back @ left)
    back = back / np.linalg.norm(back)
    half = round((HALF_WIDTH_MM + 6) / GRID_MM)
    steps = np.arange(-half, half + 1) * GRID_MM
    on_slice = geometry.to_patient(affine, [[seen.slice, seen.row, seen.column]])[0]
    on_plane = centre + point.up * float((on_slice - centre) @ normal) / float(point.up @ normal)
    grid = on_plane + steps[:, None, None] * back + steps[None, :, None] * left
    index = geometry.to_index(affine, grid.reshape(-1, 3))
    pixels = seen.volume.slices([seen.slice])[0]
    values = scipy.ndimage.map_coordinates(pixels, index[:, 1:].T, order=1, mode="nearest")
    is_fat = None if fat is None else fat(grid.reshape(-1, 3)).reshape(grid.shape[:2])
    return _Patch(values.reshape(grid.shape[:2]).astype(np.float64), is_fat, grid[0, 0], back, left)


def _outline(patch: _Patch, front_mm: float, back_mm: float) -> tuple[NDArray[np.float64], float] | None:
    """Border (n, 2) and area in mm² of the bright region around the patch's middle; None when unclear."""
    picture = patch.picture
    smooth = scipy.ndimage.gaussian_filter(picture, SMOOTH_MM / GRID_MM)
    middle = picture.shape[0] // 2
    down, across = (np.indices(picture.shape) - middle) * GRID_MM
    depth = max(1.5, (back_mm - front_mm) / 3)
    core = (across / 3.5) ** 2 + ((down - (front_mm + back_mm) / 2) / depth) ** 2 <= 1
    signal, dark = float(np.median(smooth[core])), float(np.percentile(smooth, 15))
    low, high = np.percentile(picture, (2, 98))
    if signal - dark <= MIN_CONTRAST * (high - low):
        return None
    start = np.array([(front_mm + back_mm) / 2, 0.0]) / GRID_MM + middle
    believed = min(signal - dark, FLUID_CAP * (high - dark))
    level = THRESHOLD * believed / (signal - dark)
    least_mm = LEAST_SHARE * (back_mm - front_mm) / 2
    radius_mm, ends = _radii(smooth, start, dark + level * (signal - dark), least_mm)
    fat_mm = np.full(N_RAYS, np.inf) if patch.fat is None else _fat_mm(patch.fat, start, least_mm)
    # smoothing carries an edge's lower levels outwards: back to where its middle was
    radius_mm = np.maximum(radius_mm - SMOOTH_MM * NormalDist().inv_cdf(1 - level), 0.0)
    if (ends | np.isfinite(fat_mm)).mean() < MIN_CLOSED:
        return None
    radius_mm = np.minimum(radius_mm, LEAK * _median_around(radius_mm, LEAK_RAYS))
    fine = scipy.ndimage.gaussian_filter(picture, FINE_MM / GRID_MM)
    radius_mm = _where_fallen(fine, start, radius_mm, least_mm)
    radius_mm = np.minimum(radius_mm, _dura_mm(fine, start, radius_mm, (back_mm - front_mm) / 2))
    radius_mm = np.minimum(radius_mm, fat_mm)
    radius_mm = _median_around(radius_mm, NEIGHBOUR_RAYS)
    area_mm2 = float(0.5 * np.sin(2 * np.pi / N_RAYS) * (radius_mm @ np.roll(radius_mm, 1)))
    if not AREA_MM2[0] <= area_mm2 <= AREA_MM2[1]:
        return None
    return start + _directions() * radius_mm[:, None] / GRID_MM, area_mm2


def _where_fallen(
    fine: NDArray[np.float64], start: NDArray[np.float64], radius_mm: NDArray[np.float64], least_mm: float
) -> NDArray[np.float64]:
    """Move each border to where its own ray has fallen, from the fluid or root inside towards the dark outside.

    A symmetric blur leaves the half-way point of an edge where it was; one threshold for the whole sac does not, as
    roots at its rim are darker than free fluid.
    """
    off = np.arange(-INSIDE_MM, OUTSIDE_MM, GRID_MM / 4)
    way = np.maximum(radius_mm[:, None] + off, 0.0)
    values = _along_rays(fine, start, way)
    is_inside = (off <= 0) & (way >= least_mm)
    is_inside[:, np.argmax(off >= 0)] = True
    bright = np.argmax(np.where(is_inside, values, -np.inf), axis=1)
    beyond = np.arange(len(off)) >= bright[:, None]
    inside = values[np.arange(len(values)), bright]
    outside = np.where(beyond, values, np.inf).min(axis=1)
    fallen = beyond & (values <= (inside - _share_fallen() * (inside - outside))[:, None])
    return way[np.arange(len(way)), np.argmax(fallen, axis=1)]


def _dura_mm(
    fine: NDArray[np.float64], start: NDArray[np.float64], radius_mm: NDArray[np.float64], wall_mm: float
) -> NDArray[np.float64]:
    """Way along each ray to the near side of the dark line behind the sac, mm; infinite where there is none."""
    way = np.arange(0.0, HALF_WIDTH_MM, GRID_MM / 4)
    values = _along_rays(fine, start, np.tile(way, (N_RAYS, 1)))
    values = np.mean([np.roll(values, k, axis=0) for k in (-1, 0, 1)], axis=0)
    found = np.full(N_RAYS, np.inf)
    reach = round(INSIDE_MM / (GRID_MM / 4))
    for ray in np.flatnonzero(_off_back_deg() < BEHIND_DEG):
        line = values[ray]
        first, last = np.searchsorted(way, [wall_mm + DURA_MM[0], min(wall_mm + DURA_MM[1], radius_mm[ray])])
        for dip in range(last - 1, max(int(first), 1) - 1, -1):
            before, beyond = line[max(0, dip - reach) : dip + 1], line[dip : last + 1]
            is_dip = line[dip] <= line[dip - 1] and line[dip] < line[dip + 1]
            if is_dip and line[dip] < (1 - DURA_DIP) * min(before.max(), beyond.max()):
                still_bright = np.flatnonzero(before >= (before.max() + line[dip]) / 2)
                found[ray] = way[dip - len(before) + 1 + still_bright[-1]]
                break
    return found


def _fat_mm(fat: NDArray[np.float64], start: NDArray[np.float64], least_mm: float) -> NDArray[np.float64]:
    """Way along each ray to where fat begins, mm; infinite where it meets none."""
    way = np.arange(0.0, HALF_WIDTH_MM, GRID_MM / 4)
    is_fat = (_along_rays(fat, start, np.tile(way, (N_RAYS, 1))) > 0) & (way >= least_mm)
    stays = _lasting(is_fat, round(FAT_RUN_MM / (GRID_MM / 4)))
    return np.where(stays.any(axis=1), way[np.argmax(stays, axis=1)], np.inf)


def _off_back_deg() -> NDArray[np.float64]:
    """Return how far each ray is from straight back, shape (rays,)."""
    return np.abs((np.arange(N_RAYS) * 360 / N_RAYS - 90 + 180) % 360 - 180)


def _share_fallen() -> NDArray[np.float64]:
    """Return how far down each ray must be, shape (rays,)."""
    behind = np.clip((BEHIND_DEG - _off_back_deg()) / BEHIND_FADES_DEG + 0.5, 0, 1)
    return FALLEN + (FALLEN_BEHIND - FALLEN) * behind


def _median_around(radius_mm: NDArray[np.float64], n_rays: int) -> NDArray[np.float64]:
    """Median of each ray and those around it, ``n_rays`` in all."""
    return np.median(
        np.stack([np.roll(radius_mm, k) for k in range(-(n_rays // 2), n_rays // 2 + 1)]), axis=0
    )


def _along_rays(
    picture: NDArray[np.float64], start: NDArray[np.float64], way_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sample a picture along the rays; ways and values of shape (rays, n)."""
    at = start + _directions()[:, None] * way_mm[:, :, None] / GRID_MM
    return np.asarray(scipy.ndimage.map_coordinates(picture, at.transpose(2, 0, 1), order=1, mode="nearest"))


def _directions() -> NDArray[np.float64]:
    angles = np.arange(N_RAYS) * 2 * np.pi / N_RAYS
    return np.column_stack([np.sin(angles), np.cos(angles)])


def _radii(
    smooth: NDArray[np.float64], start: NDArray[np.float64], threshold: float, least_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Way along each ray to where it stays dark, mm, and whether it gets there, each of shape (rays,)."""
    way = np.arange(0.0, HALF_WIDTH_MM, GRID_MM / 2)
    dark = _along_rays(smooth, start, np.tile(way, (N_RAYS, 1))) < threshold
    dark &= way >= least_mm
    stays = _lasting(dark, round(DARK_RUN_MM / (GRID_MM / 2)))
    found = stays.any(axis=1)
    return np.where(found, way[np.argmax(stays, axis=1)], HALF_WIDTH_MM), np.asarray(found)


def _lasting(there: NDArray[np.bool_], run: int) -> NDArray[np.bool_]:
    """Where along each ray something begins that lasts for so many steps, shape (rays, n - run + 1)."""
    return np.asarray(np.stack([there[:, k : there.shape[1] - run + k + 1] for k in range(run)]).all(axis=0))
