"""Predictions of a made-up method: patients with several pictures each, better than chance by a stated skill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from stenograde.evaluate.predictions import Predictions

CLASSES = ("normal_mild", "moderate", "severe")
LEVELS = ("l3_l4", "l4_l5", "l5_s1")


def made_predictions(
    patients: int = 40, per_patient: int = 3, *, skill: float = 1.5, seed: int = 0, of_method: int = 0
) -> Predictions:
    """Return predictions whose truth depends on ``seed`` only, and what is said on ``of_method`` as well.

    Pictures of a patient resemble each other: half of what moves their logits is the patient's.
    """
    truth = np.random.default_rng([seed, 1])
    labels = truth.choice(3, size=patients * per_patient, p=(0.6, 0.25, 0.15))
    labels[:3] = (0, 1, 2)
    said = np.random.default_rng([seed, 2, of_method])
    logits = skill * np.eye(3)[labels] + said.normal(size=(labels.size, 3))
    logits += np.repeat(said.normal(size=(patients, 3)), per_patient, axis=0)
    shares = np.exp(logits)
    return Predictions(
        classes=CLASSES,
        names=tuple(f"p{i // per_patient:03d}_{i % per_patient}.png" for i in range(labels.size)),
        patients=tuple(f"p{i // per_patient:03d}" for i in range(labels.size)),
        labels=labels,
        probabilities=shares / shares.sum(1, keepdims=True),
        groups=tuple(LEVELS[i % per_patient % len(LEVELS)] for i in range(labels.size)),
    )


def stated_predictions(labels: list[int], said: list[int], *, classes: int = 3) -> Predictions:
    """Return predictions of one picture per patient that name one class each, with probability 0.8."""
    shares = np.full((len(said), classes), 0.2 / (classes - 1))
    shares[np.arange(len(said)), said] = 0.8
    names = tuple(f"{i:03d}" for i in range(len(labels)))
    return Predictions(
        tuple("abcdef"[:classes]), names, tuple(f"of {n}" for n in names), np.array(labels), shares
    )


def counted_predictions(matrix: ArrayLike) -> Predictions:
    """Return predictions that have this confusion matrix: rows are true classes, columns predicted ones."""
    counts = np.asarray(matrix)
    truth, said = (np.repeat(codes.ravel(), counts.ravel()) for codes in np.indices(counts.shape))
    return stated_predictions(truth.tolist(), said.tolist(), classes=len(counts))


def raised(predictions: Predictions, power: float) -> Predictions:
    """Return predictions whose probabilities are raised to a power, scaled to sum to one."""
    shares = (predictions.probabilities / predictions.probabilities.max(1, keepdims=True)) ** power
    return replace(predictions, probabilities=shares / shares.sum(1, keepdims=True))
