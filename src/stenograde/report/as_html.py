"""StudyGrades as one HTML page that needs nothing else: pictures, style and one small script lie within it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stenograde.grades import Status, StudyGrades
from stenograde.report import disc_words, notes, words
from stenograde.report.as_json import SCHEMA_ID
from stenograde.report.as_text import as_text
from stenograde.report.kept_templates import KeptTemplates
from stenograde.report.level_cards import CROP_MM, FORAMEN_CROP_MM, level_cards
from stenograde.report.ranges import SOURCES, is_outside, normal_range
from stenograde.report.spine import REFERENCE_MM, spine_of
from stenograde.report.tables import by_reason, condition_rows, diameters, measured_rows
from stenograde.study import Study
from stenograde.terms import Cell, Condition, Severity

_FEW = 6
"""So many left-out items with one reason are listed openly; more are folded away."""


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
    sided, footnotes = condition_rows(graded, reference)
    drafts, draft_notes = condition_rows([g for g in grades.cells if g.cell.condition in drafted], reference)
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
        diameters=diameters(grades),
        sided=sided,
        notes=footnotes,
        fixed=notes,
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
        measured=measured_rows(grades),
        **_discs(grades),
        unused=by_reason(grades.unused),
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
        bytecode_cache=KeptTemplates(Path(__file__).parent, Path(__file__).read_text("utf-8")),
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
        measured_here=words.measured_here,
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
