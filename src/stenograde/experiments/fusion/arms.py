"""The ways to fuse, each fitted on one training part and asked with every pattern of series that are there."""

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
from torch import Tensor

from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS
from stenograde.experiments.fusion.crops import CELLS_OF_LEVEL
from stenograde.experiments.fusion.recipe import FusionRecipe
from stenograde.levels.crop import CropKind
from stenograde.nets.level_fusion import LevelFusion
from stenograde.nets.series_fusion import (
    Fusion,
    Pooling,
    SeriesFusion,
    SeriesFusionConfig,
    masked_share,
    weighted_sum,
)
from stenograde.terms import LUMBAR_MRI, Role, Severity
from stenograde.train.fit_config import EpochRecord, Progress, Report
from stenograde.train.fusion import SeriesSet, fit_fusion, probabilities_of
from stenograde.train.grader_batches import EveryPattern, GraderBatches, every_pattern_loss
from stenograde.train.grader_crops import CropSet, as_values
from stenograde.train.loop import fit
from stenograde.train.pseudo_modality import Imputation, Imputer, cosine, fit_imputer

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
OURS: Final = "ours: level crops"
OURS_IMPUTED: Final = "ours, mean imputation"
MASKED: Final = "vectors, masked"
IMPUTED: Final = {f"vectors, {how.value}": how for how in Imputation}

Answers = NDArray[np.float64]
"""Probabilities, shape (patterns, studies, cells, severities)."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """All that is known of some studies."""

    vectors: SeriesSet
    crops: CropSet
    start: str
    """What the encoder of slices started from."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that is learnt from."""
        vectors, crops = self.vectors, self.crops
        arrays = (vectors.values, vectors.there, vectors.severities, crops.crops, crops.present)
        found = hashlib.sha256()
        for array in arrays:
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    def chosen(self, places: list[int]) -> Cohort:
        """Return some of the studies."""
        crops = self.crops
        of_some = CropSet(crops.crops[places], crops.present[places], crops.severities[places])
        return replace(self, vectors=self.vectors.chosen(places), crops=of_some)

    def scaled_by(self, train: Cohort) -> Cohort:
        """Return the studies with vectors scaled by those of studies that train."""
        return replace(self, vectors=self.vectors.scaled_by(train.vectors))


@dataclass(frozen=True, eq=False)
class Part:
    """Studies of one fold, scaled by the first: to learn from, to choose epochs by, to test."""

    train: Cohort
    validation: Cohort
    test: Cohort
    folder: Path
    report: Report | None


def answers_of_vectors(part: Part, recipe: FusionRecipe) -> dict[str, Answers]:
    """Return what the single series and the published ways say."""
    found = {}
    for name, role in SINGLES.items():
        net = _fitted(part, recipe, Fusion.LATE, kept=[role], leave_out=False)
        found[name] = _asked(net, part.test.vectors)
    for name, fusion in PUBLISHED.items():
        net = _fitted(part, recipe, fusion, kept=list(Role), leave_out=True)
        found[name] = _asked(net, part.test.vectors)
    return found


def answers_of_imputed(part: Part, recipe: FusionRecipe) -> tuple[dict[str, Answers], dict[str, list[float]]]:
    """Return what mean vectors say, masked and imputed; and cosines of imputed to true vectors.

    Returns
    -------
    answers : dict
        By name; the masked one first.
    cosines : dict
        By name, the mean over studies for each pattern that lacks something.
    """
    train, validation, test = (pooled(one.vectors) for one in (part.train, part.validation, part.test))
    shape = replace(_shape(recipe, train, Fusion.EARLY), pooling=Pooling.MEAN)
    folder = part.folder / "vectors"
    masked = fit_fusion(
        train,
        validation,
        shape,
        recipe.fit,
        folder=folder / "masked",
        leave_out=True,
        progress=_watched(part, "vectors, masked", recipe.fit.epochs),
    )
    whole = fit_fusion(
        _complete(train),
        _complete(validation),
        shape,
        recipe.fit,
        folder=folder / "whole",
        leave_out=False,
        progress=_watched(part, "vectors, complete studies", recipe.fit.epochs),
    )
    answers, cosines = {MASKED: _asked(masked, test)}, {}
    for name, how in IMPUTED.items():
        imputer = fit_imputer(how, train.values[:, :, 0], train.there[:, :, 0], recipe.imputation)
        filled = [_filled(test.with_only(pattern), imputer) for pattern in PATTERNS]
        answers[name] = np.stack([probabilities_of(whole, one) for one in filled])
        cosines[name] = [_likeness(one, test, pattern) for one, pattern in zip(filled, PATTERNS, strict=True)]
    return answers, cosines


