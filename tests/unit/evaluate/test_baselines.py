"""Answers that need no picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.made_predictions import made_predictions

from stenograde.evaluate.baselines import group_prior, majority, stated
from stenograde.evaluate.metrics import METRICS

TEST = made_predictions(10)


def test_majority_when_asked_then_it_says_the_shares_of_training_of_every_picture() -> None:
    answer = majority([0, 0, 0, 1], TEST)
    np.testing.assert_array_equal(answer.probabilities, np.tile([0.75, 0.25, 0], (len(TEST), 1)))
    assert METRICS["accuracy"](answer) == (TEST.labels == 0).mean()
    assert METRICS["auc_any"](answer) == 0.5
    assert METRICS["balanced_accuracy"](answer) == pytest.approx(1 / 3)


def test_group_prior_when_classes_differ_by_level_then_it_says_so() -> None:
    answer = group_prior([0, 0, 0, 2], TEST, train_groups=["l3_l4", "l3_l4", "l3_l4", "l4_l5"])
    overall = np.array([0.75, 0, 0.25])
    at_l3, at_l4, unknown = answer.probabilities[:3]
    np.testing.assert_allclose(at_l3, (np.array([3, 0, 0]) + overall) / 4)
    np.testing.assert_allclose(at_l4, (np.array([0, 0, 1]) + overall) / 2)
    np.testing.assert_allclose(unknown, overall)  # no L5/S1 in training


def test_group_prior_when_a_group_is_unknown_then_it_gets_the_shares_of_all() -> None:
    some = replace(TEST, groups=(None, *(TEST.groups or ())[1:]))
    answer = group_prior([0, 1, 1, 2], some, train_groups=["l3_l4", "l4_l5", None, None])
    np.testing.assert_allclose(answer.probabilities[0], [0.25, 0.5, 0.25])


def test_a_baseline_when_the_truth_of_the_test_changes_then_its_answer_does_not() -> None:
    other = replace(TEST, labels=(TEST.labels + 1) % 3, probabilities=TEST.probabilities[::-1])
    groups = ["l3_l4", "l4_l5", "l5_s1"]
    for one, two in (
        (majority([0, 1, 1], TEST), majority([0, 1, 1], other)),
        (
            group_prior([0, 1, 1], TEST, train_groups=groups),
            group_prior([0, 1, 1], other, train_groups=groups),
        ),
    ):
        np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_stated_when_a_rule_is_right_then_its_accuracy_is_1() -> None:
    assert METRICS["accuracy"](stated(TEST.labels, TEST)) == 1
    with pytest.raises(ValueError, match="a class from 0 to 2 for each of 30 pictures"):
        stated([0, 1], TEST)


def test_baselines_when_training_does_not_fit_then_they_are_refused() -> None:
    with pytest.raises(ValueError, match="some codes from 0 to 2, got"):
        majority([], TEST)
    with pytest.raises(ValueError, match=r"got \[-1, 3\]"):
        majority([-1, 3], TEST)
    with pytest.raises(ValueError, match="2 labels, 1 groups and some test groups"):
        group_prior([0, 1], TEST, train_groups=["l3_l4"])
    with pytest.raises(ValueError, match="no test groups"):
        group_prior([0], replace(TEST, groups=None), train_groups=["l3_l4"])
