"""The report's sentences say what the grades say, worst first."""

from __future__ import annotations

import dataclasses
import math

import pytest
from tests.golden.report.example import example_grades

from stenograde.grades import (
    CellGrade,
    LevelPosition,
    Measurement,
    Probabilities,
    SecondOpinion,
    Status,
    StudyGrades,
)
from stenograde.report import words
from stenograde.terms import CERVICAL_XRAY, LUMBAR_MRI, Cell, Condition, Level, Quantity, Severity, Side

SHARES = {
    Severity.NORMAL_MILD: (0.9, 0.05, 0.05),
    Severity.MODERATE: (0.1, 0.8, 0.1),
    Severity.SEVERE: (0.0, 0.1, 0.9),
}


def graded(severities: dict[Cell, Severity | Status]) -> StudyGrades:
    """Grades in which the given cells say so, and every other cell is not graded."""
    cells = []
    for cell in LUMBAR_MRI.cells:
        said = severities.get(cell, Status.NOT_GRADED)
        if isinstance(said, Severity):
            cells.append(CellGrade(cell, Status.GRADED, probabilities=Probabilities(SHARES[said])))
        else:
            cells.append(CellGrade(cell, said, "for a reason"))
    return dataclasses.replace(example_grades(), cells=tuple(cells))


def canal(*said: Severity | Status) -> dict[Cell, Severity | Status]:
    return dict(zip(LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS), said, strict=True))


N, M, S = Severity


def test_summary_names_severe_then_moderate_then_what_is_not_graded() -> None:
    grades = graded(canal(N, S, M, S, M))
    assert words.findings(grades) == (
        "Severe canal stenosis at L2/L3 and L4/L5; moderate at L3/L4 and L5/S1."
    )
    assert words.gaps(grades) == "Foraminal narrowing and subarticular stenosis not graded."


def test_summary_when_nothing_is_narrow_then_it_says_at_how_many_levels() -> None:
    assert words.findings(graded(canal(N, N, N, N, N))) == (
        "No moderate or severe canal stenosis at the 5 graded levels."
    )


def test_summary_when_levels_have_no_grade_then_it_says_which_and_why() -> None:
    grades = graded(canal(Status.NOT_IMAGED, Status.NOT_IMAGED, M, Status.ABSTAINED, N))
    assert words.findings(grades) == "Moderate canal stenosis at L3/L4."
    assert words.gaps(grades).startswith(
        "Canal stenosis at L1/L2 and L2/L3: not imaged. Canal stenosis at L4/L5: no grade given (abstained)."
    )


def test_summary_when_nothing_at_all_is_graded_then_it_says_so() -> None:
    assert words.findings(graded({})) == ""
    assert words.gaps(graded({})) == (
        "Canal stenosis, foraminal narrowing and subarticular stenosis not graded."
    )


def test_summary_when_a_condition_has_sides_then_it_names_them() -> None:
    foramen = Condition.NEURAL_FORAMINAL_NARROWING
    cells = {
        Cell(foramen, Level.L4_L5, Side.LEFT): S,
        Cell(foramen, Level.L5_S1, Side.LEFT): M,
        Cell(foramen, Level.L5_S1, Side.RIGHT): M,
    }
    assert words.findings(graded(cells)) == (
        "Severe foraminal narrowing at L4/L5 left; moderate at L5/S1 both sides."
    )


def test_summary_when_the_scheme_has_no_canal_then_it_does_not_speak_of_it() -> None:
    cells = tuple(
        CellGrade(cell, Status.GRADED, probabilities=Probabilities(SHARES[N])) for cell in CERVICAL_XRAY.cells
    )
    grades = dataclasses.replace(example_grades(), scheme=CERVICAL_XRAY, cells=cells)
    assert words.findings(grades) == "No moderate or severe foraminal narrowing at the 6 graded levels."


@pytest.mark.parametrize(
    ("n_doubtful", "names"), [(0, None), (1, "L1/L2"), (2, "L1/L2 and L2/L3"), (5, "all levels")]
)
def test_level_doubt_names_the_levels(n_doubtful: int, names: str | None) -> None:
    levels = tuple(
        LevelPosition(level, (0.0, 0.0, 0.0), imaged=True, certain=index >= n_doubtful)
        for index, level in enumerate(LUMBAR_MRI.levels)
    )
    doubt = words.level_doubt(dataclasses.replace(example_grades(), levels=levels))
    assert doubt == (f"{names}. Count the vertebrae before relying on the name of a level." if names else "")


