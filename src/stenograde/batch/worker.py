"""What one process of a cohort does: opens the bundle once, and makes a record of each study it is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stenograde.batch.manifest import Entry
from stenograde.batch.records import Record, graded, not_fetched, not_graded
from stenograde.batch.sources import NotFetchedError, fetched, sweep
from stenograde.dicom.read.studies import read_study
from stenograde.errors import ConfigError, StudyError
from stenograde.files import MEMORY_LIMIT_BYTES
from stenograde.grades import StudyGrades
from stenograde.grading.study import Grading, NotGraded, attempt, earlier_results_set_aside, grade_into
from stenograde.predict.bundle import bundle_at
from stenograde.predict.grade import grade_study
from stenograde.terms import Role
from stenograde.workers import settle_in


@dataclass(frozen=True)
class WorkerSettings:
    """How studies of a cohort are graded."""

    bundle: Path | None = None
    """Folder of the bundle; the shipped one if not given."""
    roles: Mapping[str, Role] | None = None
    """Series roles that override what headers say."""
    memory_limit: int = MEMORY_LIMIT_BYTES
    reports: Path | None = None
    """Where grades.json and report.html of each study are written, in a folder by row; nowhere without."""


class Worker:
    """Grades studies one after the other, on one core: others like it have the other cores."""

    def __init__(self, settings: WorkerSettings) -> None:
        settle_in(os.cpu_count() or 1)
        sweep()
        self.settings = settings
        self.bundle = bundle_at(settings.bundle)
        self.bundle.open_ahead()

    def grade(self, entry: Entry) -> Record:
        """Return the record of a study.

        Raises
        ------
        StenogradeError
            If it is no ``StudyError``: a bundle or a disk that does not work will not work for the next study either.
        """
        record = attempt(entry.name, lambda: self._record(entry))
        return not_graded(entry, record) if isinstance(record, NotGraded) else record

    def _record(self, entry: Entry) -> Record:
        try:
            with fetched(entry.source) as place:
                outcome = attempt(entry.name, lambda: self._graded(entry, place))
        except NotFetchedError as exc:
            return not_fetched(entry, str(exc))
        if not isinstance(outcome, NotGraded):
            return graded(entry, outcome)
        return not_graded(entry, replace(outcome, line=outcome.line.replace(str(place), entry.name)))

    def _graded(self, entry: Entry, place: Path) -> StudyGrades:
        how = self.settings
        try:
            study = read_study(
                place,
                study_uid=entry.study_uid,
                roles=how.roles,
                roles_of_others=True,
                memory_limit=how.memory_limit,
            )
        except ConfigError as exc:  # roles that do not fit this study
            raise StudyError(str(exc)) from exc
        if how.reports is None:
            return grade_study(study, self.bundle)
        folder = how.reports / f"{entry.row:09d}"
        with earlier_results_set_aside(folder):
            return grade_into(folder, study, Grading(self.bundle), source=place).grades
