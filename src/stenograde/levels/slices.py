"""Which slice of a series shows a point, and where on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stenograde import geometry
from stenograde.grades import Evidence, Point
from stenograde.study import Series, Volume

BEYOND = 0.75
"""A place up to so many slice distances beside the outermost slice is still shown by it."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A point as a slice of a series shows it."""

    volume: Volume
    slice: int
    row: float
    column: float
    away_mm: float
    """Distance of the point from the slice's plane, mm."""

    def evidence(self, series: Series) -> Evidence:
        """Return the pixel as evidence."""
        uid, frame, row, column = self.volume.stored_at(self.slice, self.row, self.column)
        return Evidence(series.uid, uid, row, column, frame)


def slice_through(series: Series, point: Point, across: np.ndarray | None = None) -> Seen | None:
    """Return the slice that shows a point best, or None when no volume of the series covers it.

    Parameters
    ----------
    series : Series
    point : Point
        LPS mm.
    across : ndarray of shape (3,), optional
        Wanted slice normal: among several volumes, the one whose slices lie most across it is taken (an axial
        series angled disc by disc overlaps itself). Without it the nearest slice is taken.
    """
    seen = [one for volume in series.volumes if (one := seen_in(volume, point)) is not None]
    if across is None:
        return min(seen, key=lambda one: one.away_mm, default=None)
    return max(seen, key=lambda one: (round(_alignment(one.volume, across), 2), -one.away_mm), default=None)


def seen_in(volume: Volume, point: Point) -> Seen | None:
    """Return the slice of a volume that shows a point best, or None when the volume does not cover it."""
    slices, rows, columns = volume.shape
    k, row, column = geometry.to_index(volume.affine, [point])[0]
    inside = -0.5 <= row <= rows - 0.5 and -0.5 <= column <= columns - 0.5
    if not inside or not -BEYOND <= k <= slices - 1 + BEYOND:
        return None
    nearest = int(np.clip(round(k), 0, slices - 1))
    step = geometry.gap_mm(volume.affine)
    return Seen(volume, nearest, float(row), float(column), abs(float(k) - nearest) * step)


def _alignment(volume: Volume, across: np.ndarray) -> float:
    return abs(float(geometry.normal_of(volume.affine) @ across)) / float(np.linalg.norm(across))
