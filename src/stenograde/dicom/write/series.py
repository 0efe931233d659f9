"""What the objects that are made of one study share: UIDs that a second run gives again, series, equipment, date.

Nothing here looks at a value of the patient: it is copied as bytes (see :mod:`stenograde.dicom.write.origin`), in the
source's own character set. Text that is added is ASCII, which every character set of DICOM contains (PS3.3 C.12.1.1.2).
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import PYDICOM_ROOT_UID, UID, ExplicitVRLittleEndian

from stenograde.dicom.read.tolerant import recorded_warnings
from stenograde.dicom.write.kinds import ResultKind
from stenograde.dicom.write.sources import Sources
from stenograde.grades import BundleStamp

MANUFACTURER: Final = "stenograde"
IMPLEMENTATION_UID: Final = UID(PYDICOM_ROOT_UID + "20240002")
IMPLEMENTATION_NAME: Final = "STENOGRADE"

_SERIES: Final = -1
"""Number of a series among the UIDs of its kind; instances count from 1."""

_WORDS_FOR: Final = str.maketrans(
    {"²": "2", "³": "3", "×": "x", "·": "*", "–": "-", "—": "-", "’": "'", "≥": ">="}
)


def uid_for(study_uid: str, bundle_hash: str, version: str, kind: str, number: int) -> str:
    """Return a UID that depends on nothing but what is given: a UUID of version 8 under 2.25.

    References
    ----------
    PS3.5 B.2; RFC 9562, section 5.8.

    Examples
    --------
    >>> uid_for("1.2.3", "abc", "0.1.0", "sr", 1) == uid_for("1.2.3", "abc", "0.1.0", "sr", 1)
    True
    >>> uid_for("1.2.3", "abc", "0.1.0", "sr", 1) == uid_for("1.2.3", "abc", "0.1.0", "sr", 2)
    False
    """
    told = "\n".join((study_uid, bundle_hash, version, kind, str(number)))
    number = int.from_bytes(hashlib.sha256(told.encode()).digest()[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76  # version
    number = number & ~(0x3 << 62) | 0x2 << 62  # variant
    return f"2.25.{number}"


@dataclass(frozen=True)
class Edition:
    """Which edition of a study's results objects belong to: the same study, images, bundle and software give the same.

    The time is told, but decides no UID.
    """

    study_uid: str
    images: str
    """:attr:`stenograde.dicom.write.sources.Sources.digest`: more images make another edition."""
    bundle: BundleStamp
    made_at: datetime
    software: str
    """Version of the package."""

    @classmethod
    def of(cls, sources: Sources, bundle: BundleStamp, made_at: datetime) -> Edition:
        """Return the edition of results that are made of some instances now."""
        return cls(sources.study_uid, sources.digest, bundle, made_at, version("stenograde"))

    def uid(self, kind: str, number: int) -> str:
        """Return the UID of an object or of a part of one."""
        return uid_for(self.study_uid, self.bundle.hash, f"{self.software} {self.images}", kind, number)

    def series_uid(self, kind: ResultKind) -> str:
        """Return the SeriesInstanceUID of the objects of a kind."""
        return self.uid(kind.value, _SERIES)

    def instance_uid(self, kind: ResultKind, number: int = 1) -> str:
        """Return the SOPInstanceUID of an object of a kind, counted from 1."""
        return self.uid(kind.value, number)

    @property
    def device_uid(self) -> str:
        """UID of the software with its bundle, as the device that observed."""
        return uid_for("", self.bundle.hash, self.software, "device", 1)

    @property
    def software_versions(self) -> str:
        """Version of the software and of the bundle, as one text."""
        return f"{self.software}, bundle {self.bundle.name} {self.bundle.version}"


def plain(text: str, limit: int | None = None) -> str:
    """Return text with ASCII characters only, cut to a length where there is one.

    Examples
    --------
    >>> plain("dural sac 75 mm², naïve 5–6"), plain("abcdef", 4)
    ('dural sac 75 mm2, naive 5-6', 'abcd')
    """
    split = unicodedata.normalize("NFKD", text.translate(_WORDS_FOR))
    kept = "".join(one for one in split if not unicodedata.combining(one))
    return kept.encode("ascii", "replace").decode("ascii").replace("\\", "/")[:limit].strip()


def finished(made: Dataset, sources: Sources, edition: Edition, kind: ResultKind, number: int = 1) -> Dataset:
    """Return an object as it is to be written: within the study of its source, in a series of its own.

    Parameters
    ----------
    made : Dataset
        The object, such as highdicom makes it; what it says of patient, study, series, equipment and date is
        replaced. Its text must be ASCII.
    sources : Sources
    edition : Edition
    kind : ResultKind
    number : int
        InstanceNumber, from 1.

    Raises
    ------
    UnreadableInstanceError
        If the header of the source cannot be copied.
    """
    ds = sources.origin()
    for element in made:
        if element.tag not in ds and element.keyword != "SpecificCharacterSet":
            ds.add(element)
    ds.SeriesInstanceUID, ds.SOPInstanceUID = edition.series_uid(kind), edition.instance_uid(kind, number)
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = kind.modality, kind.series_number, number
    ds.SeriesDescription = f"stenograde {kind.shown} (research use only)"
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = plain(edition.bundle.name, 64)
    ds.DeviceSerialNumber = plain(edition.bundle.hash, 64) or "none"
    ds.SoftwareVersions = plain(edition.software_versions, 64)
    day, time = edition.made_at.strftime("%Y%m%d"), edition.made_at.strftime("%H%M%S")
    ds.SeriesDate = ds.ContentDate = ds.InstanceCreationDate = day
    ds.SeriesTime = ds.ContentTime = ds.InstanceCreationTime = time
    for equipment in ds.get(
        "ContributingEquipmentSequence", ()
    ):  # (highdicom names itself, with its own clock)
        equipment.ContributionDateTime = day + time
    return ds


def as_file(ds: Dataset) -> bytes:
    """Return a finished object as the bytes of a file (PS3.10), explicit VR little endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = getattr(
        getattr(ds, "file_meta", None), "TransferSyntaxUID", ExplicitVRLittleEndian
    )
    meta.ImplementationClassUID, meta.ImplementationVersionName = IMPLEMENTATION_UID, IMPLEMENTATION_NAME
    ds.file_meta = meta
    stream = io.BytesIO()
    with recorded_warnings():  # (of the patient's values, which are written as they stand)
        ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
