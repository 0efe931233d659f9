"""RSNA 2024 Lumbar Spine Degenerative Classification (RSNA LumbarDISC): axial slices with severities.

The folder is that of the competition, and cohorts of phantoms have the same layout:
``train_images/<study>/<series>/<n>.dcm``, ``train.csv`` (study x 25 severities), ``train_series_descriptions.csv``
and ``train_label_coordinates.csv`` (or a corrected edition of it, compressed or not). The set is for non-commercial
use: no shipped weights are trained on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.rsna2024_marks import (
    Mark,
    instance_of,
    level_points,
    marks_of,
    placed,
    read_coordinates,
)
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.datasets.study_files import PatientStudy, StoredSlice, patient_folders, read_patients
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.evaluate.rsna_metric import UNKNOWN
from stenograde.grades import Point
from stenograde.levels.axial_levels import AxialSlice, LevelOf, LevelOfSlice, axial_slices
from stenograde.study import Series, Study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Role, Severity, Weighting
from stenograde.workers import Progress

CLASSES = tuple(severity.value for severity in Severity)
"""Severities, ascending."""

LICENCE = "non-commercial use (RSNA LumbarDISC)"

_SEVERITY = {severity.shown.lower(): severity for severity in Severity}


@dataclass(frozen=True, eq=False)
class AxialSeries:
    """One axial T2 series of a study."""

    uid: str
    slices: tuple[AxialSlice, ...]
    stored: tuple[StoredSlice, ...]
    """File of each slice on disk."""
    marked: tuple[Level | None, ...]
    """Level that experts marked on each slice (its subarticular zones); None if they marked none."""


@dataclass(frozen=True, eq=False)
class AxialStudy:
    """The axial T2 series of one study, its labels, and the points where experts marked its levels."""

    name: str
    series: tuple[AxialSeries, ...]
    severities: Mapping[Cell, Severity]
    """Severity of the cells that have a label."""
    points: Mapping[Level, Point]
    """Point in the canal at the disc, LPS mm; levels without coordinates are absent."""


@dataclass(frozen=True, eq=False)
class AnsweredStudy:
    """A study, its labels, and the points where experts marked its levels."""

    name: str
    study: Study
    severities: Mapping[Cell, Severity]
    """Severity of the cells that have a label."""
    points: Mapping[Level, Point]
    """Point in the canal at the disc, LPS mm; levels without coordinates are absent."""

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Ranks of the cells of :data:`~stenograde.terms.LUMBAR_MRI`, shape (cells,); ``UNKNOWN`` if unlabelled."""
        return np.array(
            [self.severities[cell].rank if cell in self.severities else UNKNOWN for cell in LUMBAR_MRI.cells],
            np.int64,
        )


def read_answered_studies(
    data: Path, *, notes: list[str], progress: Progress | None = None
) -> Iterator[AnsweredStudy]:
    """Yield the studies that have labels.

    Parameters
    ----------
    data : Path
    notes : list of str
        Receives a line for each study that was left out.
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    DatasetError
        If a table or the images are missing, or a table holds an unknown word.
    """
    for one, labels, marks in _labelled(data, notes, progress):
        yield AnsweredStudy(one.patient, one.study, labels, level_points(placed(one, marks)))


def read_axial_studies(
    data: Path, *, notes: list[str], progress: Progress | None = None
) -> Iterator[AxialStudy]:
    """Yield the studies that have both labels and an axial T2 series; see :func:`read_answered_studies`."""
    for one, labels, marks in _labelled(data, notes, progress):
        axial = [series for series in one.study.series if series.role is Role.AXIAL_T2]
        if not axial:
            notes.append(f"{one.patient} was left out: it has no axial T2 series")
            continue
        yield AxialStudy(
            one.patient,
            tuple(_axial_series(one, series, marks) for series in axial),
            labels,
            level_points(placed(one, marks)),
        )


def _labelled(
    data: Path, notes: list[str], progress: Progress | None
) -> Iterator[tuple[PatientStudy, dict[Cell, Severity], list[Mark]]]:
    """Yield the studies that the table lists, with their labels and the experts' marks."""
    patient_folders(data)  # the first thing that is told where there are none
    labels = read_labels(data / "train.csv")
    coordinates = read_coordinates(data)
    for one in read_patients(data, notes=notes, progress=progress):
        if one.patient not in labels:
            notes.append(f"{one.patient} was left out: train.csv does not list it")
            continue
        yield one, labels[one.patient], marks_of(one.patient, coordinates.get(one.patient, []))


