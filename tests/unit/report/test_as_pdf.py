"""The PDF says what the page says, in its words, and is the same bytes whenever it is made."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date

import pytest
from pypdf import PdfReader
from tests.golden.report.example import example_grades, example_study

from stenograde.grades import CellGrade, Probabilities, Status, StudyGrades
from stenograde.report import disc_words, notes, words
from stenograde.report.as_pdf import as_pdf, title_of
from stenograde.study import Examination, Study
from stenograde.terms import Condition, Severity

DAY = date(2026, 11, 29)


def flat(text: str) -> str:
    """Text without any white space: a PDF breaks its lines where it likes."""
    return re.sub(r"\s+", "", text)


def pages_of(grades: StudyGrades, study: Study) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(as_pdf(grades, study, made_on=DAY))).pages]


def said_in(grades: StudyGrades, study: Study | None = None) -> str:
    return flat("".join(pages_of(grades, study or example_study())))


@pytest.fixture(scope="module")
def pages() -> list[str]:
    return pages_of(example_grades(), example_study())


@pytest.fixture(scope="module")
def said(pages: list[str]) -> str:
    return flat("".join(pages))


def with_cells(grades: StudyGrades, condition: Condition, status: Status, reason: str) -> StudyGrades:
    cells = [
        CellGrade(one.cell, status, reason, Probabilities((0.05, 0.15, 0.8)), one.point)
        if one.cell.condition is condition
        else one
        for one in grades.cells
    ]
    return replace(grades, cells=tuple(cells))


def test_the_same_grades_give_the_same_bytes():
    first, second = (as_pdf(example_grades(), example_study(), made_on=DAY) for _ in range(2))

    assert first == second
    assert first.startswith(b"%PDF-")


def test_what_was_found_stands_first_with_what_it_is_for(pages):
    first = flat(pages[0])
    told = [title_of(example_grades()), notes.RESEARCH, notes.TO_BE_CHECKED, words.findings(example_grades())]
    places = [first.index(flat(one)) for one in told]

    assert places == sorted(places)


def test_each_page_names_study_software_bundle_and_its_number(pages):
    grades = example_grades()
    for number, page in enumerate(pages, start=1):
        assert flat(f"Page {number} of {len(pages)}") in flat(page)
        assert flat(f"{notes.RESEARCH} Study {grades.study_uid}. stenograde") in flat(page)
        assert flat(f"({grades.bundle.hash[:12]})") in flat(page)


def test_each_graded_cell_is_said_with_its_probabilities(said):
    graded = [one for one in example_grades().cells if one.severity]
    assert graded
    for grade in graded:
        shares = " / ".join(words.percent(one) for one in grade.probabilities)
        assert flat(f"{words.wording(grade)} {words.said_share(grade.probabilities)} {shares}") in said


def test_what_has_no_grade_is_said_with_its_reason(said):
    reasons = {one.reason for one in example_grades().cells if not one.severity}
    assert reasons
    for reason in reasons:
        assert flat(words.sentence(reason)) in said
    assert flat(words.gaps(example_grades())) in said


def test_measurements_and_findings_of_discs_are_told(said):
    grades = example_grades()
    for item in grades.measurements:
        assert flat(f"{item.quantity.shown} {words.value_of(item)}") in said
    for disc in grades.discs:
        if disc.pfirrmann:
            assert flat(disc_words.pfirrmann_said(disc)) in said
    assert flat(next(disc_words.unanswered(grades))) in said


def test_warnings_series_and_what_was_left_out_are_told(said):
    grades = example_grades()
    for told in (
        *map(words.sentence, grades.warnings),
        *(use.why for use in grades.series),
        *(one.why[1:] for one in grades.unused),
        grades.bundle.hash,
    ):
        assert flat(told) in said


def test_drafts_are_apart_and_said_to_be_none():
    condition = Condition.SUBARTICULAR_STENOSIS
    grades = with_cells(example_grades(), condition, Status.DRAFT, "it has seen phantoms only")
    said = said_in(grades)

    assert said.index(flat("Drafts, not to be relied on")) < said.index(flat(notes.DRAFTS))
    before = said[: said.index(flat("Drafts, not to be relied on"))]
    assert flat(f"{condition.shown}, left") not in before
    assert flat("Severe 80 %") in said[len(before) :]
    assert flat("it has seen phantoms only") in said[len(before) - 1 :].lower()


def test_doubt_and_caution_stand_on_the_first_page():
    grades = example_grades()
    doubtful = tuple(replace(one, certain=False) for one in grades.levels)
    told = replace(grades, levels=doubtful, caution="the bundle was trained on nothing")
    first = flat(pages_of(told, example_study())[0])

    assert flat(f"{notes.UNCERTAIN_LEVELS} {words.level_doubt(told)}") in first
    assert flat(f"{notes.DO_NOT_RELY} The bundle was trained on nothing.") in first


def test_examination_is_told_only_as_far_as_it_is_known():
    known = Examination(day=date(2020, 3, 4), age="57 years", sex="female", scanner="Somebody", field_t=1.5)
    study = replace(example_study(), examination=known)

    assert flat("Examination: 2020-03-04, 57 years, female") in said_in(example_grades(), study)
    hidden = replace(study, examination=known.without_demographics())
    said = said_in(example_grades(), hidden)
    assert not any(flat(one) in said for one in ("Examination:", "2020-03-04", "57 years", "female"))
    assert flat("Somebody, 1.5 T") in said


def test_text_that_looks_like_markup_is_shown():
    grades = replace(example_grades(), warnings=("a <b>bold</b> & <img src='x'/> name",))

    assert flat("A <b>bold</b> & <img src='x'/> name.") in said_in(grades)


def test_a_study_without_pictures_or_grades_is_written_all_the_same():
    grades = example_grades()
    for condition in Condition:
        grades = with_cells(grades, condition, Status.NOT_GRADED, "nothing was found")
    bare = replace(
        grades, mid_sagittal=None, levels=(), measurements=(), discs=(), series=(), unused=(), warnings=()
    )
    said = said_in(bare, Study(grades.study_uid, ()))

    assert flat(notes.NOTHING_GRADED) in said
    assert flat(notes.NOTHING_LEFT_OUT) in said
    assert not any(flat(f"{one.shown} 8") in said for one in Severity)


def test_pictures_are_embedded_as_they_are():
    reader = PdfReader(io.BytesIO(as_pdf(example_grades(), example_study(), made_on=DAY)))
    sizes = [image.image.size for page in reader.pages for image in page.images]

    assert len(sizes) > 5
    assert all(min(size) > 200 for size in sizes)
