"""From predictions for the test pictures to scores: intervals, trivial answers, prevalence, calibration, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stenograde.datasets.samples import SampleSet
from stenograde.evaluate.baselines import group_prior, majority, stated
from stenograde.evaluate.calibration import fit_temperature, top_reliability
from stenograde.evaluate.hypothesis_tests import compare_repeats, delong, mcnemar, paired_bootstrap
from stenograde.evaluate.intervals import bootstrap_scores
from stenograde.evaluate.metrics import (
    METRICS,
    Metric,
    auc_of,
    confusion,
    f1_of,
    per_class,
    precision_of,
    recall_of,
    specificity_of,
)
from stenograde.evaluate.predictions import Predictions, joined, matched
from stenograde.evaluate.prevalence import accuracy_at, npv_at, ppv_at
from stenograde.experiments.pictures.leaks import joined_leaks
from stenograde.experiments.pictures.protocols import ArmPlan, Trial
from stenograde.experiments.pictures.result import (
    Arm,
    ArmDifference,
    AtPrevalence,
    Baseline,
    Calibration,
    ClassRow,
    RepeatsTest,
    SplitRecord,
    told,
)

_OF_CLASS = {
    "precision": precision_of,
    "recall": recall_of,
    "f1": f1_of,
    "specificity": specificity_of,
    "auc": auc_of,
}

_REPEATED = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
"""Scores that the document of S4 tests over its repeats (its table 3)."""

_COMPARED = ("accuracy", "balanced_accuracy", "macro_f1", "auc_any")

OF_SECOND: Mapping[str, Metric] = {
    "sensitivity": recall_of(1),
    "specificity": specificity_of(1),
    "f1": f1_of(1),
}
"""Scores of the second of two classes, which are compared where there are no more than two."""

_LEAST_REPEATS = 3
"""Below this no test over repeats is made: there is no spread to speak of."""

_MID_SLICES = 5
"""How many slices of a stack the document of S4 calls Mid (its section 3)."""


def plain_scores(predictions: Predictions) -> dict[str, float | None]:
    """Return every score of a test without interval; None where undefined."""
    return {name: told(metric(predictions)) for name, metric in METRICS.items()}


def summarised(
    plan: ArmPlan, done: Sequence[tuple[SplitRecord, Predictions]], samples: SampleSet
) -> tuple[Arm, Predictions]:
    """Return the summary of all splits of an arm, and all its test predictions in one.

    Where pictures are tested more than once, each answer counts, and its picture's name gets the repeat's number. What
    is done comes in the order of the plan's trials, whose places are places in the samples.
    """
    named = [
        _named(predictions, trial, plan) for trial, (_, predictions) in zip(plan.trials, done, strict=True)
    ]
    together = joined(named)
    of_arm = samples.chosen(plan.places)
    codes = of_arm.codes
    natural = tuple(float(share) for share in np.bincount(codes, minlength=len(samples.classes)) / len(codes))
    patients = {sample.patient for sample in of_arm.samples}
    arm = Arm(
        key=plan.key,
        title=plan.title,
        part=plan.part,
        variant=plan.variant,
        images=len(of_arm),
        patients=None if None in patients else len(patients),
        counts={name: int((codes == code).sum()) for code, name in enumerate(samples.classes)},
        scores=bootstrap_scores(together),
        classes=_class_rows(together),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion(together)),
        baselines=_baselines(plan, named, samples),
        at_prevalence=_prevalences(plan, together, natural),
        calibration=_calibration(together),
        leak=joined_leaks(plan, samples, together, [record.leak for record, _ in done]),
        splits=tuple(record for record, _ in done),
        notes=plan.notes,
    )
    return arm, together


def compared(
    arms: Sequence[Arm], tested: Mapping[str, Predictions], reference: str = ""
) -> tuple[ArmDifference, ...]:
    """Return the first arm of each part against every other of that part that tested the same pictures.

    Then, where a reference variant is named, each arm but the first against the reference of its part.
    """
    pairs: list[tuple[Arm, Arm]] = []
    later: list[tuple[Arm, Arm]] = []
    first_of: dict[str | None, Arm] = {}
    for arm in arms:
        first = first_of.setdefault(arm.part, arm)
        if first is not arm:
            pairs.append((first, arm))
            later += [
                (arm, other)
                for other in arms
                if other.part == arm.part and other.variant == reference != arm.variant and other is not first
            ]
    return tuple(
        _difference(one, other, tested)
        for one, other in (*pairs, *later)
        if set(tested[one.key].names) == set(tested[other.key].names)
    )


def _difference(first: Arm, second: Arm, tested: Mapping[str, Predictions]) -> ArmDifference:
    one = tested[first.key]
    other = matched(one, tested[second.key])
    wanted: dict[str, str | Metric] = {name: name for name in _COMPARED}
    if len(one.classes) == 2:
        wanted |= OF_SECOND
    return ArmDifference(
        first.key,
        second.key,
        {name: paired_bootstrap(one, other, metric).difference for name, metric in wanted.items()},
        mcnemar_p=told(mcnemar(one, other).p_patients),
        delong_p=told(delong(one, other).p) if 0 < np.count_nonzero(one.labels) < len(one) else None,
    )


def repeats_tested(arms: Sequence[Arm]) -> tuple[RepeatsTest, ...]:
    """Return the tests over repeats of the first two parts, where parts were trained apart often enough."""
    first_of: dict[str, Arm] = {}
    for arm in arms:
        if arm.part is not None:
            first_of.setdefault(arm.part, arm)
    if len(first_of) < 2:
        return ()
    one, other = list(first_of.values())[:2]
    return tuple(
        _repeats_test(metric, one, other)
        for metric in _REPEATED
        if min(len(one.over_splits(metric)), len(other.over_splits(metric))) >= _LEAST_REPEATS
    )


def _repeats_test(metric: str, one: Arm, other: Arm) -> RepeatsTest:
    first = one.splits[0]
    test = compare_repeats(
        one.over_splits(metric),
        other.over_splits(metric),
        test_over_train=first.test / (first.train + first.validation),
    )
    return RepeatsTest(
        metric=metric,
        first=one.key,
        second=other.key,
        first_mean=test.mean_a,
        second_mean=test.mean_b,
        normal_p=test.normal_p,
        equal_variance_p=test.equal_variance_p,
        test=test.test,
        p=test.p,
        corrected_p=test.corrected_p,
        effect=told(test.cohens_d),
    )


def _named(predictions: Predictions, trial: Trial, plan: ArmPlan) -> Predictions:
    if not plan.repeats:
        return predictions
    return replace(predictions, names=tuple(f"r{trial.number:02d}/{name}" for name in predictions.names))


def _class_rows(predictions: Predictions) -> tuple[ClassRow, ...]:
    metrics = {
        f"{what}/{code}": of_class(code)
        for what, of_class in _OF_CLASS.items()
        for code in range(len(predictions.classes))
    }
    found = bootstrap_scores(predictions, metrics)
    return tuple(
        ClassRow(row.name, row.count, *(found[f"{what}/{code}"] for what in _OF_CLASS))
        for code, row in enumerate(per_class(predictions))
    )


def _baselines(plan: ArmPlan, named: Sequence[Predictions], samples: SampleSet) -> tuple[Baseline, ...]:
    """Return what needs no picture, each answered from the training part of the very same splits."""
    codes, rows = samples.codes, list(zip(plan.trials, named, strict=True))
    answers = {
        "majority": (
            "how common the classes are in training, for every picture the same",
            [majority(codes[list(trial.train)], test) for trial, test in rows],
        )
    }
    if all(test.groups is not None for test in named) and len({g for t in named for g in t.groups or ()}) > 1:
        levels = [sample.level.value if sample.level else None for sample in samples.samples]
        answers["level only"] = (
            "how common the classes are at the picture's disc level in training",
            [
                group_prior(codes[list(trial.train)], test, train_groups=[levels[i] for i in trial.train])
                for trial, test in rows
            ],
        )
    places = [_by_position(samples, trial.test) for trial in plan.trials]
    if plan.recipe.task == "mid_lateral" and all(said is not None for said in places):
        answers["position"] = (
            f"the {_MID_SLICES} slices nearest the middle of the stack are mid; right by construction where the labels "
            "were made by such a rule",
            [stated(np.array(said), test) for said, test in zip(places, named, strict=True)],
        )
    return tuple(
        Baseline(name, says, bootstrap_scores(joined(parts))) for name, (says, parts) in answers.items()
    )


def _by_position(samples: SampleSet, places: Sequence[int]) -> list[int] | None:
    """Return the answers of the rule of position; None where a slice's place in its stack is unknown."""
    said = []
    for place in places:
        facts = samples.samples[place].facts
        if not {"place", "slices"} <= facts.keys() or "mid" not in samples.classes:
            return None
        from_middle = abs(int(facts["place"]) - (int(facts["slices"]) - 1) / 2)
        is_mid = from_middle < _MID_SLICES / 2
        said.append(samples.classes.index("mid") if is_mid else 1 - samples.classes.index("mid"))
    return said


