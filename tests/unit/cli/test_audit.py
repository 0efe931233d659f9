"""``stenograde audit``: the table of labels to look at, and what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from stenograde.cli import main
from stenograde.terms import LUMBAR_MRI, Severity

STUDIES = 40
WRONG = (("7", LUMBAR_MRI.cells[3].name), ("21", LUMBAR_MRI.cells[12].name))
"""Cells whose label is planted: Severe, where the predictions are sure of Normal/Mild."""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Labels drawn from the predictions but for two; study 0 lacks a label, study 1 a prediction."""
    rng = np.random.default_rng(8)
    labels, predictions = tmp_path / "train.csv", tmp_path / "said.csv"
    with (
        labels.open("w", encoding="utf-8", newline="") as first,
        predictions.open("w", encoding="utf-8", newline="") as second,
    ):
        stated, said = csv.writer(first), csv.writer(second)
        stated.writerow(["study_id", *(cell.name for cell in LUMBAR_MRI.cells)])
        said.writerow(["row_id", *(severity.value for severity in Severity)])
        for study in map(str, range(STUDIES)):
            shares = rng.dirichlet((4, 1, 0.5), len(LUMBAR_MRI.cells))
            ranks = [int(rng.choice(3, p=one)) for one in shares]
            for place, cell in enumerate(LUMBAR_MRI.cells):
                if (study, cell.name) in WRONG:
                    ranks[place], shares[place] = 2, (0.9998, 0.0001, 0.0001)
                if (study, place) != ("1", 0):
                    said.writerow([f"{study}_{cell.name}", *shares[place]])
            words = [tuple(Severity)[rank].shown for rank in ranks]
            stated.writerow([study, "" if study == "0" else words[0], *words[1:]])
    return labels, predictions


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_when_written_then_planted_labels_are_first_and_columns_are_as_documented(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions = files
    out = tmp_path / "folder" / "audit.csv"
    assert main(["audit", str(predictions), "--labels", str(labels), "--out", str(out)]) == 0
    rows = _table(out)
    shown = capsys.readouterr().out
    n_cells = STUDIES * 25 - 2
    assert f"the 50 least supported of {n_cells} labels of {STUDIES} studies" in shown
    assert shown.count("\n") == 1
    assert list(rows[0]) == [
        *("rank", "study_id", "condition", "level", "side", "label", "suggested"),
        *("normal_mild", "moderate", "severe", "score"),
    ]
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 51)]
    first = {(row["study_id"], "_".join(filter(None, _words(row)))) for row in rows[:2]}
    assert first == set(WRONG)
    assert all(row["label"] == "severe" and row["suggested"] == "normal_mild" for row in rows[:2])
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    for row in rows:
        assert row["score"] == row[row["label"]]
        assert sum(float(row[severity.value]) for severity in Severity) == pytest.approx(1, abs=2e-6)
        assert row["suggested"] != row["label"]


def _words(row: dict[str, str]) -> tuple[str, ...]:
    return row["side"], row["condition"], row["level"]


def test_the_share_when_given_then_so_many_labels_are_written(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions = files
    written = {}
    for share in ("1", "0.01", "0.0001"):
        out = tmp_path / f"{share}.csv"
        asked = ["audit", str(predictions), "--labels", str(labels), "--out", str(out), "--share", share]
        assert main(asked) == 0
        written[share] = _table(out)
    assert [len(rows) for rows in written.values()] == [998, 10, 1]
    assert written["0.01"] == written["1"][:10]
    keys = [(row["study_id"], *_words(row)) for row in written["1"]]
    assert len(set(keys)) == 998
    doubted = sum(bool(row["suggested"]) for row in written["1"])
    assert f"would change {doubted} of all labels" in capsys.readouterr().out


@pytest.mark.parametrize("share", ["0", "1.5", "x"])
def test_a_share_when_it_is_none_then_it_is_refused(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "a", "--labels", "b", "--out", "c", "--share", share]) == 2
    assert "--share" in capsys.readouterr().err


def test_predictions_when_of_other_studies_then_they_are_refused_and_nothing_is_written(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, out = tmp_path / "other.csv", tmp_path / "audit.csv"
    other.write_text(f"row_id,normal_mild,moderate,severe\n99_{LUMBAR_MRI.cells[0].name},1,0,0\n", "utf-8")
    assert main(["audit", str(other), "--labels", str(files[0]), "--out", str(out)]) == 2
    assert "must hold predictions of cells" in capsys.readouterr().err
    assert not out.exists()


def test_predictions_when_of_several_models_then_one_is_chosen(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, predictions = files
    head, *rows = predictions.read_text(encoding="utf-8").splitlines()
    both, out, alone = tmp_path / "both.csv", tmp_path / "audit.csv", tmp_path / "alone.csv"
    even = [f"{row.split(',')[0]},0.2,0.3,0.5,other" for row in rows]
    both.write_text("\n".join([f"{head},model", *(f"{row},ours" for row in rows), *even]), encoding="utf-8")
    asked = ["audit", str(both), "--labels", str(labels), "--out", str(out)]
    assert main(asked) == 2
    assert "choose one with --model" in capsys.readouterr().err
    assert main([*asked, "--model", "ours"]) == 0
    assert main(["audit", str(predictions), "--labels", str(labels), "--out", str(alone)]) == 0
    assert out.read_text(encoding="utf-8") == alone.read_text(encoding="utf-8")
