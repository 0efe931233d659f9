"""Answers that need no picture: what a method must beat before its score means anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stenograde.evaluate.predictions import Predictions
from stenograde.evaluate.rsna_metric import rewarded
from stenograde.grades import EVEN_ODDS, Probabilities
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Severity


def majority(train_labels: ArrayLike, test: Predictions) -> Predictions:
    """Return the answer that gives every picture the shares of the classes in training.

    Its most probable class is the majority of training, and its AUC is one half.

    Parameters
    ----------
    train_labels : array-like of int, shape (n,)
        Codes of the classes of training.
    test : Predictions
        Pictures to answer for; their labels and probabilities are not used.

    Raises
    ------
    ValueError
        If there are no labels, or one is none of the classes.
    """
    shares = _shares(train_labels, len(test.classes))
    return replace(test, probabilities=np.tile(shares, (len(test), 1)))


def group_prior(
    train_labels: ArrayLike, test: Predictions, *, train_groups: Sequence[str | None]
) -> Predictions:
    """Return the answer that gives each picture the shares of the classes in its group (its level) in training.

    The shares of a group are drawn towards the shares of all by the weight of one picture, so that a class that a
    small group lacks keeps a probability. A group that training lacks, or none, gets the shares of all.

    Parameters
    ----------
    train_labels : array-like of int, shape (n,)
    test : Predictions
        Its groups are used.
    train_groups : sequence of str or None, length n

    Raises
    ------
    ValueError
        If lengths differ, the test pictures have no groups, or a label is none of the classes.
    """
    codes = np.asarray(train_labels, np.int64)
    if test.groups is None or len(train_groups) != len(codes):
        msg = (
            f"the prior of groups needs a group for each label and for each test picture, got {len(codes)} labels, "
            f"{len(train_groups)} groups and {'no' if test.groups is None else 'some'} test groups"
        )
        raise ValueError(msg)
    n_classes = len(test.classes)
    overall = _shares(codes, n_classes)
    of_group: dict[str | None, NDArray[np.float64]] = {}
    for group in {group for group in train_groups if group is not None}:
        counts = np.bincount(codes[[g == group for g in train_groups]], minlength=n_classes)
        of_group[group] = (counts + overall) / (counts.sum() + 1)
    rows = [of_group.get(group, overall) for group in test.groups]
    return replace(test, probabilities=np.stack(rows))


def level_share(
    studies: Sequence[str], labels: Mapping[str, Mapping[Cell, Severity]]
) -> list[dict[Cell, Probabilities]]:
    """Return the answer that knows only how common each severity of a condition is at each level, both sides together.

    Parameters
    ----------
    studies : sequence of str
        Names of the studies to answer for.
    labels : mapping
        Severities by study; those of the study itself are not looked at.

    Returns
    -------
    said : list of dict
        For each study the probabilities by cell. The shares of a level are drawn towards those of all levels by the
        weight of one cell; without any label, all severities are alike.
    """
    counted = {name: _level_counts(of_study) for name, of_study in labels.items()}
    total = sum(counted.values(), _level_counts({}))
    answers = []
    for name in studies:
        of_levels = total - counted.get(name, 0)
        prior = _as_shares(of_levels.sum(axis=1, keepdims=True))
        shares = (of_levels + prior) / (of_levels.sum(axis=2, keepdims=True) + 1)
        answers.append({cell: Probabilities(shares[_place(cell)]) for cell in LUMBAR_MRI.cells})
    return answers


def trivial_answers(labels: Mapping[str, Mapping[Cell, Severity]]) -> dict[str, dict[Cell, Probabilities]]:
    """Return the four answers that are alike for every study, by their names.

    They are even odds; how common each severity of a condition is; and the same, of a condition and of a condition at a
    level, weighted as the metric of RSNA 2024 weighs.

    Parameters
    ----------
    labels : mapping
        Severities by study, which tell how common they are; scored on the same labels, the answers look better than
        they are on others.
    """
    of_levels = sum(map(_level_counts, labels.values()), _level_counts({}))
    by_level = _as_shares(of_levels)
    by_condition = np.broadcast_to(_as_shares(of_levels.sum(axis=1, keepdims=True)), by_level.shape)
    said = {
        "uniform": np.broadcast_to(np.array(EVEN_ODDS), by_level.shape),
        "class prior": by_condition,
        "weighted prior per condition": rewarded(by_condition),
        "weighted prior per level": rewarded(by_level),
    }
    return {
        name: {cell: Probabilities(shares[_place(cell)]) for cell in LUMBAR_MRI.cells}
        for name, shares in said.items()
    }


def _as_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return counts along the last axis as shares; even ones where nothing was counted."""
    even = np.broadcast_to(np.array(EVEN_ODDS), counts.shape).copy()
    known = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, known, out=even, where=known > 0)


def _place(cell: Cell) -> tuple[int, int]:
    return tuple(Condition).index(cell.condition), tuple(Level).index(cell.level)


def _level_counts(severities: Mapping[Cell, Severity]) -> NDArray[np.float64]:
    """Cells by condition, level and severity."""
    counts = np.zeros((len(Condition), len(Level), len(Severity)))
    for cell, severity in severities.items():
        counts[(*_place(cell), severity.rank)] += 1
    return counts


def stated(codes: ArrayLike, test: Predictions) -> Predictions:
    """Return the answer of a rule that gives each test picture a class code, as probabilities of 0 and 1.

    Raises
    ------
    ValueError
        If there is not one class for each picture.
    """
    said = np.asarray(codes, np.int64)
    n_classes = len(test.classes)
    if said.shape != (len(test),) or said.min() < 0 or said.max() >= n_classes:
        msg = f"a rule must name a class from 0 to {n_classes - 1} for each of {len(test)} pictures, got {said.shape}"
        raise ValueError(msg)
    return replace(test, probabilities=np.eye(n_classes)[said])


def _shares(labels: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    codes = np.asarray(labels, np.int64)
    if codes.size == 0 or codes.min() < 0 or codes.max() >= n_classes:
        msg = f"training labels must be some codes from 0 to {n_classes - 1}, got {np.unique(codes).tolist()}"
        raise ValueError(msg)
    return np.bincount(codes, minlength=n_classes) / codes.size
