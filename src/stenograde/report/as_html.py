"""StudyGrades as one HTML page that needs nothing else: pictures, style and one small script lie within it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import metadata
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stenograde.grades import CellGrade, Measurement, Status, StudyGrades
from stenograde.report import disc_words, words
from stenograde.report.as_json import SCHEMA_ID
from stenograde.report.as_text import as_text
from stenograde.report.level_cards import CROP_MM, FORAMEN_CROP_MM, level_cards
from stenograde.report.ranges import SOURCES, is_outside, normal_range
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
    normal: tuple[str, ...]
    """Normal range at each level; empty where none is published."""
    outside: tuple[bool, ...]
    """Whether the value lies outside it."""

    @property
    def one_normal(self) -> str:
        """The range, where it is the same at all levels."""
        return self.normal[0] if len(set(self.normal)) == 1 else ""


def _script() -> dict[str, str]:
    """Return the script of the page, and the hash by which the page's policy knows it."""
    script = (Path(__file__).parent / "report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return {"script": script, "script_hash": digest}


def as_html(
    grades: StudyGrades,
    study: Study,
    *,
    reference: Mapping[Cell, Severity] | None = None,
    made_on: date | None = None,
    open_drafts: bool = False,
) -> str:
    """Return the report of one study as a self-contained HTML page.

    Slices are found by series, instance and frame in ``study``, the one that was graded; only those shown are decoded.
    A slice that cannot be shown is left out and its caption says so. ``reference`` has severities known from elsewhere,
    shown beside the grades; ``made_on`` is the day of grading.

    Returns
    -------
    str
        Everything inline, all text escaped; its own policy forbids any request, and any script but the slices'.
    """
    reference, drafted = reference or {}, words.drafted_conditions(grades)
    canal = [g for g in grades.cells if g.cell.condition is Condition.SPINAL_CANAL_STENOSIS]
    graded = [g for g in grades.cells if g.cell.condition not in drafted and g not in canal]
    sided, notes = _rows(graded, reference)
    drafts, draft_notes = _rows([g for g in grades.cells if g.cell.condition in drafted], reference)
    page = _environment().get_template("report.html")
    return page.render(
        grades=grades,
        findings=words.findings(grades),
        gaps=words.gaps(grades),
        doubt=words.level_doubt(grades),
        counted=words.level_count(grades),
        reference=reference,
        agreement=words.agreement(grades, reference),
        draft_agreement=words.agreement(grades, reference, status=Status.DRAFT),
        canal=canal,
        diameters=_diameters(grades),
        sided=sided,
        sided_graded=any(grade.severity for grade in graded),
        notes=notes,
        drafts=drafts,
        draft_notes=draft_notes,
        open_drafts=open_drafts,
        examination=study.examination,
        made_on=made_on,
        text=as_text(grades, study.examination, made_on=made_on),
        sources=SOURCES,
        **_script(),
        spine=spine_of(grades, study),
        cards=level_cards(grades, study),
        measured=_measured_rows(grades),
        **_discs(grades),
        unused=_by_reason(grades.unused),
        references=REFERENCE_MM,
        crop_mm=CROP_MM,
        foramen_crop_mm=FORAMEN_CROP_MM,
        severities=tuple(Severity),
        version=metadata.version("stenograde"),
        schema_id=SCHEMA_ID,
        few=_FEW,
    )


def _discs(grades: StudyGrades) -> dict[str, object]:
    """Return what the page says of discs: which findings were asked for, and what was not answered."""
    asked = dict.fromkeys(finding for disc in grades.discs for finding in disc.probabilities)
    return {"asked": tuple(asked), "discs_unanswered": tuple(disc_words.unanswered(grades))}


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
        said_as=words.said_as,
        said_share=words.said_share,
        value_of=words.value_of,
        range_of=lambda item: normal_range(item.quantity, item.level),
        is_outside=is_outside,
        sentence=words.sentence,
        second_opinion=words.second_opinion,
        disc_said=disc_words.said_of,
        disc_share=disc_words.said_share,
        finding_named=disc_words.finding_named,
        pfirrmann_said=disc_words.pfirrmann_said,
    )
    return environment


def _rows(
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


def _diameters(grades: StudyGrades) -> dict[Level, str]:
    """Return the canal diameter at each level where it was measured, mm."""
    return {
        item.level: words.value_of(item)
        for item in grades.measurements
        if item.quantity is Quantity.CANAL_AP_DIAMETER and item.level is not None
    }


def _measured_rows(grades: StudyGrades) -> list[MeasuredRow]:
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


def _by_reason(unused: Sequence[Unused]) -> dict[str, list[str]]:
    """Return what was left out, gathered under each reason."""
    gathered: dict[str, list[str]] = {}
    for item in unused:
        gathered.setdefault(item.why, []).append(item.what)
    return gathered
