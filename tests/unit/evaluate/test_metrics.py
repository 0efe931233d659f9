"""Scores on tables small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.made_predictions import made_predictions, stated_predictions

from stenograde.evaluate.metrics import (
    METRICS,
    confusion,
    metric_named,
    per_class,
    precision_of,
    recall_of,
    specificity_of,
    weighted_auc,
)

BY_HAND = stated_predictions([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 0, 2, 1])
"""Class a: 3 of 4 right; b: 1 of 2, said 3 times; c: 1 of 2, said once."""


def test_confusion_when_counted_then_rows_are_the_truth() -> None:
    assert confusion(BY_HAND).tolist() == [[3, 1, 0], [1, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy", 5 / 8),
        ("balanced_accuracy", (3 / 4 + 1 / 2 + 1 / 2) / 3),
        ("macro_recall", (3 / 4 + 1 / 2 + 1 / 2) / 3),
        ("macro_precision", (3 / 4 + 1 / 3 + 1) / 3),
        ("macro_f1", (3 / 4 + 2 / 5 + 2 / 3) / 3),
        ("log_loss", -(5 * math.log(0.8) + 3 * math.log(0.1)) / 8),
        ("brier", (5 * (0.2**2 + 2 * 0.1**2) + 3 * (0.9**2 + 0.8**2 + 0.1**2)) / 8),
    ],
)
def test_a_score_when_worked_out_by_hand_then_it_is_the_same(name: str, value: float) -> None:
    assert METRICS[name](BY_HAND) == pytest.approx(value, abs=1e-12)


def test_auc_when_scores_are_equal_then_they_count_half() -> None:
    scores, positive = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, False, True, True])
    # of four pairs three are in order and one is equal
    assert weighted_auc(scores, positive, np.ones((1, 4)))[0] == pytest.approx(3.5 / 4)


def test_auc_when_a_row_counts_twice_then_it_is_as_if_it_were_there_twice() -> None:
    scores, positive = np.array([0.3, 0.2, 0.6, 0.5]), np.array([True, False, False, True])
    twice = weighted_auc(scores[[0, 0, 1, 2, 3]], positive[[0, 0, 1, 2, 3]], np.ones((1, 5)))
    assert weighted_auc(scores, positive, np.array([[2.0, 1, 1, 1]]))[0] == pytest.approx(twice[0])


def test_a_class_when_no_picture_has_it_then_means_leave_it_out() -> None:
    without = stated_predictions([0, 0, 1, 1], [0, 2, 1, 1])
    assert METRICS["balanced_accuracy"](without) == pytest.approx((1 / 2 + 1) / 2)
    assert METRICS["macro_precision"](without) == pytest.approx(1)
    assert math.isnan(METRICS["auc_worst"](without))
    assert math.isnan(recall_of(2)(without))


def test_a_class_when_it_is_never_said_then_its_precision_is_0() -> None:
    assert precision_of(2)(stated_predictions([0, 1, 2], [0, 1, 1])) == 0


def test_kappa_when_chance_cannot_err_then_it_cannot_be_told() -> None:
    assert math.isnan(METRICS["quadratic_kappa"](stated_predictions([0, 0], [0, 0])))


def test_per_class_when_given_then_it_holds_each_score_of_each_class() -> None:
    first, second, third = per_class(BY_HAND)
    assert (first.name, first.count, second.count, third.count) == ("a", 4, 2, 2)
    assert (second.precision, second.recall, second.f1) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert first.specificity == pytest.approx(3 / 4)
    assert third.specificity == 1
    assert third.auc == pytest.approx(
        (6 + 6 * 0.5) / 12
    )  # one is above all six others, the other equals them


@pytest.mark.parametrize("name", METRICS)
def test_a_score_when_given_many_weightings_then_each_is_as_if_it_were_alone(name: str) -> None:
    predictions = made_predictions(8)
    weights = np.random.default_rng(0).integers(0, 3, size=(20, len(predictions))).astype(float)
    together = METRICS[name].weighted(predictions, weights)
    alone = [METRICS[name].weighted(predictions, row[None])[0] for row in weights]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert np.ptp(together) > 0


def test_specificity_when_only_the_class_is_there_then_it_cannot_be_told() -> None:
    assert math.isnan(specificity_of(0)(stated_predictions([0, 0], [0, 1])))


def test_metric_named_when_there_is_none_then_the_names_are_listed() -> None:
    assert metric_named("brier") is METRICS["brier"]
    with pytest.raises(ValueError, match=r"one of accuracy, .* got 'auc'"):
        metric_named("auc")
