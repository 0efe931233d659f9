"""The pixels that experts marked for each cell in RSNA 2024, and where they lie in the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.datasets.study_files import PatientStudy, StoredSlice
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.grades import Point
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side

COORDINATES = ("study_id", "series_id", "instance_number", "condition", "level", "x", "y")
"""Columns of the table of marks."""

_CANAL = Condition.SPINAL_CANAL_STENOSIS
_SUBARTICULAR = Condition.SUBARTICULAR_STENOSIS
_FORAMEN = Condition.NEURAL_FORAMINAL_NARROWING


def read_coordinates(data: Path) -> dict[str, list[dict[str, str]]]:
    """Return the rows of the coordinates by study; empty if there is no such table."""
    # a corrected edition has a longer name than the competition's, and takes precedence
    tables = sorted(data.glob("train_label_coordinates*.csv*"), key=lambda path: (-len(path.stem), path.name))
    by_study: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(tables[0], COORDINATES) if tables else []:
        by_study.setdefault(row["study_id"], []).append(row)
    return by_study


@dataclass(frozen=True)
class Mark:
    """A pixel that an expert marked."""

    cell: Cell
    instance: tuple[str, int | None]
    """Folder of the series, and InstanceNumber."""
    row: float
    column: float


@dataclass(frozen=True, eq=False)
class PlacedMarks:
    """Marks of one study in the patient."""

    points: Mapping[Cell, Point]
    """LPS mm; of a cell that is marked several times the mean."""
    doubts: tuple[tuple[str, str], ...]
    """What is wrong with marks: kind, and what it is about."""


def marks_of(study: str, rows: Sequence[Mapping[str, str]]) -> list[Mark]:
    """Return the marks in rows of the table of coordinates.

    Raises
    ------
    DatasetError
        If a row names no cell, instance or pixel.
    """
    marks = []
    for row in rows:
        try:
            # older editions write "Left Subarticular Stenosis" and "L4/L5", the corrected one stored names
            cell = Cell.parse(
                f"{row['condition']} {row['level']}".lower().replace(" ", "_").replace("/", "_")
            )
            instance = row["series_id"], int(row["instance_number"])
            marks.append(Mark(cell, instance, row=float(row["y"]), column=float(row["x"])))
        except ValueError as exc:
            msg = f"coordinates of study {study} must name a cell, an instance and a pixel, got {dict(row)}"
            raise DatasetError(msg) from exc
    return marks


def instance_of(stored: StoredSlice) -> tuple[str, int | None]:
    """Return what a mark names a slice by."""
    return stored.picture.path.parent.name, stored.instance_number


def placed(one: PatientStudy, marks: Sequence[Mark]) -> PlacedMarks:
    """Return where marks lie in the patient, and which are in doubt.

    A mark is in doubt where its instance is not there, where it lies outside the picture, and where left does not
    lie to the left of right; the two foramina of a level are on different slices.
    """
    places = {
        instance_of(one.stored(series, volume, k)): (volume, k)
        for series, volume in (one.study.volumes() if marks else ())
        for k in range(volume.shape[0])
    }
    seen: dict[Cell, list[NDArray[np.float64]]] = {}
    doubts: list[tuple[str, str]] = []
    for mark in marks:
        if mark.instance not in places:
            series, number = mark.instance
            doubts.append(("mark on no picture", f"{mark.cell.name} on instance {number} of series {series}"))
            continue
        volume, k = places[mark.instance]
        rows, columns = volume.shape[1:]
        if not (-0.5 <= mark.row <= rows - 0.5 and -0.5 <= mark.column <= columns - 0.5):
            where = f"{mark.cell.name} at ({mark.column:.0f}, {mark.row:.0f}) of {columns} x {rows}"
            doubts.append(("mark outside the picture", where))
            continue
        seen.setdefault(mark.cell, []).append(
            geometry.to_patient(volume.affine, [[k, mark.row, mark.column]])[0]
        )
    points = {cell: _mean(found) for cell, found in seen.items()}
    return PlacedMarks(points, (*doubts, *_on_wrong_sides(points, marks)))


def _on_wrong_sides(points: Mapping[Cell, Point], marks: Sequence[Mark]) -> list[tuple[str, str]]:
    doubts = []
    on = {mark.cell: mark.instance for mark in marks}
    for left in (cell for cell in points if cell.side is Side.LEFT):
        right = Cell(left.condition, left.level, Side.RIGHT)
        if right not in points:
            continue
        words = f"{left.condition.shown} {left.level.shown}"
        if left.condition is _FORAMEN and on[left] == on[right]:
            doubts.append(("both foramina on one slice", words))
        elif points[left][0] <= points[right][0]:  # to the patient's left is up in LPS
            doubts.append(("mark on the wrong side", words))
    return doubts


def _mean(found: Sequence[NDArray[np.float64]]) -> Point:
    x_mm, y_mm, z_mm = np.mean(found, axis=0)
    return float(x_mm), float(y_mm), float(z_mm)


def level_points(marks: PlacedMarks) -> dict[Level, Point]:
    """Return the points of the levels: the canal on sagittal slices, else midway between the subarticular zones."""
    points: dict[Level, Point] = {}
    for level in LUMBAR_MRI.levels:
        of_level = {cell: point for cell, point in marks.points.items() if cell.level is level}
        for condition in (_CANAL, _SUBARTICULAR):
            found = [np.array(point) for cell, point in of_level.items() if cell.condition is condition]
            if found and level not in points:
                points[level] = _mean(found)
    return points
