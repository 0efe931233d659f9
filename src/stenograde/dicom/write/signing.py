"""A structured report that a person has read and answers for: a new version of the unsigned one, which stays as it is.

The content is not touched: what is signed is what was read. Neither the reader's name nor a trace of it is in a UID.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom import Dataset, config
from pydicom.charset import convert_encodings
from pydicom.uid import Comprehensive3DSRStorage
from pydicom.valuerep import validate_value

from stenograde import concepts
from stenograde.dicom.read.tolerant import read_dataset, recorded_warnings
from stenograde.dicom.write.series import MANUFACTURER, as_file, uid_for
from stenograde.errors import ConfigError, UnreadableInstanceError

_NUMBER: Final = 2
"""InstanceNumber within the series of the unsigned report, which is 1."""


@dataclass(frozen=True)
class Signature:
    """A person who has read a report and answers for it (PS3.3 C.17.2, Verifying Observer Sequence).

    Raises
    ------
    ConfigError
        If name or organization is none that DICOM can hold.
    """

    name: str
    """As DICOM writes it: family name, ``^``, given name (PS3.5 6.2)."""
    organization: str
    at: datetime
    """Without a time zone: local time."""

    def __post_init__(self) -> None:
        for option, vr, value in (("--reader", "PN", self.name), ("--organization", "LO", self.organization)):
            try:
                validate_value(vr, value, config.RAISE)
            except ValueError:
                is_fit = False
            else:
                is_fit = bool(value.strip(" ^="))
            if not is_fit or "\\" in value or not value.isprintable():
                # (the value itself may be a name, and is not told)
                msg = f"{option} must be text of one line that DICOM's VR {vr} can hold, got what it cannot"
                raise ConfigError(msg)


def signed_report(content: bytes, signature: Signature) -> bytes:
    """Return the version of a structured report that a person has signed.

    Parameters
    ----------
    content : bytes
        File of a report of a graded study, made by :func:`stenograde.dicom.write.sr.structured_report`.
    signature : Signature

    Returns
    -------
    content : bytes
        A file: VERIFIED and FINAL, its content that of the unsigned report, which it names as its predecessor. The same
        report, person and time give the same bytes; another time, another SOPInstanceUID.

    Raises
    ------
    UnreadableInstanceError
        If it is no unsigned report of ours of a study that was graded.
    ConfigError
        If the person's name or organization cannot be written in the report's character set.
    """
    ds = _unsigned(content)
    _check_characters(ds, signature)
    at, predecessor = signature.at, _reference(ds)
    digest = hashlib.sha256(content).hexdigest()
    ds.SOPInstanceUID = uid_for(ds.StudyInstanceUID, digest, at.isoformat(), "signed", _NUMBER)
    ds.InstanceNumber = _NUMBER
    ds.ContentDate = ds.InstanceCreationDate = at.strftime("%Y%m%d")
    ds.ContentTime = ds.InstanceCreationTime = at.strftime("%H%M%S")
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "VERIFIED", "FINAL"
    observer = Dataset()
    observer.VerifyingOrganization, observer.VerifyingObserverName = signature.organization, signature.name
    observer.VerificationDateTime = at.strftime("%Y%m%d%H%M%S.%f%z")
    observer.VerifyingObserverIdentificationCodeSequence = []
    ds.VerifyingObserverSequence = [observer]
    ds.PredecessorDocumentsSequence = [predecessor]
    return as_file(ds)


def _unsigned(content: bytes) -> Dataset:
    try:
        with recorded_warnings():
            ds = read_dataset(content)[0]
            told = (ds.get("SOPClassUID"), ds.get("Manufacturer"), ds.get("VerificationFlag"), _outcome(ds))
    except Exception as exc:  # (values of broken files raise anything when they are looked at)
        msg = f"what is signed must be a whole structured report, got a broken one ({type(exc).__name__})"
        raise UnreadableInstanceError(msg) from exc
    expected = (Comprehensive3DSRStorage, MANUFACTURER, "UNVERIFIED", concepts.STUDY_GRADED.value)
    if told != expected:
        wrong = next(
            what
            for what, one, right in zip(
                ("another kind of object", "a report of other software", "a signed one", "one of no grades"),
                told,
                expected,
                strict=True,
            )
            if one != right
        )
        msg = f"what is signed must be an unsigned structured report of a graded study, got {wrong}"
        raise UnreadableInstanceError(msg)
    return ds


def _outcome(ds: Dataset) -> str:
    """Return the code of whether the study was graded; empty where it is not told."""
    for container in ds.get("ContentSequence", ()):
        for item in container.get("ContentSequence", ()):
            if item.get("ValueType") == "CODE":
                name = item.ConceptNameCodeSequence[0]
                if (name.CodeValue, name.CodingSchemeDesignator) == concepts.OUTCOME[:2]:
                    return str(item.ConceptCodeSequence[0].CodeValue)
    return ""


def _check_characters(ds: Dataset, signature: Signature) -> None:
    encodings = convert_encodings(ds.get("SpecificCharacterSet") or "")
    for option, value in (("--reader", signature.name), ("--organization", signature.organization)):
        if not any(_fits(value, encoding) for encoding in encodings):
            told = ds.get("SpecificCharacterSet") or "ISO_IR 6"
            msg = f"{option} must be written in the report's character set ({told}), got characters beyond it"
            raise ConfigError(msg)


def _fits(value: str, encoding: str) -> bool:
    try:
        value.encode("ascii" if encoding == "iso8859" else encoding)
    except UnicodeEncodeError:
        return False
    return True


def _reference(ds: Dataset) -> Dataset:
    """Return a reference to a report as another one's predecessor (PS3.3 C.17.2, Table C.17-3)."""
    sop, series, study = Dataset(), Dataset(), Dataset()
    sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = ds.SeriesInstanceUID, [sop]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = ds.StudyInstanceUID, [series]
    return study
