"""``stenograde compare``: the table, the JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.made_predictions import made_predictions

from stenograde.cli import main
from stenograde.datasets.submission import as_submission_csv
from stenograde.evaluate.predictions import Predictions, as_csv
from stenograde.grades import Probabilities
from stenograde.terms import LUMBAR_MRI, Severity


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


def _tables(folder: Path) -> tuple[str, str, str]:
    """Labels of four studies, and two tables of predictions: of the canal, one of them without a row of study 3."""
    cells = LUMBAR_MRI.cells
    rng = np.random.default_rng(5)
    words = [severity.shown for severity in Severity]
    rows = [[str(k), *(words[rank] for rank in rng.integers(0, 3, len(cells)))] for k in range(4)]
    labels = folder / "train.csv"
    head = ["study_id", *(cell.name for cell in cells)]
    labels.write_text("".join(f"{','.join(row)}\n" for row in [head, *rows]), encoding="utf-8")
    paths = []
    for name in ("a.csv", "b.csv"):
        said = {
            str(k): {cell: Probabilities(rng.dirichlet((1, 1, 1))) for cell in cells[:5]} for k in range(4)
        }
        if name == "b.csv":
            del said["3"][cells[0]]
        paths.append(folder / name)
        paths[-1].write_text(as_submission_csv(said), encoding="utf-8")
    return str(labels), str(paths[0]), str(paths[1])


def test_tables_when_compared_then_parts_and_differences_are_those_of_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, a, b = _tables(tmp_path)
    asked = ["compare", a, b, "--labels", labels, "--draws", "50"]
    assert main([*asked, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert main(asked) == 0
    shown = capsys.readouterr().out
    canal = numbers["score"]["spinal_canal_stenosis"]
    assert canal["difference"]["value"] == pytest.approx(canal["a"]["value"] - canal["b"]["value"])
    row = next(line for line in shown.splitlines() if "spinal_canal_stenosis" in line)
    for text in (
        f"{canal['a']['value']:.3f}",
        f"{canal['b']['low']:.3f}",
        f"{canal['difference']['high']:.4f}",
    ):
        assert text in row
    assert "absent: no labelled cell with a prediction of both" in shown
    assert "nan" not in shown.lower()
    assert "compared cells: 19, labelled cells that only A predicts: 1, only B: 0; 50 draws" in shown
    # on the cells of both, each is scored as score scores it
    assert main(["score", "--labels", labels, "--predictions", b, "--draws", "50", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)["score"]["spinal_canal_stenosis"]
    assert alone == pytest.approx(canal["b"])


def test_a_table_when_compared_with_itself_then_nothing_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, a, _ = _tables(tmp_path)
    assert main(["compare", a, a, "--labels", labels, "--draws", "20", "--json"]) == 0
    difference = json.loads(capsys.readouterr().out)["score"]["any_severe_canal"]["difference"]
    assert (difference["value"], difference["low"], difference["high"]) == (0, 0, 0)


def test_tables_when_nothing_is_in_both_or_no_labels_are_given_then_it_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, a, b = _tables(tmp_path)
    assert main(["compare", a, b]) == 2
    assert "tables of predictions are compared with --labels" in capsys.readouterr().err
    (tmp_path / "c.csv").write_text(
        f"row_id,normal_mild,moderate,severe\n0_{LUMBAR_MRI.cells[9].name},1,0,0\n", encoding="utf-8"
    )
    assert main(["compare", a, str(tmp_path / "c.csv"), "--labels", labels]) == 2
    assert "must both predict cells that" in capsys.readouterr().err
