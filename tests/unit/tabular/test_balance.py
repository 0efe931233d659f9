"""Rare classes become as frequent as common ones, between their own samples, and nothing that was there is lost."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("imblearn", reason="needs the extra 'tabular'")

from sklearn.utils.class_weight import compute_sample_weight

from stenograde.tabular.balance import Balance, resampled, sample_weights


def samples(*counts: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes on lines far apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    features = np.column_stack([10.0 * labels, rng.uniform(0, 1, len(labels))])
    return features, labels.astype(np.int64)


@pytest.mark.parametrize("balance", [Balance.SMOTE, Balance.SVM_SMOTE])
def test_classes_become_equal_and_new_samples_lie_within_their_class(balance: Balance) -> None:
    features, labels = samples(60, 14, 8)
    more, of = resampled(features, labels, balance, seed=3)
    counts = np.bincount(of)
    if balance is Balance.SMOTE:
        assert counts.tolist() == [60, 60, 60]
    assert (counts <= 60).all()
    assert (counts > [59, 14, 8]).all()
    np.testing.assert_array_equal(more[: len(features)], features)
    np.testing.assert_allclose(more[:, 0], 10.0 * of, atol=1e-9 if balance is Balance.SMOTE else 6)
    again = resampled(features, labels, balance, seed=3)[0]
    np.testing.assert_array_equal(more, again)


@pytest.mark.parametrize("fewest", [1, 2, 3, 5, 6])
def test_few_samples_are_enough(fewest: int) -> None:
    for balance in (Balance.SMOTE, Balance.SVM_SMOTE):
        more, of = resampled(*samples(20, fewest), balance, seed=0)
        assert len(more) == len(of)
        assert 20 >= np.bincount(of)[1] > fewest
        assert balance is Balance.SVM_SMOTE or len(of) == 40


def test_a_sole_class_and_an_absent_one_are_left_as_they_are() -> None:
    features, labels = samples(5)
    assert len(resampled(features, labels, Balance.SMOTE, seed=0)[0]) == 5
    features, labels = samples(9, 0, 3)
    assert np.bincount(resampled(features, labels, Balance.SMOTE, seed=0)[1]).tolist() == [9, 0, 9]


def test_of_the_most_frequent_class_a_share_is_kept_but_never_less_than_of_the_next() -> None:
    assert np.bincount(resampled(*samples(90, 20, 5), Balance.NONE, keep=0.33, seed=0)[1]).tolist() == [
        30,
        20,
        5,
    ]
    assert np.bincount(resampled(*samples(90, 50, 5), Balance.NONE, keep=0.33, seed=0)[1]).tolist() == [
        50,
        50,
        5,
    ]


def test_weights_are_those_of_scikit_learn() -> None:
    labels = samples(30, 6, 4)[1]
    np.testing.assert_allclose(
        sample_weights(labels, Balance.WEIGHTS), compute_sample_weight("balanced", labels)
    )
    np.testing.assert_array_equal(sample_weights(labels, Balance.SMOTE), np.ones(40))
    assert sample_weights(np.array([0, 0, 2]), Balance.WEIGHTS).tolist() == [0.75, 0.75, 1.5]


@pytest.mark.parametrize("keep", [0.0, 1.5])
def test_shares_out_of_range_are_refused(keep: float) -> None:
    with pytest.raises(ValueError, match="keep in"):
        resampled(*samples(4, 2), Balance.NONE, keep=keep, seed=0)


def test_where_all_that_is_near_the_border_is_noise_samples_are_made_as_for_smote() -> None:
    """Three classes of pure noise, of 220, 15 and 7 samples: for some, SVM-SMOTE finds only noise and gives up."""
    for seed in range(25):
        rng = np.random.default_rng(seed)
        labels = np.repeat([0, 1, 2], [220, 15, 7])
        made = resampled(rng.normal(size=(242, 512)), labels, Balance.SVM_SMOTE, keep=0.33, seed=0)
        assert len(made[1]) > 100
