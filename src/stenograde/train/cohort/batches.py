"""Crops of a cohort, or the kept maps of a frozen encoder, to batches; CutMix and mix-up; what a wrong answer costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS, UNKNOWN
from stenograde.nets.level_transfer import Judge
from stenograde.train.cohort.config import Mixing
from stenograde.train.grader.batches import CELLS_OF_CONDITIONS
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.fit_config import Batch, FitConfig
from stenograde.train.loop.loss import condition_loss

Values = NDArray[np.generic]

Sample = Callable[[int, int, np.random.Generator], Values]
"""Called with a study, a level and a generator; gives crops, or maps."""

_SIZES = [cells.stop - cells.start for cells in CELLS_OF_CONDITIONS]


@dataclass(frozen=True, eq=False)
class LevelSource:
    """Where the levels of a cohort come from.

    Parameters
    ----------
    sample : callable
    known : ndarray of shape (studies, levels, 2 * kinds + levels), float32
        Which crops are there, view by view, and the level, one-hot.
    severities : ndarray of shape (studies, levels, cells of a level), int64
    """

    sample: Sample
    known: NDArray[np.float32]
    severities: NDArray[np.int64]

    def usable(self, studies: Sequence[int]) -> NDArray[np.int64]:
        """Return the (study, level) pairs with a label and a crop, shape (n, 2)."""
        n_levels = self.known.shape[1]
        kinds = self.known.shape[2] - n_levels
        there = (self.known[..., :kinds] > 0).any(axis=2) & (self.severities != UNKNOWN).any(axis=2)
        return np.array(
            [(s, level) for s in studies for level in range(n_levels) if there[s, level]], np.int64
        )


def known_of(present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what is known of each level beside its crops.

    Parameters
    ----------
    present : ndarray of shape (studies, levels, 2, kinds), bool
    """
    studies, levels = present.shape[:2]
    there = present.reshape(studies, levels, -1).astype(np.float32)
    level = np.broadcast_to(np.eye(levels, dtype=np.float32), (studies, levels, levels))
    return np.concatenate([there, level], axis=2)


def level_batches(
    source: LevelSource, studies: Sequence[int], fit: FitConfig, mixing: Mixing
) -> SeededBatches:
    """Return mixed batches of the levels of some studies, for :class:`~stenograde.nets.level_transfer.Mixed`."""
    pairs = source.usable(studies)

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def make(at: NDArray[np.int64], number: int) -> Batch:
            chosen = pairs[at]
            values = np.stack(
                [
                    source.sample(s, v, np.random.default_rng([fit.seed, epoch, s, v]))
                    for s, v in chosen.tolist()
                ]
            )
            rng = np.random.default_rng([fit.seed, epoch, number, 1])
            values, share, own = mixed(values, mixing, rng)
            target = source.severities[chosen[:, 0], chosen[:, 1]]
            known = source.known[chosen[:, 0], chosen[:, 1]]
            other = np.roll(target, 1, axis=0)
            # a neighbour that shows other series cannot lend its labels
            there = known[:, : -source.known.shape[1]]
            other[(there != np.roll(there, 1, axis=0)).any(axis=1)] = UNKNOWN
            own_column = np.full((len(known), 1), own, np.float32)
            return {
                "input": torch.from_numpy(values),
                "extra": torch.from_numpy(np.concatenate([known, own_column], axis=1)),
                "target": torch.from_numpy(target),
                "other": torch.from_numpy(other),
                "share": torch.full((len(target),), share),
            }

        return shuffled(len(pairs), fit.seed, epoch), make

    return SeededBatches(len(pairs), fit, begin)


def mixed(values: Values, mixing: Mixing, rng: np.random.Generator) -> tuple[Values, float, float]:
    """Return a batch with rectangles of each one's neighbour, or as it is.

    Returns
    -------
    values : ndarray of the same shape
        Last axes rows and columns.
    share : float
        That the own labels count; those of the neighbour count the rest.
    own : float
        Share of the own features, for mix-up; 1 for none.
    """
    how = rng.random()
    if how < mixing.cutmix:
        rows, columns = values.shape[-2:]
        side = np.sqrt(1 - rng.random())
        height, width = (int(np.ceil(side * length * 0.7)) for length in (rows, columns))
        top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
        place = (..., slice(top, top + height), slice(left, left + width))
        out = values.copy()
        out[place] = np.roll(values, 1, axis=0)[place]
        return out, 1 - height * width / (rows * columns), 1.0
    if how < mixing.cutmix + mixing.mixup:
        own = float(rng.beta(mixing.alpha, mixing.alpha))
        own = max(own, 1 - own)
        return values, own, own
    return values, 1.0, 1.0


def plain_loss(output: Tensor, batch: Batch) -> Tensor:
    """Return the unweighted logarithmic loss, the mean over conditions, of own and mixed-in labels."""
    share = batch["share"].mean()
    own = condition_loss(output, batch["target"], _SIZES, weights=None)
    return share * own + (1 - share) * condition_loss(output, batch["other"], _SIZES, weights=None)


class WholeStudies(nn.Module):
    """The judge on all levels of studies."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        """Return logits (studies, levels, cells, severities) of features and what is known, studies first."""
        said = self.judge(features.flatten(0, 1), known.flatten(0, 1))
        return said.unflatten(0, features.shape[:2])


def study_batches(
    features: Tensor, known: NDArray[np.float32], severities: NDArray[np.int64], fit: FitConfig
) -> SeededBatches:
    """Return batches of whole studies.

    Parameters
    ----------
    features : tensor of shape (copies, studies, levels, 2, kinds, places, features)
        Each epoch takes one of the copies of each study.
    known, severities : ndarray
        As of :class:`LevelSource`.
    fit : FitConfig
    """
    copies, n = features.shape[:2]

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        copy = np.random.default_rng([fit.seed, epoch, 2]).integers(copies, size=n)

        def make(at: NDArray[np.int64], _: int) -> Batch:
            return {
                "input": features[copy[at], at],
                "extra": torch.from_numpy(known[at]),
                "target": torch.from_numpy(severities[at]),
            }

        return shuffled(n, fit.seed, epoch), make

    return SeededBatches(n, fit, begin)


def study_loss(output: Tensor, batch: Batch) -> Tensor:
    """Return the metric of RSNA 2024 of some studies: three conditions and any severe canal, their plain mean.

    Parameters
    ----------
    output : tensor of shape (studies, levels, cells, severities)
        Logits.
    batch : mapping
        ``target`` of shape (studies, levels, cells).
    """
    target = batch["target"]
    conditions = condition_loss(output.flatten(0, 1), target.flatten(0, 1), _SIZES)
    canal = target[:, :, 0]
    labelled = canal != UNKNOWN
    has_canal = labelled.any(dim=1)
    if not bool(has_canal.any()):
        return conditions
    log_p = functional.log_softmax(output[:, :, 0], dim=2)
    severe = log_p[..., 2].masked_fill(~labelled, -torch.inf).max(dim=1).values[has_canal]
    severe = severe.clamp(max=-1e-6)
    worst = canal.max(dim=1).values[has_canal]
    weight = output.new_tensor(SEVERITY_WEIGHTS)[worst]
    each = torch.where(worst == 2, -severe, -torch.log1p(-severe.exp()))
    any_severe = (weight * each).sum() / weight.sum()
    return (3 * conditions + any_severe) / 4
