"""Middles of foramina lie half a foramen behind the wall seen on their own slices, else where the rule has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spine_marks import turned

from stenograde import geometry
from stenograde.levels.foramina import (
    FORAMEN_ASIDE_MM,
    FORAMEN_MIDDLE_MM,
    HALF_DEPTH_MM,
    WALL_RANGE_MM,
    foramen_middles,
    foramina_at,
    middles_behind_walls,
)
from stenograde.levels.marked import MarkedVolume
from stenograde.terms import Level, Side, Structure

SLICE_MM, GRID_MM, SIZE = 4.0, 0.8, (13, 50, 80)
TURN = turned((8.0, -6.0, 12.0))
"""Columns are the level's left, back and head."""
LEFT, BACK, UP = TURN.T
SENSES = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
LEVELS = st.sampled_from(list(Level)[-5:])


def affine(backwards: bool = False) -> np.ndarray:
    """Slices to the patient's left (or right), rows to the feet, columns to the back; the margin is the origin."""
    made = np.eye(4)
    across = -LEFT if backwards else LEFT
    made[:3, :3] = np.column_stack([across * SLICE_MM, -UP * GRID_MM, BACK * GRID_MM])
    made[:3, 3] = -made[:3, :3] @ ((np.array(SIZE) - 1) / 2)
    return made


def marked(
    walls: dict[Side, float], *, joint_mm: float | None = None, backwards: bool = False
) -> MarkedVolume:
    """A disc and the bone above it that end, on each side, so far behind the margin; a joint of bone behind."""
    grid = affine(backwards)
    index = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), axis=-1).reshape(-1, 3)
    aside, back, up = (geometry.to_patient(grid, index) @ TURN).T.reshape(3, *SIZE)
    wall = np.where(aside > 0, walls[Side.LEFT], walls[Side.RIGHT])
    solid = np.clip(0.5 + (wall - back) / GRID_MM, 0, 1) * (back > -30)
    if joint_mm is not None:
        solid = np.maximum(solid, np.clip(0.5 + (back - joint_mm) / GRID_MM, 0, 1))
    probabilities = np.zeros((SIZE[0], 4, *SIZE[1:]), np.float32)
    probabilities[:, Structure.DISC.code] = solid * (np.abs(up) < 4)
    probabilities[:, Structure.VERTEBRA.code] = solid * (up >= 4)
    return MarkedVolume(grid, probabilities, np.zeros((SIZE[0], 2, *SIZE[1:]), np.float32))


def middles(volume: MarkedVolume, level: Level) -> dict[Side, tuple[float, float, float]]:
    anchors = foramina_at(level, np.zeros(3), LEFT, BACK, UP)
    return middles_behind_walls(volume, level, anchors, LEFT, BACK, UP)


def by_rule(level: Level) -> dict[Side, tuple[float, float, float]]:
    return foramen_middles(level, foramina_at(level, np.zeros(3), LEFT, BACK, UP), LEFT, BACK, UP)


@settings(max_examples=50)
@given(LEVELS, st.floats(-8, 5), st.floats(-8, 5), st.booleans())
def test_a_foramen_lies_behind_the_wall_of_its_own_side(level, left_mm, right_mm, backwards):
    walls = {Side.LEFT: left_mm, Side.RIGHT: right_mm}
    found = middles(marked(walls, joint_mm=max(left_mm, right_mm) + 6, backwards=backwards), level)

    for side, wall in walls.items():
        assert found[side] @ BACK == pytest.approx(wall + HALF_DEPTH_MM, abs=0.6)
        away = np.subtract(found[side], by_rule(level)[side])
        assert away @ LEFT == pytest.approx(0, abs=1e-9)
        assert away @ UP == pytest.approx(0, abs=1e-9)
        assert found[side] @ LEFT * SENSES[side] == pytest.approx(
            FORAMEN_ASIDE_MM[level] + FORAMEN_MIDDLE_MM[level][0]
        )


@pytest.mark.parametrize(("wall", "believed"), [(-14.0, WALL_RANGE_MM[0]), (8.0, WALL_RANGE_MM[1])])
def test_a_wall_that_no_body_has_is_believed_in_part(wall, believed):
    found = middles(marked(dict.fromkeys(Side, wall)), Level.L4_L5)

    for side in Side:
        assert found[side] @ BACK == pytest.approx(believed + HALF_DEPTH_MM, abs=0.6)


@pytest.mark.parametrize(
    "what", ["nothing is marked", "only a joint behind", "few slices", "bone without an end"]
)
def test_without_a_wall_the_rule_holds(what):
    walls = dict.fromkeys(Side, -2.0)
    volume = {
        "nothing is marked": marked(dict.fromkeys(Side, -40.0)),
        "only a joint behind": marked(dict.fromkeys(Side, -40.0), joint_mm=6.0),
        "few slices": _between_the_foramina(marked(walls)),
        "bone without an end": marked(dict.fromkeys(Side, 60.0)),
    }[what]

    assert middles(volume, Level.L3_L4) == by_rule(Level.L3_L4)


def _between_the_foramina(volume: MarkedVolume) -> MarkedVolume:
    """Return its three middle slices: the foramina were not acquired."""
    grid = volume.affine.copy()
    grid[:3, 3] += grid[:3, 0] * 5
    return MarkedVolume(grid, volume.probabilities[5:8], volume.heat[5:8])
