"""A PDF within DICOM, so that an archive keeps the report beside its images."""

from __future__ import annotations

from typing import Final

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from stenograde.dicom.write.kinds import ResultKind
from stenograde.dicom.write.series import Edition, finished
from stenograde.dicom.write.sources import Sources

_HEADER: Final = b"%PDF-"


def encapsulated_pdf(pdf: bytes, *, title: str, sources: Sources, edition: Edition) -> Dataset:
    """Return a PDF as an Encapsulated PDF (PS3.3 A.45.1) within the study of its sources.

    Parameters
    ----------
    pdf : bytes
        A whole PDF; kept byte for byte, with a zero behind it where its length is odd (PS3.5 7.1, 8.2).
    title : str
        What the document is; ASCII, without the name of the patient.
    sources : Sources
    edition : Edition

    Raises
    ------
    ValueError
        If it is no PDF.
    UnreadableInstanceError
        If the header of the source cannot be copied.
    """
    if not pdf.startswith(_HEADER):
        msg = f"a report to be wrapped must be a PDF that begins with {_HEADER!r}, got {pdf[:8]!r}"
        raise ValueError(msg)
    ds = Dataset()
    ds.SOPClassUID = EncapsulatedPDFStorage
    ds.ConversionType = "SYN"  # (made by a program from other objects)
    ds.BurnedInAnnotation = "NO"
    ds.RecognizableVisualFeatures = "NO"
    ds.DocumentTitle = title
    ds.ConceptNameCodeSequence = []
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    ds.EncapsulatedDocumentLength = len(pdf)
    ds.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    ds = finished(ds, sources, edition, ResultKind.PDF)
    ds.AcquisitionDateTime = None
    return without_frame_of_reference(ds)


def without_frame_of_reference(ds: Dataset) -> Dataset:
    """Return an object without the frame of reference of its source: what it shows has no place in the patient."""
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        if keyword in ds:
            delattr(ds, keyword)
    return ds
