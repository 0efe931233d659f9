"""A fitted head against scikit-learn and against the odds that its cells were drawn from."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from sklearn.linear_model import LogisticRegression

from stenograde.train.heads.fit import fit_head

SHARES = np.array([[0.9, 0.08, 0.02], [0.8, 0.15, 0.05], [0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])


def drawn(n: int, direction: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    levels, features = np.arange(n) % 5, rng.normal(size=(n, len(direction)))
    logits = np.log(SHARES[levels]) + (features @ direction)[:, None] * np.arange(3)
    odds = np.exp(logits)
    ranks = (rng.random(n)[:, None] > np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)).sum(axis=1)
    return features.astype(np.float32), levels, ranks


def test_two_severities_at_even_shares_are_the_logistic_regression_of_scikit_learn() -> None:
    features, levels, ranks = drawn(400, np.array([1.0, -0.5, 0.2]), 1)
    ranks = np.minimum(ranks, 1)
    head = fit_head(features, levels, ranks, shares=np.full((5, 3), 1 / 3), strength=0.02)
    off = head.off_usual(features, levels).astype(np.float64)
    theirs = LogisticRegression(C=1 / (0.02 * 3 * 400), tol=1e-10).fit(off, ranks)
    np.testing.assert_allclose(head.weights, theirs.coef_[0], atol=2e-3)
    said = head.probabilities(off.astype(np.float32), levels)
    # the shift of a severity that is missing is held within bounds, so that it stays possible
    assert 0 < said[:, 2].max() < 5e-3
    np.testing.assert_allclose(said[:, 1], theirs.predict_proba(off)[:, 1], atol=5e-3)


def test_the_direction_that_cells_were_drawn_by_is_found() -> None:
    direction = np.array([0.8, -0.6, 0.0, 0.4])
    features, levels, ranks = drawn(20000, direction, 2)
    head = fit_head(features, levels, ranks, shares=SHARES, strength=1e-6)
    np.testing.assert_allclose(head.weights / head.spread, direction, atol=0.05)
    np.testing.assert_allclose(head.shifts, 0, atol=0.1)


def test_a_strong_hold_leaves_the_share_of_the_level() -> None:
    features, levels, ranks = drawn(5000, np.array([0.3, 0.0]), 3)
    loose, held = (
        fit_head(features, levels, ranks, shares=SHARES, strength=strength) for strength in (1e-4, 1e4)
    )
    assert abs(loose.weights).max() > 0.2
    assert abs(held.weights).max() < 1e-4
    said = held.probabilities(held.off_usual(features, levels), levels)
    for place in range(5):
        counted = np.bincount(ranks[levels == place], minlength=3) / (levels == place).sum()
        np.testing.assert_allclose(said[levels == place][0], counted, atol=0.05)


def test_what_does_not_tell_levels_or_strength_is_refused() -> None:
    features, levels, ranks = drawn(50, np.array([1.0]), 4)
    with pytest.raises(ValueError, match="cells of every level"):
        fit_head(features, levels % 4, ranks, shares=SHARES, strength=0.1)
    with pytest.raises(ValueError, match="strength above 0"):
        fit_head(features, levels, ranks, shares=SHARES, strength=0)
