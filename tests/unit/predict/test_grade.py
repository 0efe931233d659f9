"""Every cell is graded, or says why not; nothing is invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.plain_volumes import series_of, study_of, volume_of
from tests.spine_marks import Spine
from tests.spine_pictures import pictures_of, plain_bundle, volume_with

from stenograde import geometry
from stenograde.errors import MissingSeriesError
from stenograde.grades import Status, StudyGrades
from stenograde.predict.grade import grade_located, grade_study
from stenograde.predict.locate import locate_study
from stenograde.study import Study, Volume
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Quantity, Role, Severity, Structure, Unused

BUNDLE = plain_bundle()
NARROW = Spine(diameters={"L4/L5": 4.0, "L3/L4": 9.0}, scoliosis_mm=6.0)
CANAL = [Cell(Condition.SPINAL_CANAL_STENOSIS, level) for level in LUMBAR_MRI.levels]


def axial_stack() -> Volume:
    """Slices across the whole spine, of nothing."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0, 4), (0, 1, 0), (1, 0, 0)
    affine[:3, 3] = (-75, -75, -130)
    return volume_of(np.zeros((66, 150, 150)), affine, "2.25.9")


@pytest.fixture(scope="module")
def study() -> Study:
    sagittal = series_of(volume_with(NARROW, root="2.25.7"), uid="2.25.70")
    axial = series_of(axial_stack(), role=Role.AXIAL_T2, uid="2.25.90")
    return replace(study_of(sagittal, axial), unused=(Unused("a.txt", "no DICOM"),), warnings=("tolerated",))


@pytest.fixture(scope="module")
def grades(study) -> StudyGrades:
    return grade_study(study, BUNDLE)


def test_the_canal_is_graded_at_every_level_by_its_narrowing(grades):
    found = {cell.level: grades.of(cell) for cell in CANAL}

    assert all(grade.status is Status.GRADED for grade in found.values())
    severe = {level: grade.probabilities[2] for level, grade in found.items()}
    assert sorted(severe, key=severe.__getitem__)[-2:] == [Level.L3_L4, Level.L4_L5]
    # the fluid of plain pictures is nowhere dimmed, which speaks against a severe grade
    assert found[Level.L4_L5].severity is Severity.MODERATE
    assert found[Level.L1_L2].severity is Severity.NORMAL_MILD


def test_cells_that_the_bundle_does_not_grade_say_so_and_have_their_points(grades):
    for cell in LUMBAR_MRI.cells:
        if cell.condition is Condition.SPINAL_CANAL_STENOSIS:
            continue
        grade = grades.of(cell)
        assert grade.status is Status.NOT_GRADED
        assert grade.reason.startswith("this bundle does not grade the")
        assert grade.probabilities is None
        opposite = next(
            c for c in LUMBAR_MRI.cells if replace(c, side=cell.side) == cell and c.side is not cell.side
        )
        sense = 1 if cell.side == "left" else -1
        assert (grade.point[0] - grades.of(opposite).point[0]) * sense > 10, "x runs to the patient's left"


def test_evidence_is_the_pixel_of_the_slice_that_shows_the_point(grades, study):
    volumes = {
        uid: (volume, k) for _, volume in study.volumes() for k, uid in enumerate(volume.sop_instance_uids)
    }
    for grade in grades.cells:
        assert grade.evidence
        for seen in grade.evidence:
            volume, k = volumes[seen.sop_instance_uid]
            place = geometry.to_patient(volume.affine, [[k, seen.row, seen.column]])[0]
            assert geometry.distance_mm(place, grade.point) <= volume.spacing_mm[0] * 0.76


def test_evidence_comes_from_the_series_that_show_the_condition(grades):
    series = {
        cell.condition: [seen.series_uid for seen in grades.of(cell).evidence] for cell in LUMBAR_MRI.cells
    }

    assert series[Condition.SPINAL_CANAL_STENOSIS] == ["2.25.70", "2.25.90"]
    assert series[Condition.NEURAL_FORAMINAL_NARROWING] == ["2.25.70"]
    assert series[Condition.SUBARTICULAR_STENOSIS] == ["2.25.90"]


def test_what_was_read_is_handed_on(grades, study):
    assert grades.study_uid == study.uid
    assert grades.unused == study.unused
    assert "tolerated" in grades.warnings
    assert [(use.uid, use.role) for use in grades.series] == [
        ("2.25.70", Role.SAGITTAL_T2_STIR),
        ("2.25.90", Role.AXIAL_T2),
    ]
    assert grades.bundle == BUNDLE.stamp
    assert grades.seconds > 0
    assert len(set(grades.warnings)) == len(grades.warnings)


