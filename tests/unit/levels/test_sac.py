"""The dural sac's area is that of the sac that was painted, where a slice lies across it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.plain_volumes import series_of, volume_of
from tests.spine_marks import CANAL_MM, turned

from stenograde import geometry
from stenograde.grades import Measurement
from stenograde.images.orient import Turn
from stenograde.levels.measure import measure_canal
from stenograde.levels.points import LevelPoint, LevelPoints
from stenograde.levels.sac import measure_sac
from stenograde.study import Volume
from stenograde.terms import Level, Quantity, Role

LEVEL = Level.L2_L3
PIXEL_MM = 0.6
OFF_MM = 0.3
"""How far from a sharp border the outline may lie, mm; half a pixel."""


def painted(
    point: LevelPoint,
    *,
    width_mm: float = 17.0,
    depth_mm: float = CANAL_MM,
    tilt_deg: float = 0.0,
    up_mm: float = 0.0,
    bright: float = 400.0,
    fat_mm: float = 0.0,
    dura: float = 0.5,
    clump_mm: float = 0.0,
) -> Volume:
    """One slice across the canal with a bright elliptic sac on dark ground.

    Behind it there may be a triangle of fat of that height, nearly as bright, the dura between them half as bright;
    in it a dark clump of roots that begins so far in front of its back and is half as wide as the sac.
    """
    n = 160
    tilt = turned((tilt_deg, 0, 0))
    affine = np.eye(4)
    affine[:3, 0] = 4.0 * (tilt @ point.up)
    affine[:3, 1], affine[:3, 2] = PIXEL_MM * (tilt @ point.back), PIXEL_MM * point.left
    middle = np.asarray(point.canal_centre) + up_mm * point.up
    affine[:3, 3] = middle - (affine[:3, 1] + affine[:3, 2]) * (n - 1) / 2
    down, across = (np.indices((n, n)) - (n - 1) / 2) * PIXEL_MM
    radius = np.hypot(down / (depth_mm / 2), across / (width_mm / 2))
    edge_mm = (1 - radius) * min(width_mm, depth_mm) / 2
    inside = np.clip(edge_mm / PIXEL_MM + 0.5, 0, 1)
    height = depth_mm / 2 + fat_mm - down
    triangle = (height > 0) & (np.abs(across) < height) & (down > 0)
    behind = np.where(triangle, np.where(edge_mm > -1.0, dura, 0.8), 0.0) if fat_mm else 0.0
    share = inside + (1 - inside) * behind
    clump = (np.abs(down - depth_mm / 2 + clump_mm / 2 + 1) < clump_mm / 2) & (np.abs(across) < width_mm / 4)
    share = np.where(clump, 0.1, share) if clump_mm else share
    return volume_of((100 + (bright - 100) * share)[None], affine)


@pytest.fixture(scope="module")
def walls(narrow_points) -> tuple[Measurement, ...]:
    return measure_canal(narrow_points, None)


@pytest.fixture(scope="module")
def point(narrow_points) -> LevelPoint:
    return narrow_points.levels[LEVEL]


def areas(volume: Volume, points: LevelPoints, walls: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
    return measure_sac(series_of(volume, role=Role.AXIAL_T2), points, walls)


@pytest.mark.parametrize(
    ("level", "width_mm", "depth_mm"),
    [
        (Level.L2_L3, 19.0, 15.0),
        (Level.L2_L3, 17.0, 14.0),
        (Level.L2_L3, 13.0, 12.0),
        (Level.L3_L4, 11.0, 9.0),
        (Level.L4_L5, 12.0, 6.0),
    ],
)
def test_the_area_is_that_of_the_painted_sac(narrow_points, walls, level, width_mm, depth_mm):
    """The border lies within :data:`OFF_MM` of the painted one."""
    volume = painted(narrow_points.levels[level], width_mm=width_mm, depth_mm=depth_mm)
    (found,) = (one for one in areas(volume, narrow_points, walls) if one.level is level)

    assert found.quantity is Quantity.DURAL_SAC_AREA
    least, most = (np.pi * (width_mm / 2 + off) * (depth_mm / 2 + off) for off in (-OFF_MM, OFF_MM))
    assert least < found.value < most


@pytest.mark.parametrize("fat_mm", [2.0, 3.5, 5.0])
def test_fat_behind_the_sac_is_not_taken_for_a_part_of_it(narrow_points, walls, point, fat_mm):
    bare = areas(painted(point), narrow_points, walls)[0].value
    (found,) = areas(painted(point, fat_mm=fat_mm), narrow_points, walls)

    assert found.value == pytest.approx(bare, rel=0.1)


@pytest.mark.parametrize("fat_mm", [5.0, 6.0])
def test_fat_whose_dura_cannot_be_seen_ends_the_sac_where_a_net_tells_them_apart(
    narrow_points, walls, point, fat_mm
):
    def fat_behind(points: np.ndarray) -> np.ndarray:
        back, left = ((points - point.canal_centre) @ axis for axis in (point.back, point.left))
        beyond = np.hypot(back / (CANAL_MM / 2), left / 8.5) > 1
        return np.where(beyond & (back > 0) & (np.abs(left) < CANAL_MM / 2 + fat_mm - back), 0.9, -0.9)

    bare = areas(painted(point), narrow_points, walls)[0].value
    axial = series_of(painted(point, fat_mm=fat_mm, dura=0.8), role=Role.AXIAL_T2)
    (blind,) = measure_sac(axial, narrow_points, walls)
    (told,) = measure_sac(axial, narrow_points, walls, {LEVEL: fat_behind})

    assert blind.value > 1.1 * bare
    assert told.value == pytest.approx(bare, rel=0.05)


@pytest.mark.parametrize("clump_mm", [2.0, 3.0, 4.0])
def test_a_clump_of_roots_at_the_back_of_the_sac_is_a_part_of_it(narrow_points, walls, point, clump_mm):
    bare = areas(painted(point), narrow_points, walls)[0].value
    (found,) = areas(painted(point, clump_mm=clump_mm), narrow_points, walls)

    assert found.value == pytest.approx(bare, rel=0.15)


def test_larger_sacs_have_larger_areas(narrow_points, walls, point):
    values = [areas(painted(point, width_mm=w), narrow_points, walls)[0].value for w in (12, 14, 16, 18)]

    assert values == sorted(values)
    assert values[-1] / values[0] == pytest.approx(18 / 12, rel=0.1)


def test_the_outline_encloses_the_area_that_is_told(narrow_points, walls, point):
    (found,) = areas(painted(point), narrow_points, walls)
    line = np.asarray(found.points) - point.canal_centre

    np.testing.assert_allclose(line @ point.up, 0, atol=0.05)
    x, y = line @ point.left, line @ point.back
    enclosed = abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    assert enclosed == pytest.approx(found.value, rel=0.02)
    assert np.hypot(x.mean(), y.mean()) < 1.0


@pytest.mark.parametrize("turn", [Turn(True, False, False), Turn(False, True, True), Turn(True, True, False)])
def test_the_area_does_not_depend_on_how_the_slice_is_stored(narrow_points, walls, point, turn):
    plain = painted(point)
    stored = volume_of(turn.apply(plain.pixels), turn.affine(plain.affine, plain.shape[1:]))

    (one,), (other,) = areas(plain, narrow_points, walls), areas(stored, narrow_points, walls)
    assert other.value == pytest.approx(one.value, rel=1e-3)


@pytest.mark.parametrize(("scale", "offset"), [(3.0, 0.0), (1.0, 700.0), (0.05, -20.0)])
def test_the_area_ignores_offset_and_scale(narrow_points, walls, point, scale, offset):
    plain = painted(point)
    changed = volume_of(plain.pixels * scale + offset, plain.affine)

    (one,), (other,) = areas(plain, narrow_points, walls), areas(changed, narrow_points, walls)
    assert other.value == pytest.approx(one.value, rel=0.01)


def test_a_slightly_tilted_slice_still_counts_and_an_oblique_one_does_not(narrow_points, walls, point):
    (found,) = areas(painted(point, tilt_deg=12), narrow_points, walls)

    assert geometry.distance_mm(np.mean(found.points, axis=0), point.canal_centre) < 2
    assert areas(painted(point, tilt_deg=35), narrow_points, walls) == ()


@pytest.mark.parametrize("up_mm", [-8.0, 8.0])
def test_a_slice_beside_the_level_is_not_measured(narrow_points, walls, point, up_mm):
    assert areas(painted(point, up_mm=up_mm), narrow_points, walls) == ()


@pytest.mark.parametrize("bright", [100.0, 20.0])
def test_what_is_not_brighter_than_its_surroundings_is_not_outlined(narrow_points, walls, point, bright):
    assert areas(painted(point, bright=bright), narrow_points, walls) == ()


def test_a_sac_beyond_belief_is_not_outlined(narrow_points, walls, point):
    assert areas(painted(point, width_mm=60, depth_mm=50), narrow_points, walls) == ()


def test_a_level_without_walls_is_not_measured(narrow_points, point):
    assert areas(painted(point), narrow_points, ()) == ()
