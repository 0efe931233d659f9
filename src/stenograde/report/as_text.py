"""StudyGrades as plain text, level by level, to be copied into a report; drafts are left out of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from stenograde.grades import CellGrade, Status, StudyGrades
from stenograde.report import words
from stenograde.report.disc_words import text_of
from stenograde.study import Examination
from stenograde.terms import Level, Quantity

_MEASURED = {Quantity.CANAL_AP_DIAMETER: "canal AP diameter", Quantity.DURAL_SAC_AREA: "dural sac area"}
"""What is told of each level, and what it is called within a line."""


def as_text(
    grades: StudyGrades, examination: Examination | None = None, *, made_on: date | None = None
) -> str:
    """Return the findings as lines of plain text, from head to feet.

    Parameters
    ----------
    grades : StudyGrades
    examination : Examination, optional
        Its date is told where it is known.
    made_on : date, optional
        When the study was graded.
    """
    of_day = f" of {examination.day.isoformat()}" if examination and examination.day else ""
    what = f"{grades.scheme.region.value.capitalize()} spine{of_day}: stenosis grades by computer"
    lines = [f"{what}. Research use only, not a medical device; to be checked by a qualified reader."]
    doubt = words.level_doubt(grades)
    if doubt:
        lines.append(f"Level names uncertain: {doubt}")
    elif counted := words.level_count(grades):
        lines.append(counted)
    lines += [f"{level.shown}: {'; '.join(_told(grades, level))}." for level in grades.scheme.levels]
    gaps = words.gaps(grades)
    if gaps:
        lines.append(gaps)
    on = f" on {made_on.isoformat()}" if made_on else ""
    lines.append(f"Graded{on} by {grades.bundle.name} {grades.bundle.version} ({grades.bundle.hash[:12]}).")
    return "\n".join(lines) + "\n"


def _told(grades: StudyGrades, level: Level) -> Iterator[str]:
    cells = [grade for grade in grades.cells if grade.cell.level is level]
    answered = [grade for grade in cells if grade.status in {Status.GRADED, Status.ABSTAINED}]
    if not answered:
        imaged = any(grade.status is not Status.NOT_IMAGED for grade in cells)
        yield "no grade" if imaged else "not imaged"
    yield from map(_said, answered)
    for item in grades.measurements:
        if item.level is level and item.quantity in _MEASURED:
            yield f"{_MEASURED[item.quantity]} {words.value_of(item)} {item.quantity.unit.shown}".rstrip()
    yield from (told for disc in grades.discs if disc.level is level and (told := text_of(disc)))


def _said(grade: CellGrade) -> str:
    place = words.place_of(grade.cell).lower()
    if grade.status is Status.ABSTAINED or grade.probabilities is None:
        return f"{place} not graded (abstained)"
    share = words.said_share(grade.probabilities)
    return f"{place} {words.said_as(grade.probabilities)}{f' ({share})' if share else ''}"
