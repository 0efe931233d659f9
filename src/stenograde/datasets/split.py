"""Training, validation and test parts of a sample set: by patient; and by image, to show how that inflates scores.

Patients are sorted by their worst label and then by the number of their pictures with each label, and each part takes
its share evenly along that order. So the number of patients with a given worst label in a part is within one of its
share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.samples import SampleSet
from stenograde.errors import DatasetError

LARGEST_TEST_SHARE: Final = 100 / 115
"""Largest share of a class that a balanced test takes: the document's test held 100 of its 115 Severe pictures
(doi:10.18103/mra.v13i7.6660, table 2 and section 6)."""

By = Literal["patient", "image"]
"""Unit that a split keeps together."""

Places = tuple[int, ...]


class Fold(NamedTuple):
    """One fold of a cross-validation, as places; no patient is on both sides."""

    train: list[int]
    test: list[int]


def folds_by_patient(
    patients: Sequence[str],
    *,
    folds: int,
    seed: int,
    strata: Sequence[int] | None = None,
    what: str = "patients",
) -> tuple[Fold, ...]:
    """Return folds of things that are known by their patients alone: each patient is tested once.

    Parameters
    ----------
    patients : sequence of str
        Of each thing.
    folds, seed : int
    strata : sequence of int, optional
        Of each thing, to be spread evenly over the folds; no patient may then have two things.
    what : str
        That each patient stands for, for the message.

    Raises
    ------
    DatasetError
        If there are fewer than two patients for each fold.
    """
    names = sorted(set(patients))
    if len(names) < 2 * folds:
        msg = f"{folds} folds need at least {2 * folds} {what}, got {len(names)}"
        raise DatasetError(msg)
    if strata is None:
        np.random.default_rng(seed).shuffle(names)
        fold_of = {name: number for number in range(folds) for name in names[number::folds]}
    else:
        fold_of = dict(zip(patients, _spread(np.asarray(strata), folds, seed), strict=True))
    places = range(len(patients))
    return tuple(
        Fold(
            [k for k in places if fold_of[patients[k]] != number],
            [k for k in places if fold_of[patients[k]] == number],
        )
        for number in range(folds)
    )


def _spread(strata: NDArray[np.int64], folds: int, seed: int) -> list[int]:
    """Return the fold of each thing, as scikit-learn's shuffled StratifiedKFold gives it: its numbers are published."""
    _, first, codes = np.unique(strata, return_index=True, return_inverse=True)
    by_appearance = np.argsort(np.argsort(first))[codes]
    in_turn = np.sort(by_appearance)
    rng = np.random.RandomState(seed)
    found = np.empty(len(strata), np.int64)
    for code in range(len(first)):
        of_code = np.arange(folds).repeat([(in_turn[k::folds] == code).sum() for k in range(folds)])
        rng.shuffle(of_code)
        found[by_appearance == code] = of_code
    return found.tolist()


@dataclass(frozen=True)
class Split:
    """One division of a sample set, as indices into it.

    Raises
    ------
    ValueError
        If a sample is in two parts, or the training or test part is empty.
    """

    train: Places
    validation: Places
    test: Places
    by: By
    """``image`` marks a split in which a patient may be in both training and test: its result is not an estimate for
    new patients."""
    notes: tuple[str, ...] = ()
    """Notes for the report on what could not be done as requested."""

    def __post_init__(self) -> None:
        every = [*self.train, *self.validation, *self.test]
        if len(set(every)) < len(every):
            msg = f"parts of a split must not share samples, got {len(every) - len(set(every))} in two"
            raise ValueError(msg)
        if not self.train or not self.test:
            msg = f"a split must train and test on something, got {len(self.train)} and {len(self.test)} samples"
            raise ValueError(msg)


