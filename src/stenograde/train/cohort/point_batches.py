"""Views with the experts' marks in them to batches, changed at random together; what a wrong place costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stenograde.nets.point_finder import PointFinderConfig, soft_argmax
from stenograde.terms import LUMBAR_MRI
from stenograde.train.cohort.config import PointTraining
from stenograde.train.grader.batches import CropAugment, recoloured
from stenograde.train.grader.crops import as_values
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.fit_config import Batch, LossOf

_SPREAD_MM = 2.5
"""Standard deviation of the heat that is asked for around a mark."""

_MEAN_WEIGHT = 0.3
"""Of the distance of the heat map's mean, per mm, beside the cross-entropy of the map."""


@dataclass(frozen=True, eq=False)
class ViewSource:
    """Where views come from."""

    stored: NDArray[np.int8]
    """Shape (studies, cells, slices, rows, columns)."""
    study: NDArray[np.int64]
    cell: NDArray[np.int64]
    """Of each view that is there, shape (n,)."""
    targets: NDArray[np.float64]
    """Shape (n, 3)."""
    asked: Tensor
    """Shape (n, conditions + levels)."""


def view_batches(source: ViewSource, rows: NDArray[np.int64], config: PointTraining) -> SeededBatches:
    """Return batches of some of the views, each with its mark."""

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def sample(row: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
            rng = np.random.default_rng([config.fit.seed, epoch, row])
            values = as_values(source.stored[source.study[row], source.cell[row]])
            in_middle = LUMBAR_MRI.cells[int(source.cell[row])].side is None
            return changed_view(
                values, source.targets[row], config.net, config.augment, rng, may_mirror=in_middle
            )

        def make(at: NDArray[np.int64], _: int) -> Batch:
            values, targets = zip(*map(sample, rows[at].tolist()), strict=True)
            return {
                "input": torch.from_numpy(np.stack(values)),
                "extra": source.asked[torch.from_numpy(rows[at])],
                "target": torch.from_numpy(np.stack(targets)).float(),
            }

        return shuffled(len(rows), config.fit.seed, epoch), make

    return SeededBatches(len(rows), config.fit, begin)


def changed_view(
    values: NDArray[np.float32],
    target_mm: NDArray[np.float64],
    config: PointFinderConfig,
    augment: CropAugment,
    rng: np.random.Generator,
    *,
    may_mirror: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return a view that is recoloured, turned, zoomed and shifted, and where its mark then lies.

    Parameters
    ----------
    values : ndarray of shape (slices, rows, columns), float32
    target_mm : ndarray of shape (3,)
        Along slices, rows and columns from the middle.
    config : PointFinderConfig
    augment : CropAugment
    rng : Generator
    may_mirror : bool
        Whether slices may come in the other order: of the canal, whose sides are alike; a foramen seen from the far
        side is the other foramen.
    """
    import cv2  # noqa: PLC0415  only training needs it

    rows, columns = values.shape[1:]
    values = recoloured(values[None, None], augment, rng)[0, 0]
    away = target_mm.copy()
    if may_mirror and rng.random() < 0.5:
        values, away[0] = values[::-1], -away[0]
    turn = float(rng.uniform(-augment.turn_deg, augment.turn_deg))
    zoom = float(np.exp(rng.uniform(-augment.zoom_log, augment.zoom_log)))
    middle = ((columns - 1) / 2, (rows - 1) / 2)
    how = np.asarray(cv2.getRotationMatrix2D(middle, turn, zoom), np.float64)
    how[:, 2] += rng.uniform(-augment.shift_px, augment.shift_px, 2)
    moved = [cv2.warpAffine(one, how, (columns, rows), borderMode=cv2.BORDER_REPLICATE) for one in values]
    x, y = how @ np.array([away[2] / config.grid_mm + middle[0], away[1] / config.grid_mm + middle[1], 1.0])
    return np.stack(moved), np.array(
        [away[0], (y - middle[1]) * config.grid_mm, (x - middle[0]) * config.grid_mm]
    )


def point_loss(config: PointFinderConfig) -> LossOf:
    """Return what a wrong place costs: cross-entropy to a spot of heat around the mark, and the mean's distance."""

    def loss(heat: Tensor, batch: Batch) -> Tensor:
        target = batch["target"]
        spot = _spot(target, heat, config)
        crossed = -(spot * heat.flatten(1).log_softmax(dim=1).view_as(heat)).sum(dim=(1, 2, 3)).mean()
        away = (soft_argmax(heat, config.steps_mm) - target).abs().sum(dim=1).mean()
        return crossed + _MEAN_WEIGHT * away

    return loss


def _spot(target: Tensor, heat: Tensor, config: PointFinderConfig) -> Tensor:
    """Return a spot of heat around each mark, shape as the heat maps; each sums to 1."""
    spot = torch.ones_like(heat)
    for axis, step_mm in enumerate(config.steps_mm):
        n = heat.shape[axis + 1]
        places = (torch.arange(n, dtype=heat.dtype, device=heat.device) - (n - 1) / 2) * step_mm
        along = torch.exp(-((places[None] - target[:, axis : axis + 1]) / _SPREAD_MM).square() / 2)
        shape = [len(heat), 1, 1, 1]
        shape[axis + 1] = n
        spot = spot * along.view(shape)
    return spot / spot.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1e-9)
