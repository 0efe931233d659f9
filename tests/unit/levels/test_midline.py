"""A second series' midline moves the canal half way and the foramina all the way; the recesses stay."""

from __future__ import annotations

import numpy as np
import pytest
from tests.spine_marks import Spine

from stenograde.levels.marked import MidSurface, mid_surface
from stenograde.levels.midline import with_second_midline
from stenograde.levels.points import LevelPoints, find_levels
from stenograde.terms import Side

SLICES = 19


@pytest.fixture(scope="module")
def first() -> LevelPoints:
    points = find_levels(Spine(n_slices=SLICES).marked())
    assert points is not None
    return points


def second(aside_mm: float, *, backwards: bool = False) -> MidSurface:
    """Midline of another series; its canal lies so far to the patient's left."""
    spine = Spine(n_slices=SLICES, aside_mm=aside_mm if backwards else -aside_mm)
    affine = spine.affine()
    if backwards:  # slices from right to left
        affine[:3, 3] += affine[:3, 0] * (SLICES - 1)
        affine[:3, 0] *= -1
    surface = mid_surface(spine.marked(affine))
    assert surface is not None
    return surface


def moves(before: LevelPoints, after: LevelPoints, what: str, side: Side | None = None) -> np.ndarray:
    """How far points of each level moved, shape (levels, 3), mm."""

    def at(points: LevelPoints) -> np.ndarray:
        values = [getattr(point, what) for point in points.levels.values()]
        return np.array([value[side] if side else value for value in values])

    return at(after) - at(before)


@pytest.mark.parametrize("backwards", [False, True])
def test_points_move_towards_the_second_midline(first, backwards):
    after, moved_mm = with_second_midline(first, second(6.0, backwards=backwards))

    assert moved_mm == pytest.approx(6, abs=0.8)
    canal = moves(first, after, "canal_centre")
    np.testing.assert_allclose(canal[:, 0], 3, atol=0.5)
    np.testing.assert_allclose(canal[:, 1:], 0, atol=1e-9)
    for side in Side:
        for what in ("foramina", "foramen_middles"):
            np.testing.assert_allclose(moves(first, after, what, side)[:, 0], 6, atol=0.8)
        np.testing.assert_allclose(moves(first, after, "recesses", side), 0, atol=1e-9)
    np.testing.assert_allclose(moves(first, after, "disc_centre"), 0, atol=1e-9)


def test_a_midline_that_agrees_moves_nothing(first):
    after, moved_mm = with_second_midline(first, second(0.0))

    assert moved_mm < 0.05
    assert np.abs(moves(first, after, "canal_centre")).max() < 0.05


def test_a_midline_too_far_away_is_told_but_not_believed(first):
    after, moved_mm = with_second_midline(first, second(17.0))

    assert moved_mm > 12
    assert np.abs(moves(first, after, "canal_centre")).max() == 0
    assert after.levels.keys() == first.levels.keys()


def test_the_first_look_is_kept_in_all_else(first):
    after, _ = with_second_midline(first, second(6.0))

    assert after.surface is first.surface
    assert after.canal is first.canal
    assert after.chain is first.chain
    assert [point.station for point in after.levels.values()] == [p.station for p in first.levels.values()]