def read_rsna2024(
    data: Path, *, condition: Condition, level_of: LevelOf, per_level: int | None = 1
) -> SampleSet:
    """Read axial T2 slices, labelled with the severity of a condition at the level they show.

    Parameters
    ----------
    data : Path
    condition : Condition
        Condition of the labels. Axial slices show canal and subarticular stenosis; the third condition is accepted,
        too. A condition with sides gives one sample per side.
    level_of : callable
        Function that finds the levels of slices, such as :func:`stenograde.levels.axial_levels.levels_by_points`.
    per_level : int or None
        Number of slices per level and series, the nearest to the middle of the level; None for all.

    Raises
    ------
    DatasetError
        If a table or the images are missing, or no slice has a label.
    """
    notes: list[str] = []
    samples = tuple(
        sample
        for study in read_axial_studies(data, notes=notes)
        for sample in axial_samples(study, condition=condition, level_of=level_of, per_level=per_level)
    )
    if not samples:
        msg = f"{data} must hold axial T2 slices with labels, got none" + "".join(f"; {n}" for n in notes[:3])
        raise DatasetError(msg)
    return SampleSet("rsna2024", CLASSES, samples, LICENCE, tuple(notes))


def axial_samples(
    study: AxialStudy, *, condition: Condition, level_of: LevelOf, per_level: int | None
) -> Iterator[Sample]:
    """Yield the slices of one study that show a level, as samples; the label is None if unknown."""
    for series in study.series:
        placed = level_of(series.slices, study.points)
        for cell in LUMBAR_MRI.of(condition):
            for place in _nearest(placed, cell.level, per_level):
                severity = study.severities.get(cell)
                yield _sample(study, series, place, cell, None if severity is None else severity.value)


def _nearest(placed: Sequence[LevelOfSlice | None], level: Level, per_level: int | None) -> list[int]:
    """Return the indices of the slices nearest to the middle of a level, in the order of the series."""
    away = {place: one.away_mm for place, one in enumerate(placed) if one is not None and one.level is level}
    return sorted(sorted(away, key=lambda place: away[place])[:per_level])


def _sample(study: AxialStudy, series: AxialSeries, place: int, cell: Cell, label: str | None) -> Sample:
    stored = series.stored[place]
    name = f"{study.name}/{series.uid.rpartition('.')[2]}/{stored.instance}"
    return Sample(
        name=f"{name}/{cell.side.value}" if cell.side else name,
        picture=stored.picture,
        patient=study.name,
        label=label,
        level=cell.level,
        side=cell.side,
        weighting=Weighting.T2,
        facts={
            "study": study.name,
            "series": series.uid.rpartition(".")[2],
            "instance": stored.instance,
        },
    )


def _axial_series(one: PatientStudy, series: Series, marks: Sequence[Mark]) -> AxialSeries:
    slices = axial_slices(series)
    stored = tuple(one.stored(series, each.volume, each.slice) for each in slices)
    levels = {mark.instance: mark.cell.level for mark in marks}
    return AxialSeries(series.uid, slices, stored, tuple(levels.get(instance_of(place)) for place in stored))


def read_labels(path: Path, *, some: bool = False) -> dict[str, dict[Cell, Severity]]:
    """Return the severities in a table such as ``train.csv``, by study, without unlabelled cells.

    Parameters
    ----------
    path : Path
        Columns ``study_id`` and one for each cell.
    some : bool
        Whether the table may have columns for some of the cells only.

    Raises
    ------
    DatasetError
        If it cannot be read, lacks a column, names a study twice or holds an unknown severity.
    """
    rows = read_rows(path, ("study_id", *(() if some else (cell.name for cell in LUMBAR_MRI.cells))))
    labels: dict[str, dict[Cell, Severity]] = {}
    for row in rows:
        known = {cell: text for cell in LUMBAR_MRI.cells if (text := row.get(cell.name, "").lower())}
        unknown = sorted(set(known.values()) - set(_SEVERITY))
        if unknown:
            words = ", ".join(severity.shown for severity in Severity)
            msg = f"severity in {path.name} must be one of {words}, got {unknown[0]!r} (study {row['study_id']})"
            raise DatasetError(msg)
        if row["study_id"] in labels:
            msg = f"study_id in {path.name} must be there once, got {row['study_id']!r} again"
            raise DatasetError(msg)
        labels[row["study_id"]] = {cell: _SEVERITY[text] for cell, text in known.items()}
    return labels