def _prevalences(
    plan: ArmPlan, predictions: Predictions, natural: tuple[float, ...]
) -> tuple[AtPrevalence, ...]:
    if len(set(predictions.labels.tolist())) < len(predictions.classes):
        return ()
    populations = {"this set, all pictures": natural}
    if len(plan.recipe.prevalence) == len(predictions.classes):
        populations[plan.recipe.prevalence_source] = plan.recipe.prevalence
    return tuple(_at_prevalence(name, predictions, shares) for name, shares in populations.items())


def _at_prevalence(name: str, predictions: Predictions, shares: tuple[float, ...]) -> AtPrevalence:
    codes = range(len(shares))
    metrics = {"accuracy": accuracy_at(shares)}
    metrics |= {f"ppv/{code}": ppv_at(shares, code) for code in codes}
    metrics |= {f"npv/{code}": npv_at(shares, code) for code in codes}
    found = bootstrap_scores(predictions, metrics)
    return AtPrevalence(
        name=name,
        shares=shares,
        accuracy=found["accuracy"],
        majority=max(shares) / sum(shares),
        ppv=tuple(found[f"ppv/{code}"] for code in codes),
        npv=tuple(found[f"npv/{code}"] for code in codes),
    )


def _calibration(predictions: Predictions) -> Calibration:
    return Calibration(told(top_reliability(predictions).error), told(fit_temperature(predictions)))
