"""The objects that are to be sent: read from the folder of a version's results, and never changed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from stenograde.errors import DeliveryError
from stenograde.pacs.settings import Kind

_KINDS: Final[Mapping[str, Kind]] = {
    Comprehensive3DSRStorage: "sr",
    EncapsulatedPDFStorage: "pdf",
    SecondaryCaptureImageStorage: "sc",
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage: "sc",
    MultiFrameTrueColorSecondaryCaptureImageStorage: "sc",
    SegmentationStorage: "seg",
}


@dataclass(frozen=True)
class Outgoing:
    """A DICOM file that is to be sent."""

    path: Path
    kind: Kind
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    sha256: str
    n_bytes: int


def outgoing(folder: Path, kinds: Collection[Kind]) -> tuple[Outgoing, ...]:
    """Return the objects in a folder of results that are of some kinds, in the order of their names.

    Raises
    ------
    DeliveryError
        If the folder is not there, or holds a file that is no result.
    """
    if not folder.is_dir():
        msg = "results must lie in the store, got none; check that its disk is there"
        raise DeliveryError(msg)
    found = map(_read, sorted(folder.glob("*.dcm")))
    return tuple(one for one in found if one.kind in kinds)


def _read(path: Path) -> Outgoing:
    try:
        meta = read_file_meta_info(path)
        sop_class = str(meta.MediaStorageSOPClassUID)
        sop_uid, syntax = str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Outgoing(path, _KINDS[sop_class], sop_class, sop_uid, syntax, sha256, path.stat().st_size)
    except (InvalidDicomError, OSError, AttributeError, KeyError, ValueError, TypeError, EOFError) as exc:
        msg = f"a result must be a DICOM file of a kind that is written here, got {path.name} ({type(exc).__name__})"
        raise DeliveryError(msg) from exc
