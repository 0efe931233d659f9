"""What an object to be written shares with its source: the patient, the study and the frame of reference.

Text is copied byte for byte together with the character set it is written in, and no value reaches a log.
"""

from __future__ import annotations

from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.tolerant import read_dataset, recorded_warnings
from stenograde.errors import UnreadableInstanceError

_TYPE_2: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
"""Attributes of patient and study that an object must have, if only empty (PS3.3 C.7.1.1, C.7.2.1)."""

_OF_PATIENT: Final = (
    *(
        "IssuerOfPatientID",
        "TypeOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
        "ReferencedPatientSequence",
    ),
    *("PatientBirthTime", "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar"),
    *("PatientAlternativeCalendar", "OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup"),
    *("PatientComments", "QualityControlSubject", "PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
    *(
        "PatientBreedDescription",
        "PatientBreedCodeSequence",
        "BreedRegistrationSequence",
        "ResponsiblePerson",
    ),
    *("ResponsiblePersonRole", "ResponsibleOrganization", "PatientIdentityRemoved", "DeidentificationMethod"),
    "DeidentificationMethodCodeSequence",
)
"""Attributes of the patient that are copied where the source has them (PS3.3 C.7.1.1)."""

_OF_STUDY: Final = (
    *("StudyInstanceUID", "StudyDescription", "IssuerOfAccessionNumberSequence", "ReferencedStudySequence"),
    *("ReferringPhysicianIdentificationSequence", "ConsultingPhysicianName", "PhysiciansOfRecord"),
    *("ConsultingPhysicianIdentificationSequence", "PhysiciansOfRecordIdentificationSequence"),
    *("NameOfPhysiciansReadingStudy", "PhysiciansReadingStudyIdentificationSequence"),
    *("RequestingServiceCodeSequence", "ProcedureCodeSequence", "ReasonForPerformedProcedureCodeSequence"),
)
"""Attributes of the study that are copied where the source has them (PS3.3 C.7.2.1)."""

_FRAME: Final = ("FrameOfReferenceUID", "PositionReferenceIndicator")
"""Attributes of types 1 and 2 of the frame of reference (PS3.3 C.7.4.1)."""


def origin_of(instance: Instance) -> Dataset:
    """Return the attributes that an object to be written shares with one of its source instances.

    Parameters
    ----------
    instance : Instance
        On disk or in a zip; its file is read again.

    Returns
    -------
    ds : Dataset
        Modules Patient, General Study and, where the source states a frame of reference, Frame of Reference
        (PS3.3 C.7.1.1, C.7.2.1, C.7.4.1), with SpecificCharacterSet (C.12.1.1.2). Attributes of type 2 that the
        source lacks are empty. Text that is added must fit that character set. Written in explicit VR little endian,
        it gives the source's bytes.

    Raises
    ------
    UnreadableInstanceError
        If the header cannot be parsed, or names no study.
    """
    name = instance.file.name
    try:
        with recorded_warnings():
            ds = _shared(read_dataset(instance.file.whole(), stop_before_pixels=True)[0])
    except Exception as exc:  # (values of broken files raise anything when they are looked at)
        reason = str(exc) if isinstance(exc, UnreadableInstanceError) else type(exc).__name__
        msg = f"{name} must have a header that can be copied, got one that cannot ({reason})"
        raise UnreadableInstanceError(msg) from exc
    if not instance.study_uid or "StudyInstanceUID" not in ds:
        msg = f"{name} must have a StudyInstanceUID, got none; objects are written into the study of their source"
        raise UnreadableInstanceError(msg)
    return ds


def _shared(source: Dataset) -> Dataset:
    has_frame = bool(getattr(source.get_item("FrameOfReferenceUID"), "value", None))
    needed = (*_TYPE_2, *(_FRAME if has_frame else ()))
    ds = Dataset()
    for keyword in ("SpecificCharacterSet", *_OF_PATIENT, *_OF_STUDY, *needed):
        if keyword in needed or keyword in source:
            _copy(source, ds, keyword)
    # so that pydicom writes the bytes as they stand, in place of decoding and encoding them again
    ds.set_original_encoding(False, True, source.original_character_set)
    return ds


def _copy(source: Dataset, ds: Dataset, keyword: str) -> None:
    """Copy the bytes of a value, whatever the source's transfer syntax; an absent one becomes empty."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    vr = dictionary_VR(tag)
    element: Any = source[tag] if vr == "SQ" else source.get_item(tag)
    if isinstance(element, DataElement):
        # parsed to its depth, for the bytes of its items stand in the source's transfer syntax
        for item in element.value if vr == "SQ" else ():
            list(item.iterall())
        ds[tag] = element
        return
    value = (element.value if element is not None else None) or b""
    ds[tag] = RawDataElement(tag, vr, len(value), value, 0, is_implicit_VR=False, is_little_endian=True)
