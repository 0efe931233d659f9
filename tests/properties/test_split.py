"""Splits of any sample set: no patient in two parts, each sample used once, strata within one."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold
from tests.picture_sets import CLASSES, in_memory

from stenograde.datasets.samples import SampleSet
from stenograde.datasets.split import (
    Split,
    balanced_test,
    folds_by_patient,
    holdouts,
    patient_folds,
)
from stenograde.errors import DatasetError


@st.composite
def cohorts(draw: st.DrawFn, min_patients: int = 3) -> SampleSet:
    """Patients with one to six pictures of any labels, mixed in any order."""
    patients = draw(
        st.lists(
            st.lists(st.sampled_from([*CLASSES, None]), min_size=1, max_size=6),
            min_size=min_patients,
            max_size=25,
        )
    )
    pairs = [(label, f"p{number}") for number, labels in enumerate(patients) for label in labels]
    pairs = draw(st.permutations(pairs))
    return in_memory([label for label, _ in pairs], [patient for _, patient in pairs])


seeds = st.integers(0, 2**31 - 1)
shares = st.floats(0.05, 0.9)


def parts(split: Split) -> tuple[tuple[int, ...], ...]:
    return split.train, split.validation, split.test


def worst_of_patients(samples: SampleSet) -> dict[str, int]:
    worst: dict[str, int] = {}
    for patient, code in zip(samples.patients, samples.codes, strict=True):
        worst[patient] = max(worst.get(patient, -1), int(code))
    return worst


def check_partition(samples: SampleSet, split: Split) -> None:
    assert sorted(place for part in parts(split) for place in part) == list(range(len(samples)))


def check_patients_apart(samples: SampleSet, split: Split) -> None:
    patients = [{samples.patients[place] for place in part} for part in parts(split)]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]


def check_share(worst: dict[str, int], part: set[str], of: set[str]) -> None:
    """Of the patients with each worst label, the part has its share to within one."""
    share = len(part) / len(of)
    for code in set(worst.values()):
        n, taken = (sum(worst[patient] == code for patient in some) for some in (of, part))
        assert abs(taken - share * n) < 1 + 1e-9


@given(samples=cohorts(), folds=st.integers(2, 6), seed=seeds, validation_share=st.floats(0, 0.5))
def test_folds_by_patient(samples: SampleSet, folds: int, seed: int, validation_share: float) -> None:
    worst = worst_of_patients(samples)
    assume(folds <= len(worst))
    splits = patient_folds(samples, folds=folds, seed=seed, validation_share=validation_share)
    tested = [{samples.patients[place] for place in split.test} for split in splits]
    assert sorted(place for split in splits for place in split.test) == list(range(len(samples)))
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    for code in set(worst.values()):
        counts = [sum(worst[patient] == code for patient in fold) for fold in tested]
        assert max(counts) - min(counts) <= 1
    for split, test in zip(splits, tested, strict=True):
        check_partition(samples, split)
        check_patients_apart(samples, split)
        rest = set(worst) - test
        check_share(worst, {samples.patients[place] for place in split.validation}, rest)
        assert bool(split.validation) == (validation_share > 0 and len(rest) > 1)


@given(samples=cohorts(), repeats=st.integers(1, 4), seed=seeds, test_share=shares, validation_share=shares)
def test_holdouts_by_patient(
    samples: SampleSet, repeats: int, seed: int, test_share: float, validation_share: float
) -> None:
    worst = worst_of_patients(samples)
    splits = holdouts(
        samples,
        by="patient",
        repeats=repeats,
        seed=seed,
        test_share=test_share,
        validation_share=validation_share,
    )
    assert len(splits) == repeats
    for split in splits:
        check_partition(samples, split)
        check_patients_apart(samples, split)
        tested = {samples.patients[place] for place in split.test}
        assert abs(len(tested) - test_share * len(worst)) <= 1
        check_share(worst, tested, set(worst))
        rest = set(worst) - tested
        check_share(worst, {samples.patients[place] for place in split.validation}, rest)


@given(samples=cohorts(), seed=seeds, test_share=shares)
def test_holdouts_by_image(samples: SampleSet, seed: int, test_share: float) -> None:
    (split,) = holdouts(samples, by="image", repeats=1, seed=seed, test_share=test_share)
    check_partition(samples, split)
    assert split.by == "image"
    for code in set(samples.codes.tolist()):
        n, taken = (int((some == code).sum()) for some in (samples.codes, samples.codes[list(split.test)]))
        assert abs(taken - len(split.test) / len(samples) * n) < 1 + 1e-9


@given(
    samples=cohorts(min_patients=8),
    per_class=st.integers(1, 8),
    seed=seeds,
    by=st.sampled_from(["patient", "image"]),
)
def test_balanced_tests(samples: SampleSet, per_class: int, seed: int, by: str) -> None:
    samples = samples.labelled()
    counts = np.bincount(samples.codes, minlength=len(CLASSES))
    assume(counts.min() >= 6)
    try:
        split = balanced_test(
            samples, per_class=per_class, seed=seed, by="image" if by == "image" else "patient"
        )
    except DatasetError:
        if by == "image":
            raise
        return  # whole patients can be too few to leave each class something
    tested = np.bincount(samples.codes[list(split.test)], minlength=len(CLASSES))
    assert len(set(tested.tolist())) == 1
    assert 1 <= tested[0] <= per_class
    is_said = f"the test has {tested[0]} samples of each class, not {per_class}" in split.notes
    assert is_said == (tested[0] < per_class)
    used = [place for part in parts(split) for place in part]
    assert len(set(used)) == len(used)
    others = [*split.train, *split.validation]
    assert np.bincount(samples.codes[others], minlength=len(CLASSES)).min() >= 1
    if by == "patient":
        check_patients_apart(samples, split)
        untested = set(samples.patients) - {samples.patients[place] for place in split.test}
        assert {place for place, patient in enumerate(samples.patients) if patient in untested} >= set(others)
    else:
        check_partition(samples, split)


@given(samples=cohorts(), seed=seeds, data=st.data())
def test_names_of_patients_do_not_matter(samples: SampleSet, seed: int, data: st.DataObject) -> None:
    """Only how many pictures of which label a patient has can tell where it goes."""
    order = data.draw(st.permutations(range(len(samples))))
    (one,) = holdouts(samples, by="patient", repeats=1, seed=seed)
    (two,) = holdouts(samples.chosen(order), by="patient", repeats=1, seed=seed)
    assert sorted(order[place] for place in two.test) == list(one.test)


@given(
    patients=st.lists(st.integers(0, 30), min_size=8, max_size=80),
    folds=st.integers(2, 4),
    seed=seeds,
)
def test_folds_by_patient_share_no_patient_and_test_everything_once(
    patients: list[int], folds: int, seed: int
) -> None:
    names = [f"p{number}" for number in patients]
    assume(len(set(names)) >= 2 * folds)
    found = folds_by_patient(names, folds=folds, seed=seed)
    assert sorted(place for fold in found for place in fold.test) == list(range(len(names)))
    for fold in found:
        assert not {names[k] for k in fold.train} & {names[k] for k in fold.test}
        assert sorted(fold.train + fold.test) == list(range(len(names)))
    sizes = [len({names[k] for k in fold.test}) for fold in found]
    assert max(sizes) - min(sizes) <= 1


@given(strata=st.lists(st.integers(0, 3), min_size=10, max_size=60), folds=st.integers(2, 5), seed=seeds)
def test_spread_folds_are_those_of_scikit_learn(strata: list[int], folds: int, seed: int) -> None:
    """The published scores of the grid rest on its folds."""
    assume(min(strata.count(one) for one in set(strata)) >= folds)
    names = [str(place) for place in range(len(strata))]
    found = folds_by_patient(names, folds=folds, seed=seed, strata=strata)
    theirs = StratifiedKFold(folds, shuffle=True, random_state=seed).split(names, strata)
    assert [(fold.train, fold.test) for fold in found] == [(a.tolist(), b.tolist()) for a, b in theirs]
