"""StudyGrades as tables: one row per cell, or one row per disc."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from stenograde.files import inert_cell
from stenograde.grades import PFIRRMANN_GRADES, CellGrade, DiscFinding, DiscFindings, Status, StudyGrades
from stenograde.report.disc_words import pfirrmann_said
from stenograde.report.words import wording
from stenograde.terms import Severity

COLUMNS = (
    "study_uid",
    "condition",
    "level",
    "side",
    "status",
    "reason",
    "severity",
    *(severity.value for severity in Severity),
    "second_opinion",
    "disagrees",
)
"""Columns of :func:`as_csv`, in order."""


DISC_COLUMNS = (
    "study_uid",
    "level",
    "status",
    "reason",
    *(finding.value for finding in DiscFinding),
    "pfirrmann",
    "pfirrmann_wording",
    *(f"pfirrmann_{grade}" for grade in PFIRRMANN_GRADES),
)
"""Columns of :func:`discs_as_csv`, in order."""


def as_csv(grades: Iterable[StudyGrades]) -> str:
    """Return a table with one row per cell of each study; what is unknown is empty.

    A severity that is not sure enough to be said is put in words, such as ``moderate or severe``; the shares of a
    graded cell and of a draft follow. Text stands on one line, and text that a spreadsheet would run as a formula gets
    a leading apostrophe.

    References
    ----------
    OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(study.study_uid, grade) for study in grades for grade in study.cells)
    return out.getvalue()


def discs_as_csv(grades: Iterable[StudyGrades]) -> str:
    """Return a table with one row per disc of each study: the probability of each finding; what is unknown is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(DISC_COLUMNS)
    writer.writerows(_disc_row(study.study_uid, disc) for study in grades for disc in study.discs)
    return out.getvalue()


def _disc_row(study_uid: str, disc: DiscFindings) -> list[str]:
    found = [disc.probabilities.get(finding) for finding in DiscFinding]
    shares = [f"{share:.6f}" for share in disc.pfirrmann] or [""] * len(PFIRRMANN_GRADES)
    return [
        inert_cell(study_uid),
        disc.level.shown,
        disc.status.value,
        inert_cell(disc.reason),
        *("" if share is None else f"{share:.6f}" for share in found),
        "" if disc.grade is None else str(disc.grade),
        pfirrmann_said(disc).lower(),
        *shares,
    ]


def _row(study_uid: str, grade: CellGrade) -> list[str]:
    cell, severity, opinion = grade.cell, grade.severity, grade.second_opinion
    said = grade.probabilities.said if grade.probabilities else ()
    return [
        inert_cell(study_uid),
        cell.condition.value,
        cell.level.shown,
        cell.side.value if cell.side else "",
        grade.status.value,
        inert_cell(grade.reason),
        severity.value if severity and len(said) == 1 else (wording(grade) or "").lower(),
        *(_shares(grade) if severity or grade.status is Status.DRAFT else [""] * len(Severity)),
        opinion.probabilities.severity.value if opinion else "",
        str(opinion.disagrees).lower() if opinion else "",
    ]


def _shares(grade: CellGrade) -> list[str]:
    return [f"{share:.6f}" for share in grade.probabilities or ()]
