"""Grade one study that was read and write what was found, or say in one line why there are no grades."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from stenograde.errors import StenogradeError, StudyError, fault_line, one_line
from stenograde.files import write_whole
from stenograde.grades import StudyGrades
from stenograde.predict.bundle import Bundle
from stenograde.predict.grade import grade_study
from stenograde.report.as_html import as_html
from stenograde.report.as_json import as_json
from stenograde.study import Study
from stenograde.terms import Cell, Severity

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


@dataclass(frozen=True)
class NotGraded:
    """A study that was not graded, and the line that says why."""

    name: str
    line: str
    is_our_fault: bool


Outcome = Graded | NotGraded
"""What became of one study."""


def grade_into(folder: Path, study: Study, grading: Grading, *, source: Path) -> Graded:
    """Grade a study and write grades.json and report.html; nothing is written unless both could be made.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    study : Study
    grading : Grading
    source : Path
        Where the study was read from.

    Raises
    ------
    StudyError
        If the study cannot be graded as given.
    ConfigError
        If a file cannot be written.
    """
    known = grading.known(source, study)
    grades = grade_study(study, grading.bundle)
    shown = (
        study
        if grading.demographics
        else replace(study, examination=study.examination.without_demographics())
    )
    page = as_html(grades, shown, reference=known, made_on=date.today(), open_drafts=grading.open_drafts)
    numbers = json.dumps(as_json(grades), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / "grades.json", numbers)
    write_whole(folder / "report.html", page)
    return Graded(study.uid, grades, folder, known)


def attempt(name: str, work: Callable[[], T], *, stopped_by: type[Exception] = Exception) -> T | NotGraded:
    """Return what some work on one study gives, or why it gives nothing, so that the next study can be taken.

    Parameters
    ----------
    name : str
        Of the study, or of where it was to be read from.
    work : callable
    stopped_by : type of exception
        Stops this study only; any other is raised.

    Raises
    ------
    StenogradeError
        If it is no ``StudyError``: a bundle or a disk that does not work will not work for the next study either.
    """
    try:
        return work()
    except stopped_by as exc:
        _log.debug("not graded: %s", name, exc_info=exc)
        if isinstance(exc, StudyError):
            return NotGraded(name, one_line(exc), is_our_fault=False)
        if isinstance(exc, StenogradeError):
            exc.add_note(f"while grading {name}")
            raise
        return NotGraded(name, fault_line(exc), is_our_fault=True)
