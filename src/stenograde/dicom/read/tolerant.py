"""The tolerant road through pydicom: what the quick walk refuses is tried here, and said.

pydicom answers some broken files with a warning and an empty or shortened data set. Here a warning is
recorded and becomes a note, and a data set without what identifies an instance is an error: it never passes
as "no data". Texts of pydicom's warnings are not repeated, for they may quote a patient's data.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement

from stenograde.dicom.read import elements
from stenograde.dicom.read.archives import kind_of_archive
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.instances import Instance, n_native_bytes, pixel_layout
from stenograde.errors import NoStudyError, UnreadableInstanceError
from stenograde.files import regular_bytes

_PIXEL_DATA = 0x7FE00010
_FUNCTIONAL_GROUPS = 0x52009230


@contextmanager
def recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Record pydicom's warnings instead of showing or logging them; they may quote a patient's data."""
    logger = logging.getLogger("pydicom")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
    finally:
        logger.disabled = was_disabled


def read_dataset(data: bytes, *, stop_before_pixels: bool = False) -> tuple[Dataset, int]:
    """Parse a whole file with pydicom.

    Returns
    -------
    ds : Dataset
    n_warnings : int
        How often pydicom warned.

    Raises
    ------
    UnreadableInstanceError
        If pydicom cannot parse it; the message is the reason as a phrase.
    """
    try:
        data = elements.undeflated(data)
    except elements.MalformedError as exc:
        raise UnreadableInstanceError(str(exc)) from exc
    with recorded_warnings() as caught:
        try:
            ds = dcmread(io.BytesIO(data), force=True, stop_before_pixels=stop_before_pixels)
        except Exception as exc:
            msg = f"cannot be parsed ({type(exc).__name__})"
            raise UnreadableInstanceError(msg) from exc
    return ds, len(caught)


def read_tolerantly(file: StudyFile, reason: str) -> Instance:
    """Read the header of a file that the quick walk refused.

    Parameters
    ----------
    file : StudyFile
    reason : str
        Why the quick walk refused it.

    Raises
    ------
    UnreadableInstanceError
        If it is not DICOM, or nothing that identifies an instance can be recovered; the message is the
        reason as a phrase.
    """
    head, _ = file.head(300)
    has_preamble = head[128:132] == b"DICM"
    if not has_preamble and head[:2] not in {b"\x02\x00", b"\x08\x00"}:
        kind = kind_of_archive(head)
        msg = (
            f"{kind} archive, which is not unpacked here; unpack it, or grade it by itself"
            if kind
            else reason
        )
        raise UnreadableInstanceError(msg)
    if reason.startswith(elements.CANNOT_BE_INFLATED):
        raise UnreadableInstanceError(reason)
    ds, n_warnings = read_dataset(file.whole())
    with recorded_warnings():
        try:
            return _instance(file, ds, reason, n_warnings)
        except UnreadableInstanceError:
            if not has_preamble:
                msg = "not a DICOM file (no DICM after a preamble of 128 bytes)"
                raise UnreadableInstanceError(msg) from None
            raise
        except Exception as exc:  # (values of broken files raise anything when they are looked at)
            msg = f"cannot be parsed: {reason} ({type(exc).__name__})"
            raise UnreadableInstanceError(msg) from exc


def _instance(file: StudyFile, ds: Dataset, reason: str, n_warnings: int) -> Instance:
    values = {keyword: raw for tag, keyword in elements.WANTED.items() if (raw := _raw(ds, tag)) is not None}
    meta = getattr(ds, "file_meta", Dataset())
    for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"):
        if keyword in meta:
            values[keyword] = str(meta[keyword].value).encode("ascii", "replace")
    identified = values.get("SOPInstanceUID") or values.get("MediaStorageSOPInstanceUID")
    if not identified or not values.get("SeriesInstanceUID"):
        msg = f"cannot be parsed: {reason}; pydicom recovers {len(ds)} elements, but not what identifies it"
        raise UnreadableInstanceError(msg)
    is_truncated = reason.startswith("truncated") or "ends before" in reason
    if _PIXEL_DATA not in ds and is_truncated:
        msg = reason if reason.startswith("truncated") else f"truncated: {reason}"
        raise UnreadableInstanceError(msg)
    note = f"read by pydicom, because {reason}" + (f"; it warned {n_warnings} times" if n_warnings else "")
    instance = Instance(
        file,
        values,
        is_big_endian=not _is_little_endian(ds),
        layout=None,
        has_functional_groups=_FUNCTIONAL_GROUPS in ds,
        notes=(note,),
    )
    return _with_pixels(instance, ds) if _PIXEL_DATA in ds else instance


def _is_little_endian(ds: Dataset) -> bool:
    return ds.original_encoding[1] is not False


def _with_pixels(instance: Instance, ds: Dataset) -> Instance:
    meta = getattr(ds, "file_meta", None)
    syntax = str(getattr(meta, "TransferSyntaxUID", "") or "")
    if not syntax:
        syntax = elements.IMPLICIT_LITTLE if ds.original_encoding[0] else elements.EXPLICIT_LITTLE
    layout = pixel_layout(instance, syntax, 0, is_walked=False)
    n_there = len(ds.get_item(_PIXEL_DATA).value or b"")
    if syntax in elements.NATIVE and n_there < n_native_bytes(layout):
        msg = f"truncated: pixel data holds {n_there} of {n_native_bytes(layout)} bytes"
        raise UnreadableInstanceError(msg)
    return replace(instance, layout=layout)


def _raw(ds: Dataset, tag: int) -> bytes | None:
    """Value bytes of an element as they stand in the file."""
    if tag not in ds:
        return None
    element: Any = ds.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value
    value = element.value
    if value is None:
        return b""
    parts = [value] if isinstance(value, str | int | float) else list(value)
    if element.VR == "US":
        return b"".join(int(part).to_bytes(2, "little" if _is_little_endian(ds) else "big") for part in parts)
    return "\\".join(str(part) for part in parts).encode("utf-8", "replace")


def files_of_dicomdir(path: Path) -> tuple[str, ...]:
    """Return the files that a DICOMDIR lists, as paths relative to it.

    Raises
    ------
    NoStudyError
        If it cannot be parsed, or lists no file.
    """
    try:
        ds, _ = read_dataset(regular_bytes(path), stop_before_pixels=True)
    except (UnreadableInstanceError, OSError) as exc:
        msg = f"DICOMDIR must be readable, got {path} ({exc})"
        raise NoStudyError(msg) from exc
    with recorded_warnings():
        try:
            found = [record.get("ReferencedFileID") for record in ds.get("DirectoryRecordSequence") or ()]
            names = {
                "/".join([parts] if isinstance(parts, str) else [str(part) for part in parts])
                for parts in found
                if parts
            }
        except Exception as exc:  # (values of broken files raise anything when they are looked at)
            msg = f"DICOMDIR must be readable, got {path} ({type(exc).__name__})"
            raise NoStudyError(msg) from exc
    if not names:
        msg = f"DICOMDIR must list files, got none in {path}"
        raise NoStudyError(msg)
    return tuple(sorted(names))
