"""Where readers mark the points of cells, beside where ours lie: learnt from their marks, along each level's own axes.

Every set of labels has its habits: which corner of the canal is marked, how deep in a foramen. A locator that finds
anatomy can be off from all of them by the same few millimetres, and crops should be cut about what readers looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stenograde.grades import Point
from stenograde.levels.crop import PlacedLevel
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
        x_mm, y_mm, z_mm = np.asarray(point) + axes @ (np.array(offset) * _sense(side))
        return float(x_mm), float(y_mm), float(z_mm)


@dataclass(frozen=True, eq=False)
class MovedLevel:
    """A level whose points lie where readers mark them; a :class:`~stenograde.levels.crop.PlacedLevel`."""

    level: Level
    placed: PlacedLevel
    offsets: PointOffsets

    @property
    def left(self) -> Array:
        """Unit vector to the patient's left."""
        return self.placed.left

    @property
    def back(self) -> Array:
        """Unit vector along the disc to the back."""
        return self.placed.back

    @property
    def up(self) -> Array:
        """Unit vector to the head."""
        return self.placed.up

    @property
    def canal_centre(self) -> Point:
        """Centre of the canal at the disc."""
        return self._moved(self.placed.canal_centre, Condition.SPINAL_CANAL_STENOSIS, None)

    @property
    def foramina(self) -> dict[Side, Point]:
        """Anchor of each foramen."""
        return self._foramina(self.placed.foramina)

    @property
    def foramen_middles(self) -> dict[Side, Point]:
        """Middle of each foramen."""
        return self._foramina(self.placed.foramen_middles)

    def _foramina(self, points: Mapping[Side, Point]) -> dict[Side, Point]:
        return {
            side: self._moved(p, Condition.NEURAL_FORAMINAL_NARROWING, side) for side, p in points.items()
        }

    def _moved(self, point: Point, condition: Condition, side: Side | None) -> Point:
        return self.offsets.moved(point, condition, self.level, side, axes_of(self))


def axes_of(level: PlacedLevel) -> Array:
    """Return the unit vectors of a level to the left, the back and the head as columns."""
    return np.column_stack([level.left, level.back, level.up])


def offset_of(mark: Point, point: Point, side: Side | None, axes: Array) -> tuple[float, float, float]:
    """Return how far a mark lies from our point, mm: aside, back, up; see :class:`PointOffsets`."""
    aside, back, up = axes.T @ (np.asarray(mark) - np.asarray(point)) * _sense(side)
    return float(aside), float(back), float(up)


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
