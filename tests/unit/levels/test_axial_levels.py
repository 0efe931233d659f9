"""Levels of axial slices by clusters of locations and by points, right and wrong."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.geometry import affine_of
from stenograde.grades import Point
from stenograde.levels.axial_levels import (
    AxialSlice,
    LevelOfSlice,
    axial_slices,
    cluster_numbers,
    levels_by_clusters,
    levels_by_points,
)
from stenograde.study import Series, Volume
from stenograde.terms import LUMBAR_MRI, Level, Plane, Role, Weighting

POINTS: dict[Level, Point] = {level: (0.0, 0.0, -30.0 * k) for k, level in enumerate(LUMBAR_MRI.levels)}


def volume(z_mm: float, n: int, *, tilt_deg: float = 0.0, step_mm: float = 4.0) -> Volume:
    """A stack whose first pixel's column runs through x = y = 0, tilted about the x axis."""
    angle = np.deg2rad(tilt_deg)
    v = np.array([0.0, np.cos(angle), np.sin(angle)])
    normal = np.cross([1.0, 0.0, 0.0], v)
    affine = affine_of([0, 0, z_mm], [1, 0, 0, *v], [1, 1], normal * step_mm)
    return Volume(affine, (n, 4, 4), tuple(map(str, range(n))), lambda _: np.zeros((0, 4, 4), np.float32))


def slices(*volumes: Volume) -> tuple[AxialSlice, ...]:
    return axial_slices(Series("1", Plane.AXIAL, Weighting.T2, Role.AXIAL_T2, "test", volumes))


def names(found: tuple[LevelOfSlice | None, ...]) -> list[Level | None]:
    return [one.level if one else None for one in found]


def test_slices_when_a_stack_runs_downwards_then_locations_still_grow_to_the_head() -> None:
    up, down = slices(volume(-8, 3)), slices(volume(0, 3, step_mm=-4))
    assert [one.location_mm for one in up] == [-8, -4, 0]
    assert [one.location_mm for one in down] == [0, -4, -8]


def test_slices_when_seen_from_the_head_then_locations_still_grow_to_the_head() -> None:
    affine = affine_of([0, 0, 12], [-1, 0, 0, 0, 1, 0], [1, 1], [0, 0, -4])
    stack = Volume(affine, (2, 4, 4), ("1", "2"), lambda _: np.zeros((0, 4, 4), np.float32))
    assert [one.location_mm for one in slices(stack)] == [12, 8]


def test_clusters_when_five_blocks_are_apart_then_they_are_the_levels_from_the_head_down() -> None:
    blocks = slices(*(volume(-30.0 * k - 4, 3) for k in range(5)))
    found = levels_by_clusters(blocks, {})
    assert names(found) == [level for level in LUMBAR_MRI.levels for _ in range(3)]
    assert [one.away_mm for one in found if one] == pytest.approx([4, 0, 4] * 5)


def test_clusters_when_the_series_shows_three_levels_then_five_are_named_all_the_same() -> None:
    """The trap of the published preparation: it cannot know which levels a series shows."""
    blocks = slices(*(volume(-30.0 * k - 4, 3) for k in (2, 3, 4)))
    assert names(levels_by_points(blocks, POINTS)) == [
        level for level in LUMBAR_MRI.levels[2:] for _ in range(3)
    ]
    assert len(set(names(levels_by_clusters(blocks, POINTS)))) == 5


def test_clusters_when_there_are_fewer_than_five_slices_then_there_are_no_levels() -> None:
    assert names(levels_by_clusters(slices(volume(0, 4)), {})) == [None] * 4


def test_points_when_a_block_is_tilted_then_distance_is_taken_across_its_slices() -> None:
    tilted = slices(volume(-120, 1, tilt_deg=30))
    (found,) = levels_by_points(tilted, {Level.L5_S1: (0.0, 10.0, -120.0)})
    assert found is not None
    assert found.away_mm == pytest.approx(5.0)  # 10 mm behind, where the plane has risen: 10 sin 30°


def test_points_when_a_slice_is_far_from_all_then_it_shows_no_level() -> None:
    found = levels_by_points(slices(volume(17, 1), volume(19, 1)), POINTS)
    assert names(found) == [Level.L1_L2, None]


def test_points_when_none_are_known_then_no_slice_has_a_level() -> None:
    assert names(levels_by_points(slices(volume(0, 2)), {})) == [None, None]


def test_numbers_when_locations_are_too_few_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="3 clusters need as many different locations, got 2"):
        cluster_numbers([1.0, 2.0, 2.0], 3)
