"""One real study, graded end to end, against the points and grades of experts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from stenograde import default_bundle, geometry, grade_study, read_study
from stenograde.grades import Status, StudyGrades
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Quantity, Role, Severity

pytestmark = pytest.mark.data

STUDY = "100206310"


@pytest.fixture(scope="module")
def folder(development_data: Path) -> Path:
    return development_data / "rsna2024_study"


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return read_study(folder / "train_images" / STUDY)


@pytest.fixture(scope="module")
def grades(study: Study) -> StudyGrades:
    return grade_study(study, default_bundle())


@pytest.fixture(scope="module")
def expert_points(folder: Path) -> dict[Cell, np.ndarray]:
    """Points of the experts, LPS mm."""
    return dict(_expert_points(folder))


def _expert_points(folder: Path) -> Iterator[tuple[Cell, np.ndarray]]:
    positions = {}
    for path in (folder / "train_images" / STUDY).glob("*/*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        positions[path.parent.name, int(ds.InstanceNumber)] = ds
    with (folder / "train_label_coordinates.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            ds = positions[row["series_id"], int(row["instance_number"])]
            affine = geometry.affine_of(
                ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, [0, 0, 0]
            )
            words = f"{row['condition']} {row['level']}".lower().replace(" ", "_").replace("/", "_")
            yield Cell.parse(words), affine @ [0, float(row["y"]), float(row["x"]), 1]


def distances_mm(grades: StudyGrades, experts: dict[Cell, np.ndarray], condition: Condition) -> np.ndarray:
    return np.array(
        [
            geometry.distance_mm(grades.of(cell).point, point[:3])
            for cell, point in experts.items()
            if cell.condition is condition
        ]
    )


def test_roles_are_found_without_the_table_and_axial_slices_are_six_volumes(study):
    assert {series.role for series in study.series} == set(Role)
    assert len(study.by_role(Role.AXIAL_T2).volumes) == 6


def test_five_levels_are_imaged_and_their_names_certain(grades):
    assert [position.level for position in grades.levels] == list(LUMBAR_MRI.levels)
    assert all(position.imaged and position.certain for position in grades.levels)


def test_canal_points_are_near_the_experts(grades, expert_points):
    away = distances_mm(grades, expert_points, Condition.SPINAL_CANAL_STENOSIS)

    assert len(away) == 5
    assert away.mean() <= 4.0, away.round(1)
    assert away.max() <= 8.0, away.round(1)


@pytest.mark.parametrize("condition", [Condition.NEURAL_FORAMINAL_NARROWING, Condition.SUBARTICULAR_STENOSIS])
def test_points_beside_the_canal_are_near_the_experts(grades, expert_points, condition):
    away = distances_mm(grades, expert_points, condition)

    assert len(away) == 10
    assert away.mean() <= 10.0, away.round(1)


def test_the_canal_is_graded_in_the_experts_order(grades, folder):
    with (folder / "train.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = (row for row in csv.DictReader(stream) if row["study_id"] == STUDY)
    cells = LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)
    assert all(grades.of(cell).status is Status.GRADED for cell in cells)

    by_severe = sorted(cells, key=lambda cell: -grades.of(cell).probabilities[2])

    assert [cell.level for cell in by_severe[:2]] == [Level.L4_L5, Level.L3_L4]
    ranks = [next(s for s in Severity if s.shown == row[cell.name]).rank for cell in by_severe]
    assert ranks == sorted(ranks, reverse=True)


def test_each_level_is_measured_in_three_ways(grades):
    for level in LUMBAR_MRI.levels:
        quantities = {one.quantity for one in grades.measurements if one.level is level}
        assert quantities >= {
            Quantity.CANAL_AP_DIAMETER,
            Quantity.CANAL_AP_RATIO,
            Quantity.DISC_HEIGHT,
            Quantity.CSF_SIGNAL_RATIO,
        }


def test_evidence_is_at_hand_for_every_cell(grades, study):
    instances = {uid for _, volume in study.volumes() for uid in volume.sop_instance_uids}
    for grade in grades.cells:
        assert grade.evidence
        assert {seen.sop_instance_uid for seen in grade.evidence} <= instances
