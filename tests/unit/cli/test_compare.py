"""``stenograde compare``: the table, the JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.made_predictions import made_predictions

from stenograde.cli import main
from stenograde.evaluate.predictions import Predictions, as_csv


def _result(folder: Path, predictions: Predictions) -> str:
    folder.mkdir()
    (folder / "result.json").write_text('{"predictions": "predictions.csv"}', encoding="utf-8")
    (folder / "predictions.csv").write_text(as_csv(predictions), encoding="utf-8")
    return str(folder)


def test_compare_when_two_results_are_given_then_the_table_and_the_json_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = _result(tmp_path / "a", made_predictions(10))
    b = _result(tmp_path / "b", made_predictions(10, of_method=1))
    assert main(["compare", a, b, "--draws", "50"]) == 0
    shown = capsys.readouterr().out
    assert main(["compare", a, b, "--draws", "50", "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["draws"] == 50
    row = next(line for line in shown.splitlines() if "balanced_accuracy" in line)
    assert f"{numbers['scores']['balanced_accuracy']['a']:.3f}" in row
    assert f"{numbers['scores']['balanced_accuracy']['difference']['low']:.3f}" in row
    assert "DeLong" in shown
    assert "McNemar" in shown
    assert "30 pictures of 10 patients; 50 draws." in shown


def test_compare_when_pictures_differ_then_it_says_which_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = made_predictions(4)
    a = _result(tmp_path / "a", whole)
    b = _result(tmp_path / "b", whole.chosen(range(11)))
    assert main(["compare", a, b]) == 2
    error = capsys.readouterr().err
    assert "images of both results must be the same, got 1 only in the first (such as p003_2.png)" in error
    assert error.count("\n") == 1


def test_compare_when_a_folder_is_no_result_then_it_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "must be a folder with a readable result.json" in capsys.readouterr().err
