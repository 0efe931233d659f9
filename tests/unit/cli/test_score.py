"""``stenograde score`` of predictions that are there: the metric as scikit-learn works it out, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from stenograde.cli import main
from stenograde.terms import LUMBAR_MRI, Condition, Severity

CANAL = [cell for cell in LUMBAR_MRI.cells if cell.condition is Condition.SPINAL_CANAL_STENOSIS]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """Labels of forty studies, and predictions of their canal alone; study 3 lacks a label, study 5 a prediction."""
    rng = np.random.default_rng(4)
    ranks, said = rng.integers(0, 3, (40, 5)), rng.dirichlet(np.ones(3), (40, 5))
    labels, predictions = tmp_path / "train.csv", tmp_path / "said.csv"
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file, ["study_id", *(cell.name for cell in LUMBAR_MRI.cells)], restval="Moderate"
        )
        writer.writeheader()
        for k, row in enumerate(ranks):
            words = {cell.name: tuple(Severity)[rank].shown for cell, rank in zip(CANAL, row, strict=True)}
            writer.writerow({"study_id": k, **words, **({CANAL[0].name: ""} if k == 3 else {})})
    with predictions.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("row_id", "normal_mild", "moderate", "severe"))
        for k, row in enumerate(said):
            for cell, shares in zip(CANAL, row, strict=True):
                if (k, cell) != (5, CANAL[1]):
                    writer.writerow((f"{k}_{cell.name}", *shares))
    counted = np.ones((40, 5), bool)
    counted[3, 0] = counted[5, 1] = False
    return labels, predictions, ranks[counted], said[counted]


def test_predictions_are_scored_as_scikit_learn_does(
    files: tuple[Path, Path, np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions, ranks, said = files
    asked = ["score", "--labels", str(labels), "--predictions", str(predictions), "--draws", "20"]
    assert main([*asked, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    wanted = log_loss(ranks, said, sample_weight=2.0**ranks, labels=[0, 1, 2])
    canal = numbers["score"]["spinal_canal_stenosis"]
    assert canal["value"] == pytest.approx(wanted, abs=1e-9)
    assert canal["low"] < wanted < canal["high"]
    assert numbers["auc"]["spinal_canal_stenosis"]["value"] == pytest.approx(
        roc_auc_score(ranks == 2, said[:, 2])
    )
    assert numbers["score"]["subarticular_stenosis"]["value"] is None
    assert numbers["absent"]["score"].keys() == {
        "neural_foraminal_narrowing",
        "subarticular_stenosis",
        "score",
    }
    assert numbers["absent"]["auc"]["subarticular_stenosis"] == "no labelled cell with a prediction"
    assert numbers["n_studies"] == 40
    assert numbers["scored_cells"] == 198
    assert numbers["labelled_cells_without_prediction"] == 40 * 20 + 1
    assert numbers["predictions_without_label"] == 1
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert f"{wanted:.3f}" in shown
    assert "labelled cells without prediction: 801" in shown
    assert shown.count("absent: no labelled cell with a prediction") == 4
    assert "absent: it is the mean of 4 parts" in shown
    assert "nan" not in shown.lower()


def test_an_area_without_severe_cells_is_absent_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions = tmp_path / "train.csv", tmp_path / "said.csv"
    labels.write_text(
        "study_id,"
        + ",".join(cell.name for cell in LUMBAR_MRI.cells)
        + "\n1,Moderate"
        + ",Severe" * 24
        + "\n",
        encoding="utf-8",
    )
    rows = "".join(f"1_{cell.name},0.2,0.3,0.5\n" for cell in (CANAL[0], LUMBAR_MRI.cells[-1]))
    predictions.write_text(f"row_id,normal_mild,moderate,severe\n{rows}", encoding="utf-8")
    assert main(["score", "--labels", str(labels), "--predictions", str(predictions), "--draws", "5"]) == 0
    shown = capsys.readouterr().out
    assert "absent: none is severe" in shown
    assert "absent: all are severe" in shown
    assert "absent: it is the mean of those of all labelled conditions" in shown
    assert "nan" not in shown.lower()


def test_predictions_of_other_studies_are_refused(
    files: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(f"row_id,normal_mild,moderate,severe\n99_{CANAL[0].name},1,0,0\n", encoding="utf-8")
    assert main(["score", "--labels", str(files[0]), "--predictions", str(other)]) == 2
    assert "must hold predictions of cells" in capsys.readouterr().err


@pytest.mark.parametrize(
    "asked",
    [
        [],
        ["DATA", "--labels", "a"],
        ["--labels", "a"],
        ["--labels", "a", "--predictions", "b", "--leave-one-out"],
        ["--labels", "a", "--predictions", "b", "--shares", "c"],
        ["--labels", "a", "--predictions", "b", "--baselines"],
        ["--labels", "a", "--baselines", "--model", "c"],
        ["DATA", "--baselines"],
    ],
)
def test_what_is_asked_must_be_one_thing(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", *asked]) == 2
    assert "score needs either DATA" in capsys.readouterr().err


def test_a_study_that_is_labelled_twice_is_refused(
    files: tuple[Path, Path, np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions, *_ = files
    with labels.open("a", encoding="utf-8") as file:
        file.write(labels.read_text(encoding="utf-8").splitlines()[1] + "\n")
    assert main(["score", "--labels", str(labels), "--predictions", str(predictions)]) == 2
    assert "study_id in train.csv must be there once, got '0' again" in capsys.readouterr().err


def test_several_models_are_scored_each_by_itself_and_one_can_be_chosen(
    files: tuple[Path, Path, np.ndarray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions, *_ = files
    head, *rows = predictions.read_text(encoding="utf-8").splitlines()
    both = tmp_path / "both.csv"
    even = [f"{row.split(',')[0]},0.2,0.3,0.5,other" for row in rows]
    both.write_text("\n".join([f"{head},model", *(f"{row},ours" for row in rows), *even]), encoding="utf-8")
    asked = ["score", "--labels", str(labels), "--draws", "5", "--json", "--predictions"]
    assert main([*asked, str(both)]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert list(models) == ["ours", "other"]
    asked_for_tables = [word for word in asked if word != "--json"]
    assert main([*asked_for_tables, str(both)]) == 0
    shown = capsys.readouterr().out
    for name, of_model in models.items():
        _, _, told = shown.partition(f"{name}: metric of RSNA 2024")
        value = of_model["score"]["spinal_canal_stenosis"]["value"]
        assert f"{value:.3f}" in told.partition("metric of RSNA 2024")[0]
    assert main([*asked, str(both), "--model", "ours"]) == 0
    chosen = json.loads(capsys.readouterr().out)
    assert chosen.pop("model") == "ours"
    assert models["ours"].items() <= chosen.items()
    assert main([*asked, str(predictions)]) == 0
    assert {**chosen, "predictions": str(predictions)} == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("draws", ["0", "1000000000000", "x"])
def test_draws_are_within_reason(draws: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--labels", "a", "--predictions", "b", "--draws", draws]) == 2
    assert "--draws" in capsys.readouterr().err


def test_answers_that_look_at_no_picture_are_scored_as_scikit_learn_does(
    files: tuple[Path, Path, np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = files[0]
    with labels.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = [severity.shown for severity in Severity]
    ranks = [words.index(row[cell.name]) for cell in CANAL for row in rows if row[cell.name]]
    shares, weights = np.bincount(ranks) / len(ranks), np.array([1, 2, 4])
    asked = ["score", "--labels", str(labels), "--baselines", "--draws", "5"]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["baselines"]
    assert told["n_studies"] == 40
    for name, one in {
        "uniform": np.ones(3) / 3,
        "class prior": shares,
        "weighted prior per condition": shares * weights / (shares @ weights),
    }.items():
        wanted = log_loss(ranks, [one] * len(ranks), sample_weight=weights[ranks], labels=[0, 1, 2])
        assert told["score"][name]["spinal_canal_stenosis"]["value"] == pytest.approx(wanted, abs=1e-9)
    per_level = told["score"]["weighted prior per level"]["spinal_canal_stenosis"]["value"]
    assert per_level < told["score"]["weighted prior per condition"]["spinal_canal_stenosis"]["value"]
    assert main(asked) == 0
    assert f"{per_level:.3f}" in capsys.readouterr().out


def test_baselines_of_no_labels_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "train.csv"
    labels.write_text("study_id," + ",".join(cell.name for cell in LUMBAR_MRI.cells) + "\n", encoding="utf-8")
    assert main(["score", "--labels", str(labels), "--baselines"]) == 2
    assert "train.csv must label cells, got none" in capsys.readouterr().err
