"""Conformal sets: limits worked out otherwise, coverage on simulated cohorts, and what too few patients do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.simulated_cohorts import PREVALENCES, Cohort, Condition, simulate

from stenograde.config import as_plain, build
from stenograde.evaluate.conformal import ConformalSets, coverage_by_class, fit_conformal

CONDITIONS = [
    pytest.param(condition, id=f"{prevalence} {name}")
    for prevalence, conditions in PREVALENCES.items()
    for name, condition in conditions.items()
]
RECESS = PREVALENCES["RSNA 2024"]["recess"]


def _severe_cells(severe: list[float]) -> np.ndarray:
    """Return probabilities with the given P(Severe); the rest is Moderate."""
    return np.array([(0.0, 1 - one, one) for one in severe])


@pytest.mark.parametrize("per", ["cell", "patient"])
def test_limits_when_each_patient_has_one_cell_then_they_are_those_of_split_conformal_prediction(
    per: str,
) -> None:
    rng = np.random.default_rng(0)
    said, truth = rng.dirichlet((2, 1, 1), 400), rng.integers(0, 3, 400)
    fitted = fit_conformal(said, truth, np.arange(400), coverage=0.9, per=per)

    def limit(tail: np.ndarray, share: float) -> float:
        return float(np.quantile(tail, share * (tail.size + 1) / tail.size, method="inverted_cdf"))

    mild, middle, severe = (said[truth == code] for code in range(3))
    assert fitted.limits[0] == pytest.approx((1, limit(mild[:, 1] + mild[:, 2], 0.9)))
    assert fitted.limits[1] == pytest.approx((limit(middle[:, 0], 0.95), limit(middle[:, 2], 0.95)))
    assert fitted.limits[2] == pytest.approx((limit(severe[:, 0] + severe[:, 1], 0.9), 1))
    assert fitted.cells == fitted.patients == tuple(np.bincount(truth).tolist())
    assert fitted.always == ()


def test_a_limit_per_patient_when_worked_out_by_hand_then_it_is_the_same() -> None:
    # P(less than Severe): patient a 0.1, 0.2, 0.9; b 0.3; c 0.4, 0.5; each patient weighs one, and a new one is kept
    said = _severe_cells([0.9, 0.8, 0.1, 0.7, 0.6, 0.5])
    patients = list("aaabcc")
    for coverage, wanted in ((0.4, 0.3), (0.5, 0.4), (0.65, 0.5), (0.7, 0.9)):
        fitted = fit_conformal(said, np.full(6, 2), patients, coverage=coverage, per="patient")
        assert fitted.limits[2] == pytest.approx((wanted, 1))
    assert fitted.patients == (0, 0, 3)
    assert fitted.cells == (0, 0, 6)
    assert fitted.always == (0, 1)


def _limit_by_leaving_out(tail: np.ndarray, patients: np.ndarray, share: float) -> float:
    """Work out the limit per cell as the docstring says it, patient by patient."""

    def limit(of: np.ndarray, kept: int) -> float:
        needed = math.ceil(share * (of.size + kept) - 1e-9)
        return np.sort(of)[needed - 1] if needed <= of.size else 1.0

    for kept in range(1, np.bincount(patients).max() + 1):
        hit = sum(
            (tail[patients == one] <= limit(tail[patients != one], kept)).sum() for one in np.unique(patients)
        )
        if hit >= share * tail.size - 1e-9:
            break
    return limit(tail, kept)


def test_limits_per_cell_when_worked_out_patient_by_patient_then_they_are_the_same() -> None:
    kept_more = 0
    for seed in range(20):
        made = simulate(RECESS, 60, np.random.default_rng(seed))
        fitted = fit_conformal(made.probabilities, made.truth, made.patients)
        mild = made.truth == 0
        tail, patients = made.probabilities[mild, 1:].sum(axis=1), made.patients[mild]
        wanted = _limit_by_leaving_out(tail, patients, 0.9)
        assert fitted.limits[0][1] == pytest.approx(wanted)
        kept_more += wanted > np.sort(tail)[math.ceil(0.9 * (tail.size + 1)) - 1] + 1e-12
    assert kept_more


@pytest.mark.parametrize("condition", CONDITIONS)
def test_coverage_when_averaged_over_cohorts_then_it_is_within_one_point_for_each_class(
    condition: Condition,
) -> None:
    rng = np.random.default_rng(18)
    found, plain = [], []
    for _ in range(200):
        fitted, tested = simulate(condition, 600, rng), simulate(condition, 400, rng)
        limits = fit_conformal(fitted.probabilities, fitted.truth, fitted.patients, coverage=0.9)
        sets = limits.sets(tested.probabilities)
        found.append([one.per_cell for one in coverage_by_class(sets, tested.truth, tested.patients)])
        named = np.eye(3, dtype=bool)[tested.probabilities.argmax(1)]
        plain.append([one.per_cell for one in coverage_by_class(named, tested.truth, tested.patients)])
    assert np.mean(found, axis=0) == pytest.approx([0.9] * 3, abs=0.01)
    assert np.mean(plain, axis=0)[1:].max() < 0.75


def test_coverage_per_patient_when_asked_for_then_it_is_that_of_patients_which_is_another() -> None:
    rng = np.random.default_rng(19)
    by_patient: dict[str, list[float]] = {"cell": [], "patient": []}
    for _ in range(60):
        fitted, tested = simulate(RECESS, 600, rng), simulate(RECESS, 400, rng)
        for per, found in by_patient.items():
            limits = fit_conformal(fitted.probabilities, fitted.truth, fitted.patients, per=per)
            mildest, *_ = coverage_by_class(limits.sets(tested.probabilities), tested.truth, tested.patients)
            found.append(mildest.per_patient)
    assert np.mean(by_patient["patient"]) == pytest.approx(0.9, abs=0.01)
    assert np.mean(by_patient["cell"]) < 0.89


@pytest.mark.parametrize(("coverage", "enough"), [(0.9, 9), (0.8, 4), (0.95, 19)])
def test_a_class_when_it_has_too_few_patients_then_it_is_in_every_set(coverage: float, enough: int) -> None:
    rng = np.random.default_rng(1)
    for n_patients in (0, enough - 1, enough):
        severe = _severe_cells(rng.uniform(0.3, 0.9, n_patients).tolist())
        said = np.concatenate([np.tile([(0.8, 0.2, 0.0)], (60, 1)), severe.reshape(-1, 3)])
        truth = np.repeat([0, 2], [60, n_patients])
        fitted = fit_conformal(said, truth, np.arange(truth.size), coverage=coverage)
        assert (2 in fitted.always) == (n_patients < enough)
        assert fitted.sets([(0.9, 0.1, 0.0)])[0, 2] == (n_patients < enough)
        assert fitted.patients[2] == n_patients


def test_many_cells_when_of_few_patients_then_they_are_too_few() -> None:
    rng = np.random.default_rng(2)
    said = _severe_cells(rng.uniform(0.3, 0.9, 100).tolist())
    for per in ("cell", "patient"):
        assert 2 in fit_conformal(said, np.full(100, 2), np.repeat(np.arange(5), 20), per=per).always
        assert 2 not in fit_conformal(said, np.full(100, 2), np.repeat(np.arange(10), 10), per=per).always
    # nine patients of whom one has most of the cells are fewer than nine
    uneven = np.concatenate([np.arange(9), np.zeros(91, np.int64)])
    assert 2 in fit_conformal(said, np.full(100, 2), uneven).always


def test_a_set_when_no_class_is_within_its_limits_then_it_is_the_nearest_and_gaps_are_filled() -> None:
    limits = ConformalSets(0.5, ((1.0, 0.1), (0.4, 0.4), (0.9, 1.0)), (9, 9, 9), (9, 9, 9))
    said = [(0.85, 0.15, 0.0), (0.45, 0.55, 0.0), (0.9, 0.0, 0.1), (0.2, 0.3, 0.5)]
    assert limits.sets(said).astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1]]


def test_a_cell_when_its_set_is_the_whole_scale_then_it_abstains_and_says_why() -> None:
    limits = ConformalSets(0.95, ((1.0, 0.8), (0.8, 0.8), (0.9, 1.0)), (90, 40, 20), (400, 60, 30))
    said = [(0.3, 0.4, 0.3), (0.05, 0.5, 0.45), (0.98, 0.01, 0.01)]
    reasons = limits.abstentions(said)
    assert reasons == ("no severity can be excluded at 95 % coverage", "", "")
    assert limits.sets(said).all(axis=1).tolist() == [True, False, False]


def test_coverage_when_counted_by_hand_then_cells_and_patients_are_told_apart() -> None:
    sets = np.array([[1, 0], [1, 1], [0, 1], [1, 0], [1, 0]], bool)
    mild, severe = coverage_by_class(sets, [0, 0, 0, 0, 1], list("aaabc"))
    assert (mild.cells, mild.patients, mild.per_cell) == (4, 2, 0.75)
    assert mild.per_patient == pytest.approx((2 / 3 + 1) / 2)
    assert (severe.cells, severe.patients, severe.per_cell, severe.per_patient) == (1, 1, 0, 0)
    (missing,) = coverage_by_class(sets, [0, 0, 0, 0, 0], list("aaabc"))[1:]
    assert missing.cells == missing.patients == 0
    assert math.isnan(missing.per_cell)


def test_sets_when_written_as_a_table_then_they_are_read_back_the_same() -> None:
    made = simulate(RECESS, 60, np.random.default_rng(3))
    fitted = fit_conformal(made.probabilities, made.truth, made.patients)
    assert build(ConformalSets, as_plain(fitted)) == fitted
    too_few = fit_conformal(made.probabilities[:20], made.truth[:20], made.patients[:20])
    assert too_few.always == (0, 1, 2)
    assert build(ConformalSets, as_plain(too_few)) == too_few


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"truth": [0, 1, 3]}, "true classes must be whole numbers from 0 to 2, got int64 from 0 to 3"),
        ({"truth": [0, 1, -1]}, "leave out cells without a label"),
        ({"truth": [0.0, 1.0, 2.0]}, "got float64"),
        ({"truth": [0, 1]}, r"got shapes \(3, 3\) and \(2,\)"),
        ({"patients": ["a", "b"]}, "patients must be one for each of 3 cells"),
        ({"probabilities": np.full((3, 3), 0.5)}, "must be at least 0 and sum to one, got"),
        ({"probabilities": np.full((3, 3), math.nan)}, "must be at least 0 and sum to one, got"),
        ({"probabilities": np.ones((3, 1))}, r"must be of shape \(n, classes\), got \(3, 1\)"),
        ({"coverage": 1.0}, "coverage must be above 0 and below 1"),
        ({"per": "study"}, "per cell or per patient, got 0.9, per study"),
    ],
)
def test_what_is_given_when_unsound_then_it_is_refused(given: dict[str, object], message: str) -> None:
    sound = {"probabilities": np.full((3, 3), 1 / 3), "truth": [0, 1, 2], "patients": ["a", "b", "c"]}
    with pytest.raises(ValueError, match=message):
        fit_conformal(**(sound | given))  # type: ignore[arg-type]


def test_limits_when_unsound_then_they_are_refused() -> None:
    sound = ConformalSets(0.9, ((1.0, 0.3), (0.8, 1.0)), (9, 9), (9, 9))
    changes: tuple[dict[str, object], ...] = (
        {"coverage": 1.0},
        {"limits": ((1.0, math.nan), (0.8, 1.0))},
        {"patients": (9,)},
        {"limits": ((1.0, 1.0),), "patients": (9,), "cells": (9,)},
    )
    for change in changes:
        with pytest.raises(ValueError, match="conformal sets must have a coverage"):
            replace(sound, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"must be of shape \(n, 2\)"):
        sound.sets(np.full((4, 3), 1 / 3))


def test_cohorts_when_simulated_then_severities_are_as_common_as_asked_and_cells_of_a_patient_alike() -> None:
    made: Cohort = simulate(RECESS, 4000, np.random.default_rng(4))
    shares = np.bincount(made.truth) / made.truth.size
    assert shares == pytest.approx([0.714, 0.190, 0.096], abs=0.015)
    severe = (made.truth == 2).reshape(4000, -1)
    assert severe.mean(axis=1).var() > 2 * shares[2] * (1 - shares[2]) / severe.shape[1]
