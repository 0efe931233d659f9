"""Linear heads on fixed features: how strongly they are held back is chosen by patient among those that train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from stenograde.datasets.split import folds_by_patient
from stenograde.grades import PFIRRMANN_GRADES
from stenograde.predict.disc_net import SERIES, DiscNet
from stenograde.predict.discs import ABOVE, SETS, DiscHead, DiscHeads, pfirrmann_of
from stenograde.terms import LUMBAR_MRI
from stenograde.train.discs.features import QUESTIONS, DiscTable
from stenograde.train.discs.scoring import Said, answer, nothing_said
from stenograde.workers import Progress, counted

N_LEVELS: Final = len(LUMBAR_MRI.levels)

_SMALLEST = 1e-6
"""Standard deviations below this are of a feature that says nothing."""

_LEAST_SHARE = 1e-6
"""Floor of probabilities in the logarithmic loss."""


@dataclass(frozen=True)
class HeadFit:
    """How heads are fitted."""

    inverse_penalties: tuple[float, ...] = (1.0, 3.0, 10.0)
    """Choices of scikit-learn's ``C``, where the features of a series have about unit length; the one with the least
    logarithmic loss on the inner folds, over all questions, is taken: a rare finding alone would choose by chance."""
    share_of_t1: float = 0.5
    """Weight of T1's features beside those of T2, as a share of variance."""
    directions: int = 150
    """So many principal directions of the training discs' features are kept."""
    inner_folds: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            not self.inverse_penalties
            or min(self.inverse_penalties) <= 0
            or min(self.directions, self.share_of_t1) <= 0
        ):
            msg = f"heads need inverse_penalties, share_of_t1 and directions above 0, got {self}"
            raise ValueError(msg)


def fit_heads(table: DiscTable, places: Sequence[int], how: HeadFit) -> DiscHeads:
    """Fit heads for every set of series on the discs at some places.

    Parameters
    ----------
    table : DiscTable
    places : sequence of int
    how : HeadFit
    """
    by_set, cuts = {}, {}
    for series in SETS:
        at = np.asarray(places)[table.with_series(series)[places]]
        by_set[series], cuts[series] = _fit_set(table, at, series, how)
    return DiscHeads(by_set, cuts, level_shares(table, places))


NetOf = Callable[[Sequence[int], str], DiscNet]
"""A net of all questions, fitted on the discs at some places; the name is that of the fit."""


def out_of_fold(
    table: DiscTable,
    how: HeadFit,
    *,
    folds: int,
    seed: int,
    net_of: NetOf | None = None,
    progress: Progress | None = None,
) -> dict[str, Said]:
    """Answer for each disc by what its patient had no part in, from every set of series, and by level alone.

    With ``net_of``, a net answers beside the heads, as in a bundle that has one.
    """
    said = nothing_said(len(table))
    parts = folds_by_patient(table.patients, folds=folds, seed=seed)
    for number, (train, test) in enumerate(counted(parts, "folds", len(parts), progress), start=1):
        heads = fit_heads(table, train, how)
        net = None if net_of is None else net_of(train, f"net-{number}")
        answer(said, table, test, replace(heads, net=net))
    return said


def level_shares(table: DiscTable, places: Sequence[int]) -> NDArray[np.float64]:
    """Return the share of yes at each level among the discs at some places, shape (levels, questions).

    One yes and one no of the share at all levels are added to each, so that none is impossible.
    """
    at = np.asarray(places)
    overall = np.nanmean(table.answers[at], axis=0)
    shares = []
    for level in range(N_LEVELS):
        here = table.answers[at[table.levels[at] == level]]
        n = (~np.isnan(here)).sum(axis=0)
        shares.append((np.nansum(here, axis=0) + 2 * overall) / (n + 2))
    return np.stack(shares)


