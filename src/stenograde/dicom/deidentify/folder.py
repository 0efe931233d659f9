"""Files in, de-identified files out: all that can be, in a folder that appears whole or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmwrite
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag

from stenograde.dicom.deidentify.elements import Cleaner, Counts
from stenograde.dicom.deidentify.profile import BASIC, CLEAN_PIXELS, Action, Options
from stenograde.dicom.deidentify.pseudonyms import Pseudonyms
from stenograde.dicom.deidentify.refusals import Area, blank, why_refused, why_text_is_feared
from stenograde.dicom.read.files import StudyFile, files_in
from stenograde.dicom.read.tolerant import read_dataset, recorded_warnings
from stenograde.errors import ConfigError, UnreadableInstanceError
from stenograde.files import MEMORY_LIMIT_BYTES, UNFINISHED

REPORT: Final = "deidentification.json"
"""Name of the report in the folder of the result."""

METHOD: Final = "PS3.15 Annex E by stenograde"
"""What DeidentificationMethod says, beside the codes."""


@dataclass(frozen=True, slots=True)
class Deidentified:
    """What became of the files; no value of theirs."""

    folder: Path
    options: Options
    n_files: int
    n_written: int
    n_blanked: int
    counts: Mapping[tuple[Action, int], int]
    """(what was done, tag) to how often."""
    refused: tuple[tuple[str, str], ...]
    """Number of a file, as ``file 3 of 9``, and why it was not copied."""

    @property
    def rows(self) -> tuple[tuple[str, str, str, int], ...]:
        """What was done, tag, keyword and how often, sorted; private tags have no keyword."""
        return tuple(
            (str(action), _shown(tag), keyword_for_tag(tag), n)
            for (action, tag), n in sorted(self.counts.items(), key=lambda one: (str(one[0][0]), one[0][1]))
        )

    def as_json(self) -> str:
        """Return the report as JSON."""
        content: dict[str, Any] = {
            "schema": "stenograde/deidentification/1",
            "profile": BASIC[1],
            "options": list(self.options.asked),
            "files": self.n_files,
            "written": self.n_written,
            "blanked": self.n_blanked,
            "changes": [
                {"action": action, "tag": tag, "keyword": keyword, "count": n}
                for action, tag, keyword, n in self.rows
            ],
            "refused": [{"file": name, "why": why} for name, why in self.refused],
        }
        return json.dumps(content, indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Request:
    """How files are de-identified."""

    options: Options
    key: bytes
    areas: tuple[Area, ...] = ()
    """What is blanked in images that may show text; without any, they are refused."""
    limit_bytes: int = MEMORY_LIMIT_BYTES


def deidentify(source: Path, out: Path, request: Request, tell: Callable[[str], None]) -> Deidentified:
    """De-identify the files of a folder, an archive or a single file.

    Parameters
    ----------
    source, out : Path
        ``out`` must not be there, or be empty; it gets a folder per study and series, and the report.
    request : Request
    tell : callable
        Told of each file that is not copied, one line each, as it happens.

    Raises
    ------
    NoStudyError
        If nothing is there.
    ConfigError
        If the folders overlap, something is in ``out``, it cannot be written, or no file can be de-identified.
    """
    _check_apart(source, out)
    files = files_in(source, limit_bytes=request.limit_bytes)
    counts: Counts = Counter()
    refused: list[tuple[str, str]] = []
    n_blanked = 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=out.parent, prefix=UNFINISHED.rstrip("*")))
        try:
            for file in files:
                try:
                    n_blanked += _copy(file, made, request, counts)
                except UnreadableInstanceError as exc:
                    refused.append((file.name, str(exc)))
                    tell(f"{file.name} is not copied: {exc}")
            n_written = len(files) - len(refused)
            done = Deidentified(
                out, request.options, len(files), n_written, n_blanked, dict(counts), tuple(refused)
            )
            if not n_written:
                msg = f"one file at least must be one that can be de-identified, got none of {len(files)} in {source}"
                raise ConfigError(msg)
            (made / REPORT).write_text(done.as_json(), encoding="utf-8")
            _place(made, out)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as exc:
        msg = f"{out} must be writable, got {exc.strerror or exc}; choose another folder or make room"
        raise ConfigError(msg) from exc
    return done


def _check_apart(source: Path, out: Path) -> None:
    where, to = source.resolve(), out.resolve()
    if where == to or where in to.parents or to in where.parents:
        msg = f"OUT must lie apart from IN, got {out} for {source}; name a folder beside it"
        raise ConfigError(msg)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = (
            f"OUT must be a new or an empty folder, got {out}, which holds something; nothing is written over"
        )
        raise ConfigError(msg)


def _place(made: Path, out: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    made.chmod(0o777 & ~mask)  # mkdtemp makes folders for the owner only
    if out.is_dir():
        out.rmdir()
    made.rename(out)


def _copy(file: StudyFile, folder: Path, request: Request, counts: Counts) -> bool:
    """Write one file under its new name; return whether its pixels were blanked.

    Raises
    ------
    UnreadableInstanceError
        If it is not copied; the message is the reason as a phrase.
    """
    here: Counts = Counter()
    with recorded_warnings():
        try:
            ds, was_blanked = _deidentified(_read(file), request, here)
            data = _written(ds)
            path = folder / str(ds.StudyInstanceUID) / str(ds.SeriesInstanceUID) / f"{ds.SOPInstanceUID}.dcm"
        except (UnreadableInstanceError, MemoryError):
            raise
        except Exception as exc:  # (values of broken files raise anything when they are looked at)
            msg = f"cannot be parsed or written ({type(exc).__name__})"
            raise UnreadableInstanceError(msg) from exc
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError as exc:
        msg = "repeats the SOPInstanceUID of an earlier file; one of them is enough"
        raise UnreadableInstanceError(msg) from exc
    except OSError as exc:
        if exc.errno == errno.ENAMETOOLONG:
            msg = "has UIDs that are too long to be names of files"
            raise UnreadableInstanceError(msg) from exc
        raise
    counts.update(here)
    return was_blanked


def _read(file: StudyFile) -> Dataset:
    """Parse one file that says that it is DICOM, and in which transfer syntax.

    Raises
    ------
    UnreadableInstanceError
        If it does not, or cannot be parsed; the message is the reason as a phrase.
    """
    data = file.whole()
    if data[128:132] != b"DICM":
        msg = "not a DICOM file (no DICM after a preamble of 128 bytes)"
        raise UnreadableInstanceError(msg)
    ds, n_warnings = read_dataset(data)
    if n_warnings:
        msg = "cannot be parsed without doubt, so that parts of it might pass unseen"
        raise UnreadableInstanceError(msg)
    if "DirectoryRecordSequence" in ds:
        msg = "DICOMDIR, which lists names of the files it came with"
        raise UnreadableInstanceError(msg)
    head = read_partial(io.BytesIO(data), stop_when=lambda *_: True)
    syntax = head.file_meta.get("TransferSyntaxUID")
    if not syntax:
        msg = "has no TransferSyntaxUID"
        raise UnreadableInstanceError(msg)
    ds.file_meta.TransferSyntaxUID = syntax  # (what was deflated has been inflated)
    if "SOPClassUID" not in ds and "MediaStorageSOPClassUID" in ds.file_meta:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID  # RSNA 2024 has it there alone
    return ds


def _deidentified(ds: Dataset, request: Request, counts: Counts) -> tuple[Dataset, bool]:
    reason = why_refused(ds)
    if reason:
        raise UnreadableInstanceError(reason)
    feared = why_text_is_feared(ds)
    if feared and not request.areas:
        msg = f"{feared}; --blank ROWSxCOLUMNS sets a part of such images to zero"
        raise UnreadableInstanceError(msg)
    if feared:
        blank(ds, request.areas)
    identifier = f"{ds.get('PatientID', '')}/{ds.get('IssuerOfPatientID', '')}"
    patient = identifier if identifier != "/" else str(ds.StudyInstanceUID)
    Cleaner(request.options, Pseudonyms(request.key), patient, counts).clean(ds)
    _say_what_was_done(ds, request.options, blanked=bool(feared))
    _rewrite_meta(ds)
    return ds, bool(feared)


def _say_what_was_done(ds: Dataset, options: Options, *, blanked: bool) -> None:
    """Set what PS3.15 E.1.1 and PS3.3 C.7.1.1 and C.12.1.1.3 ask for."""
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = METHOD
    items = []
    for code, meaning in (*options.codes, *((CLEAN_PIXELS,) if blanked else ())):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
        items.append(item)
    ds.DeidentificationMethodCodeSequence = items
    ds.LongitudinalTemporalInformationModified = "MODIFIED" if options.modified_dates else "REMOVED"


def _rewrite_meta(ds: Dataset) -> None:
    """Leave of the file meta information what says how to read the file; the preamble becomes empty."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ds.file_meta.TransferSyntaxUID
    ds.file_meta = meta
    ds.preamble = bytes(128)


def _written(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def _shown(tag: int) -> str:
    """Return a tag as ``(0010,0010)``."""
    return f"({Tag(tag).group:04X},{Tag(tag).element:04X})"
