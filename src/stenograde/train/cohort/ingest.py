"""The first step: every study is read once, and whatever is odd about it, its labels or its marks is told."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from stenograde.datasets.rsna2024 import read_labels
from stenograde.datasets.rsna2024_marks import marks_of, placed, read_coordinates
from stenograde.datasets.study_files import (
    PatientStudy,
    given_roles,
    patient_folders,
    read_patient,
    roles_in,
)
from stenograde.errors import ConfigError, DatasetError, StudyError
from stenograde.files import inert_cell, write_whole
from stenograde.study import Series, Study
from stenograde.terms import Cell, Role, Severity
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.workers import Progress, counted, in_processes

LEFT_OUT_BY_WINNERS: Final = frozenset(
    ("3892989905", "2097107888", "2679683906", "1771893480", "996418962", "1753543608", "1848483560")
)
"""Series of RSNA 2024 that its winners left out: a neck, and axial series that were cut or placed badly
(github.com/brendanartley/RSNA-2024-Competition)."""

DOUBTED_BY_WINNERS: Final = frozenset(("2492114990", "2780132468", "3008676218", "3637444890"))
"""Studies of RSNA 2024 that the same winners left out; they stay, and are told."""

_FILE: Final = re.compile(r"file \d+ of \d+")

SAGITTAL: Final = (Role.SAGITTAL_T2_STIR, Role.SAGITTAL_T1)


@dataclass(frozen=True)
class StudyFiles:
    """One study of a cohort: where it lies and what the tables say of it; may be sent to another process."""

    folder: Path
    roles: Mapping[str, Role]
    severities: Mapping[Cell, Severity]
    marks: Sequence[Mapping[str, str]]
    """Rows of the table of coordinates."""
    listed: tuple[str, ...] = ()
    """Series that the table of series lists, with or without a folder."""

    @property
    def name(self) -> str:
        """Name of the study's folder."""
        return self.folder.name

    @property
    def digest(self) -> str:
        """What tells whether a study has changed: sizes and times of its files, and what tables say but its labels."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        stats = [
            (str(one.relative_to(self.folder)), one.stat().st_size, one.stat().st_mtime_ns) for one in files
        ]
        roles = sorted((series, role.value) for series, role in self.roles.items())
        told = [stats, roles, [sorted(row.items()) for row in self.marks], sorted(self.listed)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Ingested:
    """A cohort that was read once."""

    studies: tuple[StudyFiles, ...]
    """Those that can be used."""
    records: Mapping[str, Mapping[str, Any]]
    """What was found, by study; those that cannot be used, too."""

    def counts(self) -> list[tuple[str, int, int]]:
        """Return each kind of finding with the number of studies and of findings, most studies first."""
        studies: Counter[str] = Counter()
        findings: Counter[str] = Counter()
        for record in self.records.values():
            kinds = [kind for kind, _ in record["findings"]]
            findings.update(kinds)
            studies.update(set(kinds))
        return [(kind, n, findings[kind]) for kind, n in studies.most_common()]


def studies_of(data: Path, labels: Path | None = None) -> tuple[list[StudyFiles], list[str]]:
    """Return the studies of a cohort, and those that the labels name but no folder holds.

    Parameters
    ----------
    data : Path
        Folder in the layout of RSNA 2024.
    labels : Path, optional
        Table with a column ``study_id`` and one for each labelled cell, such as ``spinal_canal_stenosis_l4_l5``;
        ``train.csv`` in the folder if not given.

    Raises
    ------
    DatasetError
        If a table or the pictures are missing or a table holds an unknown word.
    """
    folders = patient_folders(data)
    severities = read_labels(labels or data / "train.csv", some=labels is not None)
    roles, coordinates = given_roles(data), read_coordinates(data)
    by_study: dict[str, dict[str, Role]] = {}
    for key, role in roles.items():
        study, slash, series = key.rpartition("/")
        by_study.setdefault(study if slash else "", {})[series] = role
    found = [
        StudyFiles(
            folder,
            roles_in(folder, {**by_study.get("", {}), **by_study.get(folder.name, {})}),
            severities.get(folder.name, {}),
            coordinates.get(folder.name, []),
            tuple(by_study.get(folder.name, {})),
        )
        for folder in folders
    ]
    return found, sorted(set(severities) - {folder.name for folder in folders})


def ingest(
    data: Path,
    out: Path,
    *,
    labels: Path | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Ingested:
    """Read every study of a cohort once and tell what was found; studies that were read before are not read again.

    Parameters
    ----------
    data, labels
        See :func:`studies_of`.
    out : Path
        Gets ``ingest.jsonl`` and the report ``ingest.csv``.
    processes : int
        That read.
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    DatasetError
        If a table or the pictures are missing, or no study can be used.
    """
    studies, without_folder = studies_of(data, labels)
    kept = KeptLines(out / "ingest.jsonl")
    stamps = {one.name: {"digest": one.digest, "labels": len(one.severities)} for one in studies}
    missing = [
        one for one in studies if not stamps[one.name].items() <= kept.records.get(one.name, {}).items()
    ]
    done = in_processes(read_once, missing, processes)
    for record in counted(done, "studies read", len(studies), progress, before=len(studies) - len(missing)):
        kept.add(record | stamps[record["name"]])
    records = _with_repeats({one.name: kept.records[one.name] for one in studies})
    records |= {name: _refused(name, "labels without a study", "no folder") for name in without_folder}
    write_whole(out / "ingest.csv", _report(records))
    used = tuple(one for one in studies if not records[one.name]["refused"])
    if not used:
        first = next(iter(records.values()))["refused"]
        msg = f"{data} must hold studies with labels and a sagittal series, got none; the first: {first}"
        raise DatasetError(msg)
    return Ingested(used, records)


def read_once(one: StudyFiles) -> dict[str, Any]:
    """Return what is found in one study: series, labels, marks and whatever is odd, as JSON holds it."""
    start = time.perf_counter()
    try:
        patient, *others = _studies_in(one)
    except (StudyError, ConfigError, DatasetError) as exc:
        return _refused(one.name, "unreadable study", str(exc))
    study = patient.study
    findings = [*_of_series(one, patient), *_of_labels(one)]
    if others:
        findings.append(("several studies in a folder", f"{1 + len(others)}, of which the largest is used"))
    reasons = Counter(_FILE.sub("another file", unused.why) for unused in study.unused)
    findings += [("left out", f"{n} x {why}") for why, n in reasons.items()]
    findings += [("warning", warning) for warning in study.warnings]
    try:
        marks = placed(patient, marks_of(one.name, one.marks))
        findings += marks.doubts
        n_marks = len(marks.points)
    except (DatasetError, StudyError) as exc:
        findings.append(("unreadable mark", str(exc)))
        n_marks = 0
    refused = ""
    if not one.severities:
        refused = "it has no label"
    elif not any(study.by_role(role) for role in SAGITTAL):
        refused = "it has no sagittal series to find the levels in"
    if refused:
        findings.append(("study not used", refused))
    return {
        "name": one.name,
        "refused": refused,
        "uid": study.uid,
        "series": {role.value: sum(s.role is role for s in study.series) for role in Role},
        "labels": len(one.severities),
        "marks": n_marks,
        "scanner": study.examination.scanner,
        "field_t": study.examination.field_t,
        "findings": findings,
        "seconds": time.perf_counter() - start,
    }


def the_study(one: StudyFiles) -> PatientStudy:
    """Read a study without the series that are known to be bad; of several in its folder the largest.

    Raises
    ------
    StudyError
        If it cannot be read.
    """
    return _studies_in(one)[0]


def _studies_in(one: StudyFiles) -> list[PatientStudy]:
    """Read the studies in a folder, the largest first, each without the series that are known to be bad."""
    patients = sorted(
        read_patient(one.folder, one.roles), key=lambda p: -sum(s.n_slices for s in p.study.series)
    )
    return [_without_bad(patient) for patient in patients]


def _without_bad(patient: PatientStudy) -> PatientStudy:
    series = tuple(s for s in patient.study.series if folder_of(patient, s) not in LEFT_OUT_BY_WINNERS)
    return replace(patient, study=replace(patient.study, series=series))


def folder_of(patient: PatientStudy, series: Series) -> str:
    """Return the name of the folder that a series lies in."""
    return patient.stored(series, series.volumes[0], 0).picture.path.parent.name


def _of_series(one: StudyFiles, patient: PatientStudy) -> Iterator[tuple[str, str]]:
    study = patient.study
    folders = {path.name for path in one.folder.iterdir() if path.is_dir()}
    for name in sorted(folders & LEFT_OUT_BY_WINNERS):
        yield "series left out by the winners", name
    if one.name in DOUBTED_BY_WINNERS:
        yield "study left out by the winners", "used here all the same"
    for name in sorted(set(one.listed) - folders):
        yield "listed series without a folder", name
    for name in sorted(folders - set(one.listed)) if one.listed else ():
        yield "folder that no row lists", name
    for role in Role:
        n = sum(series.role is role for series in study.series)
        if n == 0:
            yield f"no {role.shown}", ""
        elif n > 1:
            yield f"several {role.shown} series", f"{n}"
    if _n_axial(study) > 1:
        yield "axial slices in several stacks", f"{_n_axial(study)}"


def _n_axial(study: Study) -> int:
    return sum(len(series.volumes) for series in study.series if series.role is Role.AXIAL_T2)


def _of_labels(one: StudyFiles) -> Iterator[tuple[str, str]]:
    if one.severities and len(one.severities) < 25:
        yield "labels missing", f"{25 - len(one.severities)} of 25"
    if not one.severities:
        yield "no label", ""
    if not one.marks:
        yield "no mark", ""


def _refused(name: str, kind: str, why: str) -> dict[str, Any]:
    return {
        "name": name,
        "refused": why,
        "uid": "",
        "series": {},
        "labels": 0,
        "marks": 0,
        "scanner": "",
        "field_t": None,
        "findings": [(kind, why)],
        "seconds": 0.0,
    }


def _with_repeats(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Refuse a study that another folder holds, too."""
    first: dict[str, str] = {}
    checked: dict[str, Mapping[str, Any]] = {}
    for name, record in records.items():
        other = first.setdefault(record["uid"] or name, name)
        if other == name:
            checked[name] = record
        else:
            why = f"the folder {other} holds the same study"
            findings = [*record["findings"], ("repeated study", why)]
            checked[name] = {**record, "refused": why, "findings": findings}
    return checked


def _report(records: Mapping[str, Mapping[str, Any]]) -> str:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("study_id", "used", "finding", "detail"))
    for name, record in records.items():
        for kind, detail in record["findings"]:
            used = "no" if record["refused"] else "yes"
            rows.writerow((inert_cell(name), used, inert_cell(kind), inert_cell(detail)))
    return text.getvalue()
