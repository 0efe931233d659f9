"""Classical heads: what they say of cells they learnt, and that only training rows are balanced."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("imblearn", reason="needs the extra 'tabular'")

from joblib.externals.loky import get_reusable_executor
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from stenograde.tabular.balance import Balance
from stenograde.tabular.heads import (
    UNLABELLED,
    CellHeads,
    Head,
    HeadConfig,
    OrdinalClassifier,
    head_pipeline,
)


def some(n: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three ordered classes along one of six directions; two cells, the second with gaps and without severe."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 6))
    first = np.digitize(features[:, 0] + 0.1 * rng.normal(size=n), [0.4, 1.0])
    second = (features[:, 1] > 0.3).astype(int)
    second[::7] = UNLABELLED
    return features.astype(np.float32), np.stack([first, second], axis=1)


@pytest.mark.parametrize("head", list(Head))
@pytest.mark.parametrize("balance", list(Balance))
def test_every_head_learns_what_can_be_learnt(head: Head, balance: Balance) -> None:
    config = HeadConfig(head, balance, trees=20, bags=3, columns=1.0)
    fitted = CellHeads(config).fit(*some())
    features, labels = some(seed=1)
    scores = fitted.scores(features)
    assert scores.shape == (150, 2, 3)
    said = scores.argmax(axis=2)
    assert (said[:, 0] == labels[:, 0]).mean() > 0.75
    known = labels[:, 1] != UNLABELLED
    assert (said[known, 1] == labels[known, 1]).mean() > 0.8
    assert (said[:, 1] < 2).all(), "a severity that was never seen is never said"


def test_scores_are_those_of_scikit_learn_alone() -> None:
    features, labels = some()
    ours = CellHeads(HeadConfig(Head.SVC)).fit(features, labels).scores(features)[:, 0]
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    theirs = SVC().fit(scaled, labels[:, 0]).decision_function(scaled)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_classes_with_a_gap_keep_their_rank() -> None:
    features, labels = some()
    labels = np.where(labels[:, :1] == 1, 2, 0)
    for head in Head:
        said = (
            CellHeads(HeadConfig(head, trees=10, bags=2))
            .fit(features, labels)
            .scores(features)
            .argmax(axis=2)
        )
        assert set(np.unique(said)) <= {0, 2}


def test_a_cell_of_one_class_says_that_class() -> None:
    features, _ = some(20)
    scores = CellHeads(HeadConfig()).fit(features, np.full((20, 1), 1)).scores(features)
    np.testing.assert_array_equal(scores[:, 0], np.tile([0.0, 1.0, 0.0], (20, 1)))


def test_balancing_makes_rare_classes_more_often_right() -> None:
    features, labels = some(300)
    rare = np.where((labels[:, 0] == 2) & (np.arange(300) % 3 > 0), 1, labels[:, 0])[:, None]
    recalls = {}
    for balance in (Balance.NONE, Balance.SMOTE, Balance.WEIGHTS):
        said = (
            CellHeads(HeadConfig(Head.SVC, balance)).fit(features, rare).scores(features)[:, 0].argmax(axis=1)
        )
        recalls[balance] = (said[rare[:, 0] == 2] == 2).mean()
    assert recalls[Balance.SMOTE] > recalls[Balance.NONE]
    assert recalls[Balance.WEIGHTS] > recalls[Balance.NONE]


def test_rows_to_judge_are_never_balanced() -> None:
    features, labels = some()
    fitted = head_pipeline(HeadConfig(Head.SVC, Balance.SMOTE, keep=0.33)).fit(features, labels[:, 0])
    assert fitted.predict(features[:7]).shape == (7,)


def test_ordinal_shares_are_those_of_two_plain_models() -> None:
    features, labels = some()
    ours = OrdinalClassifier(LogisticRegression()).fit(features, labels[:, 0])
    above = [
        LogisticRegression().fit(features, labels[:, 0] >= k).predict_proba(features)[:, 1] for k in (1, 2)
    ]
    shares = ours.predict_proba(features)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares[:, 0], 1 - above[0])
    np.testing.assert_allclose(shares[:, 2], np.minimum(*above))
    assert (ours.predict(features) == labels[:, 0]).mean() > 0.85


def test_ordinal_trees_fit_through_the_pipeline() -> None:
    features, labels = some()
    config = HeadConfig(Head.LIGHTGBM, Balance.WEIGHTS, ordinal=True, trees=20)
    said = CellHeads(config).fit(features, labels).scores(features).argmax(axis=2)
    assert (said[:, 0] == labels[:, 0]).mean() > 0.9


def test_jobs_change_nothing() -> None:
    features, labels = some(60)
    one = CellHeads(HeadConfig(Head.XGBOOST, trees=5)).fit(features, labels).scores(features)
    two = CellHeads(HeadConfig(Head.XGBOOST, trees=5), jobs=2).fit(features, labels).scores(features)
    get_reusable_executor().shutdown(wait=True)
    np.testing.assert_array_equal(one, two)


def test_what_does_not_fit_is_refused() -> None:
    features, labels = some(20)
    with pytest.raises(ValueError, match="as many, got 20 and 19"):
        CellHeads(HeadConfig()).fit(features, labels[1:])
    nothing = CellHeads(HeadConfig()).fit(features, np.full((20, 1), UNLABELLED)).scores(features)
    np.testing.assert_allclose(nothing, 1 / 3)
    with pytest.raises(ValueError, match="keep must be 1 where samples are weighed"):
        HeadConfig(balance=Balance.WEIGHTS, keep=0.33)
    with pytest.raises(ValueError, match="no probabilities"):
        HeadConfig(ordinal=True)
    with pytest.raises(ValueError, match="trees and bags of 1 or more"):
        HeadConfig(trees=0)
    with pytest.raises(ValueError, match="bins from 2 to 256"):
        HeadConfig(columns=0.0)
