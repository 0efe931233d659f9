"""Classical heads from vectors to the severity of each cell, scaled, balanced and fitted within one training fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
from imblearn import FunctionSampler
from imblearn.pipeline import Pipeline
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import BaggingClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from stenograde.tabular.balance import Balance, resampled, sample_weights
from stenograde.tabular.gram_svc import GramSVC

UNLABELLED = -1
"""Label of an ungraded cell: its row is left out when that cell is fitted."""


class Head(StrEnum):
    """The document's classical models."""

    SVC = "svc"
    LIGHTGBM = "lightgbm"
    XGBOOST = "xgboost"
    BAGGED_XGBOOST = "bagged_xgboost"


@dataclass(frozen=True)
class HeadConfig:
    """A head and the balancing of its classes."""

    head: Head = Head.SVC
    balance: Balance = Balance.NONE
    keep: float = 1.0
    """Share of the most frequent class that is kept before balancing; in the document, a third for SVC."""
    ordinal: bool = False
    """Whether to ask "at least moderate?" and "severe?" instead of choosing among three classes (Frank and Hall, "A
    simple approach to ordinal classification", ECML 2001)."""
    trees: int = 100
    bags: int = 10
    """Number of bags of :attr:`Head.BAGGED_XGBOOST`."""
    bins: int = 32
    """Histogram bins of each number for trees. With a few hundred samples, a tree spends most of its time searching
    bins, and the libraries' default of 256 is about the number of samples."""
    columns: float | None = None
    """Share of the numbers that each tree sees; vectors of slices have many more numbers than there are samples. None
    means a quarter, and a half for LightGBM, whose macro F1 suffers from a quarter (``benchmarks/grid.py``)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trees < 1 or self.bags < 1 or not 0 < self.keep <= 1:
            got = f"{self.trees}, {self.bags}, {self.keep}"
            msg = f"a head needs trees and bags of 1 or more and keep in (0, 1], got {got}"
            raise ValueError(msg)
        if not 2 <= self.bins <= 256 or not 0 < self.shown_columns <= 1:
            msg = f"trees need bins from 2 to 256 and columns in (0, 1], got {self.bins}, {self.columns}"
            raise ValueError(msg)
        if self.ordinal and self.head is Head.SVC:
            msg = "ordinal must be false for svc, whose margins are no probabilities; choose another head"
            raise ValueError(msg)
        if self.balance is Balance.WEIGHTS and self.keep < 1:
            msg = f"keep must be 1 where samples are weighed, got {self.keep}"
            raise ValueError(msg)

    @property
    def shown_columns(self) -> float:
        """The share of the numbers that each tree sees."""
        if self.columns is not None:
            return self.columns
        return 0.5 if self.head is Head.LIGHTGBM else 0.25


class CellHeads:
    """One model for each cell, fitted in parallel.

    Parameters
    ----------
    config : HeadConfig
    classes : int
        Number of severities, ranked from 0.
    jobs : int
        Number of cells fitted at once.
    """

    def __init__(self, config: HeadConfig, *, classes: int = 3, jobs: int = 1) -> None:
        self.config, self.classes, self.jobs = config, classes, jobs
        self.models: list[_Constant | _Named] = []

    def fit(self, features: NDArray[np.floating], labels: NDArray[np.int64]) -> Self:
        """Fit every cell.

        Parameters
        ----------
        features : ndarray of shape (n, width), float
        labels : ndarray of shape (n, cells), int64
            Ranks; :data:`UNLABELLED` where there is no label.

        Raises
        ------
        ValueError
            If lengths differ.
        """
        if len(features) != len(labels):
            msg = f"features and labels must be as many, got {len(features)} and {len(labels)}"
            raise ValueError(msg)
        self.models = Parallel(n_jobs=self.jobs)(
            delayed(_fitted)(features, labels[:, cell], self.config) for cell in range(labels.shape[1])
        )
        return self

    def scores(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return a score for each severity, shape (n, cells, classes); the highest is the answer.

        Scores are probabilities for trees; for SVC, margins of one class against the rest, which rank but are not
        probabilities. A severity that was not among a cell's training labels gets the lowest possible score.
        """
        return np.stack([_scores(model, features, self.classes) for model in self.models], axis=1)


class OrdinalClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Ordered classes as a sequence of yes-or-no questions: is it at least this class? (Frank and Hall 2001).

    Parameters
    ----------
    estimator : classifier
        Classifier to copy for each question; needs ``predict_proba``.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: NDArray[np.floating], y: NDArray[np.int64], sample_weight: Any = None) -> Self:  # noqa: N803
        """Fit one copy for each step between neighbouring classes."""
        self.classes_ = np.unique(y)
        extra = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.steps_ = [
            clone(self.estimator).fit(X, (y >= upper).astype(int), **extra) for upper in self.classes_[1:]
        ]
        return self

    def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.float64]:  # noqa: N803
        """Return class probabilities, shape (n, classes); of two contradicting answers, the lower class prevails."""
        check_is_fitted(self, "steps_")
        above = [step.predict_proba(X)[:, 1] for step in self.steps_]
        falling = np.minimum.accumulate(np.stack([np.ones(len(X)), *above], axis=1), axis=1)
        return falling - np.concatenate([falling[:, 1:], np.zeros((len(X), 1))], axis=1)

    def predict(self, X: NDArray[np.floating]) -> NDArray[Any]:  # noqa: N803
        """Return the most probable class of each row."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


def head_pipeline(config: HeadConfig) -> Pipeline:
    """Return the pipeline of one cell: scaling, then balancing (of training rows only), then the model."""
    balanced = FunctionSampler(
        func=resampled,
        kw_args={"balance": config.balance, "keep": config.keep, "seed": config.seed},
        validate=False,
    )
    model = _model(config)
    return Pipeline(
        [
            ("scale", StandardScaler()),
            ("balance", balanced),
            ("head", OrdinalClassifier(model) if config.ordinal else model),
        ]
    )


@dataclass(frozen=True)
class _Constant:
    """Model that predicts the sole training class for every row; all severities equally if no row had a label."""

    label: int


@dataclass(frozen=True, eq=False)
class _Named:
    """A model fitted on classes numbered without gaps, and the classes they represent."""

    pipeline: Pipeline
    classes: NDArray[np.int64] = field(repr=False)


def _fitted(
    features: NDArray[np.floating], labels: NDArray[np.int64], config: HeadConfig
) -> _Constant | _Named:
    known = labels != UNLABELLED
    if not known.any():
        return _Constant(UNLABELLED)
    # XGBoost takes classes from 0 without gaps
    classes, coded = np.unique(labels[known], return_inverse=True)
    if len(classes) == 1:
        return _Constant(int(classes[0]))
    weights = {}
    if config.balance is Balance.WEIGHTS:
        weights = {"head__sample_weight": sample_weights(coded, config.balance)}
    return _Named(head_pipeline(config).fit(features[known], coded, **weights), classes)


def _scores(model: _Constant | _Named, features: NDArray[np.floating], classes: int) -> NDArray[np.float64]:
    if isinstance(model, _Constant):
        shares = np.full(classes, 1 / classes) if model.label == UNLABELLED else np.eye(classes)[model.label]
        return np.tile(shares, (len(features), 1))
    head = model.pipeline.named_steps["head"]
    if hasattr(head, "predict_proba"):
        said = model.pipeline.predict_proba(features)
        least = np.zeros((len(said), 1))
    else:
        said = model.pipeline.decision_function(features)
        said = np.stack([-said, said], axis=1) if said.ndim == 1 else said
        least = said.min(axis=1, keepdims=True) - 1.0
    out = np.repeat(least, classes, axis=1)
    out[:, model.classes] = said
    return out


def _model(config: HeadConfig) -> Any:
    if config.head is Head.SVC:
        # margins rank as well as probabilities, which would cost five more fits
        return GramSVC(random_state=config.seed)
    if config.head is Head.LIGHTGBM:
        from lightgbm import LGBMClassifier  # noqa: PLC0415  each library is needed by one head

        return LGBMClassifier(
            n_estimators=config.trees,
            max_bin=config.bins - 1,
            colsample_bytree=config.shown_columns,
            min_child_samples=5,
            random_state=config.seed,
            n_jobs=1,
            verbose=-1,
        )
    from xgboost import XGBClassifier  # noqa: PLC0415

    boosted = XGBClassifier(
        n_estimators=config.trees,
        tree_method="hist",
        max_bin=config.bins,
        colsample_bytree=config.shown_columns,
        random_state=config.seed,
        n_jobs=1,
    )
    if config.head is Head.XGBOOST:
        return boosted
    return BaggingClassifier(boosted, n_estimators=config.bags, random_state=config.seed)
