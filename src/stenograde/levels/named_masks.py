"""The locator's masks taken apart into single vertebrae and discs, named after the discs of the chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import watershed

from stenograde import geometry
from stenograde.levels.outlines import vertebra_names
from stenograde.levels.points import LevelPoints
from stenograde.terms import Structure

SEED_MM = 8.0
"""What lies this near to the middle of a disc or of a vertebral body is of it, mm: a body is 27 mm high, so that the
middles of neighbours of one kind lie at least 18 mm apart (see :data:`stenograde.levels.discs.PITCH_MM`)."""

SACRUM = "S1"
"""Name of what is marked as a vertebra below the lumbosacral disc."""


@dataclass(frozen=True)
class NamedStructure:
    """One structure of a volume."""

    structure: Structure
    name: str
    """``L4`` of a vertebra, ``L4/L5`` of a disc; empty of the canal, and of pieces that belong to no named one."""


@dataclass(frozen=True, eq=False)
class NamedMasks:
    """Masks on a volume's own grid, taken apart.

    ``numbers`` has shape (slices, rows, columns), uint8: 0 background, else the place of a structure in ``structures``,
    counted from 1.
    """

    numbers: NDArray[np.uint8]
    structures: tuple[NamedStructure, ...]


def named_masks(masks: NDArray[np.uint8], affine: NDArray[np.float64], points: LevelPoints) -> NamedMasks:
    """Take the masks of a volume apart into named vertebrae and discs, and the canal.

    A voxel is of that disc or vertebra whose middle is reached first through voxels of its kind, so that a vertebra's
    arch is of its body. Each marked voxel is kept, and none is added: what is joined to no middle has no name.

    Parameters
    ----------
    masks : ndarray of shape (slices, rows, columns), uint8
        Values of :attr:`~stenograde.terms.Structure.code`.
    affine : ndarray of shape (4, 4), float64
        (slice, row, column) index to LPS mm.
    points : LevelPoints
        Levels that were found in the same volume.
    """
    numbers = np.zeros(masks.shape, np.uint8)
    found: list[NamedStructure] = []
    for structure in Structure:
        mask = masks == structure.code
        middles = list(_middles(points, structure))
        seeds = _seeds(mask, affine, [middle for _, middle in middles])
        flooded = watershed(np.zeros(mask.shape, np.uint8), seeds, mask=mask) if seeds.any() else seeds
        for place, name in enumerate([*(name for name, _ in middles), ""], start=1):
            here = flooded == place if name else mask & (flooded == 0)
            if here.any():
                found.append(NamedStructure(structure, name))
                numbers[here] = len(found)
    return NamedMasks(numbers, tuple(found))


def _middles(points: LevelPoints, structure: Structure) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Give the named structures of a kind and their middles, LPS mm, from the head down; none of the canal."""
    discs = points.chain.discs
    if structure is Structure.CANAL or not discs:
        return
    centres = points.surface.to_patient(np.array([disc.centre for disc in discs]))
    if structure is Structure.DISC:
        yield from reversed([(disc.name, centre) for disc, centre in zip(discs, centres, strict=True)])
        return
    if len(discs) < 2:
        return
    above = [*(centres[:-1] + centres[1:]) / 2, centres[-1] + (centres[-1] - centres[-2]) / 2]
    yield from reversed(list(zip(vertebra_names(points), above, strict=True)))
    yield SACRUM, centres[0] - (centres[1] - centres[0]) / 2


def _seeds(
    mask: NDArray[np.bool_], affine: NDArray[np.float64], middles: list[NDArray[np.float64]]
) -> NDArray[np.int32]:
    """Return where a mask lies near one of some points, numbered from 1; 0 elsewhere."""
    seeds = np.zeros(mask.shape, np.int32)
    spacing = np.array(geometry.spacing_mm(affine))
    for number, middle in enumerate(middles, start=1):
        at = geometry.to_index(affine, middle[None])[0]
        # slices are often farther apart than a seed is wide, and the middle lies between two of them
        reach = np.maximum(SEED_MM / spacing, [1.0, 0.0, 0.0])
        first = np.clip(np.floor(at - reach), 0, mask.shape).astype(int)
        last = np.clip(np.ceil(at + reach) + 1, 0, mask.shape).astype(int)
        box = tuple(slice(*ends) for ends in zip(first, last, strict=True))
        index = np.moveaxis(np.mgrid[box], 0, -1) - at
        near = np.hypot.reduce(index / reach, axis=-1) <= 1 if index.size else np.zeros(mask[box].shape, bool)
        seeds[box][near & mask[box] & (seeds[box] == 0)] = number
    return seeds
