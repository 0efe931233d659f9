"""What a cell's point is looked for in: one crop of the series in which readers of RSNA 2024 marked it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.levels.cell_points import PointedLevel
from stenograde.levels.crop import CropConfig, CropGrid, CropKind, crop_levels
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side

MARKED_IN: Final[Mapping[Condition, CropKind]] = {
    Condition.SPINAL_CANAL_STENOSIS: CropKind.CANAL_T2,
    Condition.NEURAL_FORAMINAL_NARROWING: CropKind.FORAMEN_T1,
    Condition.SUBARTICULAR_STENOSIS: CropKind.AXIAL_T2,
}
"""Crop that shows where a condition's point is marked."""


@dataclass(frozen=True, eq=False)
class PointView:
    """A crop about the place where a cell's point is expected, from the cell's own side; the canal's is from the left.

    So a right foramen or recess looks as a left one does, and its mirror image is never taken for the other side.
    """

    values: NDArray[np.float32]
    """Shape (slices, rows, columns), normalised as crops are."""
    grid: CropGrid


def point_views(
    study: Study, levels: Mapping[Level, PointedLevel], config: CropConfig
) -> dict[Cell, PointView]:
    """Cut the view of every cell that its series shows.

    Parameters
    ----------
    study : Study
    levels : mapping
        Where each level lies.
    config : CropConfig

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    """
    cut = crop_levels(study, levels, config)
    sides, kinds = tuple(Side), tuple(CropKind)
    views = {}
    for i, level in enumerate(cut.levels):
        for cell in LUMBAR_MRI.at(level):
            side, kind = cell.side or Side.LEFT, MARKED_IN[cell.condition]
            j, k = sides.index(side), kinds.index(kind)
            if cut.present[i, j, k]:
                views[cell] = PointView(cut.values[i, j, k], cut.grids[level, side, kind])
    return views
