"""A person signs what was read: a new version that is verified, says who, and changes nothing else."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from tests.golden.report.example import example_grades
from tests.sr_tree import items, said_in, strays, whole_in
from tests.written_objects import PATIENT, dciodvfy, dsrdump, sources_for

from stenograde.cli import main
from stenograde.dicom.write.pdf import encapsulated_pdf
from stenograde.dicom.write.series import Edition, as_file
from stenograde.dicom.write.signing import Signature, signed_report
from stenograde.dicom.write.sources import Sources
from stenograde.dicom.write.sr import not_graded_report, structured_report
from stenograde.errors import ConfigError, UnreadableInstanceError
from stenograde.grades import CellGrade, Probabilities, Status, StudyGrades

MADE_AT, AT = datetime(2026, 5, 6, 7, 8, 9), datetime(2026, 5, 7, 8, 9, 10, 123, timezone(timedelta(hours=2)))
READER, HOSPITAL = "Reader^Ada", "St. Ælfgifu's"


def grades() -> StudyGrades:
    """Grades of which one is a draft."""
    example = example_grades()
    cells = list(example.cells)
    cells[5] = CellGrade(cells[5].cell, Status.DRAFT, "phantoms only", Probabilities((0.2, 0.3, 0.5)))
    return StudyGrades(**{**vars(example), "cells": tuple(cells)})


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return sources_for(grades(), tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def edition(sources: Sources) -> Edition:
    return Edition.of(sources, grades().bundle, MADE_AT)


@pytest.fixture(scope="module")
def unsigned(sources: Sources, edition: Edition) -> bytes:
    return as_file(structured_report(grades(), sources, edition))


@pytest.fixture
def folder(unsigned: bytes, tmp_path: Path) -> Path:
    """Results of a study."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results/sr.dcm").write_bytes(unsigned)
    return tmp_path / "results"


def read(content: bytes, folder: Path) -> Dataset:
    path = folder / "read.dcm"
    path.write_bytes(content)
    return dcmread(path)


def signed_by(name: str = READER, organization: str = HOSPITAL, at: datetime = AT) -> Signature:
    return Signature(name, organization, at)


def test_it_is_verified_by_a_person_and_right_by_other_tools(unsigned: bytes, tmp_path: Path) -> None:
    ds = read(signed_report(unsigned, signed_by()), tmp_path)
    assert dciodvfy(tmp_path / "read.dcm") == []
    assert dsrdump(tmp_path / "read.dcm") == []
    assert list(strays(ds)) == []
    assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == ("COMPLETE", "VERIFIED", "FINAL")
    (observer,) = ds.VerifyingObserverSequence
    assert (observer.VerifyingObserverName, observer.VerifyingOrganization) == (READER, HOSPITAL)
    assert observer.VerificationDateTime == "20260507080910.000123+0200"
    assert (ds.ContentDate, ds.ContentTime, ds.InstanceNumber) == ("20260507", "080910", 2)


def test_content_is_that_of_the_unsigned_one_which_it_names(unsigned: bytes, tmp_path: Path) -> None:
    before, after = (read(one, tmp_path) for one in (unsigned, signed_report(unsigned, signed_by())))
    assert after.ContentSequence == before.ContentSequence
    assert len(list(items(after))) > 100
    assert said_in(whole_in(after), "TEXT")["DRAFTS"][0].startswith("1 of ")
    assert after.CurrentRequestedProcedureEvidenceSequence == before.CurrentRequestedProcedureEvidenceSequence
    told = (after.PatientName, after.PatientID, after.PatientBirthDate, after.AccessionNumber)
    assert told == PATIENT
    (study,) = after.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (sop,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (
        before.StudyInstanceUID,
        before.SeriesInstanceUID,
    )
    assert (sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID) == (
        before.SOPClassUID,
        before.SOPInstanceUID,
    )
    assert after.SeriesInstanceUID == before.SeriesInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID != before.SOPInstanceUID


def test_uid_follows_from_report_and_time_alone(
    unsigned: bytes, sources: Sources, edition: Edition, tmp_path: Path
) -> None:
    def uid(content: bytes, signature: Signature) -> str:
        return str(read(signed_report(content, signature), tmp_path).SOPInstanceUID)

    assert signed_report(unsigned, signed_by()) == signed_report(unsigned, signed_by())
    first = uid(unsigned, signed_by())
    # of a name, even a digest would be a trace: names can be tried one by one
    assert uid(unsigned, signed_by("Other^Eve")) == first
    assert uid(unsigned, signed_by(at=AT + timedelta(microseconds=1))) != first
    other = Edition.of(sources, grades().bundle, MADE_AT + timedelta(seconds=1))
    assert uid(as_file(structured_report(grades(), sources, other)), signed_by()) != first


def test_what_cannot_be_signed_is_refused(unsigned: bytes, sources: Sources, edition: Edition) -> None:
    refused = {
        "another kind of object": as_file(
            encapsulated_pdf(b"%PDF-1.4", title="x", sources=sources, edition=edition)
        ),
        "a signed one": signed_report(unsigned, signed_by()),
        "one of no grades": as_file(not_graded_report("no series", sources, edition)),
        "a report of other software": unsigned.replace(b"stenograde", b"graduation"),
    }
    for what, content in refused.items():
        with pytest.raises(UnreadableInstanceError, match=f"must be an unsigned .* got {what}$"):
            signed_report(content, signed_by())
    for content in (b"", b"no DICOM at all", unsigned[:400]):
        with pytest.raises(UnreadableInstanceError):
            signed_report(content, signed_by())


@pytest.mark.parametrize("name", ["", " ", "^", "a\\b", "line\nline", "x" * 65])
def test_a_name_that_dicom_cannot_hold_is_refused_and_not_told(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^--reader must be text .* VR PN can hold, got what it cannot$"):
        signed_by(name)


def test_a_name_beyond_the_reports_characters_is_refused_and_not_told(unsigned: bytes) -> None:
    with pytest.raises(
        ConfigError, match=r"^--reader must be .* set \(ISO_IR 100\), got characters beyond it$"
    ):
        signed_report(unsigned, signed_by("李^明"))


def test_command_writes_a_file_and_the_name_stands_in_it_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    words = [
        "--debug",
        "sign",
        str(folder),
        "--reader",
        READER,
        "--organization",
        HOSPITAL,
        "--out",
        str(out),
    ]
    with caplog.at_level(logging.DEBUG):
        assert main(words) == 0
    (path,) = out.iterdir()
    assert path.name == "sr-signed.dcm"
    assert dcmread(path).VerifyingObserverSequence[0].VerifyingObserverName == READER
    told = capsys.readouterr()
    assert told.out == f"signed: {path}\n"
    for text in (told.out, told.err, caplog.text):
        assert "Ada" not in text
    assert [one.name for one in folder.iterdir()] == ["sr.dcm"]


def test_command_where_there_is_no_report_says_what_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sign", str(tmp_path), "--reader", READER, "--organization", "x", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "RESULTS must be a folder of 'stenograde grade --dicom sr'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
