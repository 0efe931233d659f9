"""Levels that were moved to where readers mark their points, and the views in which points are looked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from tests.placed_levels import Placed, levels, mirrored, study

from stenograde.grades import Point
from stenograde.levels.cell_points import moved_levels, points_of
from stenograde.levels.crop import CropConfig
from stenograde.levels.point_views import point_views
from stenograde.terms import Cell, Condition, Level, Side

CONFIG = CropConfig(slices=3, size_px=24, grid_mm=1.2, about_middles=True)
OTHER = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}


@dataclass(frozen=True, eq=False)
class Pointed(Placed):
    """A level whose recesses are known, too."""

    @property
    def foramen_middles(self) -> dict[Side, Point]:
        return {side: tuple(np.add(point, 2 * self.back)) for side, point in self.foramina.items()}

    @property
    def recesses(self) -> dict[Side, Point]:
        senses = {Side.LEFT: 8.0, Side.RIGHT: -8.0}
        return {side: tuple(np.add(self.canal_centre, way * self.left)) for side, way in senses.items()}


def pointed(level: Placed) -> Pointed:
    return Pointed(level.canal_centre, level.foramina, level.left, level.back, level.up)


LEVELS = {level: pointed(placed) for level, placed in levels().items()}


def test_cells_lie_where_they_are_moved_to_and_the_others_where_they_were() -> None:
    before = points_of(LEVELS)
    cell = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L4_L5, Side.RIGHT)
    to = (-20.0, 3.0, 25.0)
    moved = moved_levels(LEVELS, {cell: to})
    after = points_of(moved)
    assert after.pop(cell) == to
    assert after == {one: point for one, point in before.items() if one != cell}
    way = np.subtract(to, before[cell])
    anchors = LEVELS[Level.L4_L5].foramina
    assert moved[Level.L4_L5].foramina[Side.RIGHT] == pytest.approx(tuple(anchors[Side.RIGHT] + way))
    assert moved[Level.L4_L5].foramina[Side.LEFT] == pytest.approx(anchors[Side.LEFT])


def test_views_lie_about_the_points_and_say_where_they_are() -> None:
    views = point_views(study(), LEVELS, CONFIG)
    points = points_of(LEVELS)
    assert set(views) == set(points)
    for cell, view in views.items():
        about = cell.condition is Condition.SUBARTICULAR_STENOSIS
        centre = LEVELS[cell.level].canal_centre if about else points[cell]
        assert view.grid.centre == pytest.approx(centre)
        away = np.array([3.0, -2.0, 5.0])
        assert view.grid.away_mm(view.grid.point_at(away)) == pytest.approx(away)
        # in index space, by the affine that crops are sampled by
        index = np.linalg.inv(view.grid.affine) @ [*view.grid.point_at(away), 1.0]
        steps = (CONFIG.slice_mm, CONFIG.grid_mm, CONFIG.grid_mm)
        assert index[:3] == pytest.approx(away / steps + (np.array(CONFIG.shape) - 1) / 2)


def test_a_right_side_is_seen_as_the_left_side_of_the_mirrored_patient() -> None:
    views = point_views(study(), LEVELS, CONFIG)
    turned = {level: pointed(placed.mirrored()) for level, placed in LEVELS.items()}
    others = point_views(mirrored(study()), turned, CONFIG)
    sided = [cell for cell in views if cell.side is not None]
    assert len(sided) == 8
    for cell in sided:
        twin = Cell(cell.condition, cell.level, OTHER[cell.side])
        assert others[twin].values == pytest.approx(views[cell].values, abs=1e-4)
