"""Spines whose levels have been found, shared by the tests of this folder."""

from __future__ import annotations

import pytest
from tests.spine_marks import Spine

from stenograde.levels.points import LevelPoints, find_levels

NARROW = Spine(diameters={"L4/L5": 6.0, "L3/L4": 9.0})


@pytest.fixture(scope="package")
def narrow() -> Spine:
    """A spine that is narrow at two levels."""
    return NARROW


@pytest.fixture(scope="package")
def narrow_points(narrow: Spine) -> LevelPoints:
    points = find_levels(narrow.marked())
    assert points is not None
    return points
