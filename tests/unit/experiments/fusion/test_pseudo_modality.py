"""Missing series imputed from the others, where what they share is known."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.experiments.fusion.pseudo_modality import (  # noqa: E402
    Imputation,
    ImputationConfig,
    cosine,
    fit_imputer,
    patterns,
)

CONFIG = ImputationConfig(hidden=48, latent=4, steps=300, learning_rate=3e-3)


def some(n: int, seed: int) -> np.ndarray:
    """Three series of eight numbers that are linear views of the same three hidden ones, with noise and offset."""
    views = np.random.default_rng(9).normal(size=(3, 3, 8))
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 3))
    vectors = np.einsum("nh,shw->nsw", hidden, views) + 0.1 * rng.normal(size=(n, 3, 8)) + 5
    return vectors.astype(np.float32)


@pytest.mark.parametrize("how", list(Imputation))
def test_series_that_are_there_stay_as_they_are(how: Imputation) -> None:
    impute = fit_imputer(how, some(60, 0), np.ones((60, 3), bool), CONFIG)
    vectors = some(7, 1)
    present = np.random.default_rng(2).random((7, 3)) < 0.5
    made = impute(np.where(present[..., None], vectors, np.nan), present)
    np.testing.assert_array_equal(made[present], vectors[present])
    assert np.isfinite(made).all()


@pytest.mark.parametrize("pattern", list(patterns(3)))
def test_learnt_imputation_is_nearer_than_the_mean(pattern: tuple[bool, ...]) -> None:
    train, test = some(300, 0), some(100, 1)
    present = np.tile(pattern, (100, 1))
    errors = {}
    for how in Imputation:
        made = fit_imputer(how, train, np.ones((300, 3), bool), CONFIG)(test, present)
        errors[how] = float(np.square(made - test)[~present].mean())
    assert errors[Imputation.RIDGE] < 0.1 * errors[Imputation.MEAN]
    assert errors[Imputation.AUTOENCODER] < 0.3 * errors[Imputation.MEAN]
    assert errors[Imputation.VARIATIONAL] < 0.3 * errors[Imputation.MEAN]


def test_the_mean_is_that_of_what_is_there() -> None:
    vectors, present = some(20, 0), np.ones((20, 3), bool)
    present[:5, 1] = False
    impute = fit_imputer(Imputation.MEAN, vectors, present, CONFIG)
    nothing = np.zeros((1, 3), bool)
    np.testing.assert_allclose(impute(vectors[:1], nothing)[0, 1], vectors[5:, 1].mean(axis=0), rtol=1e-5)


def test_only_complete_studies_teach() -> None:
    vectors, present = some(60, 0), np.ones((60, 3), bool)
    present[:20, 2] = False
    vectors[:20, :2] = 1e3
    asked, there = some(5, 3), np.tile([True, True, False], (5, 1))
    clean = fit_imputer(Imputation.RIDGE, vectors[20:], present[20:], CONFIG)(asked, there)
    with_gaps = fit_imputer(Imputation.RIDGE, vectors, present, CONFIG)(asked, there)
    np.testing.assert_array_equal(with_gaps, clean)


def test_the_same_seed_gives_the_same() -> None:
    asked, there = some(5, 3), np.tile([True, False, True], (5, 1))
    one, other = (
        fit_imputer(Imputation.VARIATIONAL, some(60, 0), np.ones((60, 3), bool), CONFIG)(asked, there)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_there_are_six_patterns_with_something_missing() -> None:
    assert len(list(patterns(3))) == 6


def test_cosine_is_that_of_scipy() -> None:
    from scipy.spatial.distance import cosine as distance

    a, b = some(2, 0)[:, 0], some(2, 1)[:, 0]
    np.testing.assert_allclose(
        cosine(a, b), [1 - distance(x, y) for x, y in zip(a, b, strict=True)], rtol=1e-5
    )
    assert cosine(np.zeros((1, 3)), np.ones((1, 3)))[0] == 0


def test_nothing_complete_is_refused() -> None:
    present = np.ones((4, 3), bool)
    present[:, 0] = False
    with pytest.raises(ValueError, match="complete studies to learn from, got 0"):
        fit_imputer(Imputation.RIDGE, some(4, 0), present, CONFIG)
    with pytest.raises(ValueError, match="above 0"):
        ImputationConfig(steps=0)
