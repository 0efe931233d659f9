"""Conformal sets and the label audit on real out-of-fold predictions, by patient."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from stenograde.evaluate.conformal import ClassCoverage, coverage_by_class, fit_conformal
from stenograde.evaluate.label_audit import audit_labels

pytestmark = pytest.mark.data

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]
SEVERITIES = ("Normal/Mild", "Moderate", "Severe")


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _cells(shares: list[list[float]], truth: list[int], patients: list[str]) -> Cells:
    said = np.array(shares)
    return said / said.sum(1, keepdims=True), np.array(truth), np.unique(patients, return_inverse=True)[1]


@pytest.fixture(scope="module")
def foramina(development_data: Path) -> Cells:
    """Foramina of 358 patients, graded by another group with four grades; Normal and Mild are merged."""
    rows = _rows(development_data / "oof_predictions" / "lss_foraminal_4grade_oof.csv.gz")
    names = ("prob_0_normal", "prob_1_mild", "prob_2_moderate", "prob_3_severe")
    four = [[float(row[name]) for name in names] for row in rows]
    return _cells(
        [[a + b, c, d] for a, b, c, d in four],
        [max(int(row["severity"]) - 1, 0) for row in rows],
        [row["patient_id"] for row in rows],
    )


@pytest.fixture(scope="module")
def rsna(development_data: Path) -> dict[str, Cells]:
    """Out-of-fold predictions of the 4th place of RSNA 2024, one model per condition."""
    models = {
        "canal": "yu4u_sagittal2_axial",
        "foramen": "yu4u_sagittal1_s1_swint",
        "recess": "yu4u_axial_swint",
    }
    every = _rows(development_data / "oof_predictions" / "rsna2024_4th_place_oof.csv.gz")
    cohorts = {}
    for name, model in models.items():
        rows = [row for row in every if row["model"] == model and row["y"] in SEVERITIES]
        shares = [[float(row[column]) for column in ("normal_mild", "moderate", "severe")] for row in rows]
        truth = [SEVERITIES.index(row["y"]) for row in rows]
        cohorts[name] = _cells(shares, truth, [row["study_id"] for row in rows])
    return cohorts


def _halves(cells: Cells, per: str, repeats: int) -> list[tuple[ClassCoverage, ...]]:
    """Return the coverage of one half of the patients by limits fitted on the other, again and again."""
    said, truth, patients = cells
    rng, found = np.random.default_rng(0), []
    for _ in range(repeats):
        first = (rng.permutation(patients.max() + 1) <= patients.max() // 2)[patients]
        limits = fit_conformal(said[first], truth[first], patients[first], coverage=0.9, per=per)
        found.append(coverage_by_class(limits.sets(said[~first]), truth[~first], patients[~first]))
    return found


@pytest.mark.parametrize("condition", ["canal", "foramen", "recess"])
def test_coverage_of_new_patients_of_rsna_2024_is_within_one_point_for_each_class(
    rsna: dict[str, Cells], condition: str
) -> None:
    of_cells = [[one.per_cell for one in found] for found in _halves(rsna[condition], "cell", 40)]
    assert np.mean(of_cells, axis=0) == pytest.approx([0.9] * 3, abs=0.01)
    of_patients = [[one.per_patient for one in found] for found in _halves(rsna[condition], "patient", 40)]
    assert np.mean(of_patients, axis=0) == pytest.approx([0.9] * 3, abs=0.01)


def test_coverage_of_new_patients_of_the_foraminal_file_is_at_least_as_asked(foramina: Cells) -> None:
    """A half has about 100 Moderate and 80 Severe cells of 60 and 40 patients, so limits are cautious."""
    of_cells = [[one.per_cell for one in found] for found in _halves(foramina, "cell", 100)]
    low, high = 0.895, 0.93
    assert all(low < one < high for one in np.mean(of_cells, axis=0))


@pytest.mark.parametrize("name", ["foraminal file", "canal"])
def test_planted_wrong_labels_are_found(foramina: Cells, rsna: dict[str, Cells], name: str) -> None:
    said, truth, _ = foramina if name == "foraminal file" else rsna["canal"]
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        planted = rng.permutation(truth.size) < 0.03 * truth.size
        stated = np.where(planted, (truth + rng.integers(1, 3, truth.size)) % 3, truth)
        top = [one.place for one in audit_labels(said, stated)[: round(0.05 * truth.size)]]
        found.append(planted[top].sum() / planted.sum())
    assert np.mean(found) >= 0.8
