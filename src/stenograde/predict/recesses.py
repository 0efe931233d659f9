"""Heights of the lateral recesses on axial slices, as a small net outlines them beside tissues; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.grades import Measurement
from stenograde.levels.crop import PlacedLevel
from stenograde.levels.rooms import RecessModel, RoomTissue, RoomView, recesses_of
from stenograde.levels.slices import slice_through
from stenograde.predict.room_net import MeasuredCell, Place, maps_of, views_in
from stenograde.predict.weight_files import WeightFile
from stenograde.study import Study
from stenograde.terms import Cell, Condition, Level, Plane, Quantity, Role

if TYPE_CHECKING:
    import onnxruntime

HEADLINE: Final = "## Second opinion on recesses"
"""Headline of the section of a card that tells of it."""

SOURCE: Final = "the recess's height on axial slices"
"""How a recess's second opinion is named."""

MAX_AWAY_MM = 4.0
"""A slice farther from a level's middle shows another height."""


@dataclass(frozen=True)
class RecessesEntry:
    """The net of a bundle that outlines recesses and tells tissues of axial slices apart, and what heights mean."""

    onnx: WeightFile
    view: RoomView = field(default_factory=lambda: RoomView(size_px=112))
    model: RecessModel = field(default_factory=RecessModel)


@dataclass(frozen=True, eq=False)
class AxialTissues:
    """What the net tells apart on the slice that shows a level's canal best."""

    maps: NDArray[np.float32]
    """Probability of each :class:`~stenograde.levels.rooms.RoomTissue` and of a recess, shape (maps, rows, columns)."""
    place: Place
    view: RoomView

    def fat_over_nerve(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much surer fat is than nerve at points, (n, 3), LPS mm; -1 beyond the view."""
        more = self.maps[RoomTissue.FAT] - self.maps[RoomTissue.NERVE]
        at = self.place.to_view(points, self.view)
        return np.asarray(scipy.ndimage.map_coordinates(more, at.T, order=1, mode="constant", cval=-1.0))


def look_at_levels(
    study: Study,
    levels: Mapping[Level, PlacedLevel],
    entry: RecessesEntry,
    session: onnxruntime.InferenceSession,
) -> dict[Level, AxialTissues]:
    """Tell tissues apart on the slice of axial T2 that shows each level's canal best.

    Parameters
    ----------
    study : Study
    levels : mapping
        Where each level lies.
    entry, session
        The bundle's net.

    Returns
    -------
    tissues : dict
        By level; those that no slice shows are left out.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If the net says what is no number.
    """
    series = study.by_role(Role.AXIAL_T2)
    found: dict[Level, AxialTissues] = {}
    if series is None:
        return found
    for level, point in levels.items():
        seen = slice_through(series, point.canal_centre, point.up)
        if seen is None or seen.away_mm > MAX_AWAY_MM:
            continue
        wanted = [(seen.slice, point.canal_centre)]
        (crop,), (place,) = views_in(seen.volume, Plane.AXIAL, wanted, entry.view)
        # seen from both sides, so that mirroring the patient swaps the recesses and changes nothing else
        straight, turned = maps_of(session, entry.onnx, np.stack([crop, crop[:, ::-1]]))
        found[level] = AxialTissues((straight + turned[:, :, ::-1]) / 2, place, entry.view)
    return found


def measure_recesses(tissues: Mapping[Level, AxialTissues], entry: RecessesEntry) -> dict[Cell, MeasuredCell]:
    """Measure the recesses at each level, where a sac is seen."""
    found: dict[Cell, MeasuredCell] = {}
    for level, seen in tissues.items():
        for side, recess in recesses_of(seen.maps, entry.view.grid_mm).items():
            outline = () if recess.outline is None else seen.place.to_patient(recess.outline, entry.view)
            height = Measurement(Quantity.RECESS_HEIGHT, level, recess.height_mm, outline)
            said = entry.model.probabilities(recess.height_mm)
            found[Cell(Condition.SUBARTICULAR_STENOSIS, level, side)] = MeasuredCell((height,), said)
    return found
