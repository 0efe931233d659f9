"""Objects to be written share patient, study and frame of reference with their source, byte for byte."""

from __future__ import annotations

import logging
import zipfile
from copy import deepcopy

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from tests.dicom_files import NATIVE, STUDY, mr_dataset, save

from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.write.origin import origin_of
from stenograde.errors import UnreadableInstanceError

FRAME = "2.25.77"
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)


def code(value: str) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, "DCM", "ÄÖÜ"
    return ds


def source(**attributes: object) -> Dataset:
    """An instance with a full header, its text in two character sets."""
    ds = mr_dataset(np.zeros((2, 2), np.uint16))
    ds.SpecificCharacterSet = ["ISO 2022 IR 100", "ISO 2022 IR 87"]
    ds.PatientName = "Phäntom^Zwölf"
    ds.PatientBirthDate, ds.PatientSex = "19500102", "O"
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20200101", "120000.5", "1"
    ds.ReferringPhysicianName, ds.AccessionNumber = "Phäntom^Doktor", "A1"
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethodCodeSequence = [code("113100"), code("113105")]
    ds.StudyDescription = "Lumbar spine"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME, "SACRUM"
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def origin_at(path) -> Dataset:
    return origin_of(read_instance(StudyFile(str(path), path.name)))


def written(origin: Dataset, path) -> Dataset:
    """Write an object that begins with what it shares, and read it again."""
    ds = deepcopy(origin)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = SecondaryCaptureImageStorage, "2.25.5", "OT"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    return dcmread(path)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
def test_what_is_shared_passes_through_a_written_object_unchanged(tmp_path, syntax):
    save(source(), tmp_path / "source", syntax)
    origin = origin_at(tmp_path / "source")
    again, theirs = written(origin, tmp_path / "object"), dcmread(tmp_path / "source")

    assert {element.keyword for element in again} - {"SOPClassUID", "SOPInstanceUID", "Modality"} == {
        *TYPE_2,
        *("SpecificCharacterSet", "StudyInstanceUID", "StudyDescription", "PatientIdentityRemoved"),
        *("DeidentificationMethodCodeSequence", "FrameOfReferenceUID", "PositionReferenceIndicator"),
    }
    for element in origin:
        assert again[element.tag] == theirs[element.tag], element.keyword
        assert again[element.tag].VR == theirs[element.tag].VR
    updated = Dataset()
    updated.update(origin_at(tmp_path / "source"))
    assert updated == origin


def test_text_is_copied_as_bytes_even_where_they_fit_no_character_set(tmp_path):
    odd = b"Ph\x1b$B\xff^\x80 "
    save(source(PatientName="12345678 "), tmp_path / "source")
    data = (tmp_path / "source").read_bytes()
    place = data.index(b"12345678") - 8
    length = int.from_bytes(data[place + 6 : place + 8], "little")
    assert length in {8, 10}
    patched = odd.ljust(length, b" ")
    (tmp_path / "source").write_bytes(data[: place + 8] + patched + data[place + 8 + length :])

    written(origin_at(tmp_path / "source"), tmp_path / "object")

    assert patched in (tmp_path / "object").read_bytes()


def test_a_source_in_a_zip_gives_the_same(tmp_path):
    path = save(source(), tmp_path / "source", DeflatedExplicitVRLittleEndian)
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "a/b")
    (file,) = find_files(tmp_path / "study.zip")

    assert origin_of(read_instance(file)) == origin_at(path)


def test_what_the_source_lacks_is_empty_where_it_must_be_there_and_absent_where_not(tmp_path):
    bare = dict.fromkeys(("FrameOfReferenceUID", "PositionReferenceIndicator", "StudyDescription", *TYPE_2))
    save(source(**bare), tmp_path / "source")
    again = written(origin_at(tmp_path / "source"), tmp_path / "object")

    assert all(not again[keyword].value for keyword in TYPE_2)
    assert again.StudyInstanceUID == STUDY
    assert "StudyDescription" not in again
    assert "FrameOfReferenceUID" not in again
    assert "PositionReferenceIndicator" not in again


def test_a_frame_of_reference_has_its_indicator_if_only_empty(tmp_path):
    save(source(PositionReferenceIndicator=None), tmp_path / "with")
    save(source(FrameOfReferenceUID=""), tmp_path / "without")

    ds = origin_at(tmp_path / "with")
    assert (ds.FrameOfReferenceUID, ds.PositionReferenceIndicator) == (FRAME, "")
    assert "PositionReferenceIndicator" not in origin_at(tmp_path / "without")


@pytest.mark.parametrize("uid", [None, ""])
def test_a_source_of_no_study_is_refused(tmp_path, uid):
    save(source(StudyInstanceUID=uid), tmp_path / "source")

    with pytest.raises(
        UnreadableInstanceError, match=r"^source must have a StudyInstanceUID, got none; objects"
    ):
        origin_at(tmp_path / "source")


def test_a_file_that_is_gone_is_refused(tmp_path):
    instance = read_instance(StudyFile(str(save(source(), tmp_path / "source")), "source"))
    (tmp_path / "source").unlink()

    with pytest.raises(UnreadableInstanceError, match=r"header that can be copied, got .*cannot be read"):
        origin_of(instance)


def test_no_value_of_the_patient_is_logged(tmp_path, caplog):
    data = save(source(PatientBirthDate="19500102"), tmp_path / "source").read_bytes()
    (tmp_path / "source").write_bytes(data.replace(b"19500102", b"born1950"))
    with caplog.at_level(logging.DEBUG):
        written(origin_at(tmp_path / "source"), tmp_path / "object")

    assert b"born1950" in (tmp_path / "object").read_bytes()
    assert "born" not in caplog.text
