"""The shipped bundle on a phantom: statuses, points, and no dependence on how slices are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.plain_volumes import volume_of

from stenograde import default_bundle, geometry, grade_study, read_study
from stenograde.grades import Status, StudyGrades
from stenograde.images.orient import Turn
from stenograde.levels.points import LevelPoints
from stenograde.predict.bundle import Bundle
from stenograde.predict.locate import locate_volume
from stenograde.study import Study, Volume
from stenograde.terms import LUMBAR_MRI, Condition, Role


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return default_bundle()


@pytest.fixture(scope="module")
def study(phantom_study: Path) -> Study:
    return read_study(phantom_study)


@pytest.fixture(scope="module")
def grades(study: Study, bundle: Bundle) -> StudyGrades:
    return grade_study(study, bundle)


@pytest.fixture(scope="module")
def coarse(study: Study) -> Volume:
    """Every second slice and pixel of the sagittal T2, to be quick."""
    volume = study.by_role(Role.SAGITTAL_T2_STIR).volumes[0]
    return volume_of(volume.pixels[::2, ::2, ::2], volume.affine @ np.diag([2, 2, 2, 1]))


@pytest.fixture(scope="module")
def located(coarse: Volume, bundle: Bundle) -> LevelPoints:
    return locate_volume(coarse, bundle)


def test_every_canal_is_graded_and_every_other_cell_says_why_not(grades):
    for grade in grades.cells:
        if grade.cell.condition is Condition.SPINAL_CANAL_STENOSIS:
            assert grade.status is Status.GRADED
            assert sum(grade.probabilities) == pytest.approx(1)
        else:
            assert grade.status is Status.NOT_GRADED
            assert grade.reason.startswith("this bundle does not grade the")


def test_every_level_is_measured_on_sagittal_slices(grades):
    for level in LUMBAR_MRI.levels:
        names = {one.name for one in grades.measurements if one.level is level}
        assert names >= {"canal_ap_diameter", "canal_ap_ratio", "disc_height", "csf_signal_ratio"}


def test_the_grades_are_stamped_with_the_bundle(grades, bundle):
    assert grades.bundle == bundle.stamp
    assert [use.uid for use in grades.series]


def test_half_the_slices_and_pixels_show_the_same_levels(grades, located, coarse):
    # aside, slices tell no more than half their distance; in their plane, 5 mm is half a disc's height
    off_mm = np.hypot(coarse.spacing_mm[0] / 2, 5.0)
    for position in grades.levels:
        assert position.imaged
        assert geometry.distance_mm(located.levels[position.level].canal_centre, position.point) < off_mm


@pytest.mark.parametrize(
    ("turn", "backwards"), [(Turn(True, False, True), True), (Turn(False, True, True), False)]
)
def test_points_do_not_depend_on_how_slices_are_stored(coarse, located, bundle, turn, backwards):
    affine, pixels = turn.affine(coarse.affine, coarse.shape[1:]), turn.apply(coarse.pixels)
    if backwards:
        affine[:3, 3] += affine[:3, 0] * (len(pixels) - 1)
        affine[:3, 0] *= -1
        pixels = pixels[::-1]
    points = locate_volume(volume_of(pixels, affine), bundle)

    assert points.levels.keys() == located.levels.keys()
    for level, point in located.levels.items():
        other = points.levels[level]
        pairs = [(point.canal_centre, other.canal_centre), (point.disc_centre, other.disc_centre)]
        pairs += [(point.foramina[side], other.foramina[side]) for side in point.foramina]
        pairs += [(point.recesses[side], other.recesses[side]) for side in point.recesses]
        assert max(geometry.distance_mm(a, b) for a, b in pairs) < 1.0
