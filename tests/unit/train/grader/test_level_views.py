"""What is rendered for the crops alone is what the crops of the whole series show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stenograde import geometry
from stenograde.levels.crop import CropConfig, CropKind, crop_levels
from stenograde.phantom import Phantom, Protocol, make_patient, plan_study, render_series
from stenograde.phantom.scanner.look import LOOKS
from stenograde.study import Series, Study, Volume
from stenograde.terms import LUMBAR_MRI, Plane, Role, Side
from stenograde.train.grader.level_views import LocatorError, render_levels, true_levels

COARSE = Protocol(sagittal_matrix=140, axial_matrix=112, layers=1)
CONFIG = CropConfig(slices=3, size_px=18, grid_mm=2.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_patient(11)


def whole_study(phantom: Phantom) -> Study:
    """Every slice of every series; axial slices in stacks of five."""
    series = []
    for number, plan in enumerate(plan_study(phantom, COARSE)):
        pixels = render_series(phantom, plan, layers=1, rng=np.random.default_rng([phantom.seed, 2, number]))
        count = COARSE.axial_slices_per_level if plan.role is Role.AXIAL_T2 else len(pixels)
        volumes = []
        for start in range(0, len(pixels), count):
            first, second = plan.planes[start], plan.planes[start + 1]
            affine = geometry.affine_of(
                first.position, first.orientation, (first.pixel_mm,) * 2, second.position - first.position
            )
            part = pixels[start : start + count].astype(np.float32)
            uids = tuple(f"2.25.{start + k}" for k in range(count))
            volumes.append(Volume(affine, part.shape, uids, lambda indices, part=part: part[list(indices)]))
        plane = Plane.AXIAL if plan.role is Role.AXIAL_T2 else Plane.SAGITTAL
        series.append(Series(f"2.25.9{number}", plane, None, plan.role, "a test", tuple(volumes)))
    return Study("2.25.9", tuple(series))


def test_crops_are_those_of_the_whole_study_but_for_the_noise(
    phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = replace(LOOKS[COARSE.contrast], snr=(400.0, 400.0))
    monkeypatch.setitem(LOOKS, COARSE.contrast, clear)
    points = true_levels(phantom, error=LocatorError(), rng=np.random.default_rng(3))
    small = crop_levels(render_levels(phantom, points, CONFIG, protocol=COARSE), points, CONFIG)
    whole = crop_levels(whole_study(phantom), points, CONFIG)

    np.testing.assert_array_equal(small.present, whole.present)
    assert whole.present.all()
    for k, kind in enumerate(CropKind):
        ours, theirs = small.values[:, :, k].ravel(), whole.values[:, :, k].ravel()
        assert np.corrcoef(ours, theirs)[0, 1] > 0.98, kind


def test_true_levels_are_where_the_phantom_has_them(phantom: Phantom) -> None:
    for level, one in true_levels(phantom).items():
        truth = phantom.levels[level]
        assert one.canal_centre == pytest.approx(truth.canal_centre)
        axes = np.column_stack([one.left, one.back, one.up])
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
        assert one.left[0] > 0.9
        assert one.up[2] > 0.7
        for side in Side:
            # the locator's rule and the phantom's middle of a foramen differ, but both lie in the crop
            assert geometry.distance_mm(one.foramina[side], truth.foramen[side]) < 14
    assert one.foramina[Side.LEFT][0] > one.foramina[Side.RIGHT][0]


def test_a_mirrored_patients_levels_are_mirrored(phantom: Phantom) -> None:
    mirror = np.array([-1.0, 1.0, 1.0])
    theirs = true_levels(phantom.mirrored())
    for level, one in true_levels(phantom).items():
        np.testing.assert_allclose(theirs[level].canal_centre, mirror * one.canal_centre, atol=1e-9)
        np.testing.assert_allclose(
            theirs[level].foramina[Side.LEFT], mirror * one.foramina[Side.RIGHT], atol=1e-9
        )
        np.testing.assert_allclose(theirs[level].left, -mirror * one.left, atol=1e-9)


def test_errors_move_levels_by_about_their_size(phantom: Phantom) -> None:
    error = LocatorError()
    rng = np.random.default_rng(5)
    true = true_levels(phantom)
    moved = [true_levels(phantom, error=error, rng=rng) for _ in range(40)]
    away = np.array(
        [
            (np.array(one[level].canal_centre) - true[level].canal_centre)
            @ np.column_stack([true[level].left, true[level].back, true[level].up])
            for one in moved
            for level in LUMBAR_MRI.levels
        ]
    )
    np.testing.assert_allclose(away.std(axis=0), [error.left_mm, error.back_mm, error.up_mm], rtol=0.2)
    with pytest.raises(ValueError, match="rng must be given"):
        true_levels(phantom, error=error)
    with pytest.raises(ValueError, match="must not be below 0"):
        LocatorError(left_mm=-1)
