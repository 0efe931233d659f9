"""The shipped bundle on a phantom: statuses, points, and no dependence on how slices are stored."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.expert_points import expert_points
from tests.placed_levels import mirrored
from tests.plain_volumes import volume_of

from stenograde import default_bundle, geometry, grade_study, read_study
from stenograde.grades import PFIRRMANN, Status, StudyGrades
from stenograde.images.orient import Turn
from stenograde.levels.crop import CropKind, crop_levels
from stenograde.levels.points import LevelPoints, find_levels
from stenograde.phantom import Population, write_cohort
from stenograde.predict.bundle import Bundle
from stenograde.predict.discs import judge_discs
from stenograde.predict.grader import run_grader
from stenograde.predict.locate import locate_study, mark_volume
from stenograde.study import Study, Volume
from stenograde.terms import LUMBAR_MRI, Condition, Quantity, Role, Side


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
    return find_levels(mark_volume(coarse, bundle).marked)


def test_every_cell_is_answered_and_all_but_the_canal_are_drafts(grades):
    for grade in grades.cells:
        is_canal = grade.cell.condition is Condition.SPINAL_CANAL_STENOSIS
        assert grade.status in {Status.GRADED if is_canal else Status.DRAFT, Status.ABSTAINED}
        assert sum(grade.probabilities) == pytest.approx(1)
        assert grade.evidence
        assert grade.severity or grade.reason
    assert sum(grade.status is not Status.ABSTAINED for grade in grades.cells) >= 20


def test_points_of_foramina_lie_in_the_foramina(grades, phantom_cohort):
    """In the plane of the slice; ``tests/real_data/test_real_study.py`` has the bound for a patient."""
    (study,) = (path.name for path in (phantom_cohort / "train_images").iterdir())
    truth = expert_points(phantom_cohort, study)
    off_mm = [
        np.hypot(*np.subtract(grades.of(cell).point, point)[1:])
        for cell, point in truth.items()
        if cell.condition is Condition.NEURAL_FORAMINAL_NARROWING
    ]
    assert len(off_mm) == 10
    assert np.mean(off_mm) < 2.0


def test_the_canal_has_a_second_opinion(grades):
    for cell in LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS):
        grade = grades.of(cell)
        assert grade.second_opinion or grade.reason


def test_where_slices_of_the_middle_are_lost_the_canal_is_not_graded(study, bundle, grades):
    """Bridged from both sides, levels are found where they were; millimetres that need what was lost are withheld."""
    series = study.by_role(Role.SAGITTAL_T2_STIR)
    volume = series.volumes[0]
    point = grades.of(LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)[2]).point
    middle = round(float(geometry.to_index(volume.affine, np.array([point]))[0, 0]))
    pixels = np.array(volume.pixels)
    for place, share in ((middle, 1 / 3), (middle + 1, 2 / 3)):
        pixels[place] = (1 - share) * volume.pixels[middle - 1] + share * volume.pixels[middle + 2]
    bridged = replace(volume_of(pixels, volume.affine), bridged=(middle, middle + 1))
    rest = tuple(one for one in study.series if one is not series)
    gapped = grade_study(replace(study, series=(replace(series, volumes=(bridged,)), *rest)), bundle)

    assert {one.quantity for one in gapped.measurements}.isdisjoint(
        {Quantity.CANAL_AP_DIAMETER, Quantity.CANAL_AP_RATIO}
    )
    for cell in LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS):
        grade = gapped.of(cell)
        assert grade.status is Status.ABSTAINED
        assert grade.reason.startswith("the middle of the canal lies where slices are missing")
        assert np.linalg.norm(np.subtract(grade.point, grades.of(cell).point)) < 6


@pytest.mark.parametrize(
    ("seed", "transition", "doubt"),
    [
        (4, "lumbarised_s1", "lies below S1, which may be lumbarised"),
        (6, "lumbarised_s1", "lies below S1, which may be lumbarised"),
        (1, "sacralised_l5", "L5 may be sacralised"),
        (3, "sacralised_l5", "L5 may be sacralised"),
    ],
)
def test_a_transitional_vertebra_makes_all_names_uncertain(tmp_path, bundle, seed, transition, doubt):
    cohort = write_cohort(tmp_path, patients=1, seed=seed, population=Population(transitional_share=1.0))
    assert f",{transition}" in (tmp_path / "truth.csv").read_text(encoding="utf-8")

    located = locate_study(read_study(cohort.studies[0].folder), bundle)

    assert not any(position.certain for position in located.points.positions())
    assert any(doubt in one for one in located.doubts)


def test_mirroring_the_patient_swaps_left_and_right_grades(study, grades, bundle):
    theirs = grade_study(mirrored(study), bundle)

    for grade in grades.cells:
        other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, None: None}[grade.cell.side]
        swapped = theirs.of(replace(grade.cell, side=other))
        assert (swapped.status, swapped.severity) == (grade.status, grade.severity)
        # the one mirrored point differs from the other by what 32 bits lose, some 0.00001 mm
        assert swapped.probabilities == pytest.approx(grade.probabilities, abs=1e-3)


def test_names_and_order_of_files_change_nothing(phantom_study, grades, bundle, tmp_path):
    files = sorted(phantom_study.rglob("*.dcm"))
    for number, place in enumerate(np.random.default_rng(4).permutation(len(files)).tolist()):
        shutil.copyfile(files[place], tmp_path / f"{number:04}")
    shuffled = grade_study(read_study(tmp_path), bundle)

    assert shuffled.cells == grades.cells


@pytest.mark.parametrize("role", list(Role))
def test_pixels_of_a_series_left_out_change_no_grade(study, bundle, role):
    """The crops of a series that is not there are swapped for noise; no answer changes by a bit."""
    points = locate_study(study, bundle).points
    crops = crop_levels(study, points.levels, bundle.table.grader.crops)
    present = crops.present & ~np.array([kind.role is role for kind in CropKind])
    noise = np.random.default_rng(0).normal(size=crops.values.shape).astype(np.float32)
    left_out = ~present[..., None, None, None]
    said = [
        run_grader(bundle.grader, np.where(left_out, filler, crops.values), present)[0]
        for filler in (0, noise)
    ]

    np.testing.assert_array_equal(*said)
    assert np.isfinite(said[0]).all()


def test_every_level_is_measured_on_sagittal_slices(grades):
    for level in LUMBAR_MRI.levels:
        quantities = {one.quantity for one in grades.measurements if one.level is level}
        assert quantities >= {
            Quantity.CANAL_AP_DIAMETER,
            Quantity.CANAL_AP_RATIO,
            Quantity.DISC_HEIGHT,
            Quantity.CSF_SIGNAL_RATIO,
        }


def test_the_grades_are_stamped_with_the_bundle(grades, bundle):
    assert grades.bundle == bundle.stamp
    assert [use.uid for use in grades.series]


def test_every_disc_is_answered_from_both_sagittal_series(grades, bundle, study):
    assert [disc.level for disc in grades.discs] == list(LUMBAR_MRI.levels)
    told = {one.finding for one in grades.disc_scores}
    assert {"narrowing", "herniation", "bulging", PFIRRMANN} <= told
    sagittal = {study.by_role(role).uid for role in (Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR)}
    for disc in grades.discs:
        assert disc.status is Status.GRADED
        assert {finding.value for finding in disc.probabilities} | {PFIRRMANN} == told
        assert sum(disc.pfirrmann) == pytest.approx(1)
        assert {item.series_uid for item in disc.evidence} == sagittal


def test_without_a_sagittal_t1_discs_are_answered_from_t2_alone(study, bundle):
    alone = replace(study, series=(study.by_role(Role.SAGITTAL_T2_STIR),))
    points = locate_study(alone, bundle).points
    found = judge_discs(alone, points, bundle.table.discs, bundle.disc_heads, bundle.middle_maps)
    assert {len(disc.evidence) for disc in found} == {1}


def test_what_is_stated_of_discs_is_certainly_better_than_the_level_alone(bundle):
    for one in bundle.table.discs.scores:
        assert one.low > one.level_share
        assert one.patients > 140
        assert f"{one.score:.3f} ({one.low:.3f} to {one.high:.3f})" in bundle.card


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
    points = find_levels(mark_volume(volume_of(pixels, affine), bundle).marked)

    assert points.levels.keys() == located.levels.keys()
    for level, point in located.levels.items():
        other = points.levels[level]
        pairs = [(point.canal_centre, other.canal_centre), (point.disc_centre, other.disc_centre)]
        pairs += [(point.foramina[side], other.foramina[side]) for side in point.foramina]
        pairs += [(point.recesses[side], other.recesses[side]) for side in point.recesses]
        assert max(geometry.distance_mm(a, b) for a, b in pairs) < 1.0
