"""What became of a study, as plain values: rows of two tables."""

from __future__ import annotations

from typing import Any

from stenograde.batch.manifest import Entry
from stenograde.grades import CellGrade, StudyGrades
from stenograde.grading.study import ENDED_ITS_PROCESS, NotGraded
from stenograde.terms import Severity

Record = dict[str, Any]
"""``row``, and the rows of the tables: ``study``, one, and ``cells``, many. All of it can be written as JSON."""

GRADED, NOT_GRADED, FAULT, SET_ASIDE = "graded", "not graded", "fault", "set aside"
"""Outcomes of a study: graded; not as it was given; a fault of ours; it ended its worker again and again."""

NOT_FETCHED = "not fetched"
"""Outcome of a study that was not there, or a server that was not: the next run tries again."""


def graded(entry: Entry, grades: StudyGrades) -> Record:
    """Return the record of a study that was graded."""
    stamp = grades.bundle
    return {
        "row": entry.row,
        "study": _study(entry, GRADED, study_uid=grades.study_uid, seconds=round(grades.seconds, 3))
        | {
            "warnings": list(grades.warnings),
            "bundle": stamp.name,
            "bundle_version": stamp.version,
            "bundle_hash": stamp.hash,
        },
        "cells": [_cell(entry, grades.study_uid, cell) for cell in grades.cells],
    }


def not_graded(entry: Entry, why: NotGraded) -> Record:
    """Return the record of a study that could not be graded."""
    outcome = FAULT if why.is_our_fault else NOT_GRADED
    return {"row": entry.row, "study": _study(entry, outcome, reason=why.line), "cells": []}


def not_fetched(entry: Entry, why: str) -> Record:
    """Return the record of a study that could not be fetched."""
    return {"row": entry.row, "study": _study(entry, NOT_FETCHED, reason=why), "cells": []}


def set_aside(entry: Entry) -> Record:
    """Return the record of a study that ended its worker too often."""
    return {"row": entry.row, "study": _study(entry, SET_ASIDE, reason=ENDED_ITS_PROCESS), "cells": []}


def _study(
    entry: Entry,
    outcome: str,
    *,
    study_uid: str | None = None,
    reason: str = "",
    seconds: float | None = None,
) -> dict[str, Any]:
    return {
        "row": entry.row,
        "name": entry.name,
        "study_uid": study_uid or entry.study_uid,
        "outcome": outcome,
        "reason": reason,
        "seconds": seconds,
        "warnings": [],
        "bundle": None,
        "bundle_version": None,
        "bundle_hash": None,
    }


def _cell(entry: Entry, study_uid: str, grade: CellGrade) -> dict[str, Any]:
    cell, said, opinion = grade.cell, grade.probabilities, grade.second_opinion
    shares = [round(float(share), 6) for share in said] if said else [None] * len(Severity)
    point = [round(float(place), 3) for place in grade.point] if grade.point else [None] * 3
    return {
        "row": entry.row,
        "study_uid": study_uid,
        "condition": cell.condition.value,
        "level": cell.level.shown,
        "side": cell.side.value if cell.side else None,
        "status": grade.status.value,
        "reason": grade.reason,
        "severity": grade.severity.value if grade.severity else None,
        **{severity.value: share for severity, share in zip(Severity, shares, strict=True)},
        "disagrees": opinion.disagrees if opinion else None,
        **dict(zip(("x_mm", "y_mm", "z_mm"), point, strict=True)),
    }
