"""Grade a study that was read and write the files of its grades, or say in one line why there are none."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from stenograde.errors import StenogradeError, StudyError, line_of
from stenograde.files import set_aside, write_together
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


RESULTS = ("grades.json", "report.html")
"""Files of a graded study."""


@contextmanager
def earlier_results_set_aside(folder: Path) -> Iterator[None]:
    """Rename the results that an earlier run left in a folder if the body raises; the error tells."""
    try:
        yield
    except Exception as exc:
        kept = set_aside(folder / name for name in RESULTS)
        if kept:
            names = " and ".join(path.name for path in kept)
            exc.add_note(f"the results of an earlier run in {folder} are now called {names}")
        raise


def grade_into(folder: Path, study: Study, grading: Grading, *, source: Path) -> Graded:
    """Grade a study and write grades.json and report.html; nothing is written unless both could be made.

    The folder is made if it is not there; ``source`` is where the study was read from.

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
    write_together(dict(zip((folder / name for name in RESULTS), (numbers, page), strict=True)))
    return Graded(study.uid, grades, folder, known)


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
            exc.add_note(f"while grading {name}")
            raise
        line, is_our_fault = line_of(exc)
        return NotGraded(name, line, is_our_fault)
