"""Tables of a report as rows of values and words; no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from stenograde.grades import CellGrade, Measurement, Status, StudyGrades
from stenograde.report import words
from stenograde.report.ranges import is_outside, normal_range
from stenograde.terms import Cell, Condition, Level, Quantity, Severity, Side, Unused


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
    normal: tuple[str, ...]
    """Normal range at each level; empty where none is published."""
    outside: tuple[bool, ...]
    """Whether the value lies outside it."""

    @property
    def one_normal(self) -> str:
        """The range, where it is the same at all levels."""
        return self.normal[0] if len(set(self.normal)) == 1 else ""


def condition_rows(
    cells: Sequence[CellGrade], reference: Mapping[Cell, Severity]
) -> tuple[dict[Condition, list[SidedRow]], list[str]]:
    """Return the rows of each condition, and the reasons that their footnotes give."""
    notes: list[str] = []
    rows: dict[Condition, list[SidedRow]] = {}
    for (condition, side), row in groupby(cells, key=lambda grade: (grade.cell.condition, grade.cell.side)):
        rows.setdefault(condition, []).append(SidedRow(side, tuple(_spans(list(row), notes, reference))))
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
    stands_alone = grade.status in {Status.GRADED, Status.DRAFT} or grade.cell in reference
    return grade.status, grade.reason, index if stands_alone else -1


def diameters(grades: StudyGrades) -> dict[Level, str]:
    """Return the canal diameter at each level where it was measured, mm."""
    return {
        item.level: words.value_of(item)
        for item in grades.measurements
        if item.quantity is Quantity.CANAL_AP_DIAMETER and item.level is not None
    }


def measured_rows(grades: StudyGrades) -> list[MeasuredRow]:
    """Return one row per quantity, with a value per level of the scheme."""
    table: dict[Quantity, dict[Level, Measurement]] = {}
    for item in grades.measurements:
        if item.level is not None:
            table.setdefault(item.quantity, {}).setdefault(item.level, item)
    rows = []
    for quantity, row in table.items():
        items = [row.get(level) for level in grades.scheme.levels]
        ranges = [normal_range(quantity, level) for level in grades.scheme.levels]
        rows.append(
            MeasuredRow(
                quantity,
                tuple(words.value_of(item) if item else "" for item in items),
                tuple(known.shown if known else "" for known in ranges),
                tuple(item is not None and is_outside(item) for item in items),
            )
        )
    return rows


def by_reason(unused: Sequence[Unused]) -> dict[str, list[str]]:
    """Return what was left out, gathered under each reason."""
    gathered: dict[str, list[str]] = {}
    for item in unused:
        gathered.setdefault(item.why, []).append(item.what)
    return gathered
