"""A wrapped PDF comes out byte for byte, within the study of its source."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage
from tests.dicom_files import save
from tests.written_objects import PATIENT, dciodvfy, source_of

from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.write.pdf import encapsulated_pdf
from stenograde.dicom.write.series import Edition, as_file
from stenograde.dicom.write.sources import Sources
from stenograde.grades import BundleStamp

MADE_AT = datetime(2026, 11, 29, 12, 30)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    save(source_of("2.25.1", "2.25.11", "2.25.111"), tmp_path / "in" / "a.dcm")
    return Sources("2.25.1", tuple(map(read_instance, find_files(tmp_path / "in"))))


def wrapped(sources: Sources, pdf: bytes):
    edition = Edition.of(sources, BundleStamp("test", "1.0", "ab" * 32), MADE_AT)
    return encapsulated_pdf(pdf, title="Lumbar spine", sources=sources, edition=edition)


@pytest.mark.parametrize("pdf", [b"%PDF-1.4\nodd\n%%EOF", b"%PDF-1.4\neven\n%%EOF"])
def test_the_pdf_comes_out_as_it_went_in(sources, tmp_path, pdf):
    path = tmp_path / "report.dcm"
    path.write_bytes(as_file(wrapped(sources, pdf)))
    ds = dcmread(io.BytesIO(path.read_bytes()))

    assert ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength] == pdf
    assert ds.SOPClassUID == EncapsulatedPDFStorage
    assert (ds.StudyInstanceUID, ds.Modality, ds.PatientName) == ("2.25.1", "DOC", PATIENT[0])
    assert "FrameOfReferenceUID" not in ds
    assert dciodvfy(path) == []


def test_a_second_run_gives_the_same_bytes(sources):
    assert as_file(wrapped(sources, b"%PDF-1.4\n")) == as_file(wrapped(sources, b"%PDF-1.4\n"))


def test_what_is_no_pdf_is_refused(sources):
    with pytest.raises(ValueError, match=r"must be a PDF that begins with b'%PDF-', got b'<html>'"):
        wrapped(sources, b"<html>")


def test_nothing_of_the_patient_is_logged(sources, caplog):
    caplog.set_level(0)
    as_file(wrapped(sources, b"%PDF-1.4\n"))

    assert not any(value in caplog.text for value in PATIENT)
