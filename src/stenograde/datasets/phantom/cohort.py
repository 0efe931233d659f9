"""Writes a cohort of virtual patients in the folder layout of RSNA 2024, with its three tables."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stenograde.datasets.phantom.acquisition import Protocol, SeriesPlan, plan_study
from stenograde.datasets.phantom.dicom_files import FileOptions, StudyIds, write_series
from stenograde.datasets.phantom.patient import Phantom, make_patient
from stenograde.datasets.phantom.population import Population
from stenograde.datasets.phantom.render import render_series
from stenograde.datasets.phantom.truth_table import TRUTH_HEAD, truth_rows
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Role, Severity

_ROLE_OF = {
    Condition.SPINAL_CANAL_STENOSIS: Role.SAGITTAL_T2_STIR,
    Condition.NEURAL_FORAMINAL_NARROWING: Role.SAGITTAL_T1,
    Condition.SUBARTICULAR_STENOSIS: Role.AXIAL_T2,
}
"""The series in which RSNA 2024 marks each condition."""


@dataclass(frozen=True, eq=False)
class WrittenStudy:
    """One study on disk and the patient it shows."""

    ids: StudyIds
    folder: Path
    phantom: Phantom
    plans: tuple[SeriesPlan, ...]


@dataclass(frozen=True, eq=False)
class Cohort:
    """A written cohort.

    Parameters
    ----------
    root : Path
        Holds ``train_images`` and the tables.
    studies : tuple of WrittenStudy
    """

    root: Path
    studies: tuple[WrittenStudy, ...]


def write_cohort(
    out: Path,
    *,
    patients: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
    cells: Mapping[Cell, Severity] | None = None,
    population: Population | None = None,
    protocol: Protocol | None = None,
    options: FileOptions | None = None,
) -> Cohort:
    """Write virtual patients as DICOM studies with labels and points; the same seed gives the same bytes.

    Parameters
    ----------
    out : Path
        Gets ``train_images/<study>/<series>/<n>.dcm``, ``train.csv``, ``train_label_coordinates.csv``,
        ``train_series_descriptions.csv``, and ``truth.csv`` (:mod:`~stenograde.datasets.phantom.truth_table`).
    patients : int
        Number of patients.
    seed : int
        Zero or more.
    progress : callable, optional
        Called with the number of patients written so far.
    cells : mapping, optional
        Severity of chosen cells of every patient; the others are drawn.
    population, protocol, options : optional
        What is drawn, how it is acquired, how it is written.

    Returns
    -------
    cohort : Cohort

    Raises
    ------
    ValueError
        If the number of patients or the seed is out of range, or ``out`` already holds a cohort.
    """
    if patients < 1 or seed < 0:
        msg = f"patients must be at least 1 and seed at least 0, got {patients} and {seed}"
        raise ValueError(msg)
    images = Path(out) / "train_images"
    if images.exists() and any(images.iterdir()):
        msg = f"{images.name} must be absent or empty, got a cohort already there; choose another folder"
        raise ValueError(msg)
    images.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng([seed, 0]).choice(4_000_000_000, size=patients * 4, replace=False)
    studies = []
    for k in range(patients):
        four = [int(number) + 100_000_000 for number in numbers[4 * k : 4 * k + 4]]
        ids = StudyIds(four[0], tuple(four[1:]))
        phantom = make_patient(_patient_seed(seed, k), cells=cells, population=population)
        studies.append(
            write_study(images / str(ids.study), phantom, ids=ids, protocol=protocol, options=options)
        )
        if progress is not None:
            progress(k + 1)
    cohort = Cohort(Path(out), tuple(studies))
    _write_tables(cohort)
    return cohort


def write_study(
    folder: Path,
    phantom: Phantom,
    *,
    ids: StudyIds,
    protocol: Protocol | None = None,
    options: FileOptions | None = None,
) -> WrittenStudy:
    """Render one patient and write the study's series as ``folder/<series>/<n>.dcm``.

    Parameters
    ----------
    folder : Path
    phantom : Phantom
    ids : StudyIds
        Numbers of the study and of its three series.
    protocol, options : optional
        How it is acquired, how it is written.
    """
    protocol = protocol or Protocol()
    plans = plan_study(phantom, protocol)
    for number, plan in enumerate(plans):
        rng = np.random.default_rng([phantom.seed, 2, number])
        pixels = render_series(phantom, plan, layers=protocol.layers, rng=rng)
        write_series(
            folder / str(ids.series[number]),
            plan,
            pixels,
            ids=ids,
            number=number,
            options=options or FileOptions(),
        )
    return WrittenStudy(ids, folder, phantom, plans)


def _patient_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _write_tables(cohort: Cohort) -> None:
    names = [cell.name for cell in LUMBAR_MRI.cells]
    labels = [
        [study.ids.study, *(study.phantom.severity(cell).shown for cell in LUMBAR_MRI.cells)]
        for study in cohort.studies
    ]
    _write_table(cohort.root / "train.csv", ["study_id", *names], labels)
    points = [row for study in cohort.studies for row in _points(study)]
    head = ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
    _write_table(cohort.root / "train_label_coordinates.csv", head, points)
    roles = [
        [study.ids.study, series, plan.role.shown]
        for study in cohort.studies
        for series, plan in zip(study.ids.series, study.plans, strict=True)
    ]
    head = ["study_id", "series_id", "series_description"]
    _write_table(cohort.root / "train_series_descriptions.csv", head, roles)
    truths = [row for study in cohort.studies for row in truth_rows(study.ids.study, study.phantom)]
    _write_table(cohort.root / "truth.csv", list(TRUTH_HEAD), truths)


def _points(study: WrittenStudy) -> list[list[object]]:
    roles = [plan.role for plan in study.plans]
    rows: list[list[object]] = []
    for cell in LUMBAR_MRI.cells:
        number = roles.index(_ROLE_OF[cell.condition])
        slice_, row, column = study.plans[number].nearest(np.array(study.phantom.point(cell)))
        where = [study.ids.study, study.ids.series[number], slice_ + 1]
        rows.append([*where, _words(cell), cell.level.shown, f"{column:.4f}", f"{row:.4f}"])
    return rows


def _words(cell: Cell) -> str:
    """Condition with its side, as RSNA 2024 writes it: ``Left Subarticular Stenosis``."""
    side = f"{cell.side.value} " if cell.side else ""
    return f"{side}{cell.condition.shown}".title()


def _write_table(path: Path, head: list[str], rows: Iterable[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
