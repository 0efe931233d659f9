"""Train small heads on phantoms: make crops, look at them with a frozen encoder, fit, write a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.metrics import weighted_auc
from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS
from stenograde.levels.crop import CropConfig, CropKind
from stenograde.levels.crop_noise import noise_of
from stenograde.phantom import Population
from stenograde.predict.fixed_heads import Head, crop_features, strangeness_of
from stenograde.predict.middle_maps import MiddleMapsEntry, open_middle_maps
from stenograde.terms import LUMBAR_MRI, Condition, Role, Severity, Side
from stenograde.train.grader.batches import CELLS_OF_CONDITIONS, CropAugment, changed
from stenograde.train.grader.crops import CropsConfig, CropSet, as_values
from stenograde.train.heads.fit import fit_head
from stenograde.workers import Progress, counted

_LEAST_SHARE = 1e-4
"""Least share of a severity at a level: what a population never has may still be seen."""


@dataclass(frozen=True)
class HeadsTraining:
    """How the heads are trained."""

    data: CropsConfig = field(
        default_factory=lambda: CropsConfig(
            crops=CropConfig(slices=3, size_px=160, grid_mm=0.35), roles=(Role.AXIAL_T2,)
        )
    )
    reads: Mapping[str, CropKind] = field(
        default_factory=lambda: {Condition.SUBARTICULAR_STENOSIS.value: CropKind.AXIAL_T2}
    )
    """Conditions that get a head, and which crops it reads."""
    encoder: str = "tf_efficientnet_lite0"
    """Name of timm's network, whose ImageNet weights are used as they are."""
    stages: tuple[int, ...] = (2, 4)
    grid: int = 5
    augment: CropAugment = field(default_factory=CropAugment)
    looks: int = 1
    """How often each phantom is looked at: once as it is, more often changed at random."""
    strength: float = 0.01
    """See :func:`~stenograde.train.heads.fit.fit_head`."""
    usual_share: float = 0.995
    """Share of the crops that are fitted to that count as usual; no grade rests on stranger ones."""
    folds: int = 5
    seed: int = 0
    """Seed of the changes and of the folds."""

    def __post_init__(self) -> None:
        if min(self.looks, self.grid) < 1 or self.folds < 2 or not 0 < self.usual_share <= 1:
            msg = (
                f"heads need looks and a grid of 1 or more, folds of 2 or more and a usual_share up to 1, got "
                f"{self.looks}, {self.grid}, {self.folds}, {self.usual_share}"
            )
            raise ValueError(msg)
        for name, kind in self.reads.items():
            if kind.role not in self.data.roles:
                msg = f"data.roles must have the series that the head of {name} reads, {kind.role.value}"
                raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class Looked:
    """Features of the crops of one kind.

    Parameters
    ----------
    features : ndarray of shape (patients times looks, levels, sides, features), float32
        Look after look.
    present : ndarray of shape (patients times looks, levels, sides), bool
    noise : ndarray of shape (patients, levels, sides)
        Of the crops as they are.
    """

    features: NDArray[np.float32]
    present: NDArray[np.bool_]
    noise: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A head for bundles, its limits, and its scores on phantoms that it was not fitted to."""

    head: Head
    usual_below: float
    noise_below: float
    scores: Mapping[str, float]


def look_at(
    crops: CropSet,
    kind: CropKind,
    config: HeadsTraining,
    maps_in: tuple[Path, MiddleMapsEntry],
    progress: Progress | None = None,
) -> Looked:
    """Return the features of crops as they are, and changed at random."""
    maps = (open_middle_maps(*maps_in), maps_in[1])
    k = tuple(CropKind).index(kind)
    n = len(crops.present)
    features, noise = [], []
    work = [(look, number) for look in range(config.looks) for number in range(n)]
    for look, number in counted(work, f"{kind.value} looks", len(work), progress):
        values, present = as_values(crops.crops[number]), crops.present[number]
        if look:
            # one look for the whole study, as its series is normalised as a whole
            rng = np.random.default_rng([config.seed, look, number])
            views = (-1, *values.shape[2:])
            flat = changed(values.reshape(views), present.reshape(-1, len(CropKind)), config.augment, rng)
            values = flat.reshape(values.shape)
        else:
            noise.append(noise_of(values[:, :, k]))
        features.append(crop_features(values[:, :, k], config.grid, maps))
    present = np.tile(crops.present[..., k], (config.looks, 1, 1))
    return Looked(np.stack(features), present, np.stack(noise))


def fit_condition(condition: Condition, looked: Looked, crops: CropSet, config: HeadsTraining) -> FittedHead:
    """Fit the head of a condition, for the population as it is though it is fitted to a worse one."""
    rows = _rows(condition, looked, crops.severities)
    worse = _shares(config.data.population.worse(config.data.worse_by), condition)
    head = fit_head(rows.features, rows.levels, rows.ranks, shares=worse, strength=config.strength)
    places = np.arange(len(LUMBAR_MRI.levels))[:, None]
    strange = np.concatenate(
        [
            strangeness_of(head.off_usual(features, places), present)[present]
            for features, present in zip(looked.features, looked.present, strict=True)
        ]
    )
    noise = looked.noise[looked.present[: len(looked.noise)]]
    return FittedHead(
        Head(head.usual, head.spread, head.weights, head.shifts, _shares(config.data.population, condition)),
        float(np.quantile(strange, config.usual_share)),
        float(np.hypot(np.quantile(noise, config.usual_share), config.augment.noise)),
        _out_of_fold(rows, worse, len(crops.severities), config),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Cells of a condition that are shown."""

    features: NDArray[np.float32]
    levels: NDArray[np.int64]
    ranks: NDArray[np.int64]
    patients: NDArray[np.int64]
    """Place among patients times looks."""


