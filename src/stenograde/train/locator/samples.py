"""Samples and loss of the locator: slices with whole or partial masks to batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from stenograde.datasets.marked_slice import NOT_VERTEBRA, UNKNOWN, MarkedSlice
from stenograde.nets.locator import N_CLASSES, N_HEAT_MAPS
from stenograde.terms import Structure
from stenograde.train.locator import augment
from stenograde.train.loop.batches import Make, SeededBatches
from stenograde.train.loop.fit_config import Batch, FitConfig

MIN_DISC_MM2 = 40.0
"""Smaller pieces of disc are no disc of their own, mm²."""

SAME_DISC_MM = 14.0
"""Pieces of disc nearer than this, centre to centre along the spine, are one disc, mm."""

HEAT_SIGMA_MM = 4.0
"""Width of a disc's peak in a heat map, mm."""


@dataclass(frozen=True, eq=False)
class _Prepared:
    picture: NDArray[np.float32]
    marks: NDArray[np.uint8]
    """Mask, then disc instances numbered from the lowest; shape (2, rows, columns)."""
    spacing_mm: tuple[float, float]
    has_discs: bool
    weight: float


def disc_instances(mask: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> NDArray[np.uint8]:
    """Give each disc of a mask (rows, columns) a number, from the lowest (1) upwards, shared by its pieces."""
    labels, n = ndimage.label(mask == Structure.DISC.code)
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]
    numbers = range(1, n + 1)
    areas = ndimage.sum_labels(np.ones_like(labels), labels, numbers) * pixel_mm2
    centres = ndimage.center_of_mass(np.ones_like(labels), labels, numbers)
    pieces = sorted(
        (
            (row * spacing_mm[0], number)
            for number, area, (row, _) in zip(numbers, areas, centres, strict=True)
            if area >= MIN_DISC_MM2
        ),
        reverse=True,
    )
    instances = np.zeros(mask.shape, np.uint8)
    last, disc = np.inf, 0
    for row_mm, number in pieces:
        disc += last - row_mm > SAME_DISC_MM
        last = row_mm
        instances[labels == number] = disc
    return instances


class LocatorSamples:
    """Augmented crops, indexed by (epoch, index); the same pair gives the same crop.

    Parameters
    ----------
    slices : sequence of MarkedSlice
        With masks.
    weights : sequence of float
        How much each slice counts in the loss (pseudo-labels less).
    in_turn : sequence of MarkedSlice, optional
        More slices with masks, of which each epoch shows the next ``turn``.
    turn : int
    """

    def __init__(
        self,
        slices: Sequence[MarkedSlice],
        weights: Sequence[float],
        config: augment.AugmentConfig,
        *,
        grid_mm: float,
        seed: int,
        in_turn: Sequence[MarkedSlice] = (),
        turn: int = 0,
    ) -> None:
        self.config, self.grid_mm, self.seed = config, grid_mm, seed
        self.always = [_prepare(one, weight) for one, weight in zip(slices, weights, strict=True)]
        order = np.random.default_rng(seed).permutation(len(in_turn))
        self.in_turn = [_prepare(in_turn[k], 1.0) for k in order]
        self.turn = turn if in_turn else 0

    def __len__(self) -> int:
        return len(self.always) + self.turn

    def __getitem__(self, at: tuple[int, int]) -> dict[str, Tensor]:
        """Return input (1, rows, columns), mask, heat (2, rows, columns), heat_known and weight."""
        epoch, index = at
        one = self._slice(epoch, index)
        rng = np.random.default_rng([self.seed, epoch, index])
        change = augment.sample(rng, self.config)
        picture, marks = augment.apply(
            change, one.picture, one.marks, one.spacing_mm, grid_mm=self.grid_mm, size_px=self.config.size_px
        )
        heat = heat_maps(marks[1], self.grid_mm)
        return {
            "input": torch.from_numpy(picture[None]),
            "mask": torch.from_numpy(marks[0].astype(np.int64)),
            "heat": torch.from_numpy(heat),
            "heat_known": torch.tensor(float(one.has_discs)),
            "weight": torch.tensor(one.weight),
        }

    def _slice(self, epoch: int, index: int) -> _Prepared:
        if index < len(self.always):
            return self.always[index]
        return self.in_turn[(epoch * self.turn + index - len(self.always)) % len(self.in_turn)]


