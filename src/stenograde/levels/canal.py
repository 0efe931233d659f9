"""The canal on the mid-sagittal surface: its centre line, and its anteroposterior diameter along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.levels.marked import MidSurface
from stenograde.terms import Structure

STATION_MM = 0.5
"""Distance between stations along the centre line, mm."""

REACH_MM = 16.0
"""How far from the centre line the canal's walls are looked for, mm."""

MIN_DEPTH_MM = 1.5
"""Rows with less canal than this do not belong to it, mm."""

END_MM = 3.0
"""Diameters this near to where the canal leaves the picture are not measured: its walls are cut there, mm."""

_SMOOTH_MM = 6.0
_RAY_MM = 0.2
_FIELD = 0.5  # probability at the wall


@dataclass(frozen=True, eq=False)
class CanalLine:
    """Stations along the canal from head to feet; points are (row, column) on the grid of the surface.

    ``front`` and ``back`` are NaN, as is ``diameter_mm``, where no wall was found.
    """

    centre: NDArray[np.float64]
    """Shape (n, 2): middle between the walls."""
    tangent: NDArray[np.float64]
    """Shape (n, 2): unit vector to the feet."""
    front: NDArray[np.float64]
    back: NDArray[np.float64]
    diameter_mm: NDArray[np.float64]
    distance_mm: NDArray[np.float64]
    """Shape (n,): way from the first station, mm."""


def canal_line(surface: MidSurface) -> CanalLine | None:
    """Follow the canal on the mid-sagittal surface; None when less than 40 mm of it can be seen.

    The walls are where the canal's probability passes one half along the normal of the centre line, with the
    centre taken between the walls and the line smoothed before the walls are looked for a second time.
    """
    canal = surface.structures[Structure.CANAL.code]
    grid = surface.marked.grid_mm
    line = _first_guess(canal, grid)
    if line is None:
        return None
    for _ in range(2):
        centre, tangent = _stations(line, grid)
        front, back = _walls(canal, centre, tangent, grid)
        cut = _cut_by_border(centre, canal.shape, grid)
        front[cut], back[cut] = np.nan, np.nan
        known = np.isfinite(front)
        if known.sum() * STATION_MM < 40:
            return None
        offset = np.interp(np.arange(len(front)), np.flatnonzero(known), ((front + back) / 2)[known])
        normal = _normal(tangent)
        line = centre + normal * offset[:, None] / grid
    normal = _normal(tangent)
    nothing = np.full(len(centre), np.nan)
    diameter = np.where(known, back - front, nothing)
    steps = np.linalg.norm(np.diff(centre, axis=0), axis=1) * grid
    return CanalLine(
        centre=line,
        tangent=tangent,
        front=centre + normal * front[:, None] / grid,
        back=centre + normal * back[:, None] / grid,
        diameter_mm=diameter,
        distance_mm=np.concatenate([[0.0], np.cumsum(steps)]),
    )


def _cut_by_border(centre: NDArray[np.float64], size: tuple[int, ...], grid: float) -> NDArray[np.bool_]:
    """Stations so near the picture's border that the walls may be cut, shape (n,)."""
    border = np.minimum(centre, np.asarray(size) - 1 - centre).min(axis=1) * grid
    return np.asarray(border < END_MM)


def _first_guess(canal: NDArray[np.float32], grid: float) -> NDArray[np.float64] | None:
    """Middle of the largest run of canal, row by row; shape (rows, 2)."""
    labels, n = scipy.ndimage.label(canal > _FIELD)
    if n == 0:
        return None
    sizes = scipy.ndimage.sum_labels(canal, labels, range(1, n + 1))
    keep = np.isin(labels, np.flatnonzero(sizes > 0.04 * sizes.max()) + 1)
    mass = np.where(keep, canal, 0).sum(axis=1)
    rows = np.flatnonzero(mass > MIN_DEPTH_MM / grid)
    if len(rows) * grid < 40:
        return None
    columns = (np.where(keep, canal, 0)[rows] * np.arange(canal.shape[1])).sum(axis=1) / mass[rows]
    every = np.arange(rows[0], rows[-1] + 1)
    return np.column_stack([every, np.interp(every, rows, columns)]).astype(np.float64)


def _stations(line: NDArray[np.float64], grid: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smooth a line and step along it evenly; points and unit tangents, each of shape (n, 2)."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1) * grid
    way = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.arange(0, way[-1], STATION_MM)
    even = np.column_stack([np.interp(at, way, line[:, 0]), np.interp(at, way, line[:, 1])])
    sigma = _SMOOTH_MM / STATION_MM
    ends = np.arange(len(even))
    trend = np.column_stack([np.interp(ends, [0, len(even) - 1], even[[0, -1], k]) for k in (0, 1)])
    # smoothing the departure from the chord keeps the ends where they are
    smooth = trend + scipy.ndimage.gaussian_filter1d(even - trend, sigma, axis=0, mode="reflect")
    tangent = np.gradient(smooth, axis=0)
    return smooth, tangent / np.linalg.norm(tangent, axis=1, keepdims=True)


def _normal(tangent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors to the back, (row, column)."""
    return np.column_stack([-tangent[:, 1], tangent[:, 0]])


def _walls(
    canal: NDArray[np.float32], centre: NDArray[np.float64], tangent: NDArray[np.float64], grid: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed distances of front and back wall from the centre along the normal, mm; NaN where there is none."""
    way = np.arange(-REACH_MM, REACH_MM + _RAY_MM / 2, _RAY_MM)
    at = centre[:, None] + _normal(tangent)[:, None] * way[None, :, None] / grid
    p = scipy.ndimage.map_coordinates(canal, at.transpose(2, 0, 1), order=1, mode="constant", cval=0.0)
    inside = p > _FIELD
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (station, start), stop = np.nonzero(edges > 0), np.nonzero(edges < 0)[1]
    # from the centre, mm; 0 when a run of canal holds the centre
    gap = np.maximum(np.maximum(way[start], -way[stop - 1]), 0.0)
    nearest_first = np.lexsort((start - stop, gap, station))
    nearest = nearest_first[np.unique(station[nearest_first], return_index=True)[1]]
    walled = nearest[(gap[nearest] <= 5.0) & (start[nearest] > 0) & (stop[nearest] < len(way))]
    front, back = np.full((2, len(centre)), np.nan)
    for wall, outermost in ((front, start), (back, stop)):
        wall[station[walled]] = _crossings(way, p[station[walled]], outermost[walled])
    return front, back


def _crossings(
    way: NDArray[np.float64], p: NDArray[np.float32], after: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Where probabilities, shape (n, way), pass one half between a step and the one before it, shape (n,), mm."""
    before, line = after - 1, np.arange(len(p))
    share = (_FIELD - p[line, before]) / (p[line, after] - p[line, before])
    return np.asarray(way[before] + share * (way[after] - way[before]))