def _rows(condition: Condition, looked: Looked, severities: NDArray[np.int64]) -> _Rows:
    cells = CELLS_OF_CONDITIONS[tuple(Condition).index(condition)]
    looks = len(looked.present) // len(severities)
    ranks = np.tile(severities[:, :, cells], (looks, 1, 1))
    features, present = looked.features, looked.present
    if ranks.shape[2] < len(Side):
        # what has no side is the mean over both views
        features, present = (
            features.mean(axis=2, keepdims=True),
            np.logical_and(present[..., :1], present[..., 1:]),
        )
    patients, levels, _ = np.nonzero(present)
    return _Rows(features[present], levels, ranks[present], patients)


def _shares(population: Population, condition: Condition) -> NDArray[np.float64]:
    shares = np.maximum(np.array(population.severity_shares[condition], np.float64), _LEAST_SHARE)
    return shares / shares.sum(axis=1, keepdims=True)


def _out_of_fold(
    rows: _Rows, shares: NDArray[np.float64], n_patients: int, config: HeadsTraining
) -> dict[str, float]:
    """Scores of heads fitted without a cell's patient, on crops as they are; nothing with fewer patients than folds."""
    if n_patients < config.folds:
        return {}
    patient = rows.patients % n_patients
    fold = np.random.default_rng(config.seed).permutation(n_patients)[patient] % config.folds
    first = rows.patients < n_patients
    said = np.zeros((len(first), len(Severity)))
    for number in range(config.folds):
        fit, test = fold != number, (fold == number) & first
        head = fit_head(
            rows.features[fit], rows.levels[fit], rows.ranks[fit], shares=shares, strength=config.strength
        )
        said[test] = head.probabilities(
            head.off_usual(rows.features[test], rows.levels[test]), rows.levels[test]
        )
    said, ranks, alone = said[first], rows.ranks[first], shares[rows.levels[first]]
    one = np.ones((1, len(ranks)))
    return {
        "patients": float(n_patients),
        "cells": float(len(ranks)),
        "log_loss": _weighted_log_loss(said, ranks),
        "level_share": _weighted_log_loss(alone, ranks),
        "auc_any": float(weighted_auc(1 - said[:, 0], ranks > 0, one)[0]),
        "auc_severe": float(weighted_auc(said[:, -1], ranks == len(Severity) - 1, one)[0]),
    }


def _weighted_log_loss(said: NDArray[np.float64], ranks: NDArray[np.int64]) -> float:
    """Return the part of the metric of RSNA 2024 that one condition makes."""
    weights = np.array(SEVERITY_WEIGHTS)[ranks]
    return float(np.average(-np.log(np.maximum(said[np.arange(len(ranks)), ranks], 1e-15)), weights=weights))
