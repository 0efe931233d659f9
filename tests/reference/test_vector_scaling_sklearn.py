"""Vector scaling against logits whose scaling is known, and scikit-learn's logarithmic loss."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.evaluate.vector_scaling import VectorScaling, fit_vector_scaling

metrics = pytest.importorskip("sklearn.metrics", reason="the reference is scikit-learn")

TRUE = VectorScaling(2.5, (0.9, -0.2, -0.7))


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and severities drawn with the probabilities that the true scaling gives them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (n, 3))
    p = TRUE.probabilities(logits)
    return logits, (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)


def test_the_scaling_that_made_the_severities_is_found_again() -> None:
    found = fit_vector_scaling(*drawn(20000, 0))
    assert found.temperature == pytest.approx(TRUE.temperature, rel=0.05)
    assert found.shifts == pytest.approx(TRUE.shifts, abs=0.06)
    assert sum(found.shifts) == pytest.approx(0, abs=1e-9)


def test_no_scaling_beside_it_has_less_log_loss_by_scikit_learn() -> None:
    logits, severities = drawn(3000, 1)
    found = fit_vector_scaling(logits, severities)
    least = metrics.log_loss(severities, found.probabilities(logits))
    assert least < metrics.log_loss(severities, VectorScaling().probabilities(logits))
    for factor in (0.97, 1.03):
        other = VectorScaling(found.temperature * factor, found.shifts)
        assert metrics.log_loss(severities, other.probabilities(logits)) > least
    for place in range(3):
        shifts = np.array(found.shifts) + 0.05 * np.eye(3)[place]
        other = VectorScaling(found.temperature, tuple(shifts))
        assert metrics.log_loss(severities, other.probabilities(logits)) > least


def test_each_severity_is_said_as_often_as_it_is_true() -> None:
    logits, severities = drawn(3000, 2)
    said = fit_vector_scaling(logits, severities).probabilities(logits).mean(axis=0)
    np.testing.assert_allclose(said, np.bincount(severities, minlength=3) / 3000, atol=1e-3)


def test_a_severity_that_no_cell_has_is_said_less_but_still_said() -> None:
    logits, severities = drawn(400, 3)
    kept = severities < 2
    found = fit_vector_scaling(logits[kept], severities[kept])
    assert -5 < found.shifts[2] < TRUE.shifts[2]
    assert found.probabilities([-4.0, 0.0, 8.0])[2] > 0.1


def test_unequal_lengths_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="fitted on logits"):
        fit_vector_scaling(np.zeros((2, 3)), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="temperature above 0"):
        VectorScaling(0.0)


def test_with_a_temperature_given_only_shifts_are_fitted_and_severities_keep_their_shares() -> None:
    logits, severities = drawn(3000, 4)
    found = fit_vector_scaling(logits, severities, temperature=2 * TRUE.temperature)
    assert found.temperature == pytest.approx(2 * TRUE.temperature)
    said = found.probabilities(logits)
    np.testing.assert_allclose(said.mean(axis=0), np.bincount(severities, minlength=3) / 3000, atol=1e-3)
    sharper = fit_vector_scaling(logits, severities).probabilities(logits)
    assert said.max(axis=1).mean() < sharper.max(axis=1).mean()
    for place in range(3):
        other = VectorScaling(found.temperature, tuple(np.array(found.shifts) + 0.05 * np.eye(3)[place]))
        assert metrics.log_loss(severities, other.probabilities(logits)) > metrics.log_loss(severities, said)
