"""StudyGrades as tables: one row per cell, and the row form that the RSNA 2024 challenge scored."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from stenograde.grades import CellGrade, StudyGrades
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

SUBMISSION_COLUMNS = ("row_id", *(severity.value for severity in Severity))
"""Columns of :func:`as_submission_csv`, in order."""

_FORMULA_STARTS = ("=", "+", "-", "@")


def as_csv(grades: Iterable[StudyGrades]) -> str:
    """Return a table with one row per cell of each study; what is unknown is empty.

    Text stands on one line, and text that a spreadsheet would run as a formula gets a leading apostrophe.

    References
    ----------
    OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection.
    """
    rows = (_row(study.study_uid, grade) for study in grades for grade in study.cells)
    return _written(COLUMNS, rows)


def as_submission_csv(grades: Iterable[StudyGrades]) -> str:
    """Return the graded cells as ``row_id,normal_mild,moderate,severe``.

    A ``row_id`` is the study's name, an underscore and the cell's name, as in ``sample_submission.csv`` of
    RSNA 2024. A cell without a grade has no row: no probability is made up for it.
    """
    rows = (
        [f"{study.study_uid}_{grade.cell.name}", *_shares(grade)]
        for study in grades
        for grade in study.cells
        if grade.severity
    )
    return _written(SUBMISSION_COLUMNS, rows)


def _row(study_uid: str, grade: CellGrade) -> list[str]:
    cell, severity, opinion = grade.cell, grade.severity, grade.second_opinion
    return [
        _inert(study_uid),
        cell.condition.value,
        cell.level.shown,
        cell.side.value if cell.side else "",
        grade.status.value,
        _inert(grade.reason),
        severity.value if severity else "",
        *(_shares(grade) if severity else [""] * len(Severity)),
        opinion.probabilities.severity.value if opinion else "",
        str(opinion.disagrees).lower() if opinion else "",
    ]


def _shares(grade: CellGrade) -> list[str]:
    return [f"{share:.6f}" for share in grade.probabilities or ()]


def _inert(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_FORMULA_STARTS) else line


def _written(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
