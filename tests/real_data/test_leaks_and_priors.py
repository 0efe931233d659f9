"""The leak audit and the level-only prior on real axial slices, and scores of published predictions."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stenograde.evaluate.baselines import group_prior
from stenograde.evaluate.leakage import AuditedPictures, audit
from stenograde.evaluate.metrics import METRICS
from stenograde.evaluate.predictions import Predictions, joined
from stenograde.images.pictures import PictureConfig, prepare_picture

pytestmark = pytest.mark.data

CODES = {"No": 0, "Mild": 1, "Serious": 2}


@pytest.fixture(scope="module")
def rows(development_data: Path) -> list[dict[str, str]]:
    with (development_data / "sudirman_axial_t1" / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _side(folder: Path, rows: list[dict[str, str]]) -> AuditedPictures:
    config = PictureConfig(size_px=(64, 64))
    pictures: list[NDArray[np.uint8]] = []
    for row in rows:
        with Image.open(folder / row["image"]) as picture:
            pictures.append(prepare_picture(np.asarray(picture.convert("L"), np.float32), config))
    return AuditedPictures(
        tuple(row["image"] for row in rows), tuple(row["patient"] for row in rows), np.stack(pictures)
    )


def test_slices_of_different_patients_are_not_taken_for_copies_and_a_mirrored_one_is(
    development_data: Path, rows: list[dict[str, str]]
) -> None:
    folder = development_data / "sudirman_axial_t1" / "images"
    patients = sorted({row["patient"] for row in rows})
    train = _side(folder, [row for row in rows if row["patient"] in patients[:30]])
    test = _side(folder, [row for row in rows if row["patient"] in patients[30:45]])
    assert audit(train, test).leaking_test_places == ()
    planted = AuditedPictures(
        (*train.names, "copy"),
        (*train.patients, None),
        np.concatenate([train.pictures, test.pictures[5:6, :, ::-1]]),
    )
    report = audit(planted, test)
    assert [(pair.test, pair.mirrored) for pair in report.near_duplicates] == [(test.names[5], True)]


def test_neighbouring_slices_of_one_patient_that_look_the_same_are_near_duplicates(
    development_data: Path, rows: list[dict[str, str]]
) -> None:
    folder = development_data / "sudirman_axial_t1" / "images"
    sides = [
        _side(folder, [row for row in rows if row["image"] == f"T1_0107_{disc}.webp"])
        for disc in ("D4", "D5")
    ]
    (pair,) = audit(*sides).near_duplicates
    assert pair.likeness == pytest.approx(0.86, abs=0.03)


def test_the_level_only_prior_tells_some_stenosis_from_none(rows: list[dict[str, str]]) -> None:
    labelled = [row for row in rows if row["canal_stenosis_report"] in CODES]
    labels = np.array([CODES[row["canal_stenosis_report"]] for row in labelled])
    levels = [row["disc"] for row in labelled]
    n = len(labelled)
    whole = Predictions(
        tuple(CODES),
        tuple(row["image"] for row in labelled),
        tuple(row["patient"] for row in labelled),
        labels,
        np.full((n, 3), 1 / 3),
        tuple(levels),
    )
    fold = whole.units % 5
    answers = [
        group_prior(
            labels[fold != k],
            whole.chosen(np.flatnonzero(fold == k)),
            train_groups=[levels[i] for i in np.flatnonzero(fold != k)],
        )
        for k in range(5)
    ]
    assert METRICS["auc_any"](joined(answers)) == pytest.approx(0.68, abs=0.03)


def test_the_scores_of_real_out_of_fold_predictions_are_those_of_scikit_learn(development_data: Path) -> None:
    from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

    path = development_data / "oof_predictions" / "rsna2024_4th_place_oof.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        found = {row["row_id"]: row for row in csv.DictReader(file) if row["k"].startswith("spinal_canal")}
    classes = ("Normal/Mild", "Moderate", "Severe")
    taken = [row for row in list(found.values())[:4000] if row["y"] in classes]
    shares = np.array([[float(row[name]) for name in ("normal_mild", "moderate", "severe")] for row in taken])
    made = Predictions(
        classes,
        tuple(row["row_id"] for row in taken),
        tuple(row["study_id"] for row in taken),
        np.array([classes.index(row["y"]) for row in taken]),
        shares / shares.sum(1, keepdims=True),
    )
    assert METRICS["auc_any"](made) == pytest.approx(
        roc_auc_score(made.labels > 0, 1 - made.probabilities[:, 0])
    )
    assert METRICS["log_loss"](made) == pytest.approx(log_loss(made.labels, made.probabilities))
    assert METRICS["balanced_accuracy"](made) == pytest.approx(
        balanced_accuracy_score(made.labels, made.predicted)
    )
