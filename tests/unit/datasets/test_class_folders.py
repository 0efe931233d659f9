"""Class folders: the folder is the label, a pattern tells the patient, and without one there is no split by patient."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.picture_sets import save

from stenograde.datasets.class_folders import read_class_folders
from stenograde.datasets.split import patient_folds
from stenograde.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Severe/7_1.png", "Normal_Mild/7_2.png", "Normal_Mild/8_1.jpg", "Moderate/9_1.webp"):
        save(tmp_path / name)
    (tmp_path / "Empty").mkdir()
    (tmp_path / "readme.txt").touch()
    return tmp_path


def test_folders_when_they_are_severities_then_codes_ascend(folder: Path) -> None:
    samples = read_class_folders(folder, patient_pattern=r"^(\d+)_")
    assert samples.classes == ("normal_mild", "moderate", "severe")
    assert {one.name: (one.label, one.patient) for one in samples.samples} == {
        "Severe/7_1.png": ("severe", "7"),
        "Normal_Mild/7_2.png": ("normal_mild", "7"),
        "Normal_Mild/8_1.jpg": ("normal_mild", "8"),
        "Moderate/9_1.webp": ("moderate", "9"),
    }


def test_folders_when_they_are_no_severities_then_classes_are_in_alphabetical_order(tmp_path: Path) -> None:
    save(tmp_path / "b" / "1.png")
    save(tmp_path / "a" / "1.png")
    assert read_class_folders(tmp_path, patient_pattern=None).classes == ("a", "b")


def test_folders_when_patients_are_unknown_then_a_split_by_patient_is_refused(folder: Path) -> None:
    samples = read_class_folders(folder, patient_pattern=None)
    assert samples.notes == ("patients are unknown: this set cannot be split by patient",)
    with pytest.raises(DatasetError, match="must say whose each picture is to be split by patient"):
        patient_folds(samples, folds=2, seed=0)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "must be a regular expression"),
        (r"\d+", "must have a group for the patient"),
        (r"^(7)_", r"file names must match the patient pattern '\^\(7\)_', got 9_1.webp"),
    ],
)
def test_pattern_when_it_cannot_name_every_patient_then_it_is_refused(
    folder: Path, pattern: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_class_folders(folder, patient_pattern=pattern)


def test_folders_when_there_is_but_one_class_then_they_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "only" / "1.png")
    with pytest.raises(DatasetError, match="for each of two classes or more, got 1"):
        read_class_folders(tmp_path, patient_pattern=None)
