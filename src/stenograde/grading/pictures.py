"""Classify the pictures of a folder: each has its row, with probabilities or with the reason why there are none."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.picture_files import DICOM_SUFFIXES, DicomPicture, PictureFile, is_picture
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.files import inert_cell
from stenograde.predict.classifier import Classifier
from stenograde.terms import Level
from stenograde.workers import Progress, Step

BATCH = 32
"""Pictures that go through the networks at once."""


@dataclass(frozen=True, eq=False)
class ClassifiedPicture:
    """One picture of a folder: its probabilities, or why there are none."""

    path: Path
    level: Level | None
    prepared: NDArray[np.uint8] | None = None
    """As the networks see it, shape (rows, columns); None once it is classified, or where it cannot be."""
    probabilities: tuple[float, ...] = ()
    problem: str = ""


def classify_folder(
    folder: Path,
    classifier: Classifier,
    *,
    levels: Mapping[str, Level] | None = None,
    progress: Progress | None = None,
) -> tuple[ClassifiedPicture, ...]:
    """Classify every plain or DICOM picture that lies directly in a folder, in the order of their names.

    Parameters
    ----------
    folder : Path
    classifier : Classifier
    levels : mapping, optional
        Levels by file stem; they override those that file names give.
    progress : callable, optional
        Counts the pictures.

    Raises
    ------
    DatasetError
        If there is no such folder, or no picture in it.
    """
    paths = _pictures(folder)
    rows: list[ClassifiedPicture] = []
    for start in range(0, len(paths), BATCH):
        read = [_read(path, classifier, levels or {}) for path in paths[start : start + BATCH]]
        rows += _classified(read, classifier)
        if progress is not None:
            progress(Step("classifying", len(rows), len(paths)))
    return tuple(rows)


def read_picture_levels(table: Path) -> dict[str, Level]:
    """Return levels by file stem from a CSV file with the columns ``image`` and ``level``, such as L4/L5 or L4-L5.

    Raises
    ------
    DatasetError
        If the table cannot be read or holds no level.
    """
    levels = {}
    for row in read_rows(table, ("image", "level")):
        try:
            levels[Path(row["image"]).stem] = Level.parse(row["level"].replace("-", "/"))
        except ValueError as exc:
            msg = f"{table.name}, image {row['image']}: {exc}"
            raise DatasetError(msg) from exc
    return levels


def as_pictures_csv(rows: Sequence[ClassifiedPicture], classes: Sequence[str]) -> str:
    """Return a table of image, level, one column per class, and any problem; text is made inert."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "level", *classes, "problem"])
    for row in rows:
        shown = [f"{value:.6f}" for value in row.probabilities] or [""] * len(classes)
        level = row.level.shown if row.level else ""
        writer.writerow([inert_cell(row.path.name), level, *shown, inert_cell(row.problem)])
    return text.getvalue()


def _pictures(folder: Path) -> Sequence[Path]:
    if not folder.is_dir():
        msg = f"FOLDER must be a folder of pictures, got {folder}"
        raise DatasetError(msg)
    found = sorted(
        path for path in folder.iterdir() if is_picture(path) or path.suffix.lower() in DICOM_SUFFIXES
    )
    if not found:
        msg = f"FOLDER must hold PNG, WebP, JPEG or DICOM pictures, got none in {folder}"
        raise DatasetError(msg)
    return found


def _read(path: Path, classifier: Classifier, levels: Mapping[str, Level]) -> ClassifiedPicture:
    level = levels.get(path.stem) or classifier.table.level_of(path.stem)
    picture = (PictureFile if is_picture(path) else DicomPicture)(path)
    try:
        return ClassifiedPicture(path, level, classifier.prepare(picture.read(), level))
    except (DatasetError, ValueError) as exc:
        cure = "; name it in the file's name or in --levels" if classifier.table.levels and not level else ""
        return ClassifiedPicture(path, level, problem=f"{exc}{cure}")


def _classified(rows: Sequence[ClassifiedPicture], classifier: Classifier) -> list[ClassifiedPicture]:
    usable = [(row.prepared, row.level) for row in rows if row.prepared is not None]
    if not usable:
        return list(rows)
    prepared, levels = zip(*usable, strict=True)
    probabilities = iter(classifier.classify(np.stack(prepared), levels).tolist())
    return [
        row if row.prepared is None else replace(row, prepared=None, probabilities=tuple(next(probabilities)))
        for row in rows
    ]
