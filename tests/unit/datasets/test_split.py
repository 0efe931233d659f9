"""Splits: what is refused, what is said, and what the properties leave open."""

from __future__ import annotations

import numpy as np
import pytest
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


def cohort(patients: int = 60, seed: int = 0) -> SampleSet:
    """Three pictures a patient, no label rarer than one in ten."""
    labels = np.random.default_rng(seed).choice(CLASSES, 3 * patients, p=[0.6, 0.2, 0.2])
    return in_memory([str(one) for one in labels], [f"p{place // 3}" for place in range(3 * patients)])


def test_split_when_a_sample_is_in_two_parts_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="parts of a split must not share samples, got 1 in two"):
        Split((0, 1), (1,), (2,), "patient")


def test_split_when_nothing_is_left_to_train_on_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="must train and test on something, got 0 and 2 samples"):
        Split((), (), (0, 1), "patient")


def test_folds_when_the_seed_is_the_same_then_so_are_they() -> None:
    samples = cohort()
    assert patient_folds(samples, folds=5, seed=3) == patient_folds(samples, folds=5, seed=3)
    assert patient_folds(samples, folds=5, seed=3) != patient_folds(samples, folds=5, seed=4)


def test_holdouts_when_repeated_then_each_draws_anew() -> None:
    tests = {split.test for split in holdouts(cohort(), by="patient", repeats=20, seed=0)}
    assert len(tests) == 20


def test_image_holdouts_when_patients_are_unknown_then_they_can_be_made_and_are_marked() -> None:
    samples = in_memory([*CLASSES] * 10, [None] * 30)
    (split,) = holdouts(samples, by="image", repeats=1, seed=0)
    assert split.by == "image"
    with pytest.raises(DatasetError, match="give a pattern or a column that names the patient"):
        holdouts(samples, by="patient", repeats=1, seed=0)


def test_image_holdouts_when_patients_have_several_pictures_then_most_are_on_both_sides() -> None:
    samples = cohort()
    (split,) = holdouts(samples, by="image", repeats=1, seed=0)
    patients = np.array(samples.patients)
    shared = set(patients[list(split.train)]) & set(patients[list(split.test)])
    assert len(shared) > 20  # that is what the patient splits are there to prevent


def test_validation_when_its_share_is_none_then_it_is_empty() -> None:
    (split,) = holdouts(cohort(), by="patient", repeats=1, seed=0, validation_share=0)
    assert split.validation == ()
    assert len(split.train) + len(split.test) == 180


@pytest.mark.parametrize(
    ("folds", "error", "message"),
    [
        (1, ValueError, "folds must be at least 2"),
        (7, DatasetError, "at least 7 patients for this split, got 6"),
    ],
)
def test_folds_when_they_cannot_be_made_then_it_says_why(
    folds: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        patient_folds(cohort(6), folds=folds, seed=0)


@pytest.mark.parametrize(
    ("repeats", "test_share", "validation_share"),
    [(0, 0.2, 0.1), (1, 0.0, 0.1), (1, 1.0, 0.1), (1, 0.2, 1.0)],
)
def test_holdouts_when_a_number_is_out_of_range_then_it_is_refused(
    repeats: int, test_share: float, validation_share: float
) -> None:
    with pytest.raises(ValueError, match="share"):
        holdouts(
            cohort(),
            by="patient",
            repeats=repeats,
            seed=0,
            test_share=test_share,
            validation_share=validation_share,
        )


def test_balanced_test_when_there_are_enough_then_it_has_what_was_asked_for() -> None:
    samples = cohort(200)
    split = balanced_test(samples, per_class=30, seed=0, by="image")
    assert np.bincount(samples.codes[list(split.test)]).tolist() == [30, 30, 30]
    assert split.notes == ()
    assert len(split.train) + len(split.validation) + len(split.test) == len(samples)


def test_balanced_test_when_a_class_is_rare_then_it_gives_all_it_may_and_says_so() -> None:
    samples = in_memory(["no"] * 200 + ["mild"] * 50 + ["serious"] * 23, [f"p{k}" for k in range(273)])
    split = balanced_test(samples, per_class=100, seed=0, by="image")
    # the document took 100 of its 115 severe pictures: of 23 that is 20
    assert np.bincount(samples.codes[list(split.test)]).tolist() == [20, 20, 20]
    assert split.notes == ("the test has 20 samples of each class, not 100",)


def test_balanced_test_when_by_patient_then_what_is_left_of_tested_patients_is_in_no_part() -> None:
    samples = cohort(200)
    split = balanced_test(samples, per_class=30, seed=0, by="patient")
    used = {*split.train, *split.validation, *split.test}
    tested = {samples.patients[place] for place in split.test}
    left_out = set(range(len(samples))) - used
    assert left_out
    assert {samples.patients[place] for place in left_out} <= tested
    assert split.notes[-1] == f"{len(left_out)} other samples of the tested patients are in no part"
    assert np.bincount(samples.codes[list(split.test)]).tolist() == [30, 30, 30]


def test_balanced_test_when_a_class_has_one_sample_then_it_is_refused() -> None:
    samples = in_memory([*["no"] * 5, *["mild"] * 5, "serious"], [f"p{k}" for k in range(11)])
    with pytest.raises(DatasetError, match="a sample to test and one to train, got 1 of serious"):
        balanced_test(samples, per_class=2, seed=0, by="image")


def test_balanced_test_when_a_sample_has_no_label_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample without a label, got 1 and 1"):
        balanced_test(in_memory(["no", None], ["a", "b"]), per_class=1, seed=0, by="image")


def test_folds_by_patient_when_there_are_too_few_then_they_are_refused() -> None:
    patients = [f"p{k // 5}" for k in range(60)]
    with pytest.raises(DatasetError, match="13 folds need at least 26 patients, got 12"):
        folds_by_patient(patients, folds=13, seed=0)


def test_folds_by_patient_when_none_are_asked_for_then_there_are_none() -> None:
    assert folds_by_patient(["p1", "p2"], folds=0, seed=0) == ()
