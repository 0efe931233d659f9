"""Where readers mark the points of cells, beside where ours lie: learnt from their marks, along each level's own axes.

Every set of labels has its habits: which corner of the canal is marked, how deep in a foramen. A locator that finds
anatomy can be off from all of them by the same few millimetres, and crops should be cut about what readers looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Point
from stenograde.levels.cell_points import PointedLevel, axes_of, points_of
from stenograde.terms import Cell, Condition, Level, Side

Array = NDArray[np.float64]

STEADY = 10.0
"""Marks whose weight draws an offset towards none: few marks move nothing far."""


@dataclass(frozen=True)
class PointOffsets:
    """How far readers' points lie from ours, mm: aside (away from the midline; to the left for the canal), back, up.

    Raises
    ------
    ValueError
        If a name is not of a condition and a level, or an offset is not three finite numbers.
    """

    by_place: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By condition and level, such as ``neural_foraminal_narrowing_l4_l5``; none where it is not named."""

    def __post_init__(self) -> None:
        known = {_place(condition, level) for condition in Condition for level in Level}
        for name, offset in self.by_place.items():
            if name not in known or len(offset) != 3 or not np.isfinite(offset).all():
                msg = f"offsets must be three numbers for a condition and a level, got {name!r}: {offset}"
                raise ValueError(msg)

    def moved(
        self, point: Point, condition: Condition, level: Level, side: Side | None, axes: Array
    ) -> Point:
        """Return a point of a cell where readers mark it.

        Parameters
        ----------
        point : Point
        condition, level, side
        axes : ndarray of shape (3, 3)
            Columns are the level's unit vectors to the left, the back and the head.
        """
        offset = self.by_place.get(_place(condition, level))
        if offset is None:
            return point
        return moved_by(offset, point, side, axes)

    def points_of(self, levels: Mapping[Level, PointedLevel]) -> dict[Cell, Point]:
        """Return the point of every cell of levels where readers mark it."""
        return {
            cell: self.moved(point, cell.condition, cell.level, cell.side, axes_of(levels[cell.level]))
            for cell, point in points_of(levels).items()
        }


def offset_of(mark: Point, point: Point, side: Side | None, axes: Array) -> tuple[float, float, float]:
    """Return how far a mark lies from our point, mm: aside, back, up; see :class:`PointOffsets`."""
    aside, back, up = axes.T @ (np.asarray(mark) - np.asarray(point)) * _sense(side)
    return float(aside), float(back), float(up)


def moved_by(offset: tuple[float, ...], point: Point, side: Side | None, axes: Array) -> Point:
    """Return the mark that lies so far from our point; see :func:`offset_of`."""
    return geometry.as_point(np.asarray(point) + axes @ (np.array(offset) * _sense(side)))


def fit_offsets(found: Iterable[tuple[Cell, tuple[float, ...]]]) -> PointOffsets:
    """Return the offsets that readers' marks show: medians, drawn towards none where marks are few.

    Parameters
    ----------
    found : iterable of (cell, offset)
        By :func:`offset_of`.
    """
    by_place: dict[str, list[tuple[float, ...]]] = {}
    for cell, offset in found:
        by_place.setdefault(_place(cell.condition, cell.level), []).append(offset)
    return PointOffsets(
        {
            name: tuple((np.median(offsets, axis=0) * len(offsets) / (len(offsets) + STEADY)).tolist())
            for name, offsets in by_place.items()
        }
    )


def _place(condition: Condition, level: Level) -> str:
    return f"{condition.value}_{level.value}"


def _sense(side: Side | None) -> Array:
    return np.array([-1.0 if side is Side.RIGHT else 1.0, 1.0, 1.0])
