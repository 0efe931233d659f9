"""RSNA 2024: tables joined, slices with their level and severity, experts' points in patient space."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from tests.rsna_files import LEVEL_Z_MM, nearest_instance, write_rsna

from stenograde.datasets.rsna2024 import read_axial_studies, read_rsna2024
from stenograde.errors import DatasetError
from stenograde.levels.axial_levels import levels_by_clusters, levels_by_points
from stenograde.terms import LUMBAR_MRI, Condition, Level, Side

CANAL = Condition.SPINAL_CANAL_STENOSIS


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rsna(tmp_path_factory.mktemp("rsna"), {"100": "nnms-", "101": "nnnnn"})


def test_canal_when_read_then_each_level_gives_its_nearest_slice_with_its_severity(cohort: Path) -> None:
    samples = read_rsna2024(cohort, condition=CANAL, level_of=levels_by_points)
    of_first = [one for one in samples.samples if one.patient == "100"]
    assert [(one.level, one.label) for one in of_first] == [
        (Level.L1_L2, "normal_mild"),
        (Level.L2_L3, "normal_mild"),
        (Level.L3_L4, "moderate"),
        (Level.L4_L5, "severe"),
        (Level.L5_S1, None),
    ]
    assert samples.classes == ("normal_mild", "moderate", "severe")
    instances = {one.level: int(one.facts["instance"]) for one in of_first}
    for level, instance in instances.items():
        assert level is not None
        assert abs(-4.0 * (instance - 1) - LEVEL_Z_MM[level]) <= 2.0  # no slice is nearer than 2 mm


def test_picture_when_read_then_it_is_that_of_the_instance(cohort: Path) -> None:
    sample = read_rsna2024(cohort, condition=CANAL, level_of=levels_by_points).samples[2]
    path = cohort / "train_images" / "100" / sample.facts["series"] / f"{sample.facts['instance']}.dcm"
    np.testing.assert_array_equal(sample.picture.read(), pydicom.dcmread(path).pixel_array)


def test_canal_when_all_slices_are_wanted_then_each_comes_once(cohort: Path) -> None:
    samples = read_rsna2024(cohort, condition=CANAL, level_of=levels_by_clusters, per_level=None)
    assert len(samples) == 60
    assert {one.facts["instance"] for one in samples.samples if one.level is Level.L2_L3} == {
        str(n) for n in range(7, 13)
    }


def test_sided_condition_when_read_then_both_sides_are_samples_of_the_same_picture(cohort: Path) -> None:
    samples = read_rsna2024(cohort, condition=Condition.SUBARTICULAR_STENOSIS, level_of=levels_by_points)
    assert len(samples) == 2 * 2 * 5
    left, right = (
        [one for one in samples.samples if one.side is side and one.level is Level.L3_L4] for side in Side
    )
    assert [one.picture.key for one in left] == [one.picture.key for one in right]


def test_points_when_marked_on_sagittal_slices_then_they_lie_in_patient_space(cohort: Path) -> None:
    study = next(iter(read_axial_studies(cohort, notes=[])))
    for level in LUMBAR_MRI.levels:
        assert study.points[level][2] == pytest.approx(LEVEL_Z_MM[level])
    marked = {level: place for place, level in enumerate(study.series[0].marked) if level}
    assert set(marked) == set(LUMBAR_MRI.levels)
    stored = study.series[0].stored[marked[Level.L4_L5]]
    assert stored.instance_number == nearest_instance(Level.L4_L5)


def test_coordinates_when_in_the_words_of_the_competition_then_they_read_the_same(
    cohort: Path, tmp_path: Path
) -> None:
    other = write_rsna(tmp_path, {"100": "nnms-", "101": "nnnnn"}, competition_words=True)
    one, two = (next(iter(read_axial_studies(root, notes=[]))).points for root in (cohort, other))
    assert one == two


def test_coordinates_when_a_corrected_edition_lies_beside_then_it_is_taken(
    cohort: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(cohort, tmp_path / "copy")
    lines = (root / "train_label_coordinates.csv").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("100,12") or "l1_l2" in line]
    (root / "train_label_coordinates_fixed.csv.gz").write_bytes(gzip.compress("\n".join(kept).encode()))
    points = next(iter(read_axial_studies(root, notes=[]))).points
    # where the canal is not marked, the middle of both subarticular zones stands for it
    assert points[Level.L1_L2][2] == pytest.approx(LEVEL_Z_MM[Level.L1_L2])
    assert points[Level.L2_L3][2] == pytest.approx(-4.0 * (nearest_instance(Level.L2_L3) - 1))


def test_study_when_it_lacks_labels_or_axial_series_then_it_is_left_out_and_said(
    cohort: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(cohort, tmp_path / "copy")
    shutil.rmtree(root / "train_images" / "101" / "11")
    (root / "train_images" / "102").mkdir()
    table = root / "train.csv"
    table.write_text(table.read_text().replace("\n100,", "\n99,"))
    notes: list[str] = []
    assert list(read_axial_studies(root, notes=notes)) == []
    assert notes[0] == "100 was left out: train.csv does not list it"
    assert notes[1] == "101 was left out: it has no axial T2 series"
    assert notes[2].startswith("102 was left out: study must hold")
    with pytest.raises(
        DatasetError, match=r"must hold axial T2 slices with labels, got none; 100 was left out"
    ):
        read_rsna2024(root, condition=CANAL, level_of=levels_by_points)


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("train.csv", "Severe", "Awful", r"severity in train\.csv must be one of Normal/Mild, .*got 'awful'"),
        ("train_label_coordinates.csv", "12,3,", "12,three,", "must name a cell, an instance and a pixel"),
        ("train_label_coordinates.csv", "l1_l2", "l9_l9", "must name a cell, an instance and a pixel"),
        ("train.csv", "study_id", "study", r"train\.csv must have the columns study_id"),
    ],
)
def test_table_when_a_cell_is_wrong_then_it_is_named(
    cohort: Path, tmp_path: Path, table: str, old: str, new: str, message: str
) -> None:
    root = shutil.copytree(cohort, tmp_path / "copy")
    (root / table).write_text((root / table).read_text().replace(old, new))
    with pytest.raises(DatasetError, match=message):
        read_rsna2024(root, condition=CANAL, level_of=levels_by_points)
