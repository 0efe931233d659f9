"""StudyGrades as the JSON document ``stenograde/grades/3``; its JSON Schema lies beside this file.

Absent is not zero: what is unknown is ``null``. A number that is not finite is unknown, so that no reader
ever meets NaN or Infinity, which JSON does not have (RFC 8259, section 6).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stenograde.config import as_plain
from stenograde.grades import (
    PFIRRMANN_GRADES,
    CellGrade,
    DiscFindings,
    Evidence,
    LevelPosition,
    Measurement,
    Probabilities,
    SecondOpinion,
    Status,
    StudyGrades,
)
from stenograde.report.disc_words import pfirrmann_said, said_of
from stenograde.report.words import wording
from stenograde.terms import Severity

SCHEMA_ID = "stenograde/grades/3"
"""Name and version of the document's form; it changes when a reader would have to change.

Version 1 knew no drafts, no wording and no evidence on patients, version 2 no discs; the schema still accepts their
documents.
"""

_MM_DIGITS = 3
_PROBABILITY_DIGITS = 6
_VALUE_DIGITS = 4


def as_json(grades: StudyGrades) -> dict[str, Any]:
    """Return the grades of one study as a document that :func:`json.dumps` can write.

    Positions are rounded to 0.001 mm or pixel, probabilities to 1e-6, values to 1e-4 of their unit.

    Returns
    -------
    document : dict
        Valid against :func:`schema`; holds no NaN and no Infinity.
    """
    return {
        "schema": SCHEMA_ID,
        "study_uid": grades.study_uid,
        "scheme": grades.scheme.name,
        "bundle": {
            "name": grades.bundle.name,
            "version": grades.bundle.version,
            "hash": grades.bundle.hash,
        },
        "series": [
            {"uid": use.uid, "role": use.role.value if use.role else None, "why": use.why}
            for use in grades.series
        ],
        "levels": [_level(position) for position in grades.levels],
        "cells": [_cell(grade) for grade in grades.cells],
        "evidence": [
            {"condition": condition.value, **as_plain(known), "draft": known.is_draft}
            for condition, known in grades.evidence.items()
        ],
        "discs": _discs(grades),
        "measurements": [_measurement(measurement) for measurement in grades.measurements],
        "unused": [{"what": unused.what, "why": unused.why} for unused in grades.unused],
        "warnings": list(grades.warnings),
        "seconds": _number(grades.seconds, 3) or 0.0,
    }


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document, which accepts documents of earlier versions, too.

    Examples
    --------
    >>> schema()["properties"]["schema"]["enum"]
    ['stenograde/grades/1', 'stenograde/grades/2', 'stenograde/grades/3']
    """
    return json.loads(Path(__file__).with_name("grades.schema.json").read_text("utf-8"))


def _level(position: LevelPosition) -> dict[str, Any]:
    return {
        "name": position.level.shown,
        "point_lps_mm": _point(position.point),
        "imaged": position.imaged,
        "certain": position.certain,
    }


def _cell(grade: CellGrade) -> dict[str, Any]:
    cell, severity = grade.cell, grade.severity
    return {
        "condition": cell.condition.value,
        "level": cell.level.shown,
        "side": cell.side.value if cell.side else None,
        "point_lps_mm": _point(grade.point),
        "status": grade.status.value,
        "reason": grade.reason,
        "severity": severity.value if severity else None,
        "wording": wording(grade),
        "probability": _probability(grade),
        "evidence": [item for item in map(_evidence, grade.evidence) if item],
        "second_opinion": _second_opinion(grade.second_opinion),
        "measurements": [_measurement(one) for one in grade.measurements],
    }


def _probability(grade: CellGrade) -> dict[str, float] | None:
    """Return P of each severity; an abstained cell and a draft keep what they would have said, if they have it."""
    if grade.probabilities is None or grade.status in (Status.NOT_IMAGED, Status.NOT_GRADED):
        return None
    return _shares(grade.probabilities)


def _second_opinion(opinion: SecondOpinion | None) -> dict[str, Any] | None:
    if opinion is None:
        return None
    return {
        "source": opinion.source,
        "severity": opinion.probabilities.severity.value,
        "probability": _shares(opinion.probabilities),
        "severities_apart": _number(opinion.grades_apart, _MM_DIGITS),
        "disagrees": opinion.disagrees,
    }


def _discs(grades: StudyGrades) -> dict[str, Any] | None:
    """Return the findings of discs with what is known of them on patients; None where the bundle asks for none."""
    if not grades.discs:
        return None
    return {
        "source": grades.disc_source,
        "scores": [{**as_plain(one), "measure": one.measure} for one in grades.disc_scores],
        "levels": [_disc(disc) for disc in grades.discs],
    }


def _disc(disc: DiscFindings) -> dict[str, Any]:
    shares = zip(PFIRRMANN_GRADES, disc.pfirrmann, strict=False)
    return {
        "level": disc.level.shown,
        "status": disc.status.value,
        "reason": disc.reason,
        "findings": {
            finding.value: {"probability": round(share, _PROBABILITY_DIGITS), "wording": said_of(share)}
            for finding, share in disc.probabilities.items()
        },
        "pfirrmann": {
            "grade": disc.grade,
            "wording": pfirrmann_said(disc),
            "probability": {str(grade): round(share, _PROBABILITY_DIGITS) for grade, share in shares},
        }
        if disc.pfirrmann
        else None,
        "evidence": [item for item in map(_evidence, disc.evidence) if item],
    }


def _shares(probabilities: Probabilities) -> dict[str, float]:
    shares = zip(Severity, probabilities, strict=True)
    return {severity.value: round(share, _PROBABILITY_DIGITS) for severity, share in shares}


def _evidence(evidence: Evidence) -> dict[str, Any] | None:
    row, column = _number(evidence.row, _MM_DIGITS), _number(evidence.column, _MM_DIGITS)
    if row is None or column is None:
        return None
    return {
        "series_uid": evidence.series_uid,
        "sop_instance_uid": evidence.sop_instance_uid,
        "frame": evidence.frame,
        "row": row,
        "column": column,
    }


def _measurement(measurement: Measurement) -> dict[str, Any]:
    return {
        "name": measurement.quantity.value,
        "level": measurement.level.shown if measurement.level else None,
        "value": _number(measurement.value, _VALUE_DIGITS),
        "unit": measurement.quantity.unit.shown or "1",
        "points": [point for point in map(_point, measurement.points) if point],
    }


def _point(point: Sequence[float] | None) -> list[float] | None:
    if point is None:
        return None
    values = [_number(value, _MM_DIGITS) for value in point]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _number(value: float, digits: int) -> float | None:
    """Return the rounded number, never -0.0; None where it is not finite."""
    return round(float(value), digits) + 0.0 if math.isfinite(value) else None