def test_value_when_not_finite_then_it_is_called_not_measured() -> None:
    assert words.value_of(Measurement(Quantity.DISC_HEIGHT, None, math.nan, ())) == "not measured"


@pytest.mark.parametrize(("share", "shown"), [(0.0, "0 %"), (1.0, "100 %"), (0.5, "50 %"), (0.009, "<1 %")])
def test_percent_never_rounds_to_certainty(share: float, shown: str) -> None:
    assert words.percent(share) == shown


def said(*shares: tuple[float, float, float], status: Status = Status.GRADED) -> StudyGrades:
    """Grades of the canal from head to feet by these probabilities."""
    cells = list(example_grades().cells)
    for place, one in enumerate(shares):
        cells[place] = CellGrade(cells[place].cell, status, "a reason", Probabilities(one))
    return dataclasses.replace(example_grades(), cells=tuple(cells))


SEVERE, LIKELY_SEVERE, MILD, HARDLY_MILD, OPEN = (
    (0.0, 0.03, 0.97),
    (0.15, 0.46, 0.39),
    (0.9, 0.1, 0.0),
    (0.55, 0.4, 0.05),
    (0.3, 0.31, 0.39),
)


def test_summary_when_no_severity_is_sure_then_it_names_two_or_says_uncertain() -> None:
    assert words.findings(said(SEVERE, LIKELY_SEVERE, MILD, HARDLY_MILD, OPEN)) == (
        "Severe canal stenosis at L1/L2; moderate or severe at L2/L3; normal/mild or moderate at L4/L5; "
        "uncertain at L5/S1."
    )
    assert words.findings(said(OPEN, MILD, MILD, MILD, MILD)) == "Canal stenosis uncertain at L1/L2."


def test_narrowed_places_are_told_as_sure_as_they_are() -> None:
    line = words.narrowed(
        said(OPEN, LIKELY_SEVERE, MILD, HARDLY_MILD, SEVERE), Condition.SPINAL_CANAL_STENOSIS
    )
    assert line == "L5/S1 Severe, L2/L3 Moderate or severe, L4/L5 Normal/Mild or moderate, L1/L2 Uncertain"


def test_drafts_are_neither_findings_nor_narrowed_places_but_said_to_be_drafts() -> None:
    grades = said(*[SEVERE] * 5, status=Status.DRAFT)
    assert words.findings(grades) == ""
    assert words.gaps(grades) == (
        "Foraminal narrowing and subarticular stenosis not graded. "
        "Canal stenosis: drafts only, not shown to hold on patients."
    )
    canal_ = Condition.SPINAL_CANAL_STENOSIS
    assert words.narrowed(grades, canal_) == "no level graded"
    assert words.narrowed(grades, canal_, status=Status.DRAFT).startswith("L1/L2 Severe, L2/L3 Severe")


def test_agreement_when_grades_are_unsure_or_drafts_then_they_are_counted_apart() -> None:
    grades = said(SEVERE, LIKELY_SEVERE, MILD, HARDLY_MILD, OPEN)
    reference = dict.fromkeys(LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS), Severity.SEVERE)
    assert words.agreement(grades, reference) == (
        "1 of 2 graded cells are as the reference says; 3 more are uncertain or between two severities. "
        "Not so: L3/L4 canal stenosis (Normal/Mild, reference Severe)."
    )
    drafts = said(*[SEVERE] * 5, status=Status.DRAFT)
    assert (
        words.agreement(drafts, reference, status=Status.DRAFT) == "5 of 5 drafts are as the reference says."
    )
    assert words.agreement(grades, reference, status=Status.DRAFT) == ""


def test_second_opinion_when_unsure_then_it_claims_no_severity() -> None:
    opinion = SecondOpinion("a ruler", Probabilities(LIKELY_SEVERE), 0.2, disagrees=False)
    grade = dataclasses.replace(example_grades().cells[0], second_opinion=opinion)
    assert words.second_opinion(grade) == "Second opinion (a ruler): Moderate or severe, 85 %."


def test_what_was_measured_of_a_cell_alone_is_told() -> None:
    cell = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L4_L5, Side.LEFT)
    outline = ((0.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, 5.0, 5.0))
    areas = (
        Measurement(Quantity.FORAMINAL_AREA, cell.level, 54.96, outline),
        Measurement(Quantity.FORAMINAL_FAT_AREA, cell.level, 19.01, ()),
    )
    grade = CellGrade(cell, Status.NOT_GRADED, "for a reason", measurements=areas)
    assert words.measured_here(grade) == "Foraminal area 55.0 mm², foraminal fat area 19.0 mm²."
    assert words.measured_here(dataclasses.replace(grade, measurements=())) == ""