def locator_batches(samples: LocatorSamples, how: FitConfig) -> SeededBatches:
    """Return shuffled batches of augmented crops."""

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def make(at: NDArray[np.int64], _: int) -> Batch:
            chosen = [samples[epoch, index] for index in at.tolist()]
            return {name: torch.stack([one[name] for one in chosen]) for name in chosen[0]}

        generator = torch.Generator().manual_seed(how.seed * 10_007 + epoch)
        return torch.randperm(len(samples), generator=generator).numpy(), make

    return SeededBatches(len(samples), how, begin)


def heat_maps(instances: NDArray[np.uint8], grid_mm: float) -> NDArray[np.float32]:
    """Return peaks at disc centres, then at the lumbosacral disc's; shape (2, rows, columns), float32."""
    rows, columns = instances.shape
    areas = np.bincount(instances.ravel(), minlength=256) * grid_mm**2
    discs = [disc for disc in range(1, 256) if areas[disc] >= MIN_DISC_MM2]
    centres = ndimage.center_of_mass(np.ones_like(instances), instances, discs)
    heat = np.zeros((N_HEAT_MAPS, rows, columns), np.float32)
    for disc, (row, column) in zip(discs, centres, strict=True):
        down = np.exp(-((np.arange(rows) - row) ** 2) * grid_mm**2 / (2 * HEAT_SIGMA_MM**2))
        across = np.exp(-((np.arange(columns) - column) ** 2) * grid_mm**2 / (2 * HEAT_SIGMA_MM**2))
        peak = np.outer(down, across).astype(np.float32)
        heat[0] = np.maximum(heat[0], peak)
        if disc == 1:
            heat[1] = peak
    return heat


def loss_of(output: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Return cross-entropy with partial labels, soft Dice and heat-map loss, each per slice, weighted.

    The output has shape (batch, classes + heat maps, rows, columns); the batch is of :class:`LocatorSamples`.
    """
    classes, heat = output[:, :N_CLASSES], output[:, N_CLASSES:]
    mask, weight = batch["mask"], batch["weight"]
    log_p = functional.log_softmax(classes, dim=1)
    vertebra = Structure.VERTEBRA.code
    full = mask < N_CLASSES
    other = torch.log1p(-log_p[:, vertebra].exp().clamp(max=1 - 1e-4))
    known = torch.gather(log_p, 1, torch.where(full, mask, 0)[:, None])[:, 0]
    cross = -torch.where(full, known, torch.where(mask == NOT_VERTEBRA, other, 0.0))
    counted = (mask != UNKNOWN).sum(dim=(1, 2)).clamp(min=1)
    cross_entropy = cross.sum(dim=(1, 2)) / counted

    p = log_p.exp() * full[:, None]
    truth = functional.one_hot(torch.where(full, mask, 0), N_CLASSES).permute(0, 3, 1, 2) * full[:, None]
    overlap = 2 * (p * truth).sum(dim=(2, 3)) + 50.0
    size = (p + truth).sum(dim=(2, 3)) + 50.0
    has_all = batch["heat_known"]
    dice = (1 - overlap / size)[:, 1:].mean(dim=1) * has_all

    target = batch["heat"]
    heat_error = functional.binary_cross_entropy_with_logits(heat, target, reduction="none")
    floor = functional.binary_cross_entropy(target, target, reduction="none")
    inside = (mask != UNKNOWN)[:, None]
    heat_loss = ((heat_error - floor) * (1 + 10 * target) * inside).mean(dim=(1, 2, 3)) * has_all
    return ((cross_entropy + 0.5 * dice + 3 * heat_loss) * weight).mean()


def _prepare(one: MarkedSlice, weight: float) -> _Prepared:
    if one.mask is None:
        msg = f"slice {one.name} must have a mask to be trained on, got none"
        raise ValueError(msg)
    has_discs = not bool((one.mask == NOT_VERTEBRA).any())
    instances = disc_instances(one.mask, one.spacing_mm)
    return _Prepared(one.picture, np.stack([one.mask, instances]), one.spacing_mm, has_discs, weight)
