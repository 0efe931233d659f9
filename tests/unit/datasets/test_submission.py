"""Predictions as RSNA 2024 takes them are read cell by cell, and what is wrong in them is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from stenograde.datasets.submission import as_submission_csv, read_submission, read_submissions
from stenograde.errors import DatasetError
from stenograde.grades import Probabilities
from stenograde.terms import Cell

CANAL = "spinal_canal_stenosis_l4_l5"
LEFT = "left_neural_foraminal_narrowing_l5_s1"


def table(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "said.csv"
    path.write_text("row_id,normal_mild,moderate,severe,model\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_rows_are_told_by_study_and_cell_and_sum_to_one(tmp_path: Path) -> None:
    said = read_submission(table(tmp_path, f"7_a_{CANAL},0.5,0.3,0.201,x", f"8_{LEFT},1,0,0,y"))
    assert set(said) == {"7_a", "8"}
    assert said["7_a"][Cell.parse(CANAL)] == pytest.approx((0.5 / 1.001, 0.3 / 1.001, 0.201 / 1.001))
    assert said["8"] == {Cell.parse(LEFT): (1.0, 0.0, 0.0)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("7_hip_l4_l5,1,0,0,x", r"row_id must be a study and a cell.* got '7_hip_l4_l5' \(said.csv line 3\)"),
        (f"{CANAL},1,0,0,x", "row_id must be a study and a cell"),
        (f"_{CANAL},1,0,0,x", "row_id must be a study and a cell"),
        (
            f"8_{CANAL},0.5,0.3,0.3,x",
            r"must be at least 0 and sum to one, got 0.5, 0.3, 0.3 \(said.csv line 3\)",
        ),
        (f"8_{CANAL},1.1,-0.1,0,x", "must be at least 0"),
        (f"8_{CANAL},nan,0.5,0.5,x", "must be at least 0"),
        (f"8_{CANAL},often,0.5,0.5,x", "got often, 0.5, 0.5"),
        (f"8_{CANAL},,0.5,0.5,x", "got , 0.5, 0.5"),
        (f"7_{CANAL},1,0,0,x", rf"must be there once, got 7_{CANAL} again \(said.csv line 3\)"),
    ],
)
def test_a_row_that_is_none_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_submission(table(tmp_path, f"7_{CANAL},1,0,0,x", row))


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text("row_id,normal,moderate,severe\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="must have the columns row_id, normal_mild, moderate, severe"):
        read_submission(path)


@pytest.mark.parametrize("texts", ["1e308,1e308,1e308", "inf,0,0", "-inf,0,0", "1e400,0,0", "5,-4,0"])
def test_absurd_numbers_are_refused_as_such(tmp_path: Path, texts: str) -> None:
    with pytest.raises(DatasetError, match="must be at least 0 and sum to one"):
        read_submission(table(tmp_path, f"7_{CANAL},{texts},x"))


def test_several_models_are_read_each_by_itself_and_one_can_be_chosen(tmp_path: Path) -> None:
    path = table(tmp_path, f"7_{CANAL},1,0,0,x", f"7_{CANAL},0,1,0,y", f"8_{CANAL},0,0,1,y")
    of_y = {"7": {Cell.parse(CANAL): (0, 1, 0)}, "8": {Cell.parse(CANAL): (0, 0, 1)}}
    assert read_submissions(path) == {"x": {"7": {Cell.parse(CANAL): (1, 0, 0)}}, "y": of_y}
    assert read_submissions(path, model="y") == {"y": of_y}
    with pytest.raises(
        DatasetError, match=r"--model must be one of the column model of said.csv \(x, y\), got 'z'"
    ):
        read_submissions(path, model="z")


def test_several_models_that_say_the_same_cell_are_not_one_answer(tmp_path: Path) -> None:
    path = table(tmp_path, f"7_{CANAL},1,0,0,x", f"7_{CANAL},0,1,0,y", f"8_{CANAL},0,0,1,y")
    with pytest.raises(
        DatasetError, match=r"said.csv must say each cell once, got 2 models: x, y; give a table of one model"
    ):
        read_submission(path)


def test_a_submission_has_the_rows_of_the_sample_in_its_order(tmp_path: Path) -> None:
    said = {"9": {Cell.parse(name): Probabilities((0.1, 0.2, 0.7)) for name in (CANAL, LEFT)}}
    text = as_submission_csv(said | {"=1": {Cell.parse(CANAL): Probabilities((1, 0, 0))}})
    assert text.splitlines() == [
        "row_id,normal_mild,moderate,severe",
        f"9_{LEFT},0.1,0.2,0.7",
        f"9_{CANAL},0.1,0.2,0.7",
        f"'=1_{CANAL},1.0,0.0,0.0",
    ]
