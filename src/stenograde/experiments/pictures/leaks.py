"""What test and training of an arm share, and its score on the test pictures that leak and on the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.samples import SampleSet
from stenograde.evaluate.intervals import Interval, bootstrap_scores
from stenograde.evaluate.leakage import AuditedPictures, LeakReport, audit
from stenograde.evaluate.metrics import METRICS
from stenograde.evaluate.predictions import Predictions
from stenograde.experiments.pictures.protocols import ArmPlan, Trial
from stenograde.experiments.pictures.result import Leak

_SCORED = ("accuracy", "balanced_accuracy", "auc_any")
"""Scores that are taken with and without the leaking pictures."""


class Audits:
    """Audits of the splits of one experiment; arms that share a split share its audit."""

    def __init__(self, samples: SampleSet, pictures: NDArray[np.uint8]) -> None:
        self.samples, self.pictures = samples, pictures
        self.reports: dict[tuple[tuple[int, ...], tuple[int, ...]], LeakReport] = {}

    def leak(self, trial: Trial) -> Leak:
        """Return what the test of a trial shares with what it was trained on and chosen by."""
        known = (*trial.train, *trial.validation) if trial.validation != trial.test else trial.train
        report = self.reports.get((known, trial.test))
        if report is None:
            report = audit(self._side(known), self._side(trial.test))
            self.reports[known, trial.test] = report
        twins = {pair.test for pair in report.twins}
        leaking = tuple(range(len(trial.test))) if trial.twins else report.leaking_test_places
        return Leak(
            tested=len(trial.test),
            leaking=len(leaking),
            shared_patients=len(report.shared_patients),
            near_duplicates=len({pair.test for pair in report.near_duplicates}),
            # copies of every test picture stand in training, whether or not the audit can tell them from the picture
            twins=len(trial.test) if trial.twins else len(twins),
            places=leaking,
        )

    def _side(self, places: Sequence[int]) -> AuditedPictures:
        chosen = [self.samples.samples[place] for place in places]
        return AuditedPictures(
            names=tuple(sample.name for sample in chosen),
            patients=tuple(sample.patient for sample in chosen),
            pictures=self.pictures[list(places)],
        )


def joined_leaks(plan: ArmPlan, samples: SampleSet, together: Predictions, leaks: Sequence[Leak]) -> Leak:
    """Return the leaks of all splits of an arm, with the scores on leaking and on clean test pictures.

    ``together`` are the predictions of all splits, one after the other in the order of ``leaks``.
    """
    starts = np.cumsum([0, *(leak.tested for leak in leaks)])
    places = [
        int(start) + place for start, leak in zip(starts[:-1], leaks, strict=True) for place in leak.places
    ]
    clean = sorted(set(range(len(together))) - set(places))
    return Leak(
        tested=len(together),
        leaking=len(places),
        shared_patients=len(set().union(*(_shared(trial, samples) for trial in plan.trials))),
        near_duplicates=sum(leak.near_duplicates for leak in leaks),
        twins=sum(leak.twins for leak in leaks),
        on_leaking=_scores(together, places),
        on_clean=_scores(together, clean),
    )


def _shared(trial: Trial, samples: SampleSet) -> set[str]:
    train, test = (
        {samples.samples[place].patient for place in places} for places in (trial.fitted_on, trial.test)
    )
    return {patient for patient in train & test if patient is not None}


def _scores(predictions: Predictions, places: Sequence[int]) -> dict[str, Interval]:
    if not places:
        return {}
    return bootstrap_scores(predictions.chosen(places), {name: METRICS[name] for name in _SCORED})
