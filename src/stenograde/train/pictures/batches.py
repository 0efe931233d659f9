"""Prepared pictures to batches: balanced, changed at random, brought to what a net takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stenograde.images.pictures import InputConfig
from stenograde.train.loop.batches import Make, SeededBatches
from stenograde.train.loop.fit_config import Batch, FitConfig
from stenograde.train.pictures.augment import (
    PictureAugment,
    apply_changes,
    sample_changes,
    swap_sides,
)


@dataclass(frozen=True)
class BatchConfig:
    """How training batches are drawn and changed."""

    input: InputConfig = field(default_factory=InputConfig)
    balance: Literal["none", "sampling", "augmentation"] = "none"
    """sampling draws equally many pictures of each class, with repeats, as many in all as there are; augmentation
    adds changed copies until each class has as many as the largest (seed document S1)."""
    augment: PictureAugment | None = field(default_factory=PictureAugment)
    """None leaves pictures as they are."""
    copies: Literal["every_epoch", "once"] = "every_epoch"
    """When changes are drawn; once gives a fixed set of changed copies, as in seed document S1."""
    side_classes: tuple[tuple[int, int], ...] = ()
    """Codes of left and right, swapped where a picture is mirrored."""
    side_extras: tuple[tuple[int, int], ...] = ()
    """Columns of the extra inputs for left and right, swapped where a picture is mirrored."""

    def __post_init__(self) -> None:
        if self.balance == "augmentation" and self.augment is None:
            msg = "balance 'augmentation' must have augment settings to make copies, got none"
            raise ValueError(msg)


def as_input(pictures: NDArray[np.uint8], config: InputConfig) -> Tensor:
    """Return pictures as a net takes them.

    Parameters
    ----------
    pictures : ndarray of shape (n, rows, columns), uint8
    config : InputConfig

    Returns
    -------
    inputs : tensor of shape (n, channels, rows, columns), float32
        Channels-last in memory.
    """
    n, rows, columns = pictures.shape
    flat = np.ascontiguousarray(pictures).reshape(n * rows, columns)
    grey = np.arange(256, dtype=np.float32) / np.float32(255)
    tables = {
        pair: (grey - np.float32(pair[0])) / np.float32(pair[1]) for pair in zip(*_each(config), strict=True)
    }
    # one look-up for each kind of channel, then the channels side by side
    maps = {pair: cv2.LUT(flat, table[None]) for pair, table in tables.items()}
    merged = cv2.merge([maps[pair] for pair in zip(*_each(config), strict=True)])
    return torch.from_numpy(merged.reshape(n, rows, columns, config.channels)).permute(0, 3, 1, 2)


def _each(config: InputConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each channel."""
    mean, std = (
        values if len(values) > 1 else values * config.channels for values in (config.mean, config.std)
    )
    return mean, std


