"""Grade a labelled cohort study by study; each is on disk as soon as it is graded, and a killed run continues."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from stenograde.datasets.rsna2024 import AnsweredStudy, read_labels
from stenograde.datasets.rsna2024_marks import level_points, marks_of, placed, read_coordinates
from stenograde.datasets.study_files import PatientStudy, given_roles, patient_folders, read_patient, roles_in
from stenograde.errors import ConfigError, DatasetError, StudyError
from stenograde.files import keep_record, kept_records
from stenograde.grades import Probabilities, Status
from stenograde.grading.cohort import TRUTH, GradedStudy, Truths, graded_study, read_truths
from stenograde.grading.study import NotGraded, attempt
from stenograde.predict.bundle import Bundle
from stenograde.terms import Cell, Level, Quantity, Role, Severity
from stenograde.workers import Progress, counted

KEPT = "graded.jsonl"
"""File of one line per study, from which a killed run continues."""


@dataclass(frozen=True, eq=False)
class GradedCohort:
    """The labelled studies of a cohort, graded, and what was found beside them."""

    studies: tuple[GradedStudy, ...]
    notes: tuple[str, ...]
    """What was left out, in sentences."""


@dataclass(frozen=True)
class _Tables:
    """What the tables of a cohort say."""

    severities: Mapping[str, Mapping[Cell, Severity]]
    roles: Mapping[str, Role]
    coordinates: Mapping[str, list[dict[str, str]]]
    truths: Mapping[str, Truths]


def grade_and_keep(
    data: Path, bundle: Bundle, out: Path, *, labels: Path | None = None, progress: Progress | None = None
) -> GradedCohort:
    """Grade every labelled study of a cohort in the layout of RSNA 2024 that was not graded into ``out`` before.

    Parameters
    ----------
    data : Path
    bundle : Bundle
    out : Path
        Folder that holds :data:`KEPT`; it must exist.
    labels : Path, optional
        Table with a column ``study_id`` and one for each labelled cell; ``train.csv`` in ``data`` if not given.
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    DatasetError
        If a table or the pictures are missing, or no study has labels.
    ConfigError
        If :data:`KEPT` is of another bundle or version.
    """
    folders = patient_folders(data)
    tables = _Tables(
        read_labels(labels or data / "train.csv", some=labels is not None),
        given_roles(data),
        read_coordinates(data),
        read_truths(data / TRUTH),
    )
    labelled = [folder for folder in folders if tables.severities.get(folder.name)]
    if not labelled:
        table = labels or data / "train.csv"
        msg = f"{table} must label studies that {data} has folders of, got none of {len(folders)}"
        raise DatasetError(msg)
    of_data = hashlib.sha256(str(data.resolve()).encode()).hexdigest()  # the path itself may hold a name
    made_by = {"bundle": bundle.hash, "version": metadata.version("stenograde"), "data": of_data}
    kept = _kept(out / KEPT, made_by)
    rest = [folder for folder in labelled if folder.name not in kept]
    done = len(labelled) - len(rest)
    for folder in counted(rest, "grading studies", len(labelled), progress, before=done):
        record = made_by | as_record(_graded(folder, tables, bundle))
        keep_record(out / KEPT, record)
        kept[folder.name] = record
    studies = tuple(from_record(kept[one.name], tables.severities[one.name]) for one in labelled)
    return GradedCohort(studies, tuple(_notes(folders, labelled, tables.severities)))


def _kept(path: Path, made_by: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the records of an earlier run by study, checked to be of the same bundle and version."""
    records = kept_records(path)
    if any({name: record.get(name) for name in made_by} != made_by for record in records):
        msg = (
            f"{path} must be of the same bundle, data and version of stenograde, got another; choose another --out, or "
            "remove it to grade anew"
        )
        raise ConfigError(msg)
    try:
        for record in records:
            from_record(record, {})
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        msg = f"{path} must hold graded studies, got a line that is none ({exc!r}); remove it to grade anew"
        raise ConfigError(msg) from exc
    return {record["name"]: record for record in records}


