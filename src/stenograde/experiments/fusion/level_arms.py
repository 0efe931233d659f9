"""Our way to fuse, on crops of levels: what is missing is masked, or imputed from the crops that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stenograde.experiments.fusion.arms import PATTERNS, Answers, ScaledFold, likeness
from stenograde.experiments.fusion.fit import shares_of
from stenograde.experiments.fusion.pseudo_modality import Imputation, Scale, Vectors, fit_imputer
from stenograde.experiments.fusion.recipe import FusionRecipe
from stenograde.levels.crop import CropKind
from stenograde.nets.level_fusion import N_VIEWS, LevelFusion
from stenograde.terms import LUMBAR_MRI, Role, Severity
from stenograde.train.grader.batches import EveryPattern, every_pattern_loss, grader_batches, grader_loss
from stenograde.train.grader.cohort_crops import CELLS_OF_LEVEL
from stenograde.train.grader.crops import CropSet, as_values
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import LossOf
from stenograde.workers import named

OURS: Final = "ours: level crops"
"""Fitted with every level's series left out in turn; what is missing is masked."""

OURS_IMPUTED: Final = {f"ours, {how.value} imputation": how for how in Imputation}
"""Fitted without leaving series out; of a crop that is missing the tokens are imputed."""


GIVEN_ONE: Final = {f"ours, given {role.shown} only": PATTERNS.index((role,)) for role in Role}
"""The same net given a single series, and the place of that pattern."""


def answers_of_ours(
    fold: ScaledFold, recipe: FusionRecipe
) -> tuple[dict[str, Answers], dict[str, list[float]]]:
    """Return the answers of crops of levels, masked and imputed, and cosines of imputed to true tokens.

    Returns
    -------
    answers : dict
        By name; the masked one first.
    cosines : dict
        By name, the mean over crops for each pattern of series, NaN where it lacks nothing. Tokens are standardised
        first by those that train, as all tokens of a place have much in common.
    """
    fitted = _fitted(EveryPattern(_new(recipe)), every_pattern_loss, fold, recipe, "level crops")
    assert isinstance(fitted, EveryPattern)
    masked = fitted.net
    assert isinstance(masked, LevelFusion)
    tokens = _Tokens.of(masked, fold.test.crops)
    answers = {
        OURS: np.stack(
            [_said(masked, tokens.values, tokens.there & kinds_of(k)) for k in range(len(PATTERNS))]
        )
    }
    whole = _fitted(_new(recipe), grader_loss, fold, recipe, "level crops, complete")
    assert isinstance(whole, LevelFusion)
    seen, tokens = _Tokens.of(whole, fold.train.crops), _Tokens.of(whole, fold.test.crops)
    scale = Scale.of(seen.values, seen.there)
    cosines = {}
    for name, how in OURS_IMPUTED.items():
        imputer = fit_imputer(how, seen.values, seen.there, recipe.imputation)
        said, alike = [], []
        for k in range(len(PATTERNS)):
            present = tokens.there & kinds_of(k)
            filled = imputer(np.where(present[..., None], tokens.values, 0), present)
            said.append(_said(whole, filled, np.ones_like(present)))
            away = tokens.there & ~present
            alike.append(likeness(scale.standardised(filled), scale.standardised(tokens.values), away))
        answers[name], cosines[name] = np.stack(said), alike
    return answers, cosines


def kinds_of(pattern: int) -> NDArray[np.bool_]:
    """Return which kinds of crop are cut from the series of a pattern, by its place in ``PATTERNS``."""
    return np.array([kind.role in PATTERNS[pattern] for kind in CropKind])


@dataclass(frozen=True, eq=False)
class _Tokens:
    """What a net makes of each crop, one row for each view of a level."""

    values: Vectors
    """Shape (studies * levels * views, kinds, tokens * features)."""
    there: NDArray[np.bool_]
    """Shape (studies * levels * views, kinds)."""

    @classmethod
    @torch.inference_mode()
    def of(cls, net: LevelFusion, crops: CropSet) -> _Tokens:
        values = [
            net.features(torch.from_numpy(as_values(levels))).flatten(3).numpy() for levels in crops.crops
        ]
        joined = np.concatenate(values)
        return cls(joined.reshape(-1, *joined.shape[2:]), crops.present.reshape(-1, crops.present.shape[-1]))


def _new(recipe: FusionRecipe) -> LevelFusion:
    """Return a new net; fitting it draws on from the same seed."""
    torch.manual_seed(recipe.level_fit.seed)
    return LevelFusion(recipe.level)


def _fitted(net: nn.Module, loss_of: LossOf, fold: ScaledFold, recipe: FusionRecipe, name: str) -> nn.Module:
    how = recipe.level_fit
    fitted = fit(
        net,
        grader_batches(fold.train.crops, how, recipe.augment),
        how,
        loss_of=loss_of,
        folder=fold.folder / name.replace(", ", "-").replace(" ", "-"),
        validation=grader_batches(fold.validation.crops, how, None),
        progress=named(fold.progress, name),
    ).net
    return fitted.to("cpu").eval()


@torch.inference_mode()
def _said(net: LevelFusion, tokens: Vectors, there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Probabilities, shape (studies, cells, severities), of tokens and of which are there, as :class:`_Tokens`."""
    features = torch.from_numpy(tokens).unflatten(0, (-1, N_VIEWS)).unflatten(3, (-1, net.config.features))
    present = torch.from_numpy(there.astype(np.float32)).unflatten(0, (-1, N_VIEWS))
    logits = net.answer(features, present)
    shares = shares_of(logits)

    of_levels = shares.reshape(-1, len(LUMBAR_MRI.levels), *shares.shape[1:])
    out = np.zeros((len(of_levels), len(LUMBAR_MRI.cells), len(Severity)))
    for place, cells in enumerate(CELLS_OF_LEVEL):
        out[:, list(cells)] = of_levels[:, place]
    return out
