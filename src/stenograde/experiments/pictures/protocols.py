"""The two ways to run a recipe: split as the document did, or by patient; and the arms that a run consists of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stenograde.datasets.samples import SampleSet
from stenograde.datasets.split import By, Split, balanced_test, holdouts, patient_folds
from stenograde.errors import ConfigError, DatasetError
from stenograde.experiments.pictures.recipe import Recipe, Variant
from stenograde.experiments.pictures.result import Protocol
from stenograde.experiments.recipes.catalogue import PROTOCOLS
from stenograde.experiments.recipes.read import overlaid


@dataclass(frozen=True)
class Trial:
    """One training and its test; places are those of the whole sample set."""

    number: int
    """Counted from 1."""
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    by: Literal["patient", "image"]
    twins: bool = False
    """Whether augmented copies of the test pictures are trained on, too; never the pictures themselves."""

    @property
    def fitted_on(self) -> tuple[int, ...]:
        """Places of the pictures whose (augmented) copies train."""
        return (*self.train, *self.test) if self.twins else self.train


@dataclass(frozen=True)
class ArmPlan:
    """One network setting on one part of the data, before it is run."""

    key: str
    title: str
    part: str | None
    variant: str | None
    recipe: Recipe
    """With the variant's settings laid over the network's."""
    places: tuple[int, ...]
    trials: tuple[Trial, ...]
    repeats: bool = False
    """Whether pictures may be tested more than once."""
    notes: tuple[str, ...] = ()


def plan_arms(recipe: Recipe, samples: SampleSet, protocol: Protocol) -> tuple[ArmPlan, ...]:
    """Return what has to be trained and tested, the network as published first.

    The samples must all be labelled.

    Raises
    ------
    ConfigError
        If the protocol is unknown, or twins are asked for where training does not take augmented copies only.
    DatasetError
        If the samples cannot be split so: patients unknown, a class without pictures, too few patients.
    """
    if protocol not in PROTOCOLS:
        msg = f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}"
        raise ConfigError(msg)
    missing = [name for name in samples.classes if all(sample.label != name for sample in samples.samples)]
    if missing or len(samples) < 2:
        msg = f"{samples.name} must have labelled pictures of each class, got none of {', '.join(missing) or 'any'}"
        raise DatasetError(msg)
    arms: list[ArmPlan] = []
    notes: list[str] = []
    parts = list(_parts(recipe, samples))
    for part, places in parts:
        try:
            trials = _trials(recipe, samples.chosen(places), places, protocol)
        except DatasetError as exc:
            if part is None:
                raise
            notes.append(f"the part {part} ({len(places)} pictures) was left out: {exc}")
            continue
        variants: list[tuple[str | None, Variant]] = list(recipe.variants.items())
        for size, fewer in _sized(recipe, samples, trials, protocol):
            named = " ".join(word for word in (part, size) if word) or None
            for variant, chosen in variants or [(None, Variant(recipe.title))]:
                arms += _arms(recipe, (named, variant, chosen), places, fewer)
    how = recipe.protocols.published if protocol == "published" else recipe.protocols.patient
    repeats = how.split.endswith("holdouts") and how.repeats > 1
    if not arms:
        raise DatasetError("; ".join(notes))
    untold = len(samples) - sum(len(places) for _, places in parts)
    notes += [f"{untold} pictures of unknown weighting were left out"] if untold else []
    return tuple(replace(arm, repeats=repeats, notes=tuple(notes)) for arm in arms)


def with_repeats(
    recipe: Recipe,
    *,
    folds: int | None = None,
    repeats: int | None = None,
    train_patients: tuple[int, ...] | None = None,
) -> Recipe:
    """Return a recipe with another number of folds, of repeats in both its protocols, or of patients that train.

    Raises
    ------
    ConfigError
        If the numbers are too small.
    """
    published, patient = recipe.protocols.published, recipe.protocols.patient
    try:
        if folds is not None:
            patient = replace(patient, folds=folds)
        if train_patients is not None:
            patient = replace(patient, train_patients=train_patients)
        if repeats is not None:
            published, patient = replace(published, repeats=repeats), replace(patient, repeats=repeats)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    return replace(recipe, protocols=replace(recipe.protocols, published=published, patient=patient))


def _parts(recipe: Recipe, samples: SampleSet) -> Iterator[tuple[str | None, tuple[int, ...]]]:
    weightings = sorted({str(sample.weighting.value) for sample in samples.samples if sample.weighting})
    if recipe.apart == "nothing" or not weightings:
        yield None, tuple(range(len(samples)))
        return
    for weighting in weightings:
        places = (i for i, s in enumerate(samples.samples) if s.weighting and s.weighting.value == weighting)
        yield weighting, tuple(places)


def _trials(
    recipe: Recipe, samples: SampleSet, places: Sequence[int], protocol: Protocol
) -> tuple[Trial, ...]:
    trials = []
    for number, split in enumerate(_splits(recipe, samples, protocol), start=1):
        train, validation, test = (
            tuple(places[place] for place in some) for some in (split.train, split.validation, split.test)
        )
        if protocol == "published" and recipe.protocols.published.scored_on == "validation":
            # the pictures that choose the weights are the pictures that are scored, and no others are held back
            train, validation = (*train, *validation), test
        trials.append(Trial(number, train, validation, test, split.by))
    return tuple(trials)


def _sized(
    recipe: Recipe, samples: SampleSet, trials: tuple[Trial, ...], protocol: Protocol
) -> Iterator[tuple[str | None, tuple[Trial, ...]]]:
    """Give the trials with as many patients in training as the recipe asks for, each with its name, most first."""
    sizes = recipe.protocols.patient.train_patients if protocol == "patient" else ()
    if not sizes:
        yield None, trials
    for size in reversed(sizes):
        yield f"{size} patients", tuple(_with_patients(trial, samples, size, recipe) for trial in trials)


def _with_patients(trial: Trial, samples: SampleSet, size: int, recipe: Recipe) -> Trial:
    """Return a trial whose training and validation have ``size`` patients together."""
    rng = np.random.default_rng([recipe.fit.seed, trial.number])
    share = recipe.protocols.patient.validation_share if trial.validation else 0.0
    validating = min(max(1, round(share * size)), size - 1) if trial.validation else 0
    parts = []
    for part, wanted in ((trial.train, size - validating), (trial.validation, validating)):
        own = sorted({str(samples.samples[place].patient) for place in part})
        if wanted > len(own):
            msg = (
                f"train_patients must be at most the {len(own)} patients that can train or validate, got {wanted} "
                f"of {size}"
            )
            raise DatasetError(msg)
        kept = {own[number] for number in rng.permutation(len(own))[:wanted]}
        parts.append(tuple(place for place in part if str(samples.samples[place].patient) in kept))
    return replace(trial, train=parts[0], validation=parts[1])


def _splits(recipe: Recipe, samples: SampleSet, protocol: Protocol) -> tuple[Split, ...]:
    published, patient, seed = recipe.protocols.published, recipe.protocols.patient, recipe.fit.seed
    how = published if protocol == "published" else patient
    share = how.validation_share
    if how is patient and patient.split == "folds":
        return patient_folds(samples, folds=patient.folds, seed=seed, validation_share=share)
    by: By = "patient" if how is patient else "image"
    if how is published and published.split == "balanced_test":
        per_class = published.per_class
        return (balanced_test(samples, per_class=per_class, seed=seed, by=by, validation_share=share),)
    return holdouts(
        samples,
        by=by,
        repeats=how.repeats,
        seed=seed,
        test_share=how.test_share,
        validation_share=share,
    )


def _arms(
    recipe: Recipe,
    which: tuple[str | None, str | None, Variant],
    places: tuple[int, ...],
    trials: tuple[Trial, ...],
) -> list[ArmPlan]:
    part, variant, chosen = which
    settings = overlaid(recipe.net.settings, chosen.settings)
    own = replace(
        recipe,
        net=replace(recipe.net, settings=settings),
        picture=replace(recipe.picture, intensity=chosen.intensity or recipe.picture.intensity),
        one_side=recipe.one_side if chosen.one_side is None else chosen.one_side,
        variants={},
        reference="",
    )
    key = "-".join(word.replace(" ", "-") for word in (part, variant) if word) or "main"
    title = ": ".join(word for word in (part, chosen.title) if word)
    arm = ArmPlan(key, title, part, variant, own, places, trials)
    if trials[0].by == "patient" or not recipe.protocols.published.twins:
        return [arm]
    if recipe.batches.augment is None:
        msg = (
            "batches.augment must be set for twins to be twins and not the test pictures themselves, got none"
        )
        raise ConfigError(msg)
    twins = tuple(replace(trial, twins=True) for trial in trials)
    return [
        replace(arm, key=f"{key}-twins", title=f"{title}, twins of the test in training", trials=twins),
        replace(arm, key=f"{key}-without-twins", title=f"{title}, no twins"),
    ]
