"""Scores against scikit-learn, tests against statsmodels and scipy, intervals against a plain loop."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_effectsize
from tests.made_predictions import made_predictions

from stenograde.evaluate.calibration import class_reliability, fit_temperature
from stenograde.evaluate.hypothesis_tests import compare_repeats, delong, mcnemar
from stenograde.evaluate.intervals import patient_bootstrap
from stenograde.evaluate.metrics import METRICS, confusion, per_class
from stenograde.evaluate.plots import roc_points
from stenograde.evaluate.predictions import Predictions

Weights = NDArray[np.float64] | None
Score = Callable[[Predictions, Weights], float]


def _macro(of: Callable[..., float]) -> Score:
    """Return a mean over the classes that have pictures; a class that is never said counts 0."""

    def score(p: Predictions, w: Weights) -> float:
        present = np.unique(p.labels if w is None else p.labels[w > 0])
        return of(p.labels, p.predicted, labels=present, average="macro", sample_weight=w, zero_division=0)

    return score


SKLEARN: dict[str, Score] = {
    "accuracy": lambda p, w: reference.accuracy_score(p.labels, p.predicted, sample_weight=w),
    "balanced_accuracy": lambda p, w: reference.balanced_accuracy_score(
        p.labels, p.predicted, sample_weight=w
    ),
    "macro_precision": _macro(reference.precision_score),
    "macro_recall": _macro(reference.recall_score),
    "macro_f1": _macro(reference.f1_score),
    "auc_any": lambda p, w: reference.roc_auc_score(p.labels > 0, 1 - p.probabilities[:, 0], sample_weight=w),
    "auc_worst": lambda p, w: reference.roc_auc_score(p.labels == 2, p.probabilities[:, 2], sample_weight=w),
    "macro_auc": lambda p, w: float(
        np.mean(
            [reference.roc_auc_score(p.labels == c, p.probabilities[:, c], sample_weight=w) for c in range(3)]
        )
    ),
    "log_loss": lambda p, w: reference.log_loss(p.labels, p.probabilities, sample_weight=w, labels=range(3)),
    "brier": lambda p, w: reference.brier_score_loss(
        p.labels, p.probabilities, sample_weight=w, labels=range(3), scale_by_half=False
    ),
    "quadratic_kappa": lambda p, w: reference.cohen_kappa_score(
        p.labels, p.predicted, weights="quadratic", sample_weight=w
    ),
}


def test_every_score_has_a_reference() -> None:
    assert SKLEARN.keys() == METRICS.keys()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(4))
def test_a_score_when_weighted_or_not_then_it_is_scikit_learns(name: str, seed: int) -> None:
    predictions = made_predictions(15, skill=0.7, seed=seed)
    assert METRICS[name](predictions) == pytest.approx(SKLEARN[name](predictions, None), abs=1e-12)
    weights = np.random.default_rng(seed).integers(1, 4, len(predictions)).astype(float)
    ours = METRICS[name].weighted(predictions, weights[None])[0]
    assert ours == pytest.approx(SKLEARN[name](predictions, weights), abs=1e-12)


def test_macro_auc_when_unweighted_then_it_is_one_against_the_rest() -> None:
    predictions = made_predictions(15)
    ours = METRICS["macro_auc"](predictions)
    theirs = reference.roc_auc_score(predictions.labels, predictions.probabilities, multi_class="ovr")
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_an_auc_when_scores_are_equal_then_it_is_scikit_learns() -> None:
    made = made_predictions(30, skill=0.5)
    coarse = np.round(made.probabilities * 4) + 0.5
    tied = Predictions(
        made.classes, made.names, made.patients, made.labels, coarse / coarse.sum(1, keepdims=True)
    )
    theirs = reference.roc_auc_score(tied.labels == 2, tied.probabilities[:, 2])
    assert METRICS["auc_worst"](tied) == pytest.approx(theirs, abs=1e-12)


def test_classes_when_scored_one_by_one_then_they_are_scikit_learns() -> None:
    predictions = made_predictions(20, skill=0.7)
    labels, said = predictions.labels, predictions.predicted
    np.testing.assert_array_equal(confusion(predictions), reference.confusion_matrix(labels, said))
    theirs = reference.precision_recall_fscore_support(labels, said)
    for code, ours in enumerate(per_class(predictions)):
        assert (ours.precision, ours.recall, ours.f1, ours.count) == pytest.approx(
            [row[code] for row in theirs]
        )
        assert ours.specificity == pytest.approx(reference.recall_score(labels != code, said != code))


def test_a_roc_curve_when_joined_then_it_is_scikit_learns() -> None:
    predictions = made_predictions(20)
    scores, positive = np.round(predictions.probabilities[:, 2], 1), predictions.labels == 2
    x, y, _ = reference.roc_curve(positive, scores, drop_intermediate=False)
    ours = roc_points(scores, positive)
    np.testing.assert_allclose(ours[0], x)
    np.testing.assert_allclose(ours[1], y)


def test_reliability_when_binned_then_it_is_scikit_learns() -> None:
    predictions = made_predictions(60)
    ours = class_reliability(predictions, 1, bins=10)
    seen, said = calibration_curve(predictions.labels == 1, predictions.probabilities[:, 1], n_bins=10)
    np.testing.assert_allclose(ours.seen, seen)
    np.testing.assert_allclose(ours.said, said)


def test_a_temperature_when_fitted_then_no_other_on_a_fine_grid_has_less_loss() -> None:
    predictions = made_predictions(40, skill=0.8)
    logits = np.log(predictions.probabilities)

    def loss(temperature: float) -> float:
        raised = np.exp(logits / temperature)
        return reference.log_loss(predictions.labels, raised / raised.sum(1, keepdims=True))

    grid = np.geomspace(0.2, 5, 400)
    best = grid[np.argmin([loss(temperature) for temperature in grid])]
    assert fit_temperature(predictions) == pytest.approx(best, rel=0.01)


def test_an_interval_when_drawn_by_a_plain_loop_then_it_is_nearly_the_same() -> None:
    predictions = made_predictions(40)
    rng = np.random.default_rng(99)
    units = predictions.units
    rows = [np.flatnonzero(units == unit) for unit in range(40)]
    drawn = []
    for _ in range(600):
        places = np.concatenate([rows[unit] for unit in rng.integers(0, 40, 40)])
        drawn.append(
            reference.roc_auc_score(predictions.labels[places] > 0, 1 - predictions.probabilities[places, 0])
        )
    ours = patient_bootstrap(predictions, "auc_any", draws=2000)
    assert (ours.low, ours.high) == pytest.approx(np.percentile(drawn, (2.5, 97.5)).tolist(), abs=0.02)


def test_mcnemar_when_computed_then_it_is_statsmodels() -> None:
    a, b = made_predictions(60, skill=1.2), made_predictions(60, skill=0.8, of_method=1)
    ours = mcnemar(a, b)
    right = [p.predicted == p.labels for p in (a, b)]
    table = [
        [int((right[0] & right[1]).sum()), int((right[0] & ~right[1]).sum())],
        [int((~right[0] & right[1]).sum()), int((~right[0] & ~right[1]).sum())],
    ]
    assert (ours.only_a, ours.only_b) == (table[0][1], table[1][0])
    assert ours.p == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
    assert ours.cohens_h == pytest.approx(proportion_effectsize(right[0].mean(), right[1].mean()))


def test_mcnemar_when_each_patient_has_one_picture_then_by_patient_it_is_the_uncorrected_chi_square() -> None:
    a, b = made_predictions(150, 1, skill=1.2), made_predictions(150, 1, skill=0.8, of_method=1)
    ours = mcnemar(a, b)
    table = [[0, ours.only_a], [ours.only_b, 0]]
    assert ours.p_patients == pytest.approx(statsmodels_mcnemar(table, exact=False, correction=False).pvalue)


def test_delong_when_computed_pair_by_pair_then_it_is_the_papers_formula() -> None:
    a, b = made_predictions(50, 1, skill=1.0), made_predictions(50, 1, skill=0.6, of_method=1)
    positive = a.labels > 0
    parts = []
    for p in (a, b):
        scores = 1 - p.probabilities[:, 0]
        wins = np.sign(scores[positive][:, None] - scores[~positive][None]) / 2 + 0.5
        parts.append((wins.mean(), wins.mean(1), wins.mean(0)))
    variance = sum(
        np.cov(parts[0][k], parts[1][k]) / len(parts[0][k]) for k in (1, 2)
    )  # of both areas, and between them
    spread = math.sqrt(variance[0, 0] + variance[1, 1] - 2 * variance[0, 1])
    ours = delong(a, b)
    assert (ours.auc_a, ours.auc_b) == pytest.approx((parts[0][0], parts[1][0]))
    z = (parts[0][0] - parts[1][0]) / spread
    assert ours.p_rows == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert ours.p == pytest.approx(ours.p_rows)


@pytest.mark.parametrize("per_patient", [1, 4])
def test_delong_when_patients_have_several_pictures_then_its_error_is_that_of_a_patient_bootstrap(
    per_patient: int,
) -> None:
    a, b = (made_predictions(120, per_patient, of_method=k, seed=3) for k in (0, 1))
    ours = delong(a, b)
    draws = np.random.default_rng(0).multinomial(120, np.full(120, 1 / 120), size=2000)[:, a.units]
    difference = METRICS["auc_any"].weighted(a, draws * 1.0) - METRICS["auc_any"].weighted(b, draws * 1.0)
    assert (ours.high - ours.low) / (2 * 1.96) == pytest.approx(difference.std(), rel=0.1)


def test_repeats_when_tested_then_each_test_is_scipys_own() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(0.93, 0.01, 20), rng.normal(0.90, 0.012, 20)
    ours = compare_repeats(a, b)
    for scores, p in zip((a, b), ours.normal_p, strict=True):
        fitted = stats.norm(scores.mean(), scores.std(ddof=1))
        assert p == pytest.approx(stats.ks_1samp(scores, fitted.cdf).pvalue)
    assert ours.equal_variance_p == pytest.approx(stats.bartlett(a, b).pvalue)
    assert ours.p == pytest.approx(stats.ttest_ind(a, b).pvalue)


def test_the_corrected_test_when_there_is_no_difference_then_it_errs_as_often_as_it_says() -> None:
    """Repeated 80:20 splits of one set: the t-test of the fourth document cries wolf, the corrected one does not."""
    rng = np.random.default_rng(12)
    plain, corrected = [], []
    for _ in range(200):
        # two methods that are right on each picture with the same probability, scored on 15 random fifths
        right = rng.random((2, 200)) < 0.8
        splits = np.stack([rng.permutation(200)[:40] for _ in range(15)])
        a, b = (row[splits].mean(1) for row in right)
        found = compare_repeats(a, b, test_over_train=0.25)
        plain.append(found.p < 0.05)
        corrected.append((found.corrected_p or 0) < 0.05)
    assert np.mean(plain) > 0.2
    assert np.mean(corrected) < 0.09
