"""The kernel at once: margins and classes as scikit-learn's own, and a drop-in for SVM-SMOTE."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("imblearn", reason="needs the extra 'tabular'")

from imblearn.over_sampling import SVMSMOTE
from sklearn.svm import SVC

from stenograde.tabular.balance import Balance, resampled
from stenograde.tabular.gram_svc import GramSVC


def some(classes: int, n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    labels = np.concatenate([np.zeros(n - 30, np.int64), rng.integers(classes, size=30)])
    return rng.normal(size=(n, 40)) + labels[:, None], labels


@pytest.mark.parametrize("classes", [2, 3])
def test_margins_and_classes_are_those_of_scikit_learn(classes: int) -> None:
    features, labels = some(classes)
    tested = features + 0.3 * np.random.default_rng(9).normal(size=features.shape)
    ours, theirs = GramSVC().fit(features, labels), SVC().fit(features, labels)
    np.testing.assert_array_equal(ours.support_, theirs.support_)
    np.testing.assert_allclose(
        ours.decision_function(tested), theirs.decision_function(tested), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(ours.predict(tested), theirs.predict(tested))


def test_svm_smote_makes_what_it_makes_with_scikit_learns() -> None:
    features, labels = some(3, n=200)
    theirs = SVMSMOTE(random_state=4).fit_resample(features, labels)
    ours = resampled(features, labels, Balance.SVM_SMOTE, seed=4)
    np.testing.assert_array_equal(ours[1], theirs[1])
    np.testing.assert_allclose(ours[0], theirs[0])


def test_a_table_of_one_value_is_borne() -> None:
    labels = np.array([0, 1] * 5)
    assert GramSVC().fit(np.zeros((10, 3)), labels).predict(np.zeros((2, 3))).shape == (2,)
