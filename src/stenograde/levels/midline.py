"""Points of the levels moved onto the midline as a second sagittal series shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stenograde import geometry
from stenograde.grades import Point
from stenograde.levels.marked import MidSurface
from stenograde.levels.points import LevelPoint, LevelPoints

SHARE = 0.5
"""Weight of the second series' midline in the canal's centre."""

BELIEVED_MM = 12.0
"""A second midline further away than this is not believed, mm."""


def with_second_midline(points: LevelPoints, second: MidSurface) -> tuple[LevelPoints, float]:
    """Bring a second look at the midline into the points of each level.

    The canal's centre moves half way to the second midline, being seen in both series; the foramina move all
    the way, being judged in the second (T1) series; the subarticular zones, judged in axial slices, stay.

    Parameters
    ----------
    points : LevelPoints
    second : MidSurface
        Surface through another sagittal series of the study.

    Returns
    -------
    points : LevelPoints
    moved_mm : float
        Median distance between the midlines over the levels, mm.
    """
    shifts = {level: _shift(point, second) for level, point in points.levels.items()}
    believed = {level: shift for level, shift in shifts.items() if abs(shift) <= BELIEVED_MM}
    moved = float(np.median(np.abs(list(shifts.values())))) if shifts else 0.0
    levels = {
        level: _moved(point, believed[level]) if level in believed else point
        for level, point in points.levels.items()
    }
    return replace(points, levels=levels), moved


def _shift(point: LevelPoint, second: MidSurface) -> float:
    """How far to the patient's left the second midline lies at a level's canal, mm."""
    affine = second.marked.affine
    slice_index, row, _ = geometry.to_index(affine, [point.canal_centre])[0]
    rows = np.arange(len(second.slice_of_row))
    middle = float(np.interp(row, rows, second.slice_of_row))
    return (middle - float(slice_index)) * float(affine[:3, 0] @ point.left)


def _moved(point: LevelPoint, shift_mm: float) -> LevelPoint:
    def aside(at: Point, mm: float) -> Point:
        return geometry.as_point(np.asarray(at) + point.left * mm)

    return replace(
        point,
        canal_centre=aside(point.canal_centre, SHARE * shift_mm),
        foramina={side: aside(at, shift_mm) for side, at in point.foramina.items()},
        foramen_middles={side: aside(at, shift_mm) for side, at in point.foramen_middles.items()},
    )
