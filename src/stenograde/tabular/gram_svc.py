"""A support vector machine whose kernel is one matrix product: the answers of scikit-learn's, sooner on wide tables.

libsvm works out its kernel value by value, which takes most of its time where samples have hundreds of numbers. Here
all values come from one product of the table with itself, and libsvm gets them done.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted


class GramSVC(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """``SVC(C=..., gamma="scale")`` with its radial kernel worked out at once.

    Parameters
    ----------
    C : float
        As in :class:`sklearn.svm.SVC`.
    random_state : int, optional
        Without effect on the answers.
    """

    def __init__(self, C: float = 1.0, random_state: int | None = None) -> None:  # noqa: N803
        self.C = C
        self.random_state = random_state

    def fit(
        self,
        X: NDArray[np.floating],  # noqa: N803
        y: NDArray[np.int64],
        sample_weight: NDArray[np.floating] | None = None,
    ) -> Self:
        """Fit on samples of shape (n, width); a weight, shape (n,), counts a sample more or less."""
        values = np.asarray(X, np.float64)
        spread = float(values.var())
        self.gamma_ = 1.0 / (values.shape[1] * spread) if spread > 0 else 1.0
        gram = rbf_kernel(values, gamma=self.gamma_)
        machine = SVC(C=self.C, kernel="precomputed", random_state=self.random_state)
        self.machine_ = machine.fit(gram, y, sample_weight=sample_weight)
        self.classes_ = self.machine_.classes_
        self.support_ = self.machine_.support_
        self.n_samples_ = len(values)
        self.supports_ = values[self.support_]
        return self

    def decision_function(self, X: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: N803
        """Return margins, shape (n, classes), or (n,) of two classes."""
        return np.asarray(self.machine_.decision_function(self._gram(X)))

    def predict(self, X: NDArray[np.floating]) -> NDArray[Any]:  # noqa: N803
        """Return the class of each row."""
        return np.asarray(self.machine_.predict(self._gram(X)))

    def _gram(self, X: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: N803
        """Kernel of rows to the samples that were fitted, shape (n, samples); of those that support nothing, zero."""
        check_is_fitted(self, "machine_")
        gram = np.zeros((len(X), self.n_samples_))
        gram[:, self.support_] = rbf_kernel(np.asarray(X, np.float64), self.supports_, gamma=self.gamma_)
        return gram