def answers_of_ours(part: Part, recipe: FusionRecipe) -> dict[str, Answers]:
    """Return what crops of levels say, masked and with missing crops replaced by the mean of training."""
    how = recipe.level_fit
    torch.manual_seed(how.seed)

    fitted = fit(
        EveryPattern(LevelFusion(recipe.level)),
        GraderBatches(part.train.crops, how, recipe.augment),
        how,
        loss_of=every_pattern_loss,
        folder=part.folder / "levels",
        validation=GraderBatches(part.validation.crops, how, None),
        progress=_watched(part, "level crops", how.epochs),
    ).net
    assert isinstance(fitted, EveryPattern)
    net = fitted.net.to("cpu").eval()
    assert isinstance(net, LevelFusion)
    usual = _usual_features(net, part.train.crops)
    masked = np.stack([_levels_said(net, part.test.crops, pattern, None) for pattern in PATTERNS])
    imputed = np.stack([_levels_said(net, part.test.crops, pattern, usual) for pattern in PATTERNS])
    return {OURS: masked, OURS_IMPUTED: imputed}


def pooled(studies: SeriesSet) -> SeriesSet:
    """Return studies with the mean of each series' vectors as its only one."""
    there = torch.from_numpy(studies.there)
    means = weighted_sum(masked_share(there), torch.from_numpy(studies.values)).numpy()
    return SeriesSet(
        means[:, :, None], np.asarray(studies.there.any(axis=2, keepdims=True)), studies.severities
    )


def _fitted(
    part: Part, recipe: FusionRecipe, fusion: Fusion, *, kept: list[Role], leave_out: bool
) -> SeriesFusion:
    train, validation = (one.vectors.with_only(kept) for one in (part.train, part.validation))
    name = "-".join([fusion.value, *(role.value for role in kept)])
    shape = _shape(recipe, train, fusion)
    return fit_fusion(
        train,
        validation,
        shape,
        recipe.fit,
        folder=part.folder / name,
        leave_out=leave_out,
        progress=_watched(part, name, recipe.fit.epochs),
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


def _likeness(filled: SeriesSet, true: SeriesSet, pattern: Iterable[Role]) -> float:
    """Mean cosine of imputed vectors to those that were taken away; NaN where none was."""
    away = np.array([role not in pattern for role in Role]) & true.there[:, :, 0]
    if not away.any():
        return float("nan")
    return float(cosine(filled.values[:, :, 0], true.values[:, :, 0])[away].mean())


@torch.inference_mode()
def _usual_features(net: LevelFusion, crops: CropSet) -> Tensor:
    """Mean tokens of the crops that train, where they are there; shape (views, kinds, tokens, features)."""
    total, count = None, None
    for values, present in _levels(crops):
        seen = net.features(values) * present[..., None, None]
        total = seen.sum(dim=0) if total is None else total + seen.sum(dim=0)
        count = present.sum(dim=0) if count is None else count + present.sum(dim=0)
    assert total is not None
    assert count is not None
    return total / count.clamp(min=1)[..., None, None]


@torch.inference_mode()
def _levels_said(net: LevelFusion, crops: CropSet, pattern: Iterable[Role], usual: Tensor | None) -> Answers:
    """Probabilities, shape (studies, cells, severities), with the crops of some series."""
    kept = torch.tensor([float(kind.role in pattern) for kind in CropKind])
    said = []
    for values, present in _levels(crops):
        features, there = net.features(values), present * kept
        if usual is not None:
            features = torch.where((there > 0)[..., None, None], features, usual)
            there = torch.ones_like(there)
        said.append(torch.softmax(net.answer(features, there).double(), dim=-1))
    shares = torch.cat(said).numpy() / np.array(SEVERITY_WEIGHTS)
    shares = (shares / shares.sum(axis=-1, keepdims=True)).reshape(
        -1, len(LUMBAR_MRI.levels), *shares.shape[1:]
    )
    out = np.zeros((len(shares), len(LUMBAR_MRI.cells), len(Severity)))
    for place, cells in enumerate(CELLS_OF_LEVEL):
        out[:, list(cells)] = shares[:, place]
    return out


def _levels(crops: CropSet) -> Iterable[tuple[Tensor, Tensor]]:
    """Give crops and presence study by study, the levels as the batch."""
    for values, present in zip(crops.crops, crops.present, strict=True):
        yield torch.from_numpy(as_values(values)), torch.from_numpy(present.astype(np.float32))


def _watched(part: Part, name: str, epochs: int) -> Progress:
    """Return what tells how far a fit is."""

    def progress(done: float, record: EpochRecord | None) -> None:
        if part.report:
            part.report(name, done, epochs, record.loss if record else None)

    return progress
