"""Reliability, and the temperature that mends it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.made_predictions import made_predictions, raised

from stenograde.evaluate.calibration import (
    class_reliability,
    fit_temperature,
    reliability,
    top_reliability,
)
from stenograde.evaluate.metrics import METRICS
from stenograde.evaluate.predictions import Predictions


def _honest(n: int = 6000) -> Predictions:
    """Return predictions whose labels are drawn from the probabilities themselves."""
    rng = np.random.default_rng(5)
    shares = rng.dirichlet((1, 1, 1), size=n)
    labels = (shares.cumsum(1) < rng.random((n, 1))).sum(1)
    names = tuple(map(str, range(n)))
    return Predictions(("a", "b", "c"), names, names, labels, shares)


def test_reliability_when_counted_by_hand_then_it_is_the_same() -> None:
    curve = reliability(np.array([0.1, 0.15, 0.9, 1.0]), np.array([False, True, True, True]), bins=5)
    assert curve.counts.tolist() == [2, 2]
    assert curve.said == pytest.approx([0.125, 0.95])
    assert curve.seen == pytest.approx([0.5, 1])
    assert curve.error == pytest.approx((2 * 0.375 + 2 * 0.05) / 4)


def test_probabilities_when_they_are_true_then_the_error_is_small_and_the_temperature_1() -> None:
    honest = _honest()
    assert top_reliability(honest).error < 0.02
    assert class_reliability(honest, 1).error < 0.02
    assert fit_temperature(honest) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("sureness", [0.4, 2.5])
def test_probabilities_when_too_sure_or_too_timid_then_the_temperature_brings_them_back(
    sureness: float,
) -> None:
    honest = _honest()
    wrong = raised(honest, sureness)
    assert top_reliability(wrong).error > 0.05
    temperature = fit_temperature(wrong)
    assert temperature == pytest.approx(sureness, rel=0.05)
    mended = raised(wrong, 1 / temperature)
    assert METRICS["log_loss"](mended) < METRICS["log_loss"](wrong)
    np.testing.assert_allclose(mended.probabilities, honest.probabilities, atol=0.03)
    np.testing.assert_array_equal(mended.predicted, wrong.predicted)


def test_a_probability_of_0_when_it_is_true_then_a_temperature_is_still_found() -> None:
    one = replace(made_predictions(1, 3), probabilities=np.tile([0.7, 0.3, 0.0], (3, 1)))
    assert np.isfinite(fit_temperature(one))


def test_calibration_when_it_is_asked_wrongly_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="reliability needs bins"):
        reliability(np.array([0.5]), np.array([True, False]))
    with pytest.raises(ValueError, match="got 0 bins"):
        reliability(np.array([0.5]), np.array([True]), bins=0)
