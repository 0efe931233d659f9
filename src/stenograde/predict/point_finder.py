"""The net of a bundle that looks for the points of cells where readers mark them; run without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.errors import BundleError
from stenograde.grades import Point
from stenograde.levels.crop import CropConfig
from stenograde.levels.point_views import PointView
from stenograde.predict.weight_files import WeightFile, open_graph
from stenograde.terms import LUMBAR_MRI, Cell, Condition

if TYPE_CHECKING:
    import onnxruntime

CROPS, ASKED, PLACES = "crops", "asked", "places_mm"
"""Names of what a point finder's graph takes and gives."""

N_ASKED = len(Condition) + len(LUMBAR_MRI.levels)
"""Width of :func:`asked_of`."""


@dataclass(frozen=True)
class PointFinderEntry:
    """The net of a bundle that looks for the points of cells where the readers of its training marked them."""

    onnx: WeightFile
    weights: WeightFile
    """Safetensors, for more training."""
    far_mm: Mapping[str, float]
    """By condition that it is asked for: a point that it moves farther than this is not taken from it."""
    crops: CropConfig = field(default_factory=CropConfig)

    def __post_init__(self) -> None:
        if not self.far_mm or not set(self.far_mm) <= set(Condition) or min(self.far_mm.values()) <= 0:
            msg = f"far_mm must be above 0 for one condition or more of {', '.join(Condition)}, got {self.far_mm}"
            raise ValueError(msg)


def open_point_finder(folder: Path, entry: PointFinderEntry) -> onnxruntime.InferenceSession:
    """Open a point finder's graph and check what it takes and gives.

    Raises
    ------
    BundleError
        If it is no graph of a point finder for these crops.
    """
    session = open_graph(folder / entry.onnx.file)
    taken = {one.name: one.shape[1:] for one in session.get_inputs()}
    wanted = {CROPS: list(entry.crops.shape), ASKED: [N_ASKED]}
    given = [one.name for one in session.get_outputs()]
    if taken != wanted or given != [PLACES]:
        msg = (
            f"{entry.onnx.file} must take {wanted} and give {PLACES}, got {taken} and {', '.join(given)}; use a bundle "
            "made for this version"
        )
        raise BundleError(msg)
    return session


def asked_of(cells: Sequence[Cell]) -> NDArray[np.float32]:
    """Return what is asked of the view of each cell: its condition, then its level, one-hot; shape (n, N_ASKED)."""
    conditions = [tuple(Condition).index(cell.condition) for cell in cells]
    levels = [LUMBAR_MRI.levels.index(cell.level) for cell in cells]
    of_conditions, of_levels = np.eye(len(Condition))[conditions], np.eye(len(LUMBAR_MRI.levels))[levels]
    return np.concatenate([of_conditions, of_levels], axis=1).astype(np.float32)


def believed(
    cells: Sequence[Cell],
    views: Sequence[PointView],
    places_mm: NDArray[np.floating],
    expected: Mapping[Cell, Point],
    far_mm: Mapping[str, float],
) -> dict[Cell, Point]:
    """Return the points that a finder has found, without those too far from where they are expected.

    Parameters
    ----------
    cells : sequence of Cell
    views : sequence of PointView
    places_mm : ndarray of shape (n, 3)
        Along slices, rows and columns of each view.
    expected : mapping
        Where each cell's point is expected.
    far_mm : mapping
        By condition.
    """
    found = {
        cell: view.grid.point_at(np.asarray(place, np.float64))
        for cell, view, place in zip(cells, views, places_mm, strict=True)
    }
    return {
        cell: point
        for cell, point in found.items()
        if geometry.distance_mm(point, expected[cell]) <= far_mm[cell.condition.value]
    }
