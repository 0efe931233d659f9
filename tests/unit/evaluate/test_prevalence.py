"""A balanced test set hides how common the classes are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.made_predictions import counted_predictions, made_predictions, stated_predictions

from stenograde.evaluate.intervals import patient_bootstrap
from stenograde.evaluate.metrics import METRICS, confusion, precision_of
from stenograde.evaluate.prevalence import (
    accuracy_at,
    npv_at,
    ppv_at,
)

RSNA_2024 = (0.878, 0.075, 0.048)
"""Shares of normal/mild, moderate and severe canals in ``train.csv`` of RSNA 2024."""

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
    published = counted_predictions(PUBLISHED)
    assert confusion(published).tolist() == PUBLISHED
    assert accuracy_at(RSNA_2024)(published) == pytest.approx(0.83, abs=0.005)
    assert accuracy_at(RSNA_2024)(published) < max(RSNA_2024)
    assert ppv_at(RSNA_2024, 2)(published) == pytest.approx(0.28, abs=0.01)
    # a picture called normal or mild is so almost always, as most are
    assert ppv_at(RSNA_2024, 0)(published) > 0.98
    assert npv_at(RSNA_2024, 2)(published) > 0.99


def test_prevalence_when_it_is_that_of_the_test_then_scores_stay() -> None:
    predictions = made_predictions()
    shares = (np.bincount(predictions.labels) / len(predictions)).tolist()
    assert accuracy_at(shares)(predictions) == pytest.approx(METRICS["accuracy"](predictions))
    for code in range(3):
        assert ppv_at(shares, code)(predictions) == pytest.approx(precision_of(code)(predictions))


def test_prevalence_when_asked_for_as_scores_then_they_follow_from_the_recalls_and_have_an_interval() -> None:
    predictions, shares = made_predictions(), np.array([0.9, 0.06, 0.04])
    matrix = confusion(predictions)
    joint = matrix / matrix.sum(1, keepdims=True) * shares[:, None]
    others = np.delete(joint, 1, axis=1)
    for metric, value in (
        (accuracy_at(shares.tolist()), np.trace(joint)),
        (ppv_at(shares.tolist(), 2), joint[2, 2] / joint[:, 2].sum()),
        (npv_at(shares.tolist(), 1), 1 - others[1].sum() / others.sum()),
    ):
        interval = patient_bootstrap(predictions, metric, draws=200)
        assert interval.value == pytest.approx(value)
        assert interval.low < value < interval.high


def test_predictive_values_when_a_class_is_never_or_always_said_then_they_cannot_be_told() -> None:
    predictions, shares = stated_predictions([0, 1], [0, 0], classes=2), (0.5, 0.5)
    assert math.isnan(ppv_at(shares, 1)(predictions))
    assert math.isnan(npv_at(shares, 0)(predictions))
    assert ppv_at(shares, 0)(predictions) == 0.5


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (math.nan, 0.5, 0.5)])
def test_prevalence_when_it_does_not_fit_then_it_is_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a share for each class of a square matrix, summing to one"):
        accuracy_at(shares)(counted_predictions(PUBLISHED))


def test_prevalence_when_a_class_has_no_pictures_then_it_cannot_be_told_unless_its_share_is_0() -> None:
    without = counted_predictions([[5, 1, 0], [0, 0, 0], [1, 0, 3]])
    assert math.isnan(accuracy_at((0.8, 0.1, 0.1))(without))
    assert accuracy_at((0.5, 0.0, 0.5))(without) == pytest.approx((5 / 6 + 3 / 4) / 2)
