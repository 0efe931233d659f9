"""Folders of studies: whose they are, and where each slice lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.dicom_files import T2, write_series, write_study

from stenograde.datasets.picture_files import DicomPicture
from stenograde.datasets.study_files import PatientStudy, StoredSlice, patient_folders, read_patients
from stenograde.errors import DatasetError
from stenograde.study import Series, Study, Volume
from stenograde.terms import Plane, Role, Weighting
from stenograde.workers import Step


def test_stored_slice_when_a_file_holds_several_then_it_names_the_frame() -> None:
    volume = Volume(np.eye(4), (3, 2, 2), ("9",) * 3, lambda _: np.zeros((0, 2, 2), np.float32), (0, 1, 2))
    series = Series("8", Plane.AXIAL, Weighting.T2, Role.AXIAL_T2, "test", (volume,))
    files = {("8", "9"): StoredSlice(DicomPicture(Path("a/1.dcm")), 4)}
    stored = PatientStudy("p", Study("7", (series,)), files).stored(series, volume, 2)
    assert stored == StoredSlice(DicomPicture(Path("a/1.dcm"), 2), 4)
    assert stored.instance == "1#2"


def test_patients_when_read_then_slices_are_found_though_uids_repeat_between_series(tmp_path: Path) -> None:
    for series in (1, 2):  # as in RSNA 2024, where SOPInstanceUIDs are unique within a series only
        write_series(
            tmp_path / "p1" / str(series),
            series=series,
            edit=lambda ds, k: setattr(ds, "SOPInstanceUID", f"1.2.{k + 1}"),
            **T2,
        )
    (one,) = read_patients(tmp_path, notes=[])
    for series, volume in one.study.volumes():
        for k in range(volume.shape[0]):
            picture = one.stored(series, volume, k).picture
            assert picture.path.parent.name == series.uid.rpartition(".")[2]
            np.testing.assert_array_equal(picture.read(), volume.slices([k])[0])


def test_roles_when_a_table_gives_them_then_they_are_those(tmp_path: Path) -> None:
    write_study(tmp_path / "train_images" / "p1")
    (tmp_path / "train_series_descriptions.csv").write_text("series_id,series_description\nt2,Sagittal T1\n")
    (one,) = read_patients(tmp_path, notes=[])
    chosen = one.study.by_role(Role.SAGITTAL_T1)
    assert chosen is not None
    assert chosen.uid.endswith(".2")


def test_patients_when_one_cannot_be_read_then_the_next_is_and_all_are_counted(tmp_path: Path) -> None:
    (tmp_path / "p0").mkdir()
    write_series(tmp_path / "p1" / "1", **T2)
    notes: list[str] = []
    done: list[Step] = []
    assert [one.patient for one in read_patients(tmp_path, notes=notes, progress=done.append)] == ["p1"]
    assert notes[0].startswith("p0 was left out: study must hold")
    assert done == [Step("studies", 1, 2), Step("studies", 2, 2)]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_folder_when_it_holds_no_patient_then_it_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="must hold one folder of DICOM files per patient, got none"):
        patient_folders(tmp_path / name)
