"""A balanced test set hides how common the classes are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.made_predictions import made_predictions, stated_predictions

from stenograde.evaluate.intervals import patient_bootstrap
from stenograde.evaluate.metrics import METRICS, precision_of
from stenograde.evaluate.prevalence import (
    RSNA_2024,
    accuracy_at,
    at_prevalence,
    matrix_at_prevalence,
    npv_at,
    ppv_at,
)

PUBLISHED = [[82, 5, 13], [11, 88, 1], [3, 0, 97]]
"""Of the second document (10.18103/mra.v13i7.6660), classes ascending: normal/mild, moderate, severe. Its text gives
the row of Moderate (88, 11, 1), the recalls .88, .82, .97 and the precisions .95, .85, .87; no other table of counts
with rows of 100 fits them."""


def test_the_published_matrix_when_read_then_it_has_the_published_recalls_and_precisions() -> None:
    counts = np.array(PUBLISHED)
    assert counts.sum(1).tolist() == [100, 100, 100]
    recalls, precisions = np.diag(counts) / counts.sum(1), np.diag(counts) / counts.sum(0)
    assert [f"{value:.2f}" for value in recalls] == ["0.82", "0.88", "0.97"]
    assert [f"{value:.2f}" for value in precisions] == ["0.85", "0.95", "0.87"]
    assert np.trace(counts) / counts.sum() == pytest.approx(0.89)


def test_the_published_matrix_when_classes_are_as_common_as_in_rsna_2024_then_it_is_below_the_majority() -> (
    None
):
    found = matrix_at_prevalence(PUBLISHED, RSNA_2024["spinal_canal_stenosis"])
    assert found.accuracy == pytest.approx(0.83, abs=0.005)
    assert found.majority == pytest.approx(0.88, abs=0.005)
    assert found.accuracy < found.majority
    assert found.ppv[2] == pytest.approx(0.28, abs=0.01)
    # a picture called normal or mild is so almost always, as most are
    assert found.ppv[0] > 0.98
    assert found.npv[2] > 0.99


def test_prevalence_when_it_is_that_of_the_test_then_scores_stay() -> None:
    predictions = made_predictions()
    shares = (np.bincount(predictions.labels) / len(predictions)).tolist()
    found = at_prevalence(predictions, shares)
    assert found.accuracy == pytest.approx(METRICS["accuracy"](predictions))
    assert found.ppv == pytest.approx([precision_of(code)(predictions) for code in range(3)])


def test_prevalence_when_asked_for_as_scores_then_they_have_the_same_values_and_an_interval() -> None:
    predictions, shares = made_predictions(), (0.9, 0.06, 0.04)
    found = at_prevalence(predictions, shares)
    for metric, value in (
        (accuracy_at(shares), found.accuracy),
        (ppv_at(shares, 2), found.ppv[2]),
        (npv_at(shares, 1), found.npv[1]),
    ):
        interval = patient_bootstrap(predictions, metric, draws=200)
        assert interval.value == pytest.approx(value)
        assert interval.low < value < interval.high


def test_predictive_values_when_a_class_is_never_or_always_said_then_they_cannot_be_told() -> None:
    found = at_prevalence(stated_predictions([0, 1], [0, 0], classes=2), (0.5, 0.5))
    assert math.isnan(found.ppv[1])
    assert math.isnan(found.npv[0])
    assert found.ppv[0] == 0.5


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (math.nan, 0.5, 0.5)])
def test_prevalence_when_it_does_not_fit_then_it_is_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a share for each class of a square matrix, summing to one"):
        matrix_at_prevalence(PUBLISHED, shares)


def test_prevalence_when_a_class_has_no_pictures_then_it_is_refused_unless_its_share_is_0() -> None:
    without = [[5, 1, 0], [0, 0, 0], [1, 0, 3]]
    with pytest.raises(ValueError, match=r"got rows of \[6.0, 0.0, 4.0\] pictures"):
        matrix_at_prevalence(without, (0.8, 0.1, 0.1))
    assert matrix_at_prevalence(without, (0.5, 0.0, 0.5)).accuracy == pytest.approx((5 / 6 + 3 / 4) / 2)
