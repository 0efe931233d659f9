"""Grade a study that was read and write the files of its grades, or say in one line why there are none."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from stenograde.dicom.write.kinds import ResultKind
from stenograde.errors import StenogradeError, StudyError, line_of
from stenograde.files import set_aside, write_together
from stenograde.grades import StudyGrades
from stenograde.grading.dicom_results import FILES, dicom_results, not_graded_result
from stenograde.predict.bundle import Bundle
from stenograde.predict.grade import grade_located, grade_study
from stenograde.predict.locate import LocatedStudy, locate_study
from stenograde.report.as_fhir import as_fhir, not_graded_as_fhir
from stenograde.report.as_json import as_json
from stenograde.study import Study
from stenograde.terms import Cell, Severity
from stenograde.workers import TRIES, import_meanwhile

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Grading:
    """What studies are graded with, and what is known of them."""

    bundle: Bundle
    reference: Mapping[str, Mapping[Cell, Severity]] | None = None
    """Known severities by study, shown beside the grades."""
    tell: Callable[[str], None] = _log.warning
    """Takes each line that a person should read while studies are graded."""
    open_drafts: bool = False
    """Whether the report shows drafts unfolded."""
    demographics: bool = True
    """Whether the report tells date, age and sex."""
    dicom: tuple[ResultKind, ...] = ()
    """DICOM objects that are written beside the files."""
    fhir: bool = False
    """Whether fhir.json is written, too."""
    clock: Callable[[], datetime] = datetime.now

    def known(self, source: Path, study: Study) -> Mapping[Cell, Severity]:
        """Return the known severities of a study, found by the name of its folder or its UID."""
        if self.reference is None:
            return {}
        names = (source.resolve().name, source.stem, study.uid)
        found = next((self.reference[name] for name in names if name in self.reference), None)
        if found is None:
            self.tell(f"{study.uid}: the reference must have a row for it, got none; shown without")
        return found or {}


@dataclass(frozen=True)
class Graded:
    """A study that was graded."""

    name: str
    grades: StudyGrades
    folder: Path
    """Holds grades.json and report.html."""
    known: Mapping[Cell, Severity]
    """Severities known from elsewhere; empty without any."""
    others: tuple[Path, ...] = ()
    """DICOM objects and fhir.json, where they were asked for."""


@dataclass(frozen=True)
class NotGraded:
    """A study that was not graded, and the line that says why."""

    name: str
    line: str
    is_our_fault: bool


Outcome = Graded | NotGraded
"""What became of one study."""


ENDED_ITS_PROCESS = (
    f"it ended the process that graded it {TRIES} times: memory, or a fault in a decoder; grade it by itself"
)
"""Why a study is given up that ends whatever grades it."""

RESULTS = ("grades.json", "report.html")
"""Files that every graded study has."""

FHIR_FILE = "fhir.json"


def _results_in(folder: Path) -> Iterator[Path]:
    """Give the files of results that lie in a folder, of whatever run."""
    for pattern in (*RESULTS, FHIR_FILE, *FILES):
        yield from sorted(folder.glob(pattern))


@contextmanager
def earlier_results_set_aside(folder: Path) -> Iterator[None]:
    """Rename the results that an earlier run left in a folder if the body raises; the error tells."""
    try:
        yield
    except Exception as exc:
        for note in set_results_aside(folder):
            exc.add_note(note)
        raise


def set_results_aside(folder: Path) -> tuple[str, ...]:
    """Rename the results that an earlier run left in a folder; gives what is to be said of it, if anything.

    Raises
    ------
    ConfigError
        If one cannot be renamed.
    """
    kept = set_aside(_results_in(folder))
    names = " and ".join(path.name for path in kept)
    return (f"the results of an earlier run in {folder} are now called {names}",) if kept else ()


@dataclass(frozen=True)
class Made:
    """What a study was graded as, and what is to be written of it; can be pickled."""

    grades: StudyGrades
    known: Mapping[Cell, Severity]
    contents: Mapping[str, str | bytes]
    """Of each file, by its name."""


def grade_into(folder: Path, study: Study, grading: Grading, *, source: Path) -> Graded:
    """Grade a study and write its results; nothing is written unless all could be made.

    That is grades.json and report.html, and the DICOM objects and fhir.json that are asked for. The folder is made if
    it is not there; ``source`` is where the study was read from. Results of an earlier run that are not asked for now
    are renamed.

    Raises
    ------
    StudyError
        If the study cannot be graded as given.
    ConfigError
        If a file cannot be written.
    """
    return write_results(folder, make_results(study, grading, source=source))


def make_results(study: Study, grading: Grading, *, source: Path) -> Made:
    """Grade a study, and make what is to be written of it.

    Raises
    ------
    StudyError
        If the study cannot be graded as given.
    """
    import_meanwhile("stenograde.report.as_html")
    known, now = grading.known(source, study), grading.clock()
    grades, located = _graded(study, grading)
    from stenograde.report.as_html import as_html  # noqa: PLC0415 - templates and pictures, not needed to grade

    shown = (
        study
        if grading.demographics
        else replace(study, examination=study.examination.without_demographics())
    )
    page = as_html(grades, shown, reference=known, made_on=now.date(), open_drafts=grading.open_drafts)
    contents: dict[str, str | bytes] = dict(zip(RESULTS, (_as_text(as_json(grades)), page), strict=True))
    if grading.dicom:
        made = dicom_results(grades, located, shown, grading.dicom, now)
        contents |= {result.file_name: result.content for result in made}
    if grading.fhir:
        contents[FHIR_FILE] = _as_text(as_fhir(grades, made_at=now))
    return Made(grades, known, contents)


def write_results(folder: Path, made: Made) -> Graded:
    """Write the results of a study, all or none; those of an earlier run that are not among them are renamed.

    Raises
    ------
    ConfigError
        If a file cannot be written.
    """
    write_together({folder / name: content for name, content in made.contents.items()})
    set_aside(path for path in _results_in(folder) if path.name not in made.contents)
    others = tuple(folder / name for name in made.contents if name not in RESULTS)
    return Graded(made.grades.study_uid, made.grades, folder, made.known, others)


def _graded(study: Study, grading: Grading) -> tuple[StudyGrades, LocatedStudy | None]:
    """Grade a study; also return where its anatomy was found if something is to be made of that."""
    if ResultKind.SEG not in grading.dicom:
        return grade_study(study, grading.bundle), None
    located = locate_study(study, grading.bundle)
    return grade_located(study, located, grading.bundle), located


@dataclass(frozen=True)
class WhyNot:
    """Reports of a study that was not graded, which say why; can be pickled."""

    study_uid: str
    contents: Mapping[str, str | bytes]
    """Of each file, by its name."""


def why_not(reason: str, where: Study | Path, grading: Grading, *, uid: str | None = None) -> WhyNot | None:
    """Make the DICOM and FHIR reports that are asked for of a study that was not graded.

    Parameters
    ----------
    reason : str
    where : Study or Path
        The study, or the place from which it could not be read.
    grading : Grading
    uid : str, optional
        StudyInstanceUID of the study at a place, where there are several.

    Returns
    -------
    reports : WhyNot or None
        Nothing where nothing was asked for, or no header can be read.
    """
    if not (grading.dicom or grading.fhir):
        return None
    stamp, now = grading.bundle.stamp, grading.clock()
    # (a folder may be called after a patient)
    told = reason.replace(str(where), "the place it was read from") if isinstance(where, Path) else reason
    try:
        study_uid, report = not_graded_result(told, where, stamp, now, study_uid=uid)
    except StudyError as exc:
        _log.debug("no report of why it was not graded: %s", type(exc).__name__)
        return None
    contents: dict[str, str | bytes] = {report.file_name: report.content} if grading.dicom else {}
    if grading.fhir:
        contents[FHIR_FILE] = _as_text(not_graded_as_fhir(study_uid, told, stamp, made_at=now))
    return WhyNot(study_uid, contents)


def tell_why_not(
    folder: Callable[[str], Path],
    reason: str,
    where: Study | Path,
    grading: Grading,
    *,
    uid: str | None = None,
) -> tuple[Path, ...]:
    """Write the reports of :func:`why_not`, whose parameters these are, and return what was written.

    Parameters
    ----------
    folder : callable
        Gives the folder for a StudyInstanceUID.

    Raises
    ------
    ConfigError
        If a file cannot be written.
    """
    reports = why_not(reason, where, grading, uid=uid)
    return () if reports is None else write_why_not(folder(reports.study_uid), reports)


def write_why_not(folder: Path, reports: WhyNot) -> tuple[Path, ...]:
    """Write reports that say why a study was not graded, and return where they are.

    Raises
    ------
    ConfigError
        If a file cannot be written.
    """
    paths = {folder / name: content for name, content in reports.contents.items()}
    write_together(paths)
    return tuple(paths)


@contextmanager
def reason_told(
    folder: Callable[[str], Path], where: Study | Path, grading: Grading, *, uid: str | None = None
) -> Iterator[None]:
    """Write the reports of :func:`tell_why_not` if the body raises a ``StudyError``; the error tells."""
    try:
        yield
    except StudyError as exc:
        for path in tell_why_not(folder, line_of(exc)[0], where, grading, uid=uid):
            exc.add_note(says_so(path))
        raise


def says_so(path: Path) -> str:
    """Return what is said of a report of why a study was not graded."""
    return f"{path} says so, too"


def _as_text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def attempt(name: str, work: Callable[[], T], *, stopped_by: type[Exception] = Exception) -> T | NotGraded:
    """Return what some work on one study gives, or why it gives nothing, so that the next study can be taken.

    An exception that is ``stopped_by`` stops this study only; any other is raised.

    Raises
    ------
    StenogradeError
        If it is no ``StudyError``: a bundle or a disk that does not work will not work for the next study either.
    """
    try:
        return work()
    except stopped_by as exc:
        _log.debug("not graded: %s", name, exc_info=exc)
        if isinstance(exc, StenogradeError) and not isinstance(exc, StudyError):
            note = f"while grading {name}"
            if note not in getattr(exc, "__notes__", ()):
                exc.add_note(note)
            raise
        line, is_our_fault = line_of(exc)
        return NotGraded(name, line, is_our_fault)
