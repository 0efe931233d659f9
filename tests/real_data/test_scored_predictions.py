"""The metric of RSNA 2024 on real labels and real out-of-fold predictions, against scikit-learn cell by cell."""

from __future__ import annotations

import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stenograde.cli import main
from stenograde.terms import LUMBAR_MRI, Condition, Severity

pytestmark = pytest.mark.data

metrics = pytest.importorskip("sklearn.metrics", reason="the reference is scikit-learn")

WORDS = [severity.shown for severity in Severity]
CONDITIONS = {cell.name: cell.condition for cell in LUMBAR_MRI.cells}

Row = tuple[str, str, int, tuple[float, float, float]]
"""Study, cell, rank of its label and what was predicted."""


@pytest.fixture(scope="module")
def files(development_data: Path) -> tuple[Path, Path]:
    """Labels of 1,974 studies, and the predictions of five models for them."""
    return (
        development_data / "rsna2024_labels" / "train.csv",
        development_data / "oof_predictions" / "rsna2024_4th_place_oof.csv.gz",
    )


@pytest.fixture(scope="module")
def rows(files: tuple[Path, Path]) -> dict[str, list[Row]]:
    """Labelled predictions by model, read without any of our code."""
    with files[0].open(encoding="utf-8", newline="") as file:
        labels = {row["study_id"]: row for row in csv.DictReader(file)}
    found: dict[str, list[Row]] = {}
    with gzip.open(files[1], "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            study, _, cell = row["row_id"].partition("_")
            of_model = found.setdefault(row["model"], [])
            if word := labels[study][cell]:
                said = [float(row[severity.value]) for severity in Severity]
                # exactly, so that equal answers stay equal, on which areas depend
                total = math.fsum(said)
                of_model.append((study, cell, WORDS.index(word), tuple(one / total for one in said)))
    return found


@pytest.fixture(scope="module")
def scored(files: tuple[Path, Path]) -> dict[str, Any]:
    """Scores of all models in one call of the command."""
    # (a module's fixture cannot have capsys)
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as out:
        code = main(
            ["score", "--labels", str(files[0]), "--predictions", str(files[1]), "--draws", "2", "--json"]
        )
    assert code == 0
    return json.loads(out.getvalue())["models"]


def expected(rows: list[Row]) -> dict[str, float]:
    """Parts of the metric, by scikit-learn."""
    parts = {}
    for condition in Condition:
        chosen = [row for row in rows if CONDITIONS[row[1]] is condition]
        if chosen:
            ranks, said = np.array([row[2] for row in chosen]), np.array([row[3] for row in chosen])
            parts[condition.value] = metrics.log_loss(ranks, said, sample_weight=2.0**ranks, labels=[0, 1, 2])
    of_study: dict[str, list[Row]] = {}
    for row in rows:
        if CONDITIONS[row[1]] is Condition.SPINAL_CANAL_STENOSIS:
            of_study.setdefault(row[0], []).append(row)
    if of_study:
        parts["any_severe_canal"] = metrics.log_loss(
            [max(row[2] for row in canal) == 2 for canal in of_study.values()],
            [max(row[3][2] for row in canal) for canal in of_study.values()],
            sample_weight=[2.0 ** max(row[2] for row in canal) for canal in of_study.values()],
        )
    return parts


def test_each_part_of_each_model_is_that_of_scikit_learn(
    rows: dict[str, list[Row]], scored: dict[str, Any]
) -> None:
    assert scored.keys() == rows.keys()
    assert len(rows) == 5
    for model, of_model in rows.items():
        wanted = expected(of_model)
        told = {name: part["value"] for name, part in scored[model]["score"].items()}
        assert {name for name, value in told.items() if value is not None} == wanted.keys()
        assert {name: told[name] for name in wanted} == pytest.approx(wanted, abs=1e-9, rel=0)
        assert scored[model]["absent"]["score"].keys() == told.keys() - wanted.keys()
        assert scored[model]["scored_cells"] == len(of_model)


def test_each_area_is_that_of_scikit_learn(rows: dict[str, list[Row]], scored: dict[str, Any]) -> None:
    for model, of_model in rows.items():
        for condition in {CONDITIONS[row[1]] for row in of_model}:
            chosen = [row for row in of_model if CONDITIONS[row[1]] is condition]
            area = metrics.roc_auc_score([row[2] == 2 for row in chosen], [row[3][2] for row in chosen])
            assert scored[model]["auc"][condition.value]["value"] == pytest.approx(area, abs=1e-9, rel=0)


def test_answers_that_look_at_no_picture_score_what_was_worked_out_from_the_labels(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "--labels", str(files[0]), "--baselines", "--draws", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["baselines"]["score"]
    assert {name: round(parts["score"]["value"], 3) for name, parts in told.items()} == {
        "uniform": 0.999,
        "class prior": 1.109,
        "weighted prior per condition": 0.911,
        "weighted prior per level": 0.790,
    }
