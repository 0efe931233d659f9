"""Whatever we may have to say about a study, the report's documents stay well formed."""

from __future__ import annotations

import csv
import io
import json
import re

from hypothesis import given, settings
from jsonschema import Draft202012Validator
from tests.properties.strategies import study_grades

from stenograde.grades import Status, StudyGrades
from stenograde.report.as_csv import as_csv
from stenograde.report.as_html import as_html
from stenograde.report.as_json import as_json, schema
from stenograde.study import Study
from stenograde.terms import Cell, Level, Severity

VALID = Draft202012Validator(schema())


@settings(max_examples=40)
@given(study_grades())
def test_json_when_made_of_any_grades_then_it_is_valid_and_survives_writing(grades: StudyGrades) -> None:
    document = as_json(grades)
    VALID.validate(document)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@settings(max_examples=25)
@given(study_grades())
def test_json_when_made_of_any_grades_then_each_cell_says_what_its_grade_says(grades: StudyGrades) -> None:
    for grade, said in zip(grades.cells, as_json(grades)["cells"], strict=True):
        side = f"{said['side']}_" if said["side"] else ""
        level = Level.parse(said["level"])
        assert Cell.parse(f"{side}{said['condition']}_{level.value}") == grade.cell
        assert said["severity"] == grade.severity
        assert (said["wording"] is None) == (grade.severity is None)
        if grade.severity and grade.probabilities:
            assert list(said["probability"].values()) == [round(share, 6) for share in grade.probabilities]


@settings(max_examples=25)
@given(study_grades())
def test_csv_when_read_back_then_it_has_one_row_per_cell_and_no_formula(grades: StudyGrades) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv([grades]))))
    assert [row["status"] for row in rows] == [grade.status for grade in grades.cells]
    assert not any(field.startswith(("=", "+", "-", "@")) for row in rows for field in row.values())
    assert sum(bool(row["severe"]) for row in rows) == sum(
        grade.status in {Status.GRADED, Status.DRAFT} for grade in grades.cells
    )
    for row, grade in zip(rows, grades.cells, strict=True):
        sure = (
            grade.severity is not None and grade.probabilities is not None and max(grade.probabilities) >= 0.6
        )
        assert (row["severity"] in set(Severity)) == sure


@settings(max_examples=25)
@given(study_grades())
def test_html_when_made_of_any_grades_then_nothing_said_becomes_markup(grades: StudyGrades) -> None:
    page = as_html(grades, Study(grades.study_uid, ()))
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<script") == 1
    elements = set(re.findall(r"<([a-zA-Z][a-zA-Z0-9]*)", page))
    assert elements <= {
        *("html", "head", "meta", "title", "link", "style", "body", "header", "main", "footer", "section"),
        *(
            "a",
            "abbr",
            "article",
            "div",
            "p",
            "span",
            "strong",
            "br",
            "sup",
            "h1",
            "h2",
            "h3",
            "ol",
            "ul",
            "li",
            "dl",
            "dt",
        ),
        *(
            "dd",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "details",
            "summary",
            "svg",
            "circle",
            "path",
            "rect",
            "nav",
            "pre",
            "script",
        ),
    }