def _fit_set(
    table: DiscTable, at: NDArray[np.int64], series: tuple[str, ...], how: HeadFit
) -> tuple[DiscHead, NDArray[np.float64]]:
    seen = table.features[at][:, [SERIES.index(one) for one in series]].astype(np.float64)
    mean, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), _SMALLEST)
    weight = np.sqrt([how.share_of_t1 if one == "t1" else 1.0 for one in series])
    scale = spread * np.sqrt(seen.shape[2]) / weight[:, None]
    scaled = ((seen - mean) / scale).reshape(len(at), -1)
    directions = _directions(scaled, how.directions)
    known = np.concatenate([scaled @ directions, np.eye(N_LEVELS)[table.levels[at]]], axis=1)
    patients = [table.patients[k] for k in at]
    folds = folds_by_patient(patients, folds=how.inner_folds, seed=how.seed)
    weights = np.zeros((len(QUESTIONS), scaled.shape[1]))
    of_level = np.zeros((len(QUESTIONS), N_LEVELS))
    strength, inner = _chosen(known, table.answers[at], folds, how)
    for question, answers in enumerate(table.answers[at].T):
        fitted = _fitted(known, answers, np.arange(len(at)), strength)
        weights[question] = directions @ fitted.coef_[0, :-N_LEVELS] / scale.ravel()
        of_level[question] = fitted.coef_[0, -N_LEVELS:] + fitted.intercept_[0]
    of_level -= (weights @ mean.ravel())[:, None]
    head = DiscHead(weights.astype(np.float32), of_level.astype(np.float32))
    places = [tuple(QUESTIONS).index(name) for name in ABOVE]
    return head, _cuts(inner[:, places], table.answers[at][:, places])


def _directions(scaled: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return the principal directions of centred features, shape (features, directions)."""
    shares, vectors = np.linalg.eigh(scaled @ scaled.T)
    kept = np.flatnonzero(shares > _SMALLEST * shares[-1])[::-1][:most]
    return np.asarray(scaled.T @ (vectors[:, kept] / np.sqrt(shares[kept])))


def _chosen(
    known: NDArray[np.float64],
    answers: NDArray[np.float64],
    folds: Sequence[tuple[list[int], list[int]]],
    how: HeadFit,
) -> tuple[float, NDArray[np.float64]]:
    """Return the best strength over all questions, and the logits that it gives on the inner folds."""
    best: tuple[float, float, NDArray[np.float64]] | None = None
    for strength in how.inverse_penalties:
        said = np.zeros(answers.shape)
        for question, of_question in enumerate(answers.T):
            for train, test in folds:
                fitted = _fitted(known, of_question, np.asarray(train), strength)
                said[test, question] = fitted.decision_function(known[test])
        loss = _log_loss(said, answers)
        if best is None or loss < best[0]:
            best = loss, strength, said
    assert best is not None  # there is a strength
    return best[1], best[2]


def _fitted(
    known: NDArray[np.float64], answers: NDArray[np.float64], places: NDArray[np.int64], strength: float
) -> LogisticRegression:
    at = places[~np.isnan(answers[places])]
    return LogisticRegression(C=strength, solver="newton-cholesky").fit(known[at], answers[at].astype(int))


def _log_loss(logits: NDArray[np.float64], answers: NDArray[np.float64]) -> float:
    yes = np.clip(1 / (1 + np.exp(-logits)), _LEAST_SHARE, 1 - _LEAST_SHARE)
    return float(np.nanmean(-np.log(np.where(answers == 1, yes, 1 - yes)) + 0 * answers))


def _cuts(logits: NDArray[np.float64], reached: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the expected grades from which on the next is told, so that each is told as often as it was given.

    A mean of grades is drawn to the middle: without the cuts the outer grades would hardly ever be told.
    """
    expected = pfirrmann_of(logits) @ np.array(PFIRRMANN_GRADES)
    known = ~np.isnan(reached).any(axis=1)
    below = 1 - reached[known].mean(axis=0)
    return np.quantile(expected[known], below)
