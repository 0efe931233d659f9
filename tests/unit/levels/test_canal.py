"""The canal's diameter is found where it was made, along the normal of a curved line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from tests.spine_marks import CANAL_MM, DISC_ROWS_MM, GRID_MM, Spine

from stenograde.levels.canal import STATION_MM, CanalLine, canal_line
from stenograde.levels.marked import MarkedVolume, mid_surface
from stenograde.terms import Structure

TOLERANCE_MM = 0.4


def line_of(spine: Spine) -> CanalLine:
    line = canal_line(mid_surface(spine.marked()))
    assert line is not None
    return line


def without_canal(spine: Spine, rows_mm: tuple[float, float]) -> MarkedVolume:
    """Marks whose canal is wiped out between two heights, mm."""
    marked = spine.marked()
    probabilities = marked.probabilities.copy()
    wiped = np.s_[:, Structure.CANAL.code, round(rows_mm[0] / GRID_MM) : round(rows_mm[1] / GRID_MM)]
    probabilities[wiped] = 0
    return MarkedVolume(marked.affine, probabilities, marked.heat)


def test_diameter_of_an_even_canal_is_its_own_at_every_station():
    diameter = line_of(Spine()).diameter_mm
    inner = diameter[20:-20]

    assert np.isfinite(inner).all()
    assert np.abs(inner - CANAL_MM).max() < TOLERANCE_MM


@pytest.mark.parametrize(
    "diameters", [{"L4/L5": 6.0}, {"L4/L5": 4.0, "L3/L4": 9.0}, {"L1/L2": 10.0, "L5/S1": 8.0}]
)
def test_diameter_follows_a_narrowing(diameters):
    spine = Spine(diameters=diameters)
    line = line_of(spine)
    away, nearest = cKDTree(spine.line).query(line.centre * GRID_MM)

    error = (line.diameter_mm - spine.diameter[nearest])[20:-20]

    assert np.nanmax(np.abs(error)) < TOLERANCE_MM
    assert away[20:-20].max() < 0.5, "the line runs through the canal's middle"
    for name, narrow in diameters.items():
        near = np.abs(line.centre[:, 0] * GRID_MM - DISC_ROWS_MM[name]) < 5
        assert np.nanmin(line.diameter_mm[near]) == pytest.approx(narrow, abs=TOLERANCE_MM)


def test_diameter_in_a_scoliosis_is_that_of_the_canal():
    line = line_of(Spine(scoliosis_mm=8.0, diameters={"L4/L5": 6.0}))

    assert np.nanmin(line.diameter_mm) == pytest.approx(6.0, abs=TOLERANCE_MM)
    assert np.nanmedian(line.diameter_mm) == pytest.approx(CANAL_MM, abs=TOLERANCE_MM)


def test_walls_lie_a_diameter_apart_on_both_sides_of_the_centre():
    line = line_of(Spine(diameters={"L3/L4": 7.0}))
    known = np.isfinite(line.diameter_mm)

    apart = np.linalg.norm(line.back - line.front, axis=1) * GRID_MM
    np.testing.assert_allclose(apart[known], line.diameter_mm[known], atol=1e-9)
    np.testing.assert_allclose(line.centre[known], ((line.front + line.back) / 2)[known], atol=1e-9)
    assert (line.back[known, 1] > line.front[known, 1]).all(), "the back is to the right"


def test_stations_are_evenly_spaced_from_head_to_feet():
    line = line_of(Spine())

    assert (np.diff(line.centre[:, 0]) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(line.tangent, axis=1), 1)
    np.testing.assert_allclose(np.diff(line.distance_mm), STATION_MM, rtol=0.05)
    assert line.distance_mm[0] == 0


def test_a_gap_in_the_canal_has_no_diameter_but_the_line_goes_on():
    line = canal_line(mid_surface(without_canal(Spine(), (100, 120))))
    height = line.centre[:, 0] * GRID_MM

    assert np.isnan(line.diameter_mm[(height > 105) & (height < 115)]).all()
    assert np.isfinite(line.centre).all()
    for wide in (
        line.diameter_mm[(height > 40) & (height < 90)],
        line.diameter_mm[(height > 130) & (height < 200)],
    ):
        assert np.abs(wide - CANAL_MM).max() < TOLERANCE_MM


def test_less_than_forty_millimetres_of_canal_is_none():
    spine = Spine()
    marked = without_canal(spine, (35, 240))
    surface = mid_surface(marked)

    assert surface is not None
    assert canal_line(surface) is None


def test_fifty_millimetres_of_canal_are_enough():
    assert canal_line(mid_surface(without_canal(Spine(), (55, 240)))) is not None
