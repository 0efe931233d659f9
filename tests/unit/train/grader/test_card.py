"""The card of a grader says what it was trained and tested on, and that it was not where it was not."""

from __future__ import annotations

from typing import Any

from stenograde.terms import Condition
from stenograde.train.grader.card import card

TRAINING = {"patients": 7, "seed": 3, "validation_patients": 2, "calibration_patients": 4}
CALIBRATION = {
    condition.value: {
        "cells": 20.0,
        "normal_mild": 0.75,
        "moderate": 0.2,
        "severe": 0.05,
        "log_loss": 0.4,
        "auc_severe": float("nan"),
    }
    for condition in Condition
}


def scores(log_loss: float) -> dict[str, Any]:
    def of(value: float | None) -> dict[str, float | None]:
        return {"value": value, "low": value and value - 0.1, "high": value and value + 0.1, "draws": 9}

    return {
        "n_studies": 60,
        "score": {},
        "weighted": {"average": of(log_loss), "any_severe": of(0.3)},
        "auc": {"macro": of(0.96)},
        "agreement": {"spinal_canal_stenosis": {"value": 0.8, "low": 0.8, "high": 0.8, "draws": 9}},
        "errors": {"level_point_mm": of(None)},
    }


def test_card_when_tested_then_each_pass_is_a_column_and_what_is_unknown_a_dash() -> None:
    tested = {
        "data": "/some/where/COHORT",
        "draws": 9,
        "whole studies": scores(0.4),
        "one series left out": scores(0.45),
    }
    text = card(TRAINING, CALIBRATION, [tested])
    assert "`stenograde score` on the cohort `COHORT`: studies: 60" in text
    assert "/some/where" not in text
    assert "| score | whole studies | one series left out |" in text
    row = "| weighted log loss of probabilities times the metric's weights, average |"
    assert f"{row} 0.400 (0.300 to 0.500) | 0.450 (0.350 to 0.550) |" in text
    assert "| AUC of severe, macro | 0.960 (0.860 to 1.060) | 0.960 (0.860 to 1.060) |" in text
    assert "| mean absolute error, level point mm | – | – |" in text
    assert "| graded as labelled, spinal canal stenosis | 0.800 | 0.800 |" in text
    assert "no severe cell" in text
    assert "7 phantoms (seed 3), 2 more" in text


def test_card_when_not_tested_then_it_says_so() -> None:
    assert "Not tested yet" in card(TRAINING, CALIBRATION)
