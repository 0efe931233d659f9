"""StudyGrades as one HTML page that needs nothing else: pictures and style lie within it; no script runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stenograde.grades import CellGrade, Status, StudyGrades
from stenograde.report import words
from stenograde.report.as_json import SCHEMA_ID
from stenograde.report.level_cards import CROP_MM, level_cards
from stenograde.report.spine import REFERENCE_MM, spine_of
from stenograde.study import Study
from stenograde.terms import Cell, Condition, Level, Quantity, Severity, Side, Unused

_FEW = 6
"""So many left-out items with one reason are listed openly; more are folded away."""


@dataclass(frozen=True)
class Span:
    """Neighbouring cells of a row that say the same; a graded cell stands alone."""

    grade: CellGrade
    n_cells: int
    note: int
    """Number of the footnote that gives the reason; 0 for none."""


@dataclass(frozen=True)
class SidedRow:
    """One row of the table of sided conditions."""

    side: Side | None
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class MeasuredRow:
    """One row of the table of measurements: a value as text per level, empty where there is none."""

    quantity: Quantity
    values: tuple[str, ...]


def as_html(grades: StudyGrades, study: Study, *, reference: Mapping[Cell, Severity] | None = None) -> str:
    """Return the report of one study as a self-contained HTML page.

    Slices are found by series, instance and frame in ``study``; only those shown are decoded. A slice that
    cannot be shown is left out and its caption says so.

    Parameters
    ----------
    grades : StudyGrades
    study : Study
        The study that was graded.
    reference : mapping, optional
        Severities known from elsewhere, such as experts' or a phantom's; shown beside the grades.

    Returns
    -------
    html : str
        Everything inline; all text escaped; a content security policy in the page forbids it any request.
    """
    reference = reference or {}
    sided, notes = _sided_rows(grades, reference)
    page = _environment().get_template("report.html")
    return page.render(
        grades=grades,
        findings=words.findings(grades),
        gaps=words.gaps(grades),
        doubt=words.level_doubt(grades),
        reference=reference,
        agreement=words.agreement(grades, reference),
        canal=[g for g in grades.cells if g.cell.condition is Condition.SPINAL_CANAL_STENOSIS],
        diameters=_diameters(grades),
        sided=sided,
        sided_graded=any(grade.severity for grade in grades.cells if grade.cell.side),
        notes=notes,
        spine=spine_of(grades, study),
        cards=level_cards(grades, study),
        measured=_measured_rows(grades),
        unused=_by_reason(grades.unused),
        references=REFERENCE_MM,
        crop_mm=CROP_MM,
        severities=tuple(Severity),
        version=metadata.version("stenograde"),
        schema_id=SCHEMA_ID,
        few=_FEW,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=words.percent,
        place_of=words.place_of,
        value_of=words.value_of,
        sentence=words.sentence,
        second_opinion=words.second_opinion,
    )
    return environment


def _sided_rows(
    grades: StudyGrades, reference: Mapping[Cell, Severity]
) -> tuple[dict[Condition, list[SidedRow]], list[str]]:
    """Return the rows of each condition but the canal's, and the reasons that their footnotes give."""
    notes: list[str] = []
    rows: dict[Condition, list[SidedRow]] = {}
    others = [grade for grade in grades.cells if grade.cell.condition is not Condition.SPINAL_CANAL_STENOSIS]
    for (condition, side), cells in groupby(
        others, key=lambda grade: (grade.cell.condition, grade.cell.side)
    ):
        rows.setdefault(condition, []).append(SidedRow(side, tuple(_spans(list(cells), notes, reference))))
    return rows, notes


def _spans(cells: Sequence[CellGrade], notes: list[str], reference: Mapping[Cell, Severity]) -> list[Span]:
    spans = []
    for _, run in groupby(enumerate(cells), key=lambda item: _sameness(item[0], item[1], reference)):
        members = [grade for _, grade in run]
        first = members[0]
        if first.reason and first.status is not Status.GRADED and first.reason not in notes:
            notes.append(first.reason)
        note = notes.index(first.reason) + 1 if first.reason in notes else 0
        spans.append(Span(first, len(members), note))
    return spans


def _sameness(index: int, grade: CellGrade, reference: Mapping[Cell, Severity]) -> tuple[Status, str, int]:
    """Return what neighbouring cells must share to be drawn as one."""
    stands_alone = grade.status is Status.GRADED or grade.cell in reference
    return grade.status, grade.reason, index if stands_alone else -1


def _diameters(grades: StudyGrades) -> dict[Level, str]:
    """Return the canal diameter at each level where it was measured, mm."""
    return {
        item.level: words.value_of(item)
        for item in grades.measurements
        if item.quantity is Quantity.CANAL_AP_DIAMETER and item.level is not None
    }


def _measured_rows(grades: StudyGrades) -> list[MeasuredRow]:
    """Return one row per quantity, with a value per level of the scheme."""
    table: dict[Quantity, dict[Level, str]] = {}
    for item in grades.measurements:
        if item.level is not None:
            table.setdefault(item.quantity, {}).setdefault(item.level, words.value_of(item))
    return [
        MeasuredRow(quantity, tuple(row.get(level, "") for level in grades.scheme.levels))
        for quantity, row in table.items()
    ]


def _by_reason(unused: Sequence[Unused]) -> dict[str, list[str]]:
    """Return what was left out, gathered under each reason."""
    gathered: dict[str, list[str]] = {}
    for item in unused:
        gathered.setdefault(item.why, []).append(item.what)
    return gathered
