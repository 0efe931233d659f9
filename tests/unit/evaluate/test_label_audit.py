"""The label audit: confident learning as worked out by hand and by cleanlab, and planted wrong labels."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.simulated_cohorts import PREVALENCES, simulate

from stenograde.evaluate.label_audit import audit_labels, confident_classes
from stenograde.evaluate.vector_scaling import fit_vector_scaling

SAID = np.array(
    [
        *((0.90, 0.08, 0.02), (0.80, 0.15, 0.05), (0.70, 0.20, 0.10), (0.05, 0.85, 0.10), (0.02, 0.08, 0.90)),
        *((0.30, 0.60, 0.10), (0.10, 0.70, 0.20), (0.85, 0.10, 0.05), (0.15, 0.25, 0.60)),
        *((0.45, 0.10, 0.45), (0.05, 0.15, 0.80), (0.60, 0.10, 0.30)),
    ]
)
STATED = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2])


def test_confident_classes_when_worked_out_by_hand_then_they_are_the_same() -> None:
    # mean probability of the stated class: 2.47 / 5, 1.65 / 4, 1.55 / 3; cell 9 reaches none of them
    wanted = [0, 0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 0]
    assert confident_classes(SAID, STATED).tolist() == wanted


def test_confident_classes_when_cleanlab_counts_them_then_the_joint_is_the_same() -> None:
    """cleanlab 2.9.0, ``compute_confident_joint(STATED, SAID, calibrate=False, ...)``: joint and off-diagonal cells.

    It leaves cell 9, confidently of no class, out of the joint.
    """
    found = confident_classes(SAID, STATED)
    joint = np.zeros((3, 3), int)
    np.add.at(joint, (np.delete(STATED, 9), np.delete(found, 9)), 1)
    assert joint.tolist() == [[3, 1, 1], [1, 2, 1], [1, 0, 1]]
    assert np.flatnonzero(found != STATED).tolist() == [3, 4, 7, 8, 11]


def test_a_class_when_no_label_states_it_then_no_cell_is_confidently_of_it() -> None:
    assert confident_classes(SAID[:9], STATED[:9]).tolist() == [0, 0, 0, 1, 0, 1, 1, 0, 1]


def test_labels_when_ranked_then_the_least_calibrated_probability_is_first() -> None:
    ranked = audit_labels(SAID, STATED)
    logits = np.log(SAID)
    calibrated = fit_vector_scaling(logits, STATED).probabilities(logits)
    scores = calibrated[np.arange(12), STATED]
    assert [one.place for one in ranked] == np.argsort(scores).tolist()
    assert [one.score for one in ranked] == pytest.approx(np.sort(scores))
    for one in ranked:
        assert one.stated == STATED[one.place]
        assert one.probabilities == pytest.approx(tuple(calibrated[one.place]))
    confident = confident_classes(calibrated, STATED)
    assert [one.suggested for one in ranked] == [
        None if confident[one.place] == one.stated else confident[one.place] for one in ranked
    ]
    assert {one.place for one in ranked[:2]} == {3, 4}


def test_groups_when_given_then_each_is_calibrated_apart_and_all_are_ranked_together() -> None:
    rng = np.random.default_rng(0)
    conditions = PREVALENCES["RSNA 2024"]
    made = [simulate(conditions[name], 80, rng) for name in ("canal", "recess")]
    said = np.concatenate([one.probabilities for one in made])
    stated = np.concatenate([one.truth for one in made])
    groups = np.repeat(["canal", "recess"], [one.truth.size for one in made])
    together = audit_labels(said, stated, groups=groups)
    alone = [audit_labels(one.probabilities, one.truth) for one in made]
    first = made[0].truth.size
    for kept, ranked in ((together, alone[0]),):
        of_canal = [one for one in kept if one.place < first]
        assert [one.place for one in of_canal] == [one.place for one in ranked]
        assert [one.score for one in of_canal] == pytest.approx([one.score for one in ranked])
    scores = [one.score for one in together]
    assert scores == sorted(scores)


@pytest.mark.parametrize("prevalence", PREVALENCES)
def test_planted_labels_when_the_grader_is_as_good_as_on_the_canal_then_four_of_five_are_at_the_top(
    prevalence: str,
) -> None:
    """On the other conditions fewer are found, as their graders disagree with too many labels: docs/conformal.md."""
    found, by_chance = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        made = simulate(PREVALENCES[prevalence]["canal"], 600, rng)
        planted = rng.permutation(made.truth.size) < 0.03 * made.truth.size
        stated = np.where(planted, (made.truth + rng.integers(1, 3, made.truth.size)) % 3, made.truth)
        top = round(0.05 * made.truth.size)
        ranked = [one.place for one in audit_labels(made.probabilities, stated)]
        found.append(planted[ranked[:top]].sum() / planted.sum())
        by_chance.append(planted[ranked[-top:]].sum() / planted.sum())
    assert np.mean(found) >= 0.8
    assert np.mean(by_chance) < 0.01


def test_a_calibrated_ranking_when_severe_was_weighted_in_training_then_it_finds_more() -> None:
    """Probabilities of a grader trained with weights 1, 2 and 4 are too high for severe cells."""
    rng = np.random.default_rng(6)
    made = simulate(PREVALENCES["RSNA 2024"]["recess"], 800, rng)
    weighted = made.probabilities * (1, 2, 4)
    weighted /= weighted.sum(axis=1, keepdims=True)
    planted = rng.permutation(made.truth.size) < 0.03 * made.truth.size
    stated = np.where(planted, (made.truth + rng.integers(1, 3, made.truth.size)) % 3, made.truth)
    top = round(0.05 * made.truth.size)
    ranked = [one.place for one in audit_labels(weighted, stated)]
    plain = np.argsort(weighted[np.arange(stated.size), stated], kind="stable")
    assert planted[ranked[:top]].sum() > planted[plain[:top]].sum()


@pytest.mark.parametrize(
    ("said", "stated", "groups", "message"),
    [
        (SAID, STATED[:5], None, r"got shapes \(12, 3\) and \(5,\)"),
        (SAID[:0], STATED[:0], None, "cells must be some"),
        (SAID, STATED + 1, None, "from 0 to 2, got int64 from 1 to 3"),
        (SAID + 0.1, STATED, None, "sum to one"),
        (SAID, STATED, ["a"], "groups must be one for each of 12 cells, got shape"),
    ],
)
def test_what_is_given_when_unsound_then_it_is_refused(
    said: np.ndarray, stated: np.ndarray, groups: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        audit_labels(said, stated, groups=groups)
