"""Fit a fusion of series on slice vectors: every epoch shows each study with all its series and with some left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS
from stenograde.experiments.vectors.embed import CohortVectors
from stenograde.nets.series_fusion import SeriesFusion, SeriesFusionConfig
from stenograde.terms import LUMBAR_MRI, Condition, Role
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import Batch, FitConfig
from stenograde.train.loop.loss import condition_loss
from stenograde.workers import Progress

PARTS = tuple(sum(cell.condition is condition for cell in LUMBAR_MRI.cells) for condition in Condition)
"""Cells of each condition, in order."""


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """Slice vectors of all series of some studies, padded, with the answers."""

    values: NDArray[np.float32]
    """Shape (studies, series, slices, width); series in the order of :class:`~stenograde.terms.Role`."""
    there: NDArray[np.bool_]
    """Shape (studies, series, slices)."""
    severities: NDArray[np.int64]
    """Shape (studies, cells)."""

    @classmethod
    def of(cls, cohort: CohortVectors) -> SeriesSet:
        """Return the vectors of a cohort."""
        studies = cohort.studies
        longest = max(len(one) for study in studies for one in study.vectors.values())
        values = np.zeros((len(studies), len(Role), longest, cohort.width), np.float32)
        there = np.zeros(values.shape[:3], bool)
        for k, study in enumerate(studies):
            for j, role in enumerate(Role):
                if role in study.vectors:
                    own = study.vectors[role]
                    values[k, j, : len(own)], there[k, j, : len(own)] = own, True
        return cls(values, there, np.stack([study.severities for study in studies]))

    def chosen(self, places: Sequence[int]) -> SeriesSet:
        """Return some of the studies."""
        at = np.asarray(places)
        return SeriesSet(self.values[at], self.there[at], self.severities[at])

    def with_only(self, kept: Sequence[Role]) -> SeriesSet:
        """Return the studies without the series of other roles."""
        keep = np.array([role in kept for role in Role])
        return SeriesSet(self.values, self.there & keep[None, :, None], self.severities)

    def scaled_by(self, train: SeriesSet) -> SeriesSet:
        """Return vectors of mean 0 and deviation 1 over the slices of studies that train, series by series."""
        values = self.values.copy()
        for j in range(values.shape[1]):
            known = train.values[:, j][train.there[:, j]]
            if len(known):
                values[:, j] = (values[:, j] - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-6)
        return SeriesSet(np.where(self.there[..., None], values, 0), self.there, self.severities)


def fit_fusion(
    train: SeriesSet,
    validation: SeriesSet,
    config: SeriesFusionConfig,
    how: FitConfig,
    *,
    folder: Path,
    leave_out: bool = True,
    progress: Progress | None = None,
) -> SeriesFusion:
    """Fit a fusion net; started again with the same folder it resumes.

    Parameters
    ----------
    train, validation : SeriesSet
        Scaled alike; the epoch of the least loss on the second is kept.
    config : SeriesFusionConfig
    how : FitConfig
    folder : Path
    leave_out : bool
        Whether series are left out in training, half of the time.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If the folder holds a checkpoint of other settings.
    """
    torch.manual_seed(how.seed)
    net = fit(
        SeriesFusion(config),
        series_batches(train, how, shuffle=True, leave_out=leave_out),
        how,
        loss_of=cells_loss,
        folder=folder,
        validation=series_batches(validation, how, shuffle=False, leave_out=False),
        progress=progress,
    ).net
    assert isinstance(net, SeriesFusion)
    return net.to("cpu").eval()


def probabilities_of(net: SeriesFusion, studies: SeriesSet) -> NDArray[np.float64]:
    """Return probabilities, shape (studies, cells, severities)."""
    with torch.inference_mode():
        return shares_of(net(torch.from_numpy(studies.values), torch.from_numpy(studies.there)))


def shares_of(logits: Tensor) -> NDArray[np.float64]:
    """Return probabilities of logits, shape (..., severities), the weights of the metric taken back."""
    said = torch.softmax(logits.double(), dim=-1).numpy() / np.array(SEVERITY_WEIGHTS)
    return np.asarray(said / said.sum(axis=-1, keepdims=True))


def cells_loss(output: Tensor, batch: Batch) -> Tensor:
    """Return the :func:`~stenograde.train.loop.loss.condition_loss` of the cells of studies."""
    return condition_loss(output, batch["target"], PARTS)


def series_batches(studies: SeriesSet, how: FitConfig, *, shuffle: bool, leave_out: bool) -> SeededBatches:
    """Return batches of studies, with series left out at random if asked for."""

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def make(at: NDArray[np.int64], number: int) -> Batch:
            there = studies.there[at]
            if leave_out:
                rng = np.random.default_rng([how.seed, epoch, number])
                there = there & some_left_out(np.asarray(there.any(axis=2)), rng)[..., None]
            return {
                "input": torch.from_numpy(studies.values[at]),
                "extra": torch.from_numpy(there),
                "target": torch.from_numpy(studies.severities[at]),
            }

        n = len(studies.severities)
        return (shuffled(n, how.seed, epoch) if shuffle else np.arange(n)), make

    return SeededBatches(len(studies.severities), how, begin, whole=False)


def some_left_out(present: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Leave series out of half of the samples, never all that a sample has; shape (n, series), as ``present``."""
    keep = (rng.random(present.shape) < 0.5) | (rng.random(len(present)) < 0.5)[:, None]
    nothing = ~(keep & present).any(axis=1)
    keep[nothing] = True
    return present & keep
