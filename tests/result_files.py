"""Small results of a study as DICOM files, of every kind that is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

FILES = {
    "pictures-1.dcm": (SecondaryCaptureImageStorage, "OT"),
    "pictures-2.dcm": (SecondaryCaptureImageStorage, "OT"),
    "report.pdf.dcm": (EncapsulatedPDFStorage, "DOC"),
    "seg.dcm": (SegmentationStorage, "SEG"),
    "sr.dcm": (Comprehensive3DSRStorage, "SR"),
}
"""In the order in which they are sent."""


def uid_of(study_uid: str, name: str, version: int = 1) -> str:
    """Return the UID of a file's object: the same for the same version."""
    digest = hashlib.sha256(f"{study_uid} {name} {version}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def write_results(
    folder: Path, study_uid: str, *, version: int = 1, text: str = "", only: Sequence[str] = ()
) -> None:
    """Write results, which hold a text so that their content can be another."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, (sop_class, modality)) in enumerate(FILES.items(), 1):
        if not only or name in only:
            _result(study_uid, name, sop_class, modality, number, version, text).save_as(
                folder / name, enforce_file_format=True
            )


def _result(
    study_uid: str, name: str, sop_class: UID, modality: str, number: int, version: int, text: str
) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid_of(study_uid, name, version)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, uid_of(study_uid, modality, version)
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "PHANTOM", "Phantom^Made", "", "O"
    ds.StudyID, ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "1", "20260105", "080000", ""
    ds.ReferringPhysicianName = ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality, 9100 + number, number
    ds.ContentDate, ds.ContentTime = "20260105", "080000"
    ds.Manufacturer, ds.SeriesDescription = "stenograde", text
    match modality:
        case "DOC":
            ds.EncapsulatedDocument, ds.MIMETypeOfEncapsulatedDocument = (
                b"%PDF-1.4\n%%EOF\n",
                "application/pdf",
            )
            ds.DocumentTitle, ds.BurnedInAnnotation, ds.ConceptNameCodeSequence = "Report", "YES", []
        case "OT" | "SEG":
            ds.Rows = ds.Columns = 64
            ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
            ds.BitsAllocated = ds.BitsStored = 8
            ds.HighBit, ds.PixelData, ds.ConversionType = 7, bytes(64 * 64), "WSD"
        case _:
            ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
            ds.CompletionFlag, ds.VerificationFlag, ds.ContentSequence = "COMPLETE", "UNVERIFIED", []
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds
