"""The published ways to fuse, each fitted on one training part and tested with every pattern of series."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from stenograde.experiments.fusion.fit import SeriesSet, fit_fusion, probabilities_of
from stenograde.experiments.fusion.pseudo_modality import Imputation, Imputer, Vectors, cosine, fit_imputer
from stenograde.experiments.fusion.recipe import FusionRecipe
from stenograde.nets.series_fusion import (
    Fusion,
    Pooling,
    SeriesFusion,
    SeriesFusionConfig,
    masked_share,
    weighted_sum,
)
from stenograde.terms import Role
from stenograde.train.grader.crops import CropSet
from stenograde.workers import Progress, named

PATTERNS: Final = tuple(
    tuple(role for role, kept in zip(Role, keep, strict=True) if kept)
    for keep in sorted(product((True, False), repeat=len(Role)), key=lambda keep: -sum(keep))
    if any(keep)
)
"""Series that are there: all, then all but one, then one."""

SINGLES: Final = {f"{role.shown} only": role for role in Role}
PUBLISHED: Final = {
    "1.1 late attention": Fusion.LATE,
    "1.2 early, attention pooling": Fusion.EARLY,
    "2 separate models": Fusion.SEPARATE,
}
MASKED: Final = "vectors, masked"
IMPUTED: Final = {f"vectors, {how.value}": how for how in Imputation}

Answers = NDArray[np.float64]
"""Probabilities, shape (patterns, studies, cells, severities)."""


@dataclass(frozen=True, eq=False)
class FusionStudies:
    """Everything known of some studies."""

    vectors: SeriesSet
    crops: CropSet
    start: str
    """What the encoder of slices started from."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything that is learnt from."""
        vectors, crops = self.vectors, self.crops
        arrays = (vectors.values, vectors.there, vectors.severities, crops.crops, crops.present)
        found = hashlib.sha256()
        for array in arrays:
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def chosen(self, places: list[int]) -> FusionStudies:
        """Return some of the studies."""
        crops = self.crops
        of_some = CropSet(crops.crops[places], crops.present[places], crops.severities[places])
        return replace(self, vectors=self.vectors.chosen(places), crops=of_some)

    def scaled_by(self, train: FusionStudies) -> FusionStudies:
        """Return the studies with vectors scaled by those of studies that train."""
        return replace(self, vectors=self.vectors.scaled_by(train.vectors))


@dataclass(frozen=True, eq=False)
class ScaledFold:
    """Studies of one fold, scaled by the first: to learn from, to choose epochs by, to test."""

    train: FusionStudies
    validation: FusionStudies
    test: FusionStudies
    folder: Path
    progress: Progress | None


def answers_of_vectors(fold: ScaledFold, recipe: FusionRecipe) -> dict[str, Answers]:
    """Return the answers of the single series and of the published ways."""
    found = {}
    for name, role in SINGLES.items():
        net = _fitted(fold, recipe, Fusion.LATE, kept=[role], leave_out=False)
        found[name] = _asked(net, fold.test.vectors)
    for name, fusion in PUBLISHED.items():
        net = _fitted(fold, recipe, fusion, kept=list(Role), leave_out=True)
        found[name] = _asked(net, fold.test.vectors)
    return found


def answers_of_imputed(
    fold: ScaledFold, recipe: FusionRecipe
) -> tuple[dict[str, Answers], dict[str, list[float]]]:
    """Return the answers of mean vectors, masked and imputed, and cosines of imputed to true vectors.

    Returns
    -------
    answers : dict
        By name; the masked one first.
    cosines : dict
        By name, the mean over studies for each pattern that lacks something.
    """
    train, validation, test = (pooled(one.vectors) for one in (fold.train, fold.validation, fold.test))
    shape = replace(_shape(recipe, train, Fusion.EARLY), pooling=Pooling.MEAN)
    folder = fold.folder / "vectors"
    masked = fit_fusion(
        train,
        validation,
        shape,
        recipe.fit,
        folder=folder / "masked",
        leave_out=True,
        progress=named(fold.progress, "vectors, masked"),
    )
    whole = fit_fusion(
        _complete(train),
        _complete(validation),
        shape,
        recipe.fit,
        folder=folder / "whole",
        leave_out=False,
        progress=named(fold.progress, "vectors, complete studies"),
    )
    answers, cosines = {MASKED: _asked(masked, test)}, {}
    for name, how in IMPUTED.items():
        imputer = fit_imputer(how, train.values[:, :, 0], train.there[:, :, 0], recipe.imputation)
        filled = [_filled(test.with_only(pattern), imputer) for pattern in PATTERNS]
        answers[name] = np.stack([probabilities_of(whole, one) for one in filled])
        cosines[name] = [
            likeness(one.values[:, :, 0], test.values[:, :, 0], test.there[:, :, 0] & ~one_of(pattern))
            for one, pattern in zip(filled, PATTERNS, strict=True)
        ]
    return answers, cosines


def pooled(studies: SeriesSet) -> SeriesSet:
    """Return studies with the mean of each series' vectors as its only one."""
    there = torch.from_numpy(studies.there)
    means = weighted_sum(masked_share(there), torch.from_numpy(studies.values)).numpy()
    return SeriesSet(
        means[:, :, None], np.asarray(studies.there.any(axis=2, keepdims=True)), studies.severities
    )


def _fitted(
    fold: ScaledFold, recipe: FusionRecipe, fusion: Fusion, *, kept: list[Role], leave_out: bool
) -> SeriesFusion:
    train, validation = (one.vectors.with_only(kept) for one in (fold.train, fold.validation))
    name = "-".join([fusion.value, *(role.value for role in kept)])
    shape = _shape(recipe, train, fusion)
    return fit_fusion(
        train,
        validation,
        shape,
        recipe.fit,
        folder=fold.folder / name,
        leave_out=leave_out,
        progress=fold.progress,
    )


def _complete(studies: SeriesSet) -> SeriesSet:
    """Return the studies that have all series."""
    return studies.chosen(np.flatnonzero(np.asarray(studies.there.any(axis=2)).all(axis=1)).tolist())


def _shape(recipe: FusionRecipe, studies: SeriesSet, fusion: Fusion) -> SeriesFusionConfig:
    return SeriesFusionConfig(
        fusion=fusion, width=studies.values.shape[3], hidden=recipe.hidden, dropout=recipe.dropout
    )


def _asked(net: SeriesFusion, test: SeriesSet) -> Answers:
    return np.stack([probabilities_of(net, test.with_only(pattern)) for pattern in PATTERNS])


def _filled(studies: SeriesSet, imputer: Imputer) -> SeriesSet:
    """Studies whose missing series are imputed, and count as there."""
    present = studies.there[:, :, 0]
    values = imputer(np.where(present[..., None], studies.values[:, :, 0], 0), present)
    return SeriesSet(values[:, :, None].astype(np.float32), np.ones_like(studies.there), studies.severities)


def one_of(pattern: Iterable[Role]) -> NDArray[np.bool_]:
    """Return which series are of a pattern, in the order of :class:`~stenograde.terms.Role`."""
    return np.array([role in pattern for role in Role])


def likeness(filled: Vectors, true: Vectors, away: NDArray[np.bool_]) -> float:
    """Return the mean cosine of imputed to true vectors, (n, series, width), of those ``away``; NaN without any."""
    return float(cosine(filled, true)[away].mean()) if away.any() else float("nan")
