"""The tables hold one row per cell, make up no probability, and carry no formula."""

from __future__ import annotations

import csv
import dataclasses
import io

from tests.golden.report.example import NOT_YET, example_grades

from stenograde.grades import Status
from stenograde.report.as_csv import COLUMNS, DISC_COLUMNS, as_csv, discs_as_csv


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_table_when_given_two_studies_then_it_has_fifty_rows_and_one_head() -> None:
    text = as_csv([example_grades(), example_grades()])
    assert text.splitlines()[0].split(",") == list(COLUMNS)
    assert len(rows_of(text)) == 50


def test_row_when_graded_then_it_holds_severity_and_probabilities() -> None:
    row = rows_of(as_csv([example_grades()]))[3]
    assert (row["level"], row["side"], row["severity"], row["severe"]) == ("L4/L5", "", "severe", "0.830000")


def test_row_when_not_graded_then_its_probabilities_are_empty() -> None:
    row = rows_of(as_csv([example_grades()]))[-1]
    assert (row["status"], row["reason"], row["severity"], row["severe"]) == ("not_graded", NOT_YET, "", "")


def test_row_when_a_reason_looks_like_a_formula_then_it_is_made_inert() -> None:
    grades = example_grades()
    last = dataclasses.replace(grades.cells[-1], reason='=HYPERLINK("x"),\n"quoted"')
    row = rows_of(as_csv([dataclasses.replace(grades, cells=(*grades.cells[:-1], last))]))[-1]
    assert row["reason"] == '\'=HYPERLINK("x"), "quoted"'


def test_row_when_no_severity_is_sure_then_it_says_so_in_words() -> None:
    row = rows_of(as_csv([example_grades()]))[2]
    assert (row["severity"], row["moderate"]) == ("normal/mild or moderate", "0.520000")


def test_row_when_a_draft_then_it_has_its_shares_but_no_severity() -> None:
    grades = example_grades()
    draft = dataclasses.replace(grades.cells[3], status=Status.DRAFT, reason="has seen phantoms only")
    row = rows_of(as_csv([dataclasses.replace(grades, cells=(*grades.cells[:3], draft, *grades.cells[4:]))]))[
        3
    ]
    assert (row["status"], row["severity"], row["severe"]) == ("draft", "", "0.830000")


def test_discs_when_given_two_studies_then_they_have_ten_rows_and_one_head() -> None:
    text = discs_as_csv([example_grades(), example_grades()])
    assert text.splitlines()[0].split(",") == list(DISC_COLUMNS)
    assert len(rows_of(text)) == 10


def test_disc_row_holds_probabilities_and_nothing_made_up() -> None:
    rows = rows_of(discs_as_csv([example_grades()]))
    assert (rows[3]["narrowing"], rows[3]["herniation"], rows[3]["pfirrmann"]) == ("0.930000", "", "5")
    assert (rows[2]["pfirrmann_wording"], rows[2]["pfirrmann_2"]) == ("about 3", "0.300000")
    assert (rows[4]["status"], rows[4]["reason"], rows[4]["narrowing"]) == (
        "abstained",
        "the disc was not seen",
        "",
    )
