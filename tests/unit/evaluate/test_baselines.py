"""Answers that need no picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.made_predictions import made_predictions

from stenograde.evaluate.baselines import group_prior, level_share, majority, stated, trivial_answers
from stenograde.evaluate.metrics import METRICS
from stenograde.grades import EVEN_ODDS
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Severity, Side

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


LEFT, RIGHT = (Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L5_S1, side) for side in Side)
ABOVE = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L1_L2, Side.LEFT)
N, M, S = Severity


def test_shares_are_those_of_the_other_studies_at_the_level_drawn_to_all_levels_by_one_cell() -> None:
    labels = {"a": {LEFT: S, RIGHT: S}, "b": {LEFT: M, RIGHT: N, ABOVE: N}, "c": {RIGHT: M}}
    of_a, of_other = level_share(["a", "elsewhere"], labels)

    # of the others' cells two are normal and two moderate; at L5/S1 one is normal and two are moderate
    assert of_a[LEFT] == of_a[RIGHT] == pytest.approx(((1 + 0.5) / 4, (2 + 0.5) / 4, 0.0))
    assert of_a[ABOVE] == pytest.approx(((1 + 0.5) / 2, 0.5 / 2, 0.0))
    # a study that is not among them is answered for from all
    assert of_other[LEFT] == pytest.approx(((1 + 2 / 6) / 6, (2 + 2 / 6) / 6, (2 + 2 / 6) / 6))


def test_shares_of_a_condition_without_labels_are_alike() -> None:
    (said,) = level_share(["a"], {"b": {LEFT: S}})
    assert set(said) == set(LUMBAR_MRI.cells)
    assert said[LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)[0]] == pytest.approx(EVEN_ODDS)


def test_trivial_answers_are_even_or_the_shares_of_condition_and_level_plain_and_weighted() -> None:
    labels = {"a": {LEFT: S, RIGHT: M}, "b": {LEFT: M, RIGHT: N, ABOVE: N}}
    said = trivial_answers(labels)
    assert list(said) == [
        "uniform",
        "class prior",
        "weighted prior per condition",
        "weighted prior per level",
    ]
    assert said["uniform"][LEFT] == EVEN_ODDS
    # two are normal, two moderate and one severe; at L5/S1 one, two and one
    assert said["class prior"][ABOVE] == pytest.approx((2 / 5, 2 / 5, 1 / 5))
    assert said["weighted prior per condition"][LEFT] == pytest.approx((2 / 10, 4 / 10, 4 / 10))
    assert said["weighted prior per level"][RIGHT] == pytest.approx((1 / 9, 4 / 9, 4 / 9))
    assert said["weighted prior per level"][ABOVE] == pytest.approx((1, 0, 0))
    assert said["class prior"][LUMBAR_MRI.cells[0]] == pytest.approx(EVEN_ODDS)
