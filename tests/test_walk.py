"""The walk of docs/walk.md on a phantom, from files to report; the first test a newcomer reads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import numpy as np
import pydicom
import pytest

from stenograde import as_html, as_json, default_bundle, geometry, grade_study, locate_study, read_study
from stenograde.grades import Status
from stenograde.predict.grade import grade_located
from stenograde.report.as_json import schema
from stenograde.terms import LUMBAR_MRI, Condition, Level, Plane, Role


def labelled_points(cohort: Path, condition: str) -> dict[Level, np.ndarray]:
    """Points of the answer key, LPS mm, from the table and the headers of the instances it names."""
    points = {}
    with (cohort / "train_label_coordinates.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["condition"] != condition:
                continue
            folder = cohort / "train_images" / row["study_id"] / row["series_id"]
            ds = pydicom.dcmread(folder / f"{row['instance_number']}.dcm", stop_before_pixels=True)
            affine = geometry.affine_of(
                ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, [0, 0, 0]
            )
            u_v = affine[:3, 2] * float(row["x"]) + affine[:3, 1] * float(row["y"])
            points[Level.parse(row["level"])] = affine[:3, 3] + u_v
    return points


@pytest.fixture(scope="module")
def walked(phantom_study: Path) -> tuple:
    study = read_study(phantom_study)
    return study, grade_study(study, default_bundle())


def test_door_when_a_phantom_is_read_then_each_role_has_its_series(phantom_study: Path) -> None:
    study = read_study(phantom_study)
    planes = {role: study.by_role(role).plane for role in Role}
    assert planes == {
        Role.SAGITTAL_T1: Plane.SAGITTAL,
        Role.SAGITTAL_T2_STIR: Plane.SAGITTAL,
        Role.AXIAL_T2: Plane.AXIAL,
    }
    assert len(study.by_role(Role.AXIAL_T2).volumes) >= 5, "axial slices are angled disc by disc"
    assert study.unused == ()


def test_stairs_when_levels_are_located_then_the_canal_is_where_the_phantom_has_it(
    phantom_study: Path, phantom_cohort: Path
) -> None:
    found = locate_study(read_study(phantom_study), default_bundle()).points
    truth = labelled_points(phantom_cohort, "Spinal Canal Stenosis")
    distances = {
        level: geometry.distance_mm(point.canal_centre, truth[level]) for level, point in found.levels.items()
    }
    assert set(distances) == set(LUMBAR_MRI.levels)
    # 8 mm is the bound that the experts' points of a real study must meet, too
    assert max(distances.values()) < 8, distances


def test_judgement_when_a_study_is_graded_then_every_cell_has_a_grade_or_a_reason(walked: tuple) -> None:
    study, grades = walked
    assert grades.study_uid == study.uid
    for cell in LUMBAR_MRI.cells:
        grade = grades.of(cell)
        assert grade.evidence
        assert grade.severity if grade.status is Status.GRADED else grade.reason
        if cell.condition is Condition.SPINAL_CANAL_STENOSIS:
            assert grade.status is Status.GRADED
    instances = {uid for _, volume in study.volumes() for uid in volume.sop_instance_uids}
    assert {item.sop_instance_uid for grade in grades.cells for item in grade.evidence} <= instances


def test_judgement_is_the_same_where_all_slices_are_marked_as_masks_need(walked: tuple) -> None:
    study, grades = walked
    whole = grade_located(study, locate_study(study, default_bundle()), default_bundle())
    assert whole.warnings == grades.warnings
    for ours, theirs in zip(whole.cells, grades.cells, strict=True):
        assert (ours.cell, ours.status, ours.reason) == (theirs.cell, theirs.status, theirs.reason)
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-4)
        np.testing.assert_allclose(ours.point, theirs.point, atol=1e-3)
    pairs = zip(whole.measurements, grades.measurements, strict=True)
    np.testing.assert_allclose(*np.transpose([(a.value, b.value) for a, b in pairs]), rtol=1e-3)


def test_desk_when_grades_are_written_then_numbers_follow_the_schema_and_the_page_stands_alone(
    walked: tuple,
) -> None:
    study, grades = walked
    numbers = json.loads(json.dumps(as_json(grades), allow_nan=False))
    jsonschema.validate(numbers, schema())
    page = as_html(grades, study)
    assert all(level.shown in page for level in LUMBAR_MRI.levels)
    assert "not a medical device" in page.lower()
    assert 'http-equiv="refresh"' not in page
    for reference in ('src="http', 'href="http', "url(http", "@import"):
        assert reference not in page, "the page must work without a network"
