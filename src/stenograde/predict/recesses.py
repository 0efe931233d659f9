"""Heights of the lateral recesses on axial slices, from tissues that a small net tells apart; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from stenograde.grades import Measurement
from stenograde.levels.crop import PlacedLevel
from stenograde.levels.rooms import RecessModel, RoomView, recesses_of
from stenograde.levels.slices import slice_through
from stenograde.predict.room_net import MeasuredCell, maps_of, views_in
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
    """The net of a bundle that tells tissues of axial slices apart, and what heights mean."""

    onnx: WeightFile
    view: RoomView = field(default_factory=lambda: RoomView(size_px=112))
    model: RecessModel = field(default_factory=RecessModel)


def measure_recesses(
    study: Study,
    levels: Mapping[Level, PlacedLevel],
    entry: RecessesEntry,
    session: onnxruntime.InferenceSession,
) -> dict[Cell, MeasuredCell]:
    """Measure the recesses that axial T2 shows.

    Parameters
    ----------
    study : Study
    levels : mapping
        Where each level lies.
    entry, session
        The bundle's net.

    Returns
    -------
    measured : dict
        What could be measured, by cell, on the slice that shows the level's canal best.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If the net says what is no number.
    """
    series = study.by_role(Role.AXIAL_T2)
    found: dict[Cell, MeasuredCell] = {}
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
        maps = (straight + turned[:, :, ::-1]) / 2
        for side, recess in recesses_of(maps, entry.view.grid_mm).items():
            outline = () if recess.outline is None else place.to_patient(recess.outline, entry.view)
            height = Measurement(Quantity.RECESS_HEIGHT, level, recess.height_mm, outline)
            said = entry.model.probabilities(recess.height_mm)
            found[Cell(Condition.SUBARTICULAR_STENOSIS, level, side)] = MeasuredCell((height,), said)
    return found