def picture_batches(
    pictures: NDArray[np.uint8],
    targets: NDArray[np.int64] | NDArray[np.float32],
    config: BatchConfig,
    *,
    fit: FitConfig,
    extra: NDArray[np.float32] | None = None,
    weights: NDArray[np.float32] | None = None,
    also: NDArray[np.float32] | None = None,
) -> SeededBatches:
    """Return training batches: shuffled, balanced, changed.

    Parameters
    ----------
    pictures : ndarray of shape (n, rows, columns), uint8
        May be mapped from disk.
    targets : ndarray of shape (n,) or (n, k)
        Class codes (n,) of int64, none of them negative, or whatever else the loss takes.
    config : BatchConfig
    fit : FitConfig
        Its batch, seed and workers count.
    extra : ndarray of shape (n, f), float32, optional
        Inputs beside the picture.
    weights : ndarray of shape (n,), float32, optional
        How much each picture counts in the loss.
    also : ndarray of shape (n, k), float32, optional
        Answers of further questions, NaN where unknown; they have no side.

    Raises
    ------
    ValueError
        If lengths differ, or classes are to be balanced and targets are no class codes.
    """
    _check_lengths(pictures, targets, extra, weights, also)

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        rng = np.random.default_rng([fit.seed, epoch])
        places = _drawn(targets, config, rng)
        order = rng.permutation(len(places))
        changes = None
        if config.augment is not None:
            changes_rng = np.random.default_rng([fit.seed]) if config.copies == "once" else rng
            changes = sample_changes(changes_rng, len(places), config.augment)

        def make(chosen: NDArray[np.int64], _: int) -> Batch:
            at = places[chosen]
            seen, wanted = pictures[at], targets[at]
            beside = None if extra is None else extra[at]
            if changes is not None:
                own = changes.chosen(chosen)
                seen = apply_changes(own, seen)
                wanted = swap_sides(wanted, own.flipped, config.side_classes)
                beside = None if beside is None else swap_sides(beside, own.flipped, config.side_extras)
            rest = {"weight": weights, "also": also}
            others = {name: None if values is None else values[at] for name, values in rest.items()}
            return _as_batch(as_input(seen, config.input), wanted, {"extra": beside, **others})

        return order, make

    return SeededBatches(len(_drawn(targets, config, np.random.default_rng(0))), fit, begin)


def plain_batches(
    pictures: NDArray[np.uint8],
    targets: NDArray[np.int64] | NDArray[np.float32],
    config: InputConfig,
    *,
    batch: int,
    extra: NDArray[np.float32] | None = None,
) -> SeededBatches:
    """Return batches to check with: in every epoch each picture once, in order, as it is.

    Parameters
    ----------
    pictures : ndarray of shape (n, rows, columns), uint8
    targets : ndarray of shape (n,) or (n, k)
    config : InputConfig
    batch : int
        Pictures at once.
    extra : ndarray of shape (n, f), float32, optional
    """
    _check_lengths(pictures, targets, extra)

    def make(at: NDArray[np.int64], _: int) -> Batch:
        beside = None if extra is None else extra[at]
        return _as_batch(as_input(pictures[at], config), targets[at], {"extra": beside})

    fit = FitConfig(batch=batch, workers=0)
    return SeededBatches(len(pictures), fit, lambda _: (np.arange(len(pictures)), make), whole=False)


def _drawn(
    targets: NDArray[np.int64] | NDArray[np.float32], config: BatchConfig, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the places of an epoch's pictures, class by class, with repeats where classes are balanced."""
    if config.balance == "none":
        return np.arange(len(targets))
    if targets.ndim != 1 or targets.dtype.kind != "i" or targets.min() < 0:
        msg = f"targets must be class codes to be balanced, got shape {targets.shape} of {targets.dtype}"
        raise ValueError(msg)
    by_class = [np.flatnonzero(targets == code) for code in np.unique(targets)]
    if config.balance == "sampling":
        each = -(-len(targets) // len(by_class))
        return np.concatenate([rng.choice(places, each) for places in by_class])
    each = max(len(places) for places in by_class)
    return np.concatenate([np.resize(places, each) for places in by_class])


def _as_batch(
    inputs: Tensor,
    targets: NDArray[np.int64] | NDArray[np.float32],
    others: Mapping[str, NDArray[np.float32] | None],
) -> Batch:
    batch = {"input": inputs, "target": torch.from_numpy(np.ascontiguousarray(targets))}
    for name, values in others.items():
        if values is not None:
            batch[name] = torch.from_numpy(np.ascontiguousarray(values))
    return batch


def _check_lengths(pictures: NDArray[np.uint8], *others: NDArray[np.generic] | None) -> None:
    lengths = [len(other) for other in others if other is not None]
    if not len(pictures) or any(n != len(pictures) for n in lengths):
        msg = (
            f"there must be pictures, and as many targets, extras, weights and answers, "
            f"got {len(pictures)}, {lengths}"
        )
        raise ValueError(msg)
