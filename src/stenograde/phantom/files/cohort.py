"""Writing of a cohort of phantoms in the folder layout of RSNA 2024, with its three tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stenograde.phantom.body.patient import Phantom, make_patient
from stenograde.phantom.body.population import Population
from stenograde.phantom.files.dicom_files import FileOptions, StudyIds, write_series
from stenograde.phantom.files.tables import patient_seed, write_table
from stenograde.phantom.files.truth_table import TRUTH_HEAD, truth_rows
from stenograde.phantom.scanner.acquisition import Protocol, SeriesPlan, plan_study
from stenograde.phantom.scanner.protocols import ProtocolMix, draw_protocol
from stenograde.phantom.scanner.render import render_series
from stenograde.terms import LUMBAR_MRI, Cell, Role, Severity
from stenograde.workers import Progress, counted, in_processes

_NUMBERS = 8
"""Random numbers per patient: one for the study, and at most seven for series."""


@dataclass(frozen=True, eq=False)
class WrittenStudy:
    """One study on disk and the phantom it shows."""

    ids: StudyIds
    folder: Path
    phantom: Phantom
    plans: tuple[SeriesPlan, ...]
    options: FileOptions


@dataclass(frozen=True, eq=False)
class Cohort:
    """A written cohort.

    Parameters
    ----------
    root : Path
        Folder with ``train_images`` and the tables.
    studies : tuple of WrittenStudy
    """

    root: Path
    studies: tuple[WrittenStudy, ...]


@dataclass(frozen=True)
class CohortConfig:
    """Population and imaging of a cohort."""

    population: Population = field(default_factory=Population)
    mix: ProtocolMix | None = None
    """Mix of protocols; without it, every patient is imaged by the default protocol."""


@dataclass(frozen=True)
class _Job:
    """Everything that one process needs to write one patient."""

    folder: Path
    seed: int
    ids: StudyIds
    cells: Mapping[Cell, Severity]
    population: Population | None
    protocol: Protocol
    options: FileOptions


def write_cohort(
    out: Path,
    *,
    patients: int,
    seed: int,
    progress: Progress | None = None,
    cells: Mapping[Cell, Severity] | None = None,
    population: Population | None = None,
    protocol: Protocol | ProtocolMix | None = None,
    options: FileOptions | None = None,
    workers: int = 1,
) -> Cohort:
    """Write phantoms as DICOM studies with labels and points; the same seed gives the same bytes.

    Parameters
    ----------
    out : Path
        Receives ``train_images/<study>/<series>/<n>.dcm``, ``train.csv``, ``train_label_coordinates.csv``,
        ``train_series_descriptions.csv``, and ``truth.csv`` (:mod:`~stenograde.phantom.files.truth_table`).
    patients, seed : int
        At least 1, and zero or more.
    progress : callable, optional
        Counts the patients.
    cells : mapping, optional
        Severity of chosen cells, the same for every patient; the others are drawn.
    population, protocol, options : optional
        Population drawn from, protocol of acquisition, options of the files. A mix gives each patient its own protocol.
    workers : int
        Number of processes that write patients; the bytes do not depend on it. With more than one, a script that
        calls this must keep its own work under ``if __name__ == "__main__"``.

    Raises
    ------
    ValueError
        If a number or the seed is out of range, or ``out`` already holds a cohort.
    """
    if patients < 1 or seed < 0:
        msg = f"patients must be at least 1 and seed at least 0, got {patients} and {seed}"
        raise ValueError(msg)
    if workers < 1:
        msg = f"workers must be at least 1, got {workers}"
        raise ValueError(msg)
    images = _new_folder(Path(out) / "train_images")
    numbers = np.random.default_rng([seed, 0]).choice(4_000_000_000, (patients, _NUMBERS), replace=False)
    jobs = [
        _Job(
            images / str(study),
            patient_seed(seed, k),
            StudyIds(study, tuple(series)),
            dict(cells or {}),
            population,
            _protocol_of(protocol, seed, k),
            options or FileOptions(),
        )
        for k, (study, *series) in enumerate((numbers + 100_000_000).tolist())
    ]
    studies = counted(in_processes(_write_patient, jobs, workers), "patients", patients, progress)
    cohort = Cohort(Path(out), tuple(studies))
    _write_tables(cohort)
    return cohort


def _new_folder(path: Path) -> Path:
    if path.exists() and any(path.iterdir()):
        msg = f"{path.name} must be absent or empty, got a cohort already there; choose another folder"
        raise ValueError(msg)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _protocol_of(protocol: Protocol | ProtocolMix | None, seed: int, number: int) -> Protocol:
    if isinstance(protocol, ProtocolMix):
        return draw_protocol(np.random.default_rng([seed, number, 4]), protocol)
    return protocol or Protocol()


def _write_patient(job: _Job) -> WrittenStudy:
    phantom = make_patient(job.seed, cells=job.cells, population=job.population)
    study = write_study(job.folder, phantom, ids=job.ids, protocol=job.protocol, options=job.options)
    return replace(study, phantom=replace(phantom))  # drops the textures made for painting


def write_study(
    folder: Path,
    phantom: Phantom,
    *,
    ids: StudyIds,
    protocol: Protocol | None = None,
    options: FileOptions | None = None,
) -> WrittenStudy:
    """Render one phantom and write the series of its study as ``folder/<series>/<n>.dcm``.

    Parameters
    ----------
    folder : Path
    phantom : Phantom
    ids : StudyIds
        Numbers of the study and of its series, or of more series than it has.
    protocol, options : optional
        Protocol of acquisition, options of the files.
    """
    protocol, options = protocol or Protocol(), options or FileOptions()
    plans = plan_study(phantom, protocol)
    roles = [plan.role for plan in plans]
    for number, plan in enumerate(plans):
        # a series looks the same whichever others are missing
        place = [list(Role).index(plan.role), roles[:number].count(plan.role)]
        rng = np.random.default_rng([phantom.seed, 2, *place])
        pixels = render_series(phantom, plan, layers=protocol.layers, rng=rng)
        target = folder / str(ids.series[number])
        write_series(target, plan, pixels, ids=ids, number=number, options=options)
    used = replace(ids, series=ids.series[: len(plans)])
    return WrittenStudy(used, folder, phantom, plans, options)


def _write_tables(cohort: Cohort) -> None:
    names = [cell.name for cell in LUMBAR_MRI.cells]
    labels = [
        [study.ids.study, *(study.phantom.severity(cell).shown for cell in LUMBAR_MRI.cells)]
        for study in cohort.studies
    ]
    write_table(cohort.root / "train.csv", ["study_id", *names], labels)
    points = [row for study in cohort.studies for row in _points(study)]
    head = ["study_id", "series_id", "instance_number", "condition", "level", "x", "y"]
    write_table(cohort.root / "train_label_coordinates.csv", head, points)
    roles = [
        [study.ids.study, series, plan.role.shown]
        for study in cohort.studies
        for series, plan in zip(study.ids.series, study.plans, strict=True)
    ]
    head = ["study_id", "series_id", "series_description"]
    write_table(cohort.root / "train_series_descriptions.csv", head, roles)
    truths = [row for study in cohort.studies for row in truth_rows(study.ids.study, study.phantom)]
    write_table(cohort.root / "truth.csv", list(TRUTH_HEAD), truths)


def _points(study: WrittenStudy) -> list[list[object]]:
    """Rows of the table of points: one for each cell shown by a series of the study, in the slice nearest to it."""
    rows: list[list[object]] = []
    for cell in LUMBAR_MRI.cells:
        point = np.array(study.phantom.point(cell))
        numbers = [k for k, plan in enumerate(study.plans) if plan.role is cell.condition.marked_in]
        shown = [(*found, k) for k in numbers if (found := study.plans[k].nearest(point))]
        if not shown:
            continue
        off = [abs(study.plans[k].planes[one].index(point)[0]) for one, _, _, k in shown]
        slice_, row, column, number = shown[int(np.argmin(off))]
        instance = study.options.instance_number(slice_, len(study.plans[number].planes))
        where = [study.ids.study, study.ids.series[number], instance]
        rows.append([*where, _words(cell), cell.level.shown, f"{column:.4f}", f"{row:.4f}"])
    return rows


def _words(cell: Cell) -> str:
    """Condition with its side, as RSNA 2024 writes it: ``Left Subarticular Stenosis``."""
    side = f"{cell.side.value} " if cell.side else ""
    return f"{side}{cell.condition.shown}".title()