def patient_folds(
    samples: SampleSet, *, folds: int, seed: int, validation_share: float = 0.15
) -> tuple[Split, ...]:
    """Return folds by patient: each sample is tested once, and its patient is in no other part of that split.

    Parameters
    ----------
    samples : SampleSet
    folds : int
        At least 2.
    seed : int
    validation_share : float
        Share for validation of the patients that are not tested; at least one patient, unless 0.

    Raises
    ------
    DatasetError
        If a patient is unknown, or there are too few patients.
    ValueError
        If a count or share is out of range.
    """
    if folds < 2:
        msg = f"folds must be at least 2, got {folds}"
        raise ValueError(msg)
    groups = _Groups.by(samples, "patient")
    groups.check_enough(folds, samples.name)
    rng = np.random.default_rng([seed, 0])
    order = groups.in_order(rng)
    names = rng.permutation(folds)
    tested = [order[np.arange(len(order)) % folds == name] for name in names]
    return tuple(groups.split(test, rng, validation_share) for test in tested)


def holdouts(
    samples: SampleSet,
    *,
    by: By,
    repeats: int,
    seed: int,
    test_share: float = 0.2,
    validation_share: float = 0.15,
) -> tuple[Split, ...]:
    """Return repeated random divisions, each drawn anew.

    Parameters
    ----------
    samples : SampleSet
    by : str
        ``patient``; or ``image``, as in documents that ignore patients: pictures of one patient end up in both
        training and test, so only the as-published protocol may use it.
    repeats : int
    seed : int
    test_share : float
        Share of the patients, or images, for the test; at least one.
    validation_share : float
        Share of the others for validation; at least one, unless 0.

    Raises
    ------
    DatasetError
        If a patient is unknown, or there are too few.
    ValueError
        If a share is out of range.
    """
    groups = _Groups.by(samples, by)
    if repeats < 1 or not 0 < test_share < 1:
        msg = f"holdouts need repeats >= 1 and a test share between 0 and 1, got {repeats} and {test_share}"
        raise ValueError(msg)
    groups.check_enough(3 if validation_share else 2, samples.name)
    splits = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        tested = _share_of(groups.in_order(rng), test_share, rng)
        splits.append(groups.split(tested, rng, validation_share))
    return tuple(splits)


def balanced_test(
    samples: SampleSet, *, per_class: int, seed: int, by: By, validation_share: float = 0.15
) -> Split:
    """Return a split whose test part has the same number of samples of each class.

    By patient, whole patients leave the training part until their pictures suffice; their pictures that the test
    does not use are in no part.

    Parameters
    ----------
    samples : SampleSet
        Samples, all of them labelled.
    per_class : int
        Requested number. If a class has too few samples, all classes have as many as it allows, and the notes of
        the split say so.
    seed : int
    by : str
        ``patient`` or ``image``.
    validation_share : float
        Share for validation of what is not tested; at least one patient or image, unless 0.

    Raises
    ------
    DatasetError
        If a patient is unknown, a sample unlabelled, or a class has no sample to spare.
    ValueError
        If a count or share is out of range.
    """
    codes = samples.codes
    if per_class < 1 or (codes < 0).any():
        n_without = int((codes < 0).sum())
        msg = f"a balanced test needs per_class >= 1 and no sample without a label, got {per_class} and {n_without}"
        raise ValueError(msg)
    groups = _Groups.by(samples, by)
    rng = np.random.default_rng([seed, 0])
    counts = np.bincount(codes, minlength=len(samples.classes))
    wanted = min(per_class, int(LARGEST_TEST_SHARE * counts.min()))
    out = groups.holding(wanted, rng)
    held = np.concatenate([groups.members[group] for group in out]) if out.size else np.empty(0, np.int64)
    n = min(wanted, int(np.bincount(codes[held], minlength=len(counts)).min()))
    if n < 1:
        rarest = samples.classes[int(counts.argmin())]
        msg = f"each class must have a sample to test and one to train, got {counts.min()} of {rarest}"
        raise DatasetError(msg)
    test = np.concatenate(
        [rng.permutation(held[codes[held] == code])[:n] for code in range(len(samples.classes))]
    )
    notes = [] if n == per_class else [f"the test has {n} samples of each class, not {per_class}"]
    if len(held) > len(test):
        notes.append(f"{len(held) - len(test)} other samples of the tested {by}s are in no part")
    split = groups.split(out, rng, validation_share)
    return Split(split.train, split.validation, _places(test), by, tuple(notes))


