"""The mid-sagittal surface follows the middle of the canal from side to side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.spine_marks import FIELD_MM, GRID_MM, Spine

from stenograde import geometry
from stenograde.levels.marked import MarkedVolume, mid_surface
from stenograde.terms import Structure


def lateral_error_mm(spine: Spine) -> np.ndarray:
    """Distance of the surface from the canal's middle at each row, mm."""
    surface = mid_surface(spine.marked())
    assert surface is not None
    found = (surface.slice_of_row - (spine.n_slices - 1) / 2) * spine.slice_mm
    return found - spine.aside(spine.rows_mm)


@pytest.mark.parametrize("aside_mm", [-5.0, -2.0, 0.0, 1.3, 4.0])
def test_surface_of_a_straight_canal_lies_in_its_middle(aside_mm):
    error = lateral_error_mm(Spine(aside_mm=aside_mm))

    assert np.abs(error).max() < 0.6


def test_surface_of_thick_slices_lies_between_them():
    error = lateral_error_mm(Spine(aside_mm=2.75, slice_mm=5.5, n_slices=9))

    assert np.abs(error).max() < 0.8


def test_surface_follows_a_scoliosis():
    error = lateral_error_mm(Spine(scoliosis_mm=10.0))

    inner = error[round(20 / GRID_MM) : -round(20 / GRID_MM)]
    assert np.abs(inner).max() < 2.5
    assert np.abs(inner).mean() < 1.2


def test_canal_far_beside_the_spine_does_not_pull_the_surface():
    spine = Spine(n_slices=15)
    marked = spine.marked()
    probabilities = marked.probabilities.copy()
    probabilities[-1] = 0  # 28 mm beside
    probabilities[-1, Structure.CANAL.code, :, 100:110] = 1
    stray = MarkedVolume(marked.affine, probabilities, marked.heat)

    np.testing.assert_allclose(mid_surface(stray).slice_of_row, mid_surface(marked).slice_of_row, atol=0.05)


def test_surface_without_canal_is_none():
    marked = Spine().marked()
    probabilities = marked.probabilities.copy()
    probabilities[:, 0] += probabilities[:, Structure.CANAL.code]
    probabilities[:, Structure.CANAL.code] = 0

    assert mid_surface(MarkedVolume(marked.affine, probabilities, marked.heat)) is None


def test_a_speck_of_canal_is_no_spine():
    marked = Spine().marked()
    probabilities = marked.probabilities.copy()
    probabilities[:, Structure.CANAL.code] = 0
    probabilities[5, Structure.CANAL.code, 200:215, 100:115] = 1  # 81 mm²

    assert mid_surface(MarkedVolume(marked.affine, probabilities, marked.heat)) is None


def test_sample_gives_the_slice_that_the_surface_runs_through():
    spine = Spine(scoliosis_mm=8.0)
    surface = mid_surface(spine.marked())
    slices, rows, columns = surface.marked.size
    coded = np.broadcast_to(np.arange(slices, dtype=np.float32)[:, None, None], (slices, rows, columns))

    np.testing.assert_allclose(surface.sample(coded)[:, 7], surface.slice_of_row, atol=1e-4)


def test_points_of_the_surface_are_those_of_the_spine():
    spine = Spine(aside_mm=2.0)
    affine = spine.affine(origin=(12.0, -30.0, 400.0))
    surface = mid_surface(spine.marked(affine))
    points_mm = np.array([[50.0, 80.0], [150.0, 60.0]])

    found = surface.to_patient(points_mm / GRID_MM)

    np.testing.assert_allclose(found, spine.to_patient(points_mm, affine), atol=0.5)


def test_one_slice_is_its_own_surface():
    one = replace(Spine(), n_slices=1)
    surface = mid_surface(one.marked())

    assert (surface.slice_of_row == 0).all()
    np.testing.assert_allclose(surface.structures, one.marked().probabilities[0], atol=1e-6)


def test_sizes_and_spacings_are_those_of_the_grid():
    spine = Spine(slice_mm=5.0)
    marked = spine.marked()

    assert marked.size == (spine.n_slices, round(FIELD_MM[0] / GRID_MM), round(FIELD_MM[1] / GRID_MM))
    assert marked.grid_mm == pytest.approx(GRID_MM)
    assert marked.slice_mm == pytest.approx(5.0)
    assert geometry.spacing_mm(marked.affine) == pytest.approx((5.0, GRID_MM, GRID_MM))


def test_columns_that_are_background_for_certain_change_nothing():
    marked = Spine(aside_mm=2.0).marked()
    columns = np.s_[..., 40:-40]
    narrow = np.zeros_like(marked.probabilities)
    narrow[:, 0] = 1
    narrow[columns] = marked.probabilities[columns]
    heat = np.zeros_like(marked.heat)
    heat[columns] = marked.heat[columns]
    nearly = narrow * np.float32(1 - 1e-6)  # nowhere for certain, so that no column is left out
    few, all_ = (mid_surface(MarkedVolume(marked.affine, one, heat)) for one in (narrow, nearly))
    assert few is not None
    assert all_ is not None
    np.testing.assert_allclose(few.structures, all_.structures, atol=1e-5)
    np.testing.assert_allclose(few.heat, all_.heat, atol=1e-5)


def test_a_canal_beside_which_background_is_certain_is_followed():
    marked = Spine(aside_mm=2.0).marked()
    probabilities = marked.probabilities.copy()
    probabilities[:, 0] = 1
    surface = mid_surface(MarkedVolume(marked.affine, probabilities, np.zeros_like(marked.heat)))
    assert surface is not None
    assert surface.structures[Structure.CANAL.code].max() > 0.5
