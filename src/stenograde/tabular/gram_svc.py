"""A support vector machine whose kernel is one matrix product: scikit-learn's answers, faster on wide tables.

libsvm computes its kernel value by value, which takes most of its time if samples have hundreds of numbers. Here all
values come from one product of the table with itself, and libsvm receives them precomputed.
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
    """``SVC(C=..., gamma="scale")`` with a radial kernel that is precomputed in one step.

    Parameters
    ----------
    C : float
        As in :class:`sklearn.svm.SVC`.
    random_state : int, optional
        Has no effect on the answers.
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
        """Fit on samples of shape (n, width), with an optional weight for each, shape (n,)."""
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
        """Return margins, shape (n, classes), or (n,) for two classes."""
        return np.asarray(self.machine_.decision_function(self._gram(X)))

    def predict(self, X: NDArray[np.floating]) -> NDArray[Any]:  # noqa: N803
        """Return the class of each row."""
        return np.asarray(self.machine_.predict(self._gram(X)))

    def _gram(self, X: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: N803
        """Kernel between rows and fitted samples, shape (n, samples); zero for samples that are no support vectors."""
        check_is_fitted(self, "machine_")
        gram = np.zeros((len(X), self.n_samples_))
        gram[:, self.support_] = rbf_kernel(np.asarray(X, np.float64), self.supports_, gamma=self.gamma_)
        return gram
