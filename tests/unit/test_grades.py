"""StudyGrades: a grade has probabilities, anything else has a reason, and no cell is forgotten."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.grades import BundleStamp, CellGrade, Probabilities, Status, StudyGrades
from stenograde.terms import LUMBAR_MRI, Cell, Severity

CELL = LUMBAR_MRI.cells[0]


def make_grades(cells: Sequence[CellGrade]) -> StudyGrades:
    stamp = BundleStamp("test", "0", "0")
    return StudyGrades("1.2", LUMBAR_MRI, stamp, (), (), tuple(cells), (), (), (), 0.0)


def without_grade(cell: Cell) -> CellGrade:
    return CellGrade(cell, Status.NOT_GRADED, "a test")


@pytest.mark.parametrize(
    ("probabilities", "severity"),
    [
        ((0.7, 0.2, 0.1), Severity.NORMAL_MILD),
        ((0.3, 0.4, 0.3), Severity.MODERATE),
        ((0.0, 0.0, 1.0), Severity.SEVERE),
    ],
)
def test_graded_cell_when_asked_then_its_severity_is_the_most_probable(
    probabilities: tuple[float, float, float], severity: Severity
) -> None:
    assert CellGrade(CELL, Status.GRADED, probabilities=Probabilities(probabilities)).severity is severity


@pytest.mark.parametrize("status", [Status.ABSTAINED, Status.NOT_IMAGED, Status.NOT_GRADED])
def test_cell_without_a_grade_when_asked_then_it_has_no_severity_but_a_reason(status: Status) -> None:
    grade = CellGrade(CELL, status, "a reason", probabilities=Probabilities((0.1, 0.1, 0.8)))
    assert grade.severity is None
    with pytest.raises(ValueError, match=rf"^{CELL.name}: a cell that is {status} must say why"):
        CellGrade(CELL, status)


def test_graded_cell_when_it_has_no_probabilities_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match=rf"^{CELL.name}: a cell that is graded must have probabilities"):
        CellGrade(CELL, Status.GRADED)


def test_study_grades_when_all_cells_are_there_then_each_is_found() -> None:
    grades = make_grades([without_grade(cell) for cell in LUMBAR_MRI.cells])
    assert [grades.of(cell).cell for cell in LUMBAR_MRI.cells] == list(LUMBAR_MRI.cells)


@pytest.mark.parametrize("order", [slice(1, None), slice(None, None, -1)])
def test_study_grades_when_a_cell_is_missing_or_out_of_order_then_they_are_refused(order: slice) -> None:
    with pytest.raises(ValueError, match=r"^study grades must cover the 25 cells of lumbar_mri in order$"):
        make_grades([without_grade(cell) for cell in LUMBAR_MRI.cells[order]])


@pytest.mark.parametrize(
    "shares",
    [
        (0.5, 0.5, 0.5),
        (0.0, 0.0, 0.0),
        (-0.2, 0.6, 0.6),
        (math.nan, 0.5, 0.5),
        (math.nan, math.nan, math.nan),
        (math.inf, 0.0, 0.0),
        (math.inf, -math.inf, 1.0),
        (1.0, 0.0),
        (0.25, 0.25, 0.25, 0.25),
        (),
    ],
)
def test_probabilities_when_they_are_none_then_they_are_refused_with_what_they_are(
    shares: tuple[float, ...],
) -> None:
    with pytest.raises(
        ValueError, match=r"^probabilities must be 3 of at least 0 that sum to 1, got"
    ) as seen:
        Probabilities(shares)
    assert str(seen.value).endswith(str(shares))


def test_probabilities_when_copied_then_they_are_checked_and_equal() -> None:
    one = Probabilities(np.array([0.125, 0.25, 0.625]))
    assert one == (0.125, 0.25, 0.625)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert other == one
        assert type(other) is Probabilities
    assert np.array([[one, one]]).shape == (1, 2, 3)
    assert repr(Probabilities((1.0, -0.0, 0.0))) == "(1.0, 0.0, 0.0)"


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.6, 0.3, 0.1), {"normal_mild"}),
        ((0.0, 0.03, 0.97), {"severe"}),
        ((0.59, 0.31, 0.1), {"normal_mild", "moderate"}),
        ((0.1, 0.51, 0.39), {"moderate", "severe"}),
        ((0.05, 0.36, 0.59), {"moderate", "severe"}),
        ((0.3, 0.31, 0.39), {"normal_mild", "moderate", "severe"}),
        ((0.5, 0.05, 0.45), {"normal_mild", "moderate", "severe"}),
        ((1 / 3, 1 / 3, 1 / 3), {"normal_mild", "moderate", "severe"}),
    ],
)
def test_what_may_be_said_when_below_sixty_per_cent_then_no_severity_alone(
    shares: tuple[float, float, float], said: set[str]
) -> None:
    assert {one.value for one in Probabilities(shares).said} == said


def test_a_draft_when_made_then_it_has_probabilities_and_a_reason_but_no_severity() -> None:
    shares = Probabilities((0.1, 0.1, 0.8))
    draft = CellGrade(CELL, Status.DRAFT, "has seen no patient", shares)
    assert (draft.severity, draft.likeliest) == (None, Severity.SEVERE)
    with pytest.raises(ValueError, match="must have probabilities, got none"):
        CellGrade(CELL, Status.DRAFT, "has seen no patient")
    with pytest.raises(ValueError, match="must say why, got none"):
        CellGrade(CELL, Status.DRAFT, probabilities=shares)


@pytest.mark.parametrize(
    ("kind", "patients", "cells", "score", "is_draft"),
    [
        (RestsOn.PHANTOMS_ONLY, 10, 100, 0.7, False),
        (RestsOn.PHANTOMS_ONLY, 10, 100, 0.8, True),
        (RestsOn.PHANTOMS_ONLY, 9, 900, 0.1, True),
        (RestsOn.PHANTOMS_ONLY, 99, 99, 0.1, True),
        (RestsOn.MEASURED, 1, 5, 0.9, False),
        (RestsOn.LEARNT, 50, 400, 0.9, True),
        (RestsOn.LEARNT, 50, 400, 0.7, False),
        (RestsOn.LEARNT, 49, 400, 0.7, True),
    ],
)
def test_evidence_when_phantoms_alone_were_seen_then_it_is_a_draft_until_it_beats_the_level_on_enough(
    kind: RestsOn, patients: int, cells: int, score: float, is_draft: bool
) -> None:
    assert (
        ConditionEvidence(kind, patients, cells, score, 0.8, command="stenograde score C").is_draft
        is is_draft
    )


def test_evidence_when_chance_explains_that_it_beats_the_level_then_what_was_learnt_is_a_draft() -> None:
    known = ConditionEvidence(RestsOn.LEARNT, 60, 400, 0.7, 0.8, "stenograde train rsna2024")
    assert replace(known, difference_high=0.02).is_draft
    assert not replace(known, difference_high=-0.02).is_draft


def test_evidence_when_nothing_is_known_then_phantoms_alone_are_a_draft() -> None:
    assert ConditionEvidence(RestsOn.PHANTOMS_ONLY).is_draft
    assert not ConditionEvidence(RestsOn.MEASURED).is_draft


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 5, 0.4, None, "c"),
        (0, 0, 0.4, 0.8, "c"),
        (5, 1, 0.4, 0.8, "c"),
        (1, 5, float("nan"), 0.8, "c"),
        (1, 5, -1.0, 0.8, "c"),
        (1, 5, 0.4, 0.8, ""),
        (1, 5, None, None, "c"),
    ],
)
def test_evidence_when_its_numbers_do_not_fit_together_then_it_is_refused(numbers: tuple[Any, ...]) -> None:
    with pytest.raises(
        ValueError, match="evidence must have score, level_share, patients, cells and command"
    ):
        ConditionEvidence(RestsOn.PHANTOMS_ONLY, *numbers)
