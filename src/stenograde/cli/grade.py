"""``stenograde grade``: studies in, grades.json and report.html out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.output import fault_line, one_line, out_folder, safe_name, say_error
from stenograde.errors import ConfigError, StenogradeError, StudyError
from stenograde.files import write_whole
from stenograde.terms import Cell, Condition, Role, Severity
from stenograde.workers import counted

if TYPE_CHECKING:
    from stenograde.grades import StudyGrades
    from stenograde.predict.bundle import Bundle
    from stenograde.study import Study

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Grading:
    """What studies are graded with, and what is known of them."""

    bundle: Bundle
    reference: Mapping[str, Mapping[Cell, Severity]] | None = None
    """Known severities by study."""

    def known(self, path: Path, study: Study) -> Mapping[Cell, Severity]:
        """Return the known severities of a study, found by the name of its folder or its UID."""
        if self.reference is None:
            return {}
        names = (path.resolve().name, path.stem, study.uid)
        found = next((self.reference[name] for name in names if name in self.reference), None)
        if found is None:
            say_error(f"{study.uid}: the reference must have a row for it, got none; shown without")
        return found or {}


@dataclass(frozen=True)
class _Outcome:
    """What became of one study: its grades and their folder, or the line that says why there are none."""

    name: str
    grades: StudyGrades | None = None
    folder: Path | None = None
    line: str = ""
    is_our_fault: bool = False


def grade(
    studies: Annotated[list[Path], typer.Argument(help="Folders, zips or DICOMDIRs, one study each.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; made if it is not there.")],
    study: Annotated[str | None, typer.Option("--study", help="StudyInstanceUID to pick.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Grade all studies found, each in OUT/<study>.")
    ] = False,
    roles: Annotated[
        Path | None, typer.Option("--roles", help="CSV of series roles; it always wins.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Bundle to grade with.")] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            help="CSV of known grades (RSNA 2024's train.csv), shown beside ours in the report.",
        ),
    ] = None,
) -> None:
    """Grade studies and write grades.json and report.html for each.

    One study is written directly into OUT, several into OUT/<study>. Exit code 0: all graded; 2: at least
    one could not be graded as given; 1: a fault of ours.
    """
    from stenograde.dicom.read.series import read_roles
    from stenograde.predict.bundle import bundle_at

    if every and study:
        msg = f"--study and --all must not be given together, got --study {study}; leave one out"
        raise ConfigError(msg)
    folder = out_folder(out)
    role_of = read_roles(roles) if roles else None
    loaded = bundle_at(bundle)
    grading = _Grading(loaded, _read_reference(reference) if reference else None)
    if len(studies) == 1 and not every:
        one = _read_one(studies[0], study, role_of)
        known = grading.known(studies[0], one)
        _print_one(_grade_one(one, grading, folder, known), folder, known)
        return
    outcomes = _grade_many(studies, _reader(study, role_of, every=every), grading, folder)
    _print_table(outcomes)
    raise typer.Exit(_exit_code(outcomes))


def _read_reference(table: Path) -> Mapping[str, Mapping[Cell, Severity]]:
    from stenograde.datasets.rsna2024 import read_labels

    return read_labels(table)


def _read_one(path: Path, study_uid: str | None, roles: Mapping[str, Role] | None) -> Study:
    from stenograde.dicom.read.studies import read_study

    return read_study(path, study_uid=study_uid, roles=roles)


def _reader(
    study_uid: str | None, roles: Mapping[str, Role] | None, *, every: bool
) -> Callable[[Path], Sequence[Study]]:
    from stenograde.dicom.read.studies import read_studies

    if every:
        return lambda path: read_studies(path, roles=roles)
    return lambda path: [_read_one(path, study_uid, roles)]


def _grade_one(study: Study, grading: _Grading, folder: Path, known: Mapping[Cell, Severity]) -> StudyGrades:
    """Grade a study and write both files; nothing is written unless both could be made."""
    from stenograde.predict.grade import grade_study
    from stenograde.report.as_html import as_html
    from stenograde.report.as_json import as_json

    grades = grade_study(study, grading.bundle)
    page = as_html(grades, study, reference=known)
    numbers = json.dumps(as_json(grades), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    out_folder(folder)
    write_whole(folder / "grades.json", numbers)
    write_whole(folder / "report.html", page)
    return grades


def _grade_many(
    paths: Sequence[Path],
    read: Callable[[Path], Sequence[Study]],
    grading: _Grading,
    out: Path,
) -> list[_Outcome]:
    from stenograde.cli.progress import progress_on_stderr

    outcomes: list[_Outcome] = []
    taken: set[str] = set()
    with progress_on_stderr(lines=False) as progress:
        for path in counted(paths, "grading studies", len(paths), progress):
            outcomes.extend(_outcomes_of(path, read, grading, out, taken))
    return outcomes


def _outcomes_of(
    path: Path, read: Callable[[Path], Sequence[Study]], grading: _Grading, out: Path, taken: set[str]
) -> Iterator[_Outcome]:
    """Yield what became of each study of one input; a study that fails does not stop the next."""
    try:
        found = read(path)
    except Exception as exc:  # noqa: BLE001  said below, and the next study is graded
        yield _failed(str(path), exc)
        return
    for study in found:
        folder = out / safe_name(study.uid, taken)
        try:
            known = grading.known(path, study)
            yield _Outcome(study.uid, _grade_one(study, grading, folder, known), folder)
        except Exception as exc:  # noqa: BLE001  said below, and the next study is graded
            yield _failed(study.uid, exc)


def _failed(name: str, error: Exception) -> _Outcome:
    _log.debug("not graded: %s", name, exc_info=error)
    ours = not isinstance(error, StenogradeError)
    line = fault_line(error) if ours else one_line(error)
    say_error(f"{name}: {line}")
    if isinstance(error, StenogradeError) and not isinstance(error, StudyError):
        # a bundle or a disk that does not work will not work for the next study either
        raise error
    return _Outcome(name, line=line, is_our_fault=ours)


def _exit_code(outcomes: Sequence[_Outcome]) -> int:
    if any(outcome.is_our_fault for outcome in outcomes):
        return 1
    return 0 if outcomes and all(outcome.grades for outcome in outcomes) else 2


def _narrowed(grades: StudyGrades, condition: Condition) -> str:
    """Cells of a condition by severity, such as ``L4/L5 Severe, L3/L4 Moderate``; worst first."""
    cells = [grades.of(cell) for cell in grades.scheme.of(condition)]
    known = [(grade.severity, grade.cell) for grade in cells if grade.severity is not None]
    narrowed = sorted((pair for pair in known if pair[0].rank > 0), key=lambda pair: -pair[0].rank)
    if not known:
        return "no level graded"
    if not narrowed:
        what = "levels" if condition is Condition.SPINAL_CANAL_STENOSIS else "sides"
        return f"all {len(known)} graded {what} Normal/Mild"
    sides = {cell: f"{cell.side.value} " if cell.side else "" for _, cell in narrowed}
    return ", ".join(f"{cell.level.shown} {sides[cell]}{severity.shown}" for severity, cell in narrowed)


_SIDED = {
    "foramina": Condition.NEURAL_FORAMINAL_NARROWING,
    "recesses": Condition.SUBARTICULAR_STENOSIS,
}
"""Sided conditions by the word they are printed under."""


def _print_one(grades: StudyGrades, folder: Path, known: Mapping[Cell, Severity]) -> None:
    from stenograde.grades import Status
    from stenograde.report.words import agreement

    print(f"study:  {grades.study_uid}")
    print(f"canal:  {_narrowed(grades, Condition.SPINAL_CANAL_STENOSIS)}")
    for word, condition in _SIDED.items():
        cells = grades.scheme.of(condition)
        if any(grades.of(cell).status in {Status.GRADED, Status.ABSTAINED} for cell in cells):
            print(f"{word}: {_narrowed(grades, condition)}")
    if known:
        print(f"beside the reference: {agreement(grades, known)}")
    print(f"grades: {folder / 'grades.json'}")
    print(f"report: {folder / 'report.html'}")
    print("research use only: not a medical device")


def _print_table(outcomes: Sequence[_Outcome]) -> None:
    from rich.table import Table

    from stenograde.cli.progress import console_for_tables

    table = Table("study", "outcome", "spinal canal stenosis, or why not", "seconds", "folder")
    for outcome in outcomes:
        if outcome.grades is None:
            table.add_row(
                outcome.name, "fault" if outcome.is_our_fault else "not graded", outcome.line, "", ""
            )
        else:
            seconds = f"{outcome.grades.seconds:.1f}"
            table.add_row(
                outcome.name,
                "graded",
                _narrowed(outcome.grades, Condition.SPINAL_CANAL_STENOSIS),
                seconds,
                str(outcome.folder),
            )
    console_for_tables().print(table)
    n_graded = sum(outcome.grades is not None for outcome in outcomes)
    print(f"{n_graded} of {len(outcomes)} studies graded; research use only: not a medical device")
