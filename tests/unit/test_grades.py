"""StudyGrades: a grade has probabilities, anything else has a reason, and no cell is forgotten."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenograde.grades import BundleStamp, CellGrade, SecondOpinion, Status, StudyGrades, pooled
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
    assert CellGrade(CELL, Status.GRADED, probabilities=probabilities).severity is severity


@pytest.mark.parametrize("status", [Status.ABSTAINED, Status.NOT_IMAGED, Status.NOT_GRADED])
def test_cell_without_a_grade_when_asked_then_it_has_no_severity_but_a_reason(status: Status) -> None:
    grade = CellGrade(CELL, status, "a reason", probabilities=(0.1, 0.1, 0.8))
    assert grade.severity is None
    with pytest.raises(ValueError, match=rf"^{CELL.name}: a cell that is {status} must say why"):
        CellGrade(CELL, status)


@pytest.mark.parametrize("probabilities", [None, (0.5, 0.5, 0.5), (0.0, 0.0, 0.0), (-0.2, 0.6, 0.6)])
def test_graded_cell_when_probabilities_do_not_sum_to_one_then_it_is_refused(
    probabilities: tuple[float, float, float] | None,
) -> None:
    with pytest.raises(ValueError, match="probabilities must be three that sum to 1"):
        CellGrade(CELL, Status.GRADED, probabilities=probabilities)


def test_study_grades_when_all_cells_are_there_then_each_is_found() -> None:
    grades = make_grades([without_grade(cell) for cell in LUMBAR_MRI.cells])
    assert [grades.of(cell).cell for cell in LUMBAR_MRI.cells] == list(LUMBAR_MRI.cells)


@pytest.mark.parametrize("order", [slice(1, None), slice(None, None, -1)])
def test_study_grades_when_a_cell_is_missing_or_out_of_order_then_they_are_refused(order: slice) -> None:
    with pytest.raises(ValueError, match=r"^study grades must cover the 25 cells of lumbar_mri in order$"):
        make_grades([without_grade(cell) for cell in LUMBAR_MRI.cells[order]])


def test_a_second_opinion_must_be_a_probability_too():
    opinion = SecondOpinion("a ruler", (0.1, 0.2, 0.7), 1.6, True)
    assert opinion.severity is Severity.SEVERE
    with pytest.raises(ValueError, match="a second opinion: probabilities must be three that sum to 1"):
        SecondOpinion("a ruler", (0.1, 0.2, 0.2), 0.0, False)


@given(
    st.lists(st.floats(0, 1), min_size=6, max_size=6).filter(lambda v: sum(v[:3]) > 0.1 and sum(v[3:]) > 0.1)
)
def test_a_pool_sums_to_one_favours_neither_and_agrees_where_both_do(values: list[float]) -> None:
    one, other = (tuple(np.array(part) / sum(part)) for part in (values[:3], values[3:]))
    both = pooled(one, other)
    assert sum(both) == pytest.approx(1)
    assert both == pytest.approx(pooled(other, one))
    assert pooled(one, one) == pytest.approx(one)
    if np.argmax(one) == np.argmax(other):
        assert both[int(np.argmax(one))] == pytest.approx(max(both))


def test_opinions_that_exclude_each_other_leave_even_odds() -> None:
    assert pooled((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
