"""UIDs depend on what was graded with what, and on nothing else; what is shared is finished alike for every kind."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import UID, EncapsulatedPDFStorage
from tests.dicom_files import save
from tests.written_objects import FRAME, PATIENT, source_of

from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.read.studies import read_study
from stenograde.dicom.write.kinds import ResultKind
from stenograde.dicom.write.series import Edition, as_file, finished, plain, uid_for
from stenograde.dicom.write.sources import Sources, is_multiframe, sources_at, sources_of
from stenograde.errors import NoStudyError, SeveralStudiesError, UnreadableInstanceError
from stenograde.grades import BundleStamp
from stenograde.study import Study

STAMP = BundleStamp("lumbar", "0.1.0", "ab" * 32)
MADE_AT = datetime(2026, 5, 6, 7, 8, 9)


def sources_in(folder: Path, n: int = 2, **others: object) -> Sources:
    folder.mkdir(exist_ok=True)
    for number in range(n):
        save(source_of("2.25.1", "2.25.2", f"2.25.3.{number}", **others), folder / f"{number}.dcm")
    return Sources("2.25.1", tuple(map(read_instance, find_files(folder))))


words = st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=20)


@given(words, words, words, words, st.integers(-1, 99))
def test_a_uid_is_a_uuid_of_version_8_under_2_25(
    study: str, bundle: str, version: str, kind: str, number: int
) -> None:
    uid = UID(uid_for(study, bundle, version, kind, number))
    assert uid.is_valid
    assert uid.startswith("2.25.")
    value = int(uid.removeprefix("2.25."))
    assert (value >> 76 & 0xF, value >> 62 & 0x3) == (8, 2)
    assert uid == uid_for(study, bundle, version, kind, number)


@given(
    st.tuples(words, words, words, words, st.integers(0, 9)),
    st.tuples(words, words, words, words, st.integers(0, 9)),
)
def test_uids_differ_where_anything_differs(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (uid_for(*one) == uid_for(*other)) == (one == other)  # type: ignore[arg-type]


def test_the_time_decides_no_uid_and_all_else_does(tmp_path: Path) -> None:
    sources = sources_in(tmp_path / "two")
    first = Edition.of(sources, STAMP, MADE_AT)
    later = replace(first, made_at=datetime(2027, 1, 1))
    others = [
        replace(first, bundle=replace(STAMP, hash="cd" * 32)),
        replace(first, software="0.2.0"),
        Edition.of(sources_in(tmp_path / "three", 3), STAMP, MADE_AT),
        replace(first, study_uid="2.25.9"),
    ]
    for kind in ResultKind:
        uids = [first.series_uid(kind), first.instance_uid(kind), first.instance_uid(kind, 2)]
        assert [later.series_uid(kind), later.instance_uid(kind), later.instance_uid(kind, 2)] == uids
        assert len(set(uids)) == 3
        for other in others:
            assert other.series_uid(kind) not in uids
            assert other.instance_uid(kind) not in uids
    assert len({first.series_uid(kind) for kind in ResultKind}) == len(ResultKind)


def test_an_object_has_the_patient_of_its_source_in_its_character_set(tmp_path: Path) -> None:
    sources = sources_in(tmp_path, PatientName="Phäntom^Zwölf", SpecificCharacterSet="ISO_IR 100")
    made = Dataset()
    made.SpecificCharacterSet, made.PatientName = "ISO_IR 192", "Somebody^Else"
    made.SOPClassUID, made.DocumentTitle = EncapsulatedPDFStorage, "report"
    edition = Edition.of(sources, STAMP, MADE_AT)
    ds = dcmread(io.BytesIO(as_file(finished(made, sources, edition, ResultKind.PDF, 3))))

    assert (ds.PatientName, ds.SpecificCharacterSet) == ("Phäntom^Zwölf", "ISO_IR 100")
    assert (ds.PatientID, ds.StudyInstanceUID, ds.FrameOfReferenceUID) == (PATIENT[1], "2.25.1", FRAME)
    assert (ds.Modality, ds.SeriesNumber, ds.InstanceNumber) == ("DOC", 9102, 3)
    assert ds.SeriesDescription == "stenograde report (research use only)"
    assert (
        ds.SOPInstanceUID
        == ds.file_meta.MediaStorageSOPInstanceUID
        == edition.instance_uid(ResultKind.PDF, 3)
    )
    assert (ds.ContentDate, ds.ContentTime, ds.DocumentTitle) == ("20260506", "070809", "report")
    assert ds.SoftwareVersions.endswith("bundle lumbar 0.1.0")


@given(st.text())
def test_plain_text_is_ascii_without_what_separates_values(text: str) -> None:
    assert plain(text).isascii()
    assert "\\" not in plain(text)
    assert len(plain(text, 5)) <= 5


def test_sources_of_a_study_are_the_instances_of_its_volumes(phantom_study: Path) -> None:
    study = read_study(phantom_study)
    sources = sources_of(study)
    named = {(series.uid, uid) for series, volume in study.volumes() for uid in volume.sop_instance_uids}
    assert {(one.series_uid, one.sop_instance_uid) for one in sources.instances} == named
    assert len(sources.instances) == len(named)
    assert sources.digest == sources_at(phantom_study).digest
    uid = study.series[1].volumes[0].sop_instance_uids[0]
    assert sources.of(uid, study.series[1].uid).sop_instance_uid == uid
    assert sources.of(uid).series_uid == study.series[1].uid
    assert not is_multiframe(sources.instances[0])
    with pytest.raises(
        UnreadableInstanceError, match=r"^instance must be one that the study was read from, got 1\.2$"
    ):
        sources.of("1.2")


def test_a_study_that_lies_in_no_files_has_no_sources() -> None:
    with pytest.raises(NoStudyError, match=r"^study 2\.25\.1 must have been read from DICOM files"):
        sources_of(Study("2.25.1", ()))


def test_headers_are_found_of_files_without_readable_pixels_and_not_of_what_is_no_image(
    tmp_path: Path,
) -> None:
    sources_in(tmp_path, 3)
    save(source_of("2.25.1", "2.25.4", "2.25.5", Modality="SR"), tmp_path / "report.dcm")
    (tmp_path / "0.dcm").write_bytes((tmp_path / "0.dcm").read_bytes()[:-8])
    (tmp_path / "notes.txt").write_text("nothing")
    found = sources_at(tmp_path)
    assert (found.study_uid, len(found.instances)) == ("2.25.1", 3)


def test_headers_of_several_studies_or_patients_are_refused(tmp_path: Path) -> None:
    sources_in(tmp_path)
    save(source_of("2.25.8", "2.25.9", "2.25.10"), tmp_path / "other.dcm")
    with pytest.raises(SeveralStudiesError, match=r"^headers must be of one study, got 2 studies"):
        sources_at(tmp_path)
    assert sources_at(tmp_path, study_uid="2.25.8").study_uid == "2.25.8"
    save(source_of("2.25.8", "2.25.9", "2.25.11", PatientID="somebody"), tmp_path / "third.dcm")
    with pytest.raises(
        SeveralStudiesError, match=r"^one study must be of one patient, got several under .* 2\.25\.8$"
    ):
        sources_at(tmp_path, study_uid="2.25.8")