@dataclass(frozen=True, eq=False)
class _Groups:
    """Groups that are kept together: the samples of each patient, or single samples."""

    members: tuple[NDArray[np.int64], ...]
    """Indices of the samples of each group."""
    counts: NDArray[np.int64]
    """Number of samples with each label in each group, shape (groups, classes + 1); the first label means none."""
    kept_by: By

    @classmethod
    def by(cls, samples: SampleSet, what: By) -> _Groups:
        numbers = np.arange(len(samples))
        if what == "patient":
            _, numbers = np.unique(samples.patients, return_inverse=True)
        n_groups = int(numbers.max()) + 1 if len(numbers) else 0
        counts = np.zeros((n_groups, len(samples.classes) + 1), np.int64)
        np.add.at(counts, (numbers, samples.codes + 1), 1)
        order = np.argsort(numbers, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if n_groups else []
        return cls(tuple(members), counts, what)

    def in_order(
        self, rng: np.random.Generator, chosen: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Return groups sorted by worst label, then by their counts of each label; equal ones in random order."""
        groups = rng.permutation(np.arange(len(self.members)) if chosen is None else chosen)
        if not groups.size:
            return groups
        counts = self.counts[groups]
        worst = counts.shape[1] - 1 - np.argmax(counts[:, ::-1] > 0, axis=1)
        # lexsort takes the last key first: the worst label, then counts from the worst label down
        return groups[np.lexsort((*counts.T, worst))]

    def check_enough(self, needed: int, name: str) -> None:
        if len(self.members) < needed:
            msg = (
                f"{name} must have at least {needed} {self.kept_by}s for this split, got {len(self.members)}"
            )
            raise DatasetError(msg)

    def split(self, tested: NDArray[np.int64], rng: np.random.Generator, validation_share: float) -> Split:
        """Return the split that tests the given groups."""
        rest = np.setdiff1d(np.arange(len(self.members)), tested)
        validating = _share_of(self.in_order(rng, rest), validation_share, rng)
        train = np.setdiff1d(rest, validating)
        return Split(self._samples(train), self._samples(validating), self._samples(tested), self.kept_by)

    def holding(self, wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return groups that together hold the given number of samples per class, while training keeps some of each."""
        counts = self.counts[:, 1:]
        left = counts.sum(axis=0)
        held = np.zeros_like(left)
        chosen = []
        for code in np.argsort(left, kind="stable"):
            for group in rng.permutation(np.flatnonzero(counts[:, code])):
                if held[code] >= wanted:
                    break
                if group in chosen or (left - counts[group] < 1).any():
                    continue
                chosen.append(int(group))
                held += counts[group]
                left -= counts[group]
        return np.array(chosen, np.int64)

    def _samples(self, groups: Sequence[int] | NDArray[np.int64]) -> Places:
        return _places(np.concatenate([self.members[group] for group in groups])) if len(groups) else ()


def _share_of(order: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Take a share of groups evenly along their order: from any run of them, its share to within one."""
    if not 0 <= share < 1:
        msg = f"share of a part must be at least 0 and below 1, got {share}"
        raise ValueError(msg)
    if share == 0 or len(order) < 2:
        return order[:0]
    n = min(max(1, round(share * len(order))), len(order) - 1)
    # whole numbers, so that the steps add up exactly
    steps = (np.arange(len(order) + 1) * n + int(rng.integers(len(order)))) // len(order)
    return order[np.diff(steps) > 0]


def _places(numbers: NDArray[np.int64]) -> Places:
    return tuple(int(number) for number in np.sort(numbers))
