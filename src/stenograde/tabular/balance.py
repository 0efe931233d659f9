"""Balancing of training samples so that rare classes are as frequent as common ones, only within a training fold."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from imblearn.over_sampling import SMOTE, SVMSMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from numpy.typing import NDArray

from stenograde.tabular.gram_svc import GramSVC


class Balance(StrEnum):
    """Ways to compensate for rare classes."""

    NONE = "none"
    WEIGHTS = "weights"
    """Each sample is weighted by the inverse of the share of its class."""
    SMOTE = "smote"
    """Chawla et al., J Artif Intell Res 2002;16:321."""
    SVM_SMOTE = "svm_smote"
    """Nguyen et al., Int J Knowl Eng Soft Data Paradigms 2011;3:4: new samples near the border between classes. Where a
    class has only noise there, samples are made as for SMOTE."""


_NEIGHBOURS = 5
"""Number of neighbours between which SMOTE makes samples, as published."""


def sample_weights(labels: NDArray[np.int64], balance: Balance) -> NDArray[np.float64]:
    """Return the weight of each sample, shape (n,), mean 1; all equal except for :attr:`Balance.WEIGHTS`."""
    if balance is not Balance.WEIGHTS:
        return np.ones(len(labels))
    counts = np.bincount(labels)
    return len(labels) / (np.count_nonzero(counts) * counts[labels])


def resampled(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    balance: Balance,
    *,
    keep: float = 1.0,
    seed: int,
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Return samples in which every class is as frequent as the most frequent one.

    Parameters
    ----------
    features : ndarray of shape (n, width), float
    labels : ndarray of shape (n,), int64
        Classes from 0.
    balance : Balance
        Method; only the SMOTE methods add samples.
    keep : float
        Share of the most frequent class that is kept, but never so few that another class becomes more frequent.
    seed : int

    Returns
    -------
    features, labels : ndarray
        Original samples, then synthetic ones. A single sample of a class is repeated, because it has no neighbour;
        a sole class is left unchanged.

    Raises
    ------
    ValueError
        If lengths differ or ``keep`` is not above 0 and at most 1.
    """
    if len(features) != len(labels) or not 0 < keep <= 1:
        msg = f"features and labels must be as many and keep in (0, 1], got {len(features)}, {len(labels)}, {keep}"
        raise ValueError(msg)
    if len(np.unique(labels)) < 2:
        return features, labels
    if keep < 1:
        features, labels = _thinned(features, labels, keep, seed)
    if balance not in {Balance.SMOTE, Balance.SVM_SMOTE}:
        return features, labels
    counts = np.bincount(labels)
    single = {int(one): 2 for one in np.flatnonzero(counts == 1)}
    if single:
        features, labels = RandomOverSampler(sampling_strategy=single, random_state=seed).fit_resample(
            features, labels
        )
    fewest = int(np.bincount(labels)[np.bincount(labels) > 0].min())
    neighbours = min(_NEIGHBOURS, fewest - 1)
    if balance is Balance.SVM_SMOTE and fewest > _NEIGHBOURS:
        sampler = SVMSMOTE(k_neighbors=neighbours, svm_estimator=GramSVC(), random_state=seed)
        try:
            made = sampler.fit_resample(features, labels)
        except ValueError as exc:
            if "noise" not in str(exc):
                raise
        else:
            return made[0], made[1]
    made = SMOTE(k_neighbors=neighbours, random_state=seed).fit_resample(features, labels)
    return made[0], made[1]


def _thinned(
    features: NDArray[np.floating], labels: NDArray[np.int64], keep: float, seed: int
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Return samples with a share of the most frequent class, never fewer than another class has."""
    counts = np.bincount(labels)
    common = int(counts.argmax())
    wanted = {common: max(round(keep * counts[common]), int(np.delete(counts, common).max()))}
    made = RandomUnderSampler(sampling_strategy=wanted, random_state=seed).fit_resample(features, labels)
    return made[0], made[1]
