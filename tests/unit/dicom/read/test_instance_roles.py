"""What a single instance tells of the role of its series."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dicom_files import CORONAL, EXPECTED_ROLES, T1, mr_dataset, picture, save, write_study

from stenograde.dicom.read.acquisitions import MIN_SLICES
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.instance_roles import instance_role
from stenograde.dicom.read.opening import read_instance
from stenograde.pacs.completeness import LEAST_SLICES
from stenograde.terms import Role


def role_of(path: Path) -> tuple[Role | None, int]:
    return instance_role(read_instance(StudyFile(str(path), "one")))


def test_role_of_each_instance_is_that_of_its_series(tmp_path: Path) -> None:
    for path in write_study(tmp_path).rglob("*.dcm"):
        series = read_instance(StudyFile(str(path), "one")).series_uid
        assert role_of(path) == (EXPECTED_ROLES[series.rpartition(".")[2]], 1)


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageOrientationPatient": list(CORONAL)} | T1,
        {"ImageOrientationPatient": None} | T1,
        {"RepetitionTime": None, "EchoTime": None},
    ],
)
def test_role_that_the_header_does_not_tell_is_none(tmp_path: Path, attributes: dict[str, object]) -> None:
    assert role_of(save(mr_dataset(picture(), **attributes), tmp_path / "one.dcm"))[0] is None


def test_study_is_complete_with_as_many_slices_as_a_series_has_at_least() -> None:
    assert LEAST_SLICES == MIN_SLICES
