"""Stored crops to batches of the level grader, changed at random; and what a wrong answer costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from stenograde.levels.crop import LIMIT, CropKind
from stenograde.nets.level_fusion import LevelFusion
from stenograde.nets.level_grader import LevelGrader
from stenograde.terms import Role
from stenograde.train.grader.crops import CropSet, as_values
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.fit_config import Batch, FitConfig
from stenograde.train.loop.loss import condition_loss

CELLS_OF_CONDITIONS = (slice(0, 1), slice(1, 3), slice(3, 5))
"""Cells of a level by condition: canal, foramina, recesses; conditions count alike, as in the metric of RSNA 2024."""

LEFT_OUT = np.array(
    [[True] * len(CropKind), *([kind.role is not role for kind in CropKind] for role in Role)]
)
"""Which kinds of crop are kept: all; then those that are not of a role, role by role. Shape (1 + roles, kinds)."""


@dataclass(frozen=True)
class CropAugment:
    """How strongly crops are changed; each number is the end of a range around no change.

    Contrast is changed series by series, place crop by crop. Nothing is mirrored: both views look from the near side.
    """

    gain_log: float = 0.25
    offset: float = 0.4
    """In normalised units (the middle 96 % of a series span 4)."""
    bend: float = 0.35
    """Bend of the intensity curve: share of the square that is added."""
    noise: float = 0.3
    """Largest standard deviation of the noise."""
    blur_px: float = 1.0
    blur_share: float = 0.3
    """Share of series that are blurred."""
    shift_px: int = 3
    """Rows and columns that a crop is shifted by."""
    turn_deg: float = 0.0
    """Turn of a crop in its plane."""
    zoom_log: float = 0.0
    """Zoom of a crop, as a logarithm."""

    def __post_init__(self) -> None:
        ends = (self.gain_log, self.offset, self.bend, self.noise, self.blur_px, self.shift_px)
        if min(*ends, self.turn_deg, self.zoom_log) < 0:
            msg = f"augment settings must not be below 0, got {self}"
            raise ValueError(msg)
        if not 0 <= self.blur_share <= 1:
            msg = f"blur_share must be from 0 to 1, got {self.blur_share}"
            raise ValueError(msg)


def grader_batches(crops: CropSet, fit: FitConfig, augment: CropAugment | None) -> SeededBatches:
    """Return batches of levels; without ``augment`` every level once, in order, as it is."""

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def sample(place: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
            stored, present, severities = crops.level(place)
            values = as_values(stored)
            if augment is not None:
                values = changed(values, present, augment, np.random.default_rng([fit.seed, epoch, place]))
            return values, present, severities

        def make(at: NDArray[np.int64], _: int) -> Batch:
            values, present, severities = zip(*map(sample, at.tolist()), strict=True)
            return {
                "input": torch.from_numpy(np.stack(values)),
                "extra": torch.from_numpy(np.stack(present).astype(np.float32)),
                "target": torch.from_numpy(np.stack(severities)),
            }

        n = len(crops)
        return (np.arange(n) if augment is None else shuffled(n, fit.seed, epoch)), make

    return SeededBatches(len(crops), fit, begin, whole=augment is not None)


def changed(
    crops: NDArray[np.float32],
    present: NDArray[np.bool_],
    config: CropAugment,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return crops of one level, changed; absent ones are zero.

    Parameters
    ----------
    crops : ndarray of shape (sides, kinds, slices, rows, columns), float32
    present : ndarray of shape (sides, kinds), bool
    config : CropAugment
    rng : numpy.random.Generator
    """
    out = crops.copy()
    for role in Role:
        kinds = ~LEFT_OUT[1 + list(Role).index(role)]
        out[:, kinds] = recoloured(out[:, kinds], config, rng)
    for side, kind in np.ndindex(*present.shape):
        out[side, kind] = _shifted(out[side, kind], rng.integers(-config.shift_px, config.shift_px + 1, 2))
        if config.turn_deg or config.zoom_log:
            out[side, kind] = _turned(out[side, kind], config, rng)
    out[~present] = 0
    return out


class EveryPattern(nn.Module):
    """Answers each level with all its series and without each of them; the crops are looked at once."""

    def __init__(self, net: LevelGrader | LevelFusion) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor, present: Tensor) -> Tensor:
        """Return logits, shape (n, patterns, cells, severities), the patterns as :data:`LEFT_OUT`."""
        features = self.net.features(crops)
        kept = present.new_tensor(LEFT_OUT)
        return torch.stack([self.net.answer(features, present * one) for one in kept], dim=1)


def every_pattern_loss(output: Tensor, batch: Batch) -> Tensor:
    """Return the loss of :class:`EveryPattern`: all series count as much as those with one left out together."""
    whole, *without = [grader_loss(one, batch) for one in output.unbind(dim=1)]
    return (whole + torch.stack(without).mean()) / 2


def grader_loss(output: Tensor, batch: Batch) -> Tensor:
    """Return the :func:`~stenograde.train.loop.loss.condition_loss` of the cells of levels."""
    sizes = [cells.stop - cells.start for cells in CELLS_OF_CONDITIONS]
    return condition_loss(output, batch["target"], sizes)


def recoloured(
    crops: NDArray[np.float32], config: CropAugment, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return crops of one series with another contrast and more noise.

    Parameters
    ----------
    crops : ndarray of shape (sides, kinds, slices, rows, columns), float32
    config : CropAugment
    rng : numpy.random.Generator
    """
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


def _turned(crop: NDArray[np.float32], config: CropAugment, rng: np.random.Generator) -> NDArray[np.float32]:
    """Turn and zoom a crop (slices, rows, columns) about its middle, in the plane of its slices."""
    import cv2  # noqa: PLC0415  what turns nothing does not need it

    turn = float(rng.uniform(-config.turn_deg, config.turn_deg))
    zoom = float(np.exp(rng.uniform(-config.zoom_log, config.zoom_log)))
    rows, columns = crop.shape[1:]
    how = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), turn, zoom)
    return np.stack(
        [cv2.warpAffine(one, how, (columns, rows), borderMode=cv2.BORDER_REPLICATE) for one in crop]
    )
