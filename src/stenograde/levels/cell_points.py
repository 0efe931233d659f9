"""Points of cells: where a level's own geometry has them, and levels that were moved to where readers mark theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Point
from stenograde.levels.crop import PlacedLevel
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side

Array = NDArray[np.float64]


class PointedLevel(PlacedLevel, Protocol):
    """A placed level that knows the subarticular zones, too."""

    @property
    def recesses(self) -> Mapping[Side, Point]:
        """Middle of each subarticular zone."""


def point_of(placed: PointedLevel, cell: Cell) -> Point:
    """Return the point of a cell of a level."""
    if cell.side is None:
        return placed.canal_centre
    of_foramina = cell.condition is Condition.NEURAL_FORAMINAL_NARROWING
    return (placed.foramen_middles if of_foramina else placed.recesses)[cell.side]


def points_of(levels: Mapping[Level, PointedLevel]) -> dict[Cell, Point]:
    """Return the point of every cell of levels, as their own geometry has them."""
    return {cell: point_of(placed, cell) for level, placed in levels.items() for cell in LUMBAR_MRI.at(level)}


def axes_of(level: PlacedLevel) -> Array:
    """Return the unit vectors of a level to the left, the back and the head as columns."""
    return np.column_stack([level.left, level.back, level.up])


@dataclass(frozen=True, eq=False)
class MovedLevel:
    """A level whose points lie elsewhere; a :class:`PointedLevel`."""

    level: Level
    placed: PointedLevel
    points: Mapping[Cell, Point]
    """Where each of its cells lies; those not named are not moved."""

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
        return self._point(Cell(Condition.SPINAL_CANAL_STENOSIS, self.level))

    @property
    def foramen_middles(self) -> dict[Side, Point]:
        """Middle of each foramen."""
        return {
            side: self._point(Cell(Condition.NEURAL_FORAMINAL_NARROWING, self.level, side)) for side in Side
        }

    @property
    def recesses(self) -> dict[Side, Point]:
        """Middle of each subarticular zone."""
        return {side: self._point(Cell(Condition.SUBARTICULAR_STENOSIS, self.level, side)) for side in Side}

    @property
    def foramina(self) -> dict[Side, Point]:
        """Anchor of each foramen, which goes where its middle goes."""
        middles, before = self.foramen_middles, self.placed.foramen_middles
        return {
            side: geometry.as_point(np.add(anchor, np.subtract(middles[side], before[side])))
            for side, anchor in self.placed.foramina.items()
        }

    def _point(self, cell: Cell) -> Point:
        found = self.points.get(cell)
        return point_of(self.placed, cell) if found is None else found


def moved_levels(
    levels: Mapping[Level, PointedLevel], points: Mapping[Cell, Point]
) -> dict[Level, MovedLevel]:
    """Return levels whose points lie where they are said to."""
    return {level: MovedLevel(level, placed, points) for level, placed in levels.items()}
