"""The manifest of a cohort: a CSV with one study in each row, read row by row."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stenograde.errors import ConfigError

COLUMNS = ("source", "name", "study_uid")
"""Columns of a manifest; only the first must be there."""


@dataclass(frozen=True)
class Entry:
    """One study of a manifest."""

    row: int
    """Place in the manifest, from 0; what outcomes are told apart by."""
    source: str
    """Folder, zip or DICOMDIR, a URL of object storage, or a study of a DICOMweb server."""
    name: str
    """What the study is called in the tables: the source where the manifest gives no name."""
    study_uid: str | None = None
    """StudyInstanceUID of the study to take where there are several."""


def is_url(source: str) -> bool:
    """Whether a source has to be fetched."""
    return "://" in source


def read_manifest(path: Path) -> Iterator[Entry]:
    """Give the entries of a manifest one by one; paths are seen from the manifest's folder.

    Raises
    ------
    ConfigError
        If it cannot be read, has no column ``source`` or one that is unknown, or a row names no source.
    """
    folder = path.parent.resolve()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            found = tuple(rows.fieldnames or ())
            unknown = [name for name in found if name not in COLUMNS]
            if COLUMNS[0] not in found or unknown:
                msg = f"a manifest must have the column 'source', and may have 'name' and 'study_uid', got {found}"
                raise ConfigError(msg)
            for number, row in enumerate(rows):
                yield _entry(number, row, folder)
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        msg = f"--cohort must be a CSV in UTF-8, got {path.name} ({type(exc).__name__}); write one row for each study"
        raise ConfigError(msg) from exc


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a manifest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(number: int, row: dict[str, str | None], folder: Path) -> Entry:
    source = (row.get("source") or "").strip()
    if not source or None in row:
        msg = f"row {number + 2} of a manifest must name one source, got {'more' if source else 'none'}; mend the row"
        raise ConfigError(msg)
    name, uid = ((row.get(column) or "").strip() for column in COLUMNS[1:])
    place = source if is_url(source) else str(folder / source)
    return Entry(number, place, name or source, uid or None)