def _notes(
    folders: Iterable[Path], labelled: Iterable[Path], severities: Mapping[str, Mapping[Cell, Severity]]
) -> list[str]:
    n_unlabelled = len(set(folders) - set(labelled))
    n_absent = sum(bool(cells) for cells in severities.values()) - sum(1 for _ in labelled)
    one = ("study without a label was left out", "study that the labels name has no folder and was left out")
    many = (
        "studies without a label were left out",
        "studies that the labels name have no folder and were left out",
    )
    counts = (n_unlabelled, n_absent)
    return [f"{n} {words[n > 1]}" for n, words in zip(counts, zip(one, many, strict=True), strict=True) if n]


def _graded(folder: Path, tables: _Tables, bundle: Bundle) -> GradedStudy:
    """Grade the study of a folder; one that cannot be read or graded counts as failed, with the reason."""
    severities, truths = tables.severities[folder.name], tables.truths.get(folder.name, {})
    read = attempt(folder.name, partial(_read, folder, tables), stopped_by=StudyError)
    if isinstance(read, NotGraded):
        return GradedStudy(folder.name, severities, failure=read.line, is_phantom=bool(truths))
    marks = placed(read, marks_of(folder.name, tables.coordinates.get(folder.name, [])))
    one = AnsweredStudy(folder.name, read.study, severities, level_points(marks))
    return graded_study(one, one.study, bundle, truths)


def _read(folder: Path, tables: _Tables) -> PatientStudy:
    try:
        studies = read_patient(folder, roles_in(folder, tables.roles))
    except ConfigError as exc:  # the table of roles does not fit this folder; the others can be read
        raise StudyError(str(exc)) from exc
    if len(studies) != 1:
        msg = (
            f"the folder of a labelled study must hold one study, got {len(studies)}; leave the labelled one"
        )
        raise StudyError(msg)
    return studies[0]


def as_record(graded: GradedStudy) -> dict[str, Any]:
    """Return a graded study, but for its labels, as JSON holds it."""
    return {
        "name": graded.name,
        "failure": graded.failure,
        "said": {cell.name: list(shares) for cell, shares in graded.said.items()},
        "graded": sorted(cell.name for cell in graded.graded),
        "reasons": {cell.name: [status.value, why] for cell, (status, why) in graded.reasons.items()},
        "point_errors_mm": {level.value: off for level, off in graded.point_errors_mm.items()},
        "errors": {quantity.value: list(off) for quantity, off in graded.errors.items()},
        "n_flagged": graded.n_flagged,
        "is_phantom": graded.is_phantom,
        "n_drafts": graded.n_drafts,
        "seconds": graded.seconds if math.isfinite(graded.seconds) else None,
        "names_doubted": graded.names_doubted,
        "roles": [role.value for role in graded.roles],
        "scanner": graded.scanner,
        "field_t": graded.field_t,
    }


def from_record(record: Mapping[str, Any], severities: Mapping[Cell, Severity]) -> GradedStudy:
    """Return the graded study of a record, with its labels.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is no such record.
    """
    seconds = record["seconds"]
    return GradedStudy(
        name=record["name"],
        severities=severities,
        failure=record["failure"],
        said={Cell.parse(name): Probabilities(shares) for name, shares in record["said"].items()},
        graded=frozenset(map(Cell.parse, record["graded"])),
        reasons={
            Cell.parse(name): (Status(status), why) for name, (status, why) in record["reasons"].items()
        },
        point_errors_mm={Level(level): off for level, off in record["point_errors_mm"].items()},
        errors={Quantity(quantity): tuple(off) for quantity, off in record["errors"].items()},
        n_flagged=record["n_flagged"],
        is_phantom=record["is_phantom"],
        n_drafts=record["n_drafts"],
        seconds=math.nan if seconds is None else seconds,
        names_doubted=record["names_doubted"],
        roles=tuple(map(Role, record["roles"])),
        scanner=record["scanner"],
        field_t=record["field_t"],
    )
