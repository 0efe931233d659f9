"""Levels are located in any orientation, in the best series, and in plain pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.plain_volumes import series_of, study_of, volume_of
from tests.spine_marks import GRID_MM, Spine, turned
from tests.spine_pictures import pictures_of, plain_bundle, volume_with

from stenograde import geometry
from stenograde.errors import MissingSeriesError, StudyError, UnreadableInstanceError
from stenograde.images.orient import Turn
from stenograde.levels.measure import measure_canal
from stenograde.levels.points import LevelPoints, find_levels
from stenograde.predict.locate import (
    LocatedStudy,
    locate_study,
    locating_series,
    mark_picture,
    mark_volume,
)
from stenograde.study import Volume
from stenograde.terms import LUMBAR_MRI, Role, Structure

BUNDLE = plain_bundle()
SPINE = Spine(diameters={"L4/L5": 6.0}, aside_mm=1.0)
AFFINE = SPINE.affine(turned((6.0, -4.0, 10.0)), (10.0, -40.0, 500.0))


def levels_of(volume: Volume) -> LevelPoints | None:
    return find_levels(mark_volume(volume, BUNDLE).marked)


@pytest.fixture(scope="module")
def upright() -> LevelPoints:
    points = levels_of(volume_with(SPINE, AFFINE))
    assert points is not None
    return points


def stored_as(turn: Turn, *, backwards: bool) -> Volume:
    """The same volume with its slices stored otherwise."""
    pixels = pictures_of(SPINE)
    affine = turn.affine(AFFINE, pixels.shape[1:])
    pixels = turn.apply(pixels)
    if backwards:
        affine[:3, 3] += affine[:3, 0] * (len(pixels) - 1)
        affine[:3, 0] *= -1
        pixels = pixels[::-1]
    return volume_of(pixels, affine)


def test_points_are_those_of_the_spine(upright):
    assert tuple(sorted(upright.levels)) == LUMBAR_MRI.levels
    for level, point in upright.levels.items():
        canal = SPINE.to_patient(SPINE.line[SPINE.behind(level.shown)], AFFINE)[0]
        disc = SPINE.to_patient(SPINE.disc_middle(level.shown), AFFINE)[0]
        assert geometry.distance_mm(point.canal_centre, canal) < 2.5
        assert geometry.distance_mm(point.disc_centre, disc) < 1.5


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("turn", [Turn(True, True, False), Turn(False, True, True), Turn(True, False, False)])
def test_points_do_not_depend_on_how_slices_are_stored(upright, turn, backwards):
    points = levels_of(stored_as(turn, backwards=backwards))

    assert points.levels.keys() == upright.levels.keys()
    for level, point in upright.levels.items():
        other = points.levels[level]
        pairs = [(point.canal_centre, other.canal_centre), (point.disc_centre, other.disc_centre)]
        pairs += [(point.foramina[side], other.foramina[side]) for side in point.foramina]
        assert max(geometry.distance_mm(a, b) for a, b in pairs) < 1.0


@pytest.mark.parametrize(
    "turn", [Turn(False, False, False), Turn(True, True, False), Turn(True, False, True)]
)
def test_masks_lie_on_the_volumes_own_grid(turn):
    volume = stored_as(turn, backwards=False)
    masks = mark_volume(volume, BUNDLE).masks()

    assert masks.shape == volume.shape
    shown = np.where(volume.pixels < 350, volume.pixels / 100, 0)
    assert (masks == shown).mean() > 0.999


def test_the_locators_grid_shares_its_outer_edge_with_the_slices():
    coarse = volume_of(pictures_of(SPINE)[:, ::2, ::2], AFFINE @ np.diag([1, 2, 2, 1]))
    stack = mark_volume(coarse, BUNDLE)

    assert stack.marked.grid_mm == pytest.approx(GRID_MM)
    np.testing.assert_allclose(
        geometry.to_patient(stack.marked.affine, [[3, -0.5, -0.5]]),
        geometry.to_patient(coarse.affine, [[3, -0.5, -0.5]]),
        atol=1e-9,
    )
    assert stack.intensities.shape == stack.marked.size


def test_a_part_of_the_slices_is_marked_in_its_place():
    volume = volume_with(SPINE, AFFINE)
    whole, part = mark_volume(volume, BUNDLE), mark_volume(volume, BUNDLE, range(3, 7))

    np.testing.assert_allclose(part.marked.probabilities, whole.marked.probabilities[3:7], atol=1e-6)
    np.testing.assert_allclose(
        geometry.to_patient(part.marked.affine, [[0, 5, 9]]),
        geometry.to_patient(whole.marked.affine, [[3, 5, 9]]),
        atol=1e-9,
    )


def test_t2_comes_before_t1_and_axial_series_show_no_levels():
    volume = volume_with(SPINE)
    t1, t2 = series_of(volume, role=Role.SAGITTAL_T1), series_of(volume)

    assert locating_series(study_of(t1, t2)) is t2
    assert locating_series(study_of(t1)) is t1
    with pytest.raises(
        MissingSeriesError, match=r"must have a sagittal T2, STIR or T1 series .* got axial T2; name"
    ):
        locating_series(study_of(series_of(volume, role=Role.AXIAL_T2)))
    with pytest.raises(MissingSeriesError, match="got no series"):
        locating_series(study_of())


def test_a_study_without_a_spine_is_refused():
    bones = np.where(pictures_of(SPINE)[3:8] == 100, 100.0, 0.0)  # vertebrae alone
    bones[:, :8] = 400
    volume = volume_of(bones, SPINE.affine())

    with pytest.raises(StudyError, match=r"series 2.25.70 must show the lumbar canal and discs, got no such"):
        locate_study(study_of(series_of(volume)), BUNDLE)
    assert levels_of(volume) is None


def test_the_largest_stack_of_a_series_is_looked_at(upright):
    small = volume_of(np.zeros((2, 50, 50)), SPINE.affine())
    found = locate_study(study_of(series_of(small, volume_with(SPINE, AFFINE))), BUNDLE)

    assert found.stack.masks().shape == found.volume.shape
    for level, point in upright.levels.items():
        assert found.points.levels[level].canal_centre == pytest.approx(point.canal_centre)


def test_a_t1_whose_midline_lies_elsewhere_moves_the_points_and_is_told(upright):
    moved = replace(SPINE, aside_mm=SPINE.aside_mm - 9.0)  # towards lower slices: to the patient's left
    t1 = series_of(volume_with(moved, AFFINE), role=Role.SAGITTAL_T1, uid="2.25.71")
    found = locate_study(study_of(series_of(volume_with(SPINE, AFFINE)), t1), BUNDLE)

    assert any("midline differs by" in warning and "may have moved" in warning for warning in found.warnings)
    for level, point in upright.levels.items():
        shift = np.subtract(found.points.levels[level].canal_centre, point.canal_centre)
        assert shift @ point.left == pytest.approx(4.5, abs=1.0)


def test_a_t1_that_agrees_is_not_told(upright):
    t1 = series_of(volume_with(SPINE, AFFINE), role=Role.SAGITTAL_T1, uid="2.25.71")
    found = locate_study(study_of(series_of(volume_with(SPINE, AFFINE)), t1), BUNDLE)

    assert found.warnings == ()
    for level, point in upright.levels.items():
        assert geometry.distance_mm(found.points.levels[level].canal_centre, point.canal_centre) < 0.5


def assert_same(near: LocatedStudy, whole: LocatedStudy) -> None:
    """Points, warnings and measurements are the same; of the stack, only what they rest on is marked."""
    assert len(near.stack.marked.probabilities) < len(whole.stack.marked.probabilities)
    assert near.warnings == whole.warnings
    assert near.points.levels.keys() == whole.points.levels.keys()
    for level, point in whole.points.levels.items():
        other = near.points.levels[level]
        for name in ("canal_centre", "disc_centre"):
            np.testing.assert_allclose(getattr(other, name), getattr(point, name), atol=1e-3)
        for name in ("foramina", "foramen_middles", "recesses"):
            for side, at in getattr(point, name).items():
                np.testing.assert_allclose(getattr(other, name)[side], at, atol=1e-3)
    ours, theirs = (measure_canal(one.points, one.stack.intensities) for one in (near, whole))
    assert [(one.quantity, one.level) for one in ours] == [(one.quantity, one.level) for one in theirs]
    np.testing.assert_allclose([one.value for one in ours], [one.value for one in theirs], rtol=1e-4)


@pytest.mark.parametrize("aside_mm", [1.0, -14.0, 21.0])
def test_points_are_the_same_where_only_slices_are_marked_that_they_rest_on(aside_mm):
    spine = replace(SPINE, aside_mm=aside_mm, n_slices=21)
    t1 = series_of(volume_with(spine, AFFINE), role=Role.SAGITTAL_T1, uid="2.25.71")
    study = study_of(series_of(volume_with(spine, AFFINE)), t1)

    assert_same(locate_study(study, BUNDLE, whole=False), locate_study(study, BUNDLE))


@pytest.mark.parametrize(("aside_mm", "spoilt"), [(8.0, 8), (-8.0, 6), (10.0, 8)])
def test_a_spoilt_slice_hides_no_canal_beyond_it(aside_mm, spoilt):
    spine = replace(SPINE, aside_mm=aside_mm, n_slices=15)
    pictures = pictures_of(spine)
    pictures[spoilt] = 0
    study = study_of(series_of(volume_of(pictures, AFFINE)))

    near, whole = locate_study(study, BUNDLE, whole=False), locate_study(study, BUNDLE)
    for level, point in whole.points.levels.items():
        np.testing.assert_allclose(near.points.levels[level].disc_centre, point.disc_centre, atol=1e-3)
        np.testing.assert_allclose(near.points.levels[level].canal_centre, point.canal_centre, atol=1e-3)


def test_doubts_are_told():
    study = study_of(series_of(volume_with(Spine(cut_below_mm=212.0))))

    assert locate_study(study, BUNDLE).warnings == (
        "level names are uncertain: the image ends less than 30 mm below the lowest disc, so the sacrum was not seen",
    )


def test_a_plain_picture_has_its_discs_and_mask():
    picture = pictures_of(SPINE)[5]
    found = mark_picture(picture, (GRID_MM, GRID_MM), BUNDLE)

    assert [name for name, _, _ in found.points] == ["L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1"]
    for name, row, column in found.points:
        np.testing.assert_allclose((row * GRID_MM, column * GRID_MM), SPINE.disc_middle(name), atol=1.0)
    assert found.mask.shape == picture.shape
    assert set(np.unique(found.mask)) == {0, *(structure.code for structure in Structure)}
    assert found.doubts == ()


def test_points_of_a_picture_of_other_spacing_are_its_own_pixels():
    fine = np.kron(pictures_of(SPINE)[5], np.ones((2, 1), np.float32))
    found = mark_picture(fine, (GRID_MM / 2, GRID_MM), BUNDLE)

    assert found.mask.shape == fine.shape
    for name, row, column in found.points:
        place = ((row + 0.5) * GRID_MM / 2, (column + 0.5) * GRID_MM)
        np.testing.assert_allclose(place, SPINE.disc_middle(name) + GRID_MM / 2, atol=1.0)


def test_a_picture_without_a_canal_has_a_mask_and_says_so():
    found = mark_picture(np.zeros((60, 71), np.float32), (1.0, 1.0), BUNDLE)

    assert found.points == ()
    assert found.doubts == ("no canal was found",)
    assert found.mask.shape == (60, 71)
    assert not found.mask.any()


def test_names_are_uncertain_where_reading_says_that_they_cannot_be_certain():
    study = study_of(series_of(volume_with(SPINE, AFFINE), role=Role.SAGITTAL_T2_STIR))
    doubt = "Sagittal T2/STIR is one of 2 stations that were not joined"

    sure, unsure = (locate_study(one, BUNDLE) for one in (study, replace(study, name_doubts=(doubt,))))

    assert all(position.certain for position in sure.points.positions())
    assert not any(position.certain for position in unsure.points.positions())
    assert f"level names are uncertain: {doubt}" in unsure.warnings


def test_t1_does_not_stand_in_for_a_t2_that_could_not_be_read():
    study = study_of(series_of(volume_with(SPINE, AFFINE), role=Role.SAGITTAL_T1))
    assert locating_series(study).role is Role.SAGITTAL_T1

    lost = replace(study, lost=((Role.SAGITTAL_T2_STIR, "series 1.2 could not be used: cut short"),))

    with pytest.raises(
        UnreadableInstanceError, match=r"got none: series 1\.2 could not be used: cut short; mend"
    ):
        locate_study(lost, BUNDLE)
