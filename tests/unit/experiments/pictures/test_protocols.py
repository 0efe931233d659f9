"""By patient, nobody is on both sides; as published, what the document did is done and can be told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.planted_pictures import canal_set, stack_set

from stenograde.datasets.samples import SampleSet
from stenograde.errors import ConfigError, DatasetError
from stenograde.experiments.pictures.protocols import Trial, plan_arms, with_repeats
from stenograde.experiments.pictures.recipe import read_recipe
from stenograde.terms import Weighting


def _patients(samples: SampleSet, places: tuple[int, ...]) -> set[str | None]:
    return {samples.samples[place].patient for place in places}


def _parts(trial: Trial) -> tuple[tuple[int, ...], ...]:
    return trial.train, trial.validation, trial.test


def test_by_patient_each_picture_is_tested_once_by_a_network_that_never_saw_its_patient() -> None:
    samples = canal_set(20)
    (arm,) = plan_arms(read_recipe("s1"), samples, "patient")
    assert len(arm.trials) == 5
    assert sorted(place for trial in arm.trials for place in trial.test) == list(range(60))
    assert not arm.repeats
    for trial in arm.trials:
        assert trial.by == "patient"
        train, validation, test = (_patients(samples, part) for part in _parts(trial))
        assert train.isdisjoint(validation | test)
        assert validation.isdisjoint(test)


def test_smaller_training_sets_lie_within_larger_ones_and_share_their_test() -> None:
    samples = canal_set(30)
    recipe = with_repeats(read_recipe("s1"), train_patients=(6, 20))
    large, small = plan_arms(recipe, samples, "patient")
    (plain,) = plan_arms(read_recipe("s1"), samples, "patient")
    assert (small.part, small.key, large.part) == ("6 patients", "6-patients", "20 patients")
    for few, many, every in zip(small.trials, large.trials, plain.trials, strict=True):
        assert few.test == many.test == every.test
        assert set(few.train) < set(many.train) < set(every.train)
        assert set(few.validation) <= set(many.validation) <= set(every.validation)
        for trial, size in ((few, 6), (many, 20)):
            train, validation, _ = (_patients(samples, part) for part in _parts(trial))
            assert len(train | validation) == size
            assert train.isdisjoint(validation)
            # every picture of a patient that is taken is taken
            assert len(trial.train) == 3 * len(train)
    # as published nothing is said of patients, and the setting changes nothing
    assert plan_arms(recipe, samples, "published") == tuple(
        replace(arm, recipe=replace(arm.recipe, protocols=recipe.protocols))
        for arm in plan_arms(read_recipe("s1"), samples, "published")
    )


def test_more_patients_than_there_are_cannot_train() -> None:
    with pytest.raises(DatasetError, match=r"train_patients must be at most the .* got .* of 40"):
        plan_arms(with_repeats(read_recipe("s1"), train_patients=(40,)), canal_set(20), "patient")
    with pytest.raises(ConfigError, match="different numbers from 2 up, growing"):
        with_repeats(read_recipe("s1"), train_patients=(9, 3))


def test_s0_as_published_is_scored_on_what_chose_its_weights() -> None:
    samples = canal_set(20)
    arms = plan_arms(read_recipe("s0"), samples, "published")
    assert len(arms) == 8
    assert len({arm.trials for arm in arms}) == 1
    (trial,) = arms[0].trials
    assert trial.by == "image"
    assert trial.validation == trial.test
    assert len(trial.test) == 12
    assert sorted((*trial.train, *trial.test)) == list(range(60))


@pytest.mark.parametrize("name", ["s0", "s1", "s2"])
def test_as_published_holds_back_the_share_that_the_recipe_names(name: str) -> None:
    recipe = read_recipe(name)
    published = replace(recipe.protocols.published, validation_share=0.0, scored_on="test")
    none = replace(recipe, protocols=replace(recipe.protocols, published=published))
    assert all(
        not trial.validation for arm in plan_arms(none, canal_set(24), "published") for trial in arm.trials
    )
    some = replace(
        recipe, protocols=replace(recipe.protocols, published=replace(published, validation_share=0.3))
    )
    trial = plan_arms(some, canal_set(24), "published")[0].trials[0]
    assert len(trial.validation) / (len(trial.validation) + len(trial.train)) == pytest.approx(0.3, abs=0.05)


def test_s1_as_published_trains_on_copies_of_its_test_and_once_without() -> None:
    samples = canal_set(20)
    twins, clean = plan_arms(read_recipe("s1"), samples, "published")
    (with_twins,), (without,) = twins.trials, clean.trials
    assert _parts(with_twins) == _parts(without)
    codes = samples.codes[list(with_twins.test)]
    assert len(set(np.bincount(codes).tolist())) == 1
    assert set(with_twins.test) <= set(with_twins.fitted_on)
    assert not set(without.test) & set(without.fitted_on)
    assert {twins.key, clean.key} == {"main-twins", "main-without-twins"}


def test_twins_need_training_to_take_changed_copies() -> None:
    recipe = read_recipe("s1")
    plain = replace(recipe, batches=replace(recipe.batches, balance="none", augment=None))
    with pytest.raises(ConfigError, match="augment must be set for twins"):
        plan_arms(plain, canal_set(9), "published")


def test_s4_takes_the_weightings_apart_and_repeats() -> None:
    samples = stack_set(10)
    recipe = with_repeats(read_recipe("s4"), repeats=4)
    arms = plan_arms(recipe, samples, "patient")
    assert [arm.key for arm in arms] == ["T1", "T2"]
    assert sorted((*arms[0].places, *arms[1].places)) == list(range(len(samples)))
    for arm in arms:
        assert len(arm.trials) == 4
        assert arm.repeats
        for trial in arm.trials:
            assert {*trial.train, *trial.validation, *trial.test} <= set(arm.places)
            assert len(_patients(samples, trial.test)) == 2
            assert not _patients(samples, trial.test) & _patients(samples, (*trial.train, *trial.validation))


def test_pictures_of_unknown_weighting_are_left_out_and_that_is_noted() -> None:
    samples = stack_set(10)
    unknown = (replace(samples.samples[0], weighting=None), *samples.samples[1:])
    arms = plan_arms(with_repeats(read_recipe("s4"), repeats=1), replace(samples, samples=unknown), "patient")
    assert all(0 not in arm.places for arm in arms)
    assert arms[0].notes == ("1 pictures of unknown weighting were left out",)
    none = tuple(replace(sample, weighting=None) for sample in samples.samples)
    (arm,) = plan_arms(with_repeats(read_recipe("s4"), repeats=1), replace(samples, samples=none), "patient")
    assert arm.key == "main"


def test_a_weighting_of_too_few_patients_is_left_out_and_that_is_noted() -> None:
    samples = stack_set(8)
    few = {sample.patient for sample in samples.samples[:1]}
    kept = tuple(s for s in samples.samples if s.weighting is not Weighting.T1 or s.patient in few)
    arms = plan_arms(read_recipe("s4"), replace(samples, samples=kept), "patient")
    assert {arm.part for arm in arms} == {"T2"}
    assert "the part T1" in arms[0].notes[0]
    assert "was left out: " in arms[0].notes[0]
    only = tuple(s for s in kept if s.weighting is Weighting.T1)
    with pytest.raises(DatasetError, match="the part T1"):
        plan_arms(read_recipe("s4"), replace(samples, samples=only), "patient")


def test_without_patients_only_the_published_split_can_be_made() -> None:
    samples = canal_set(20)
    unknown = replace(samples, samples=tuple(replace(sample, patient=None) for sample in samples.samples))
    assert plan_arms(read_recipe("s1"), unknown, "published")
    with pytest.raises(DatasetError, match="must say whose each picture is"):
        plan_arms(read_recipe("s1"), unknown, "patient")


def test_a_class_without_pictures_is_refused() -> None:
    samples = canal_set(6)
    only = replace(samples, samples=tuple(s for s in samples.samples if s.label != "mild"))
    with pytest.raises(DatasetError, match="labelled pictures of each class, got none of mild"):
        plan_arms(read_recipe("s1"), only, "patient")


def test_an_unknown_protocol_and_too_few_folds_are_refused() -> None:
    with pytest.raises(ConfigError, match="protocol must be one of published, patient"):
        plan_arms(read_recipe("s1"), canal_set(6), "image")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="folds must be at least 2, got 1"):
        with_repeats(read_recipe("s1"), folds=1)
    with pytest.raises(ConfigError, match="repeats >= 1"):
        with_repeats(read_recipe("s4"), repeats=0)