def test_outlines_lie_on_the_slice_that_is_shown_as_the_middle(grades, study):
    volume = next(volume for series, volume in study.volumes() if series.role is Role.SAGITTAL_T2_STIR)
    shown = volume.sop_instance_uids.index(grades.mid_sagittal.slice.sop_instance_uid)

    for outline in grades.mid_sagittal.outlines:
        slices = geometry.to_index(volume.affine, outline.points)[:, 0]
        np.testing.assert_allclose(slices, shown, atol=1e-6)
    assert {outline.name for outline in grades.mid_sagittal.outlines} >= {"L5/S1", "L4/L5", "L4", "L3", ""}
    assert [level for level, _ in grades.mid_sagittal.profile.levels] == list(LUMBAR_MRI.levels)


def test_without_axial_series_the_canal_is_graded_and_it_is_said():
    grades = grade_study(study_of(series_of(volume_with(NARROW))), BUNDLE)

    assert (
        "there is no axial T2 series; the canal is graded from the sagittal series alone" in grades.warnings
    )
    assert all(grades.of(cell).status is Status.GRADED for cell in CANAL)
    for cell in LUMBAR_MRI.of(Condition.SUBARTICULAR_STENOSIS):
        assert grades.of(cell).evidence == ()


def test_from_t1_alone_nothing_is_said_about_the_signal():
    grades = grade_study(study_of(series_of(volume_with(NARROW), role=Role.SAGITTAL_T1)), BUNDLE)

    assert Quantity.CSF_SIGNAL_RATIO not in {one.quantity for one in grades.measurements}
    assert all(grades.of(cell).status is Status.GRADED for cell in CANAL)
    assert any(one.startswith("there is no sagittal T2 series; levels and canal") for one in grades.warnings)


def test_a_level_above_the_field_is_not_imaged():
    grades = grade_study(study_of(series_of(volume_with(Spine(cut_above_mm=80.0)))), BUNDLE)

    for cell in LUMBAR_MRI.cells:
        grade = grades.of(cell)
        if cell.level is Level.L1_L2:
            assert grade.status is Status.NOT_IMAGED
            assert grade.reason == "L1/L2 lies outside the imaged field or could not be found"
            assert grade.point is None
        else:
            assert grade.status is not Status.NOT_IMAGED
    assert not grades.levels[0].imaged


def test_a_disc_that_was_guessed_is_abstained_from():
    spine = Spine(unmarked=("L3/L4",))
    grades = grade_study(study_of(series_of(volume_with(spine))), BUNDLE)
    grade = grades.of(Cell(Condition.SPINAL_CANAL_STENOSIS, Level.L3_L4))

    assert grade.status is Status.ABSTAINED
    assert grade.reason == "the disc was not seen; its place is taken from its neighbours"
    assert grade.probabilities is None
    assert any(
        warning.startswith("level names are uncertain: L3/L4 was not seen") for warning in grades.warnings
    )
    assert not any(position.certain for position in grades.levels)


def test_a_canal_that_cannot_be_followed_is_abstained_from():
    pictures = pictures_of(Spine()).copy()
    gap = pictures[:, 185:237]  # 111 to 142 mm: around L3/L4 at 126 mm
    gap[gap == Structure.CANAL.code * 100] = 0
    grades = grade_study(study_of(series_of(volume_of(pictures, Spine().affine()))), BUNDLE)
    grade = grades.of(Cell(Condition.SPINAL_CANAL_STENOSIS, Level.L3_L4))

    assert grade.status is Status.ABSTAINED
    assert grade.reason == "the canal's walls could not be followed at the disc and at a vertebra beside it"


def test_a_study_without_sagittal_series_is_refused():
    with pytest.raises(MissingSeriesError, match="must have a sagittal T2, STIR or T1 series"):
        grade_study(study_of(series_of(axial_stack(), role=Role.AXIAL_T2)), BUNDLE)


def test_a_point_that_was_corrected_is_the_one_that_is_graded():
    study = study_of(series_of(volume_with(NARROW)))
    located = locate_study(study, BUNDLE)
    level = located.points.levels[Level.L4_L5]
    moved = replace(level, canal_centre=(1.0, 2.0, 3.0))
    points = replace(located.points, levels={**located.points.levels, Level.L4_L5: moved})
    grades = grade_located(study, replace(located, points=points), BUNDLE)

    assert grades.of(Cell(Condition.SPINAL_CANAL_STENOSIS, Level.L4_L5)).point == (1.0, 2.0, 3.0)
    assert grades.levels == points.positions()


def test_seconds_count_locating():
    study = study_of(series_of(volume_with(NARROW)))
    located = replace(locate_study(study, BUNDLE), seconds=1000.0)

    assert 1000 < grade_located(study, located, BUNDLE).seconds < 1100
