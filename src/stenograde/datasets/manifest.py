"""A CSV file that lists pictures with label and patient, for researchers' own data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from stenograde.datasets.class_folders import as_class, ordered_classes
from stenograde.datasets.picture_files import DicomPicture, PictureFile, is_picture
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.terms import Level, Side, Weighting

_Word = TypeVar("_Word", bound=StrEnum)

COLUMNS = ("path", "label", "patient", "level", "side", "weighting")
"""Columns with a meaning; only ``path`` is required, and any further column becomes a fact of the sample."""


def read_manifest(csv: Path) -> SampleSet:
    """Read the pictures that a CSV file lists.

    Parameters
    ----------
    csv : Path
        File with columns as in :data:`COLUMNS`; an empty cell means unknown. Paths are relative to the CSV file; a
        file whose name is not that of a PNG, WebP or JPEG is read as DICOM. Known severities are put in ascending
        order, other labels in alphabetical order.

    Raises
    ------
    DatasetError
        If the table cannot be read or is empty, a file is missing, or a level, side or weighting is unknown.
    """
    rows = read_rows(csv, ("path",))
    if not rows:
        msg = f"manifest must list at least one picture, got none in {csv}"
        raise DatasetError(msg)
    times = Counter(row["path"] for row in rows)
    samples = tuple(
        _sample(csv.parent, row, line, is_repeated=times[row["path"]] > 1)
        for line, row in enumerate(rows, start=2)
    )
    classes = ordered_classes({sample.label for sample in samples if sample.label is not None})
    unknown = sum(sample.patient is None for sample in samples)
    notes = (f"the patient of {unknown} pictures is unknown: no split by patient",) if unknown else ()
    return SampleSet(csv.stem, classes, samples, notes=notes)


def _sample(folder: Path, row: Mapping[str, str], line: int, *, is_repeated: bool) -> Sample:
    path = folder / row["path"]
    if not row["path"] or not path.is_file():
        msg = f"path in line {line} of the manifest must be a file, got {path}"
        raise DatasetError(msg)
    level = row.get("level", "").replace("-", "/")
    return Sample(
        # a picture may be listed once for each level or side that it shows
        name="|".join([row["path"], level, row.get("side", "")]) if is_repeated else row["path"],
        picture=PictureFile(path) if is_picture(path) else DicomPicture(path),
        patient=row.get("patient") or None,
        label=as_class(row.get("label", "")) or None,
        level=_parsed(Level.parse, level, f"level in line {line}"),
        side=_parsed(Side, row.get("side", "").lower(), f"side in line {line}"),
        weighting=_parsed(Weighting, row.get("weighting", "").upper(), f"weighting in line {line}"),
        facts={name: cell for name, cell in row.items() if name not in COLUMNS and cell},
    )


def _parsed(parse: Callable[[str], _Word], text: str, what: str) -> _Word | None:
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as exc:
        msg = f"{what} of the manifest must be a known word, got {text!r} ({exc})"
        raise DatasetError(msg) from exc
