"""Small heads on the middle maps of a frozen encoder, which answer for some conditions in the grader's place; no torch.

A head starts from how common each severity is at a level and moves the odds along one direction of the features, one
step for moderate and two for severe (an adjacent-category logit): without a picture it says the level's share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.errors import BundleError
from stenograde.grades import Probabilities
from stenograde.levels.crop import CropConfig, CropKind, LevelCrops, PlacedLevel, crop_levels
from stenograde.levels.crop_noise import noise_of
from stenograde.predict.grader import Judged
from stenograde.predict.middle_maps import MiddleMapsEntry, features_of
from stenograde.predict.weight_files import WeightFile
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Severity, Side

if TYPE_CHECKING:
    import onnxruntime

RANGE = 2.5
"""Normalised value of a crop that is shown to the encoder as white, and its negative as black."""

STEPS = np.arange(len(Severity), dtype=np.float64)
"""How far each severity is moved along a head's direction."""


@dataclass(frozen=True)
class FixedHeadsEntry:
    """The heads of a bundle."""

    heads: WeightFile
    """Arrays of every head: a NumPy archive, read without pickle."""
    reads: Mapping[str, CropKind]
    """Conditions that the heads answer for, and which crops each reads; the grader answers for the others."""
    usual_below: Mapping[str, float]
    """Limit of strangeness by condition: a crop stranger than that is unlike those that the head was fitted to."""
    noise_below: Mapping[str, float]
    """Noise above which a crop is too noisy, by condition."""
    grid: int
    """Rows and columns that the maps are averaged to."""
    crops: CropConfig = field(default_factory=CropConfig)

    def __post_init__(self) -> None:
        wanted = set(self.reads)
        if not wanted or wanted - set(Condition):
            msg = f"reads must name some of {', '.join(Condition)}, got {', '.join(self.reads) or 'none'}"
            raise ValueError(msg)
        if self.grid < 1 or set(self.usual_below) != wanted or set(self.noise_below) != wanted:
            msg = f"fixed heads need a grid of 1 or more, and both limits for {', '.join(self.reads)}"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class Head:
    """A head; its features are those of :func:`crop_features`."""

    usual: NDArray[np.float32]
    """Mean of the features at each level, shape (levels, features)."""
    spread: NDArray[np.float32]
    """Standard deviation of the features about it, shape (features,)."""
    weights: NDArray[np.float32]
    """Shape (features,)."""
    shifts: NDArray[np.float64]
    """What is added to the logit of each severity, shape (severities,)."""
    shares: NDArray[np.float64]
    """How common each severity is at each level, shape (levels, severities)."""

    def __post_init__(self) -> None:
        n = len(self.weights)
        got = {one.name: getattr(self, one.name).shape for one in fields(self)}
        wanted = {
            "usual": (len(LUMBAR_MRI.levels), n),
            "spread": (n,),
            "weights": (n,),
            "shifts": (len(Severity),),
            "shares": (len(LUMBAR_MRI.levels), len(Severity)),
        }
        if got != wanted or not n:
            msg = f"a head must have arrays of shapes {wanted}, got {got}"
            raise ValueError(msg)
        if (
            not all(np.isfinite(getattr(self, name)).all() for name in wanted)
            or min(self.shares.min(), self.spread.min()) <= 0
        ):
            msg = "a head must hold finite numbers, with shares and spread above 0"
            raise ValueError(msg)

    def off_usual(self, features: NDArray[np.float32], levels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return how far features (n, features) lie from the usual ones of their levels, in units of their spread."""
        return (features - self.usual[levels]) / self.spread

    def probabilities(self, off: NDArray[np.float32], levels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return probabilities (n, severities) from what :meth:`off_usual` gives."""
        return answered((off @ self.weights).astype(np.float64), self.shifts, self.shares[levels])


def answered(
    scores: NDArray[np.float64], shifts: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return probabilities, shape (n, severities), from scores (n,), shifts (severities,) and shares (n, severities).

    By Bayes' rule: shares of another population can be put in place of those of the one that was fitted to.
    """
    return np.asarray(scipy.special.softmax(np.log(shares) + shifts + scores[:, None] * STEPS, axis=1))


def crop_features(
    crops: NDArray[np.float32],
    grid: int,
    maps: tuple[onnxruntime.InferenceSession, MiddleMapsEntry],
) -> NDArray[np.float32]:
    """Return the features of crops, the mean over their slices.

    Parameters
    ----------
    crops : ndarray of shape (levels, sides, slices, rows, columns), float32
        Normalised values of one kind of crop.
    grid : int
        Rows and columns that the maps are averaged to.
    maps : tuple
        The frozen encoder and its entry.

    Returns
    -------
    features : ndarray of shape (levels, sides, channels times grid times grid), float32
    """
    shown = np.clip(crops / np.float32(RANGE), -1, 1).reshape(-1, *crops.shape[3:])
    features = features_of(*maps, shown, grid).reshape(*crops.shape[:3], -1)
    return features.mean(axis=2)


def strangeness_of(off: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how unlike the others of its study each crop is, about 1 for usual ones, shape (levels, sides).

    What all crops of a study share is how it was acquired, and no reason to doubt one of them.

    Parameters
    ----------
    off : ndarray of shape (levels, sides, features), float32
        What :meth:`Head.off_usual` gives.
    present : ndarray of shape (levels, sides), bool
    """
    if not present.any():
        return np.zeros(present.shape)
    apart = off - off[present].mean(axis=0)
    return np.asarray(np.sqrt(np.square(apart, dtype=np.float64).mean(axis=2)))


def open_fixed_heads(folder: Path, entry: FixedHeadsEntry, channels: int) -> dict[Condition, Head]:
    """Read the heads of a bundle and check their shapes.

    Raises
    ------
    BundleError
        If one is missing, or does not fit ``channels`` maps on the grid.
    """
    heads = {}
    try:
        with np.load(folder / entry.heads.file, allow_pickle=False) as stored:
            for name in entry.reads:
                arrays = {one.name: stored[f"{name}.{one.name}"] for one in fields(Head)}
                kept = {part: (np.float64 if part in {"shifts", "shares"} else np.float32) for part in arrays}
                heads[Condition(name)] = Head(**{part: arrays[part].astype(kept[part]) for part in arrays})
    except (OSError, ValueError, KeyError, BadZipFile) as exc:
        msg = f"{entry.heads.file} must hold a head for {', '.join(entry.reads)}, got: {exc}; copy the bundle again"
        raise BundleError(msg) from exc
    wanted = channels * entry.grid**2
    for condition, head in heads.items():
        if len(head.weights) != wanted:
            msg = (
                f"{entry.heads.file} must have {wanted} weights for {condition.shown}, as the maps have {channels} "
                f"channels on {entry.grid} x {entry.grid}, got {len(head.weights)}; use a bundle made for this version"
            )
            raise BundleError(msg)
    return heads


def judge_by_heads(
    study: Study,
    points: Mapping[Level, PlacedLevel],
    entry: FixedHeadsEntry,
    heads: Mapping[Condition, Head],
    maps: tuple[onnxruntime.InferenceSession, MiddleMapsEntry],
) -> dict[Cell, Judged]:
    """Judge the cells of the heads' conditions at the levels given.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If the encoder says what is no number.
    """
    roles = {kind.role for kind in entry.reads.values()}
    read = replace(study, series=tuple(one for one in study.series if one.role in roles))
    crops = crop_levels(read, points, entry.crops)
    if not crops.levels:
        return {}
    levels = np.array([LUMBAR_MRI.levels.index(level) for level in crops.levels])
    judged: dict[Cell, Judged] = {}
    for kind in sorted(set(entry.reads.values())):
        k = tuple(CropKind).index(kind)
        features = crop_features(crops.values[:, :, k], entry.grid, maps)
        noise = noise_of(crops.values[:, :, k])
        for condition in (Condition(name) for name, its in entry.reads.items() if its is kind):
            seen = _Seen(crops, kind, heads[condition], features, noise)
            judged |= _judged(condition, levels, seen, entry)
    return judged


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one kind of crop shows a head."""

    crops: LevelCrops
    kind: CropKind
    head: Head
    features: NDArray[np.float32]
    noise: NDArray[np.float64]


def _judged(
    condition: Condition, levels: NDArray[np.int64], seen: _Seen, entry: FixedHeadsEntry
) -> dict[Cell, Judged]:
    """Answer for the cells of one condition; those without a side by the mean over both views."""
    present = seen.crops.present[:, :, tuple(CropKind).index(seen.kind)]
    off = seen.head.off_usual(seen.features, levels[:, None])
    strangeness = strangeness_of(off, present)
    judged = {}
    for cell in LUMBAR_MRI.of(condition):
        if cell.level not in seen.crops.levels:
            continue
        i = seen.crops.levels.index(cell.level)
        sides = list(Side) if cell.side is None else [cell.side]
        places = [tuple(Side).index(side) for side in sides]
        there = present[i, places]
        read = np.where(there[:, None], off[i, places], 0).mean(axis=0, keepdims=True)
        if there.any():
            said = Probabilities(seen.head.probabilities(read, levels[[i]])[0])
        else:
            said = Probabilities(seen.head.shares[levels[i]])
        if there.all():
            worst = float(seen.noise[i, places].max()), float(strangeness[i, places].max())
            doubt = _poor(cell, seen.kind, *worst, entry)
        else:
            doubt = seen.crops.reasons[cell.level, sides[int(np.argmin(there))], seen.kind]
        judged[cell] = Judged(said, doubt)
    return judged


def _poor(cell: Cell, kind: CropKind, noise: float, strangeness: float, entry: FixedHeadsEntry) -> str:
    """Why the crops that show a cell are not to be relied on; empty when they are."""
    name = cell.condition.value
    pictures = f"the {kind.role.shown} pictures at {cell.level.shown}"
    if noise > entry.noise_below[name]:
        return (
            f"{pictures} are noisier than any that the heads were fitted to (noise {noise:.2f}, limit "
            f"{entry.noise_below[name]:.2f}; the series' range is 4)"
        )
    if strangeness > entry.usual_below[name]:
        return (
            f"{pictures} are unlike those that the heads were fitted to (strangeness {strangeness:.2f}, usual below "
            f"{entry.usual_below[name]:.2f}): motion, noise, metal or anatomy they do not know"
        )
    return ""
