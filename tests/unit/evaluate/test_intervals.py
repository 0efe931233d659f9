"""Bootstrap over patients: repeatable, wide where pictures of a patient go together, quick."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from tests.made_predictions import made_predictions, stated_predictions

from stenograde.evaluate.intervals import bootstrap_scores, interval_of, patient_bootstrap, patient_weights
from stenograde.evaluate.metrics import METRICS, recall_of


def test_an_interval_when_drawn_then_it_holds_the_value_and_is_repeatable() -> None:
    predictions = made_predictions()
    first, again = (patient_bootstrap(predictions, "macro_f1", draws=300, seed=4) for _ in range(2))
    assert first == again
    assert first.low < first.value < first.high
    assert first.draws == 300
    assert first.value == METRICS["macro_f1"](predictions)
    assert patient_bootstrap(predictions, "macro_f1", draws=300, seed=5) != first


def test_an_interval_when_many_are_asked_at_once_then_each_is_as_if_alone() -> None:
    predictions = made_predictions(15)
    together = bootstrap_scores(predictions, draws=100)
    assert together.keys() == METRICS.keys()
    for name in ("accuracy", "auc_any", "log_loss"):
        assert together[name] == patient_bootstrap(predictions, name, draws=100)


def test_an_interval_when_pictures_of_a_patient_are_all_alike_then_it_is_wider_than_by_picture() -> None:
    # 30 patients with 9 pictures each, all right or all wrong
    right = np.random.default_rng(1).random(30) < 0.7
    labels = [0] * 270
    said = [0 if right[i // 9] else 1 for i in range(270)]
    by_picture = stated_predictions(labels, said)
    by_patient = replace(by_picture, patients=tuple(str(i // 9) for i in range(270)))
    narrow, wide = (patient_bootstrap(p, "accuracy") for p in (by_picture, by_patient))
    # nine pictures tell as much as one: the interval is three times as wide
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(3, rel=0.25)


def test_an_interval_when_of_a_plain_share_then_it_is_the_binomial_one() -> None:
    predictions = stated_predictions([0] * 400, [0] * 300 + [1] * 100)
    found = patient_bootstrap(predictions, "accuracy", draws=4000)
    reach = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert (found.low, found.high) == pytest.approx((0.75 - reach, 0.75 + reach), abs=0.004)


def test_draws_when_a_class_is_missing_in_some_then_those_are_left_out_and_counted() -> None:
    predictions = stated_predictions([0] * 9 + [2], [0] * 9 + [2])
    found = patient_bootstrap(predictions, recall_of(2), draws=500)
    # a draw of ten lacks the one patient with probability 0.9 ** 10 = 0.35
    assert 0.55 * 500 < found.draws < 0.75 * 500
    assert (found.low, found.high) == (1, 1)


def test_an_interval_when_nothing_can_be_told_then_its_bounds_are_nan() -> None:
    found = patient_bootstrap(stated_predictions([0, 0], [0, 1]), "auc_any", draws=5)
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert found.draws == 0


def test_weights_when_drawn_in_blocks_then_pictures_of_a_patient_share_theirs() -> None:
    units = np.repeat(np.arange(1000), 30)
    blocks = list(patient_weights(units, draws=100, seed=0))
    assert len(blocks) > 1
    weights = np.concatenate(blocks)
    assert weights.shape == (100, 30000)
    np.testing.assert_array_equal(weights[:, ::30], weights[:, 29::30])
    np.testing.assert_array_equal(weights[:, ::30].sum(1), 1000)


def test_a_thousand_draws_of_a_thousand_pictures_when_timed_then_a_score_takes_less_than_a_second() -> None:
    predictions = made_predictions(334)
    start = time.process_time()
    patient_bootstrap(predictions, "auc_any")
    assert time.process_time() - start < 1


def test_draws_when_none_are_asked_for_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
        patient_bootstrap(made_predictions(3), "accuracy", draws=0)


def test_an_interval_when_shown_then_it_reads_as_a_sentence_does() -> None:
    assert str(interval_of(0.5, np.linspace(0, 1, 101))) == "0.500 (0.025 to 0.975)"
