"""Stored crops to batches of the level grader: changed at random, series left out; and what a wrong answer costs."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS
from stenograde.levels.crop import LIMIT, CropKind
from stenograde.terms import Role
from stenograde.train.batches import made_ahead
from stenograde.train.fit_config import Batch, FitConfig
from stenograde.train.grader_crops import CropSet, as_values

CELLS_OF_CONDITIONS = (slice(0, 1), slice(1, 3), slice(3, 5))
"""Cells of a level by condition: canal, foramina, recesses; conditions count alike, as in the metric of RSNA 2024."""

_KINDS_OF_ROLE = {role: [place for place, kind in enumerate(CropKind) if kind.role is role] for role in Role}


@dataclass(frozen=True)
class CropAugment:
    """How strongly crops are changed; each number is the end of a range around no change.

    Contrast is changed series by series, place crop by crop. Nothing is mirrored: both views look from the near side.
    """

    gain_log: float = 0.25
    offset: float = 0.4
    """In normalised units (the middle 96 % of a series span 4)."""
    bend: float = 0.35
    """Of the intensity curve: share of the square that is added."""
    noise: float = 0.3
    """Largest standard deviation of the noise."""
    blur_px: float = 1.0
    blur_share: float = 0.3
    """Share of series that are blurred."""
    shift_px: int = 3
    """Rows and columns that a crop is shifted by."""
    drop_share: float = 0.25
    """Share of levels from which a series is left out; one of those present stays."""

    def __post_init__(self) -> None:
        if min(self.gain_log, self.offset, self.bend, self.noise, self.blur_px, self.shift_px) < 0:
            msg = f"augment settings must not be below 0, got {self}"
            raise ValueError(msg)
        if not (0 <= self.drop_share <= 1 and 0 <= self.blur_share <= 1):
            msg = f"drop_share and blur_share must be from 0 to 1, got {self.drop_share}, {self.blur_share}"
            raise ValueError(msg)


class GraderBatches:
    """Batches of levels; each depends on the seed, the epoch and its number alone.

    Parameters
    ----------
    crops : CropSet
    fit : FitConfig
        Its batch, seed and workers count.
    augment : CropAugment, optional
        None gives every level once, in order, as it is.
    """

    def __init__(self, crops: CropSet, fit: FitConfig, augment: CropAugment | None) -> None:
        self.crops, self.fit, self.augment = crops, fit, augment

    def __len__(self) -> int:
        n = len(self.crops)
        return max(1, n // self.fit.batch) if self.augment else 1 + (n - 1) // self.fit.batch

    def batches(self, epoch: int, rank: int, world: int) -> Generator[Batch, None, None]:
        """Give every ``world``-th batch of an epoch, from the ``rank``-th on."""
        order = np.arange(len(self.crops))
        if self.augment is not None:
            order = np.random.default_rng([self.fit.seed, epoch]).permutation(order)

        def made(number: int) -> Batch:
            places = order[number * self.fit.batch : (number + 1) * self.fit.batch]
            return self._batch(places.tolist(), epoch)

        yield from made_ahead(made, range(rank, len(self), world), self.fit.workers)

    def _batch(self, places: list[int], epoch: int) -> Batch:
        samples = []
        for place in places:
            crops, present, severities = self.crops.level(place)
            values = as_values(crops)
            if self.augment is not None:
                rng = np.random.default_rng([self.fit.seed, epoch, place])
                values, present = changed(values, present, self.augment, rng)
            samples.append((values, present, severities))
        values_of, present_of, severities_of = zip(*samples, strict=True)
        return {
            "input": torch.from_numpy(np.stack(values_of)),
            "extra": torch.from_numpy(np.stack(present_of).astype(np.float32)),
            "target": torch.from_numpy(np.stack(severities_of)),
        }


def changed(
    crops: NDArray[np.float32],
    present: NDArray[np.bool_],
    config: CropAugment,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return crops of one level, changed, and which are left.

    Parameters
    ----------
    crops : ndarray of shape (sides, kinds, slices, rows, columns), float32
    present : ndarray of shape (sides, kinds), bool
    config : CropAugment
    rng : numpy.random.Generator
    """
    out, left = crops.copy(), present.copy()
    for kinds in _KINDS_OF_ROLE.values():
        out[:, kinds] = _recoloured(out[:, kinds], config, rng)
    for side, kind in np.ndindex(*present.shape):
        out[side, kind] = _shifted(out[side, kind], rng.integers(-config.shift_px, config.shift_px + 1, 2))
    roles = [kinds for kinds in _KINDS_OF_ROLE.values() if left[:, kinds].any()]
    if len(roles) > 1 and rng.random() < config.drop_share:
        left[:, roles[int(rng.integers(len(roles)))]] = False
    out[~left] = 0
    return out, left


def grader_loss(output: Tensor, batch: Batch) -> Tensor:
    """Return the weighted logarithmic loss, the mean over conditions.

    Parameters
    ----------
    output : tensor of shape (n, cells, severities)
    batch : dict
        ``target`` of shape (n, cells), int64: ranks of severities.
    """
    weight = output.new_tensor(SEVERITY_WEIGHTS)
    losses = [
        functional.cross_entropy(
            output[:, cells].flatten(0, 1), batch["target"][:, cells].flatten(), weight=weight
        )
        for cells in CELLS_OF_CONDITIONS
    ]
    return torch.stack(losses).mean()


def _recoloured(
    crops: NDArray[np.float32], config: CropAugment, rng: np.random.Generator
) -> NDArray[np.float32]:
    gain = np.float32(np.exp(rng.uniform(-config.gain_log, config.gain_log)))
    offset = np.float32(rng.uniform(-config.offset, config.offset))
    bend = np.float32(rng.uniform(-config.bend, config.bend) / LIMIT)
    values = gain * crops + bend * (crops * crops - np.float32(1)) + offset
    if rng.random() < config.blur_share:
        sigma = float(rng.uniform(0, config.blur_px))
        values = ndimage.gaussian_filter(values, (0, 0, 0, sigma, sigma))
    noise = np.float32(rng.uniform(0, config.noise))
    values += noise * rng.standard_normal(values.shape, dtype=np.float32)
    return np.clip(values, -LIMIT, LIMIT)


def _shifted(crop: NDArray[np.float32], by: NDArray[np.int64]) -> NDArray[np.float32]:
    """Shift rows and columns of a crop (slices, rows, columns), with zeros where nothing comes in."""
    out = np.zeros_like(crop)
    spans = []
    for step, length in zip(by.tolist(), crop.shape[1:], strict=True):
        to = slice(max(step, 0), length + min(step, 0))
        spans.append((to, slice(max(-step, 0), length + min(-step, 0))))
    (to_rows, from_rows), (to_columns, from_columns) = spans
    out[:, to_rows, to_columns] = crop[:, from_rows, from_columns]
    return out
