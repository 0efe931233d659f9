"""What lies in each neural foramen on sagittal T1, outlined by a small net, and what its room says; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import Measurement, Point
from stenograde.levels.rooms import (
    ForamenModel,
    ForamenRoom,
    RoomView,
    enclosed,
    middle_of,
    outline_of,
    room_of,
)
from stenograde.levels.slices import seen_in
from stenograde.predict.room_net import MeasuredCell, Place, maps_of, views_in
from stenograde.predict.weight_files import WeightFile
from stenograde.study import Study, Volume
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Plane, Quantity, Role

if TYPE_CHECKING:
    import onnxruntime

HEADLINE: Final = "## Second opinion on foramina"
"""Headline of the section of a card that tells of it."""

SOURCE: Final = "the foramen's fat and root outlined on T1"
"""How a foramen's second opinion is named."""


@dataclass(frozen=True)
class ForaminaEntry:
    """The net of a bundle that outlines what lies in a foramen, and what its areas mean."""

    onnx: WeightFile
    usual: Mapping[str, ForamenRoom]
    """Medians of foramina without narrowing, as the net outlines them, by level."""
    view: RoomView = field(default_factory=RoomView)
    model: ForamenModel = field(default_factory=ForamenModel)

    def __post_init__(self) -> None:
        if set(self.usual) != set(LUMBAR_MRI.levels):
            msg = f"usual rooms must be of {', '.join(LUMBAR_MRI.levels)}, got {', '.join(self.usual) or 'none'}"
            raise ValueError(msg)
        for room in self.usual.values():
            if not min(room.fat_mm2, room.root_mm2) > 0:
                msg = f"usual areas must be above 0 mm2, got {room.fat_mm2}, {room.root_mm2}"
                raise ValueError(msg)


def measure_foramina(
    study: Study,
    where: Mapping[Cell, Point],
    entry: ForaminaEntry,
    session: onnxruntime.InferenceSession,
) -> dict[Cell, MeasuredCell]:
    """Measure the foramina that sagittal T1 shows.

    Parameters
    ----------
    study : Study
    where : mapping
        Points of cells, LPS mm; those of other conditions are passed over.
    entry, session
        The bundle's net.

    Returns
    -------
    measured : dict
        What could be measured, by cell: areas are means over the slices about the point, those that run between the
        pedicles most; outline and point are of the slice that does so most surely.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If the net says what is no number.
    """
    series = study.by_role(Role.SAGITTAL_T1)
    if series is None:
        return {}
    found: dict[Cell, MeasuredCell] = {}
    for volume in sorted(series.volumes, key=lambda one: one.shape[0]):
        cells = [
            cell
            for cell, point in where.items()
            if cell.condition is Condition.NEURAL_FORAMINAL_NARROWING and seen_in(volume, point) is not None
        ]
        found |= _in_volume(volume, {cell: where[cell] for cell in cells}, entry, session)
    return found


def _in_volume(
    volume: Volume,
    where: Mapping[Cell, Point],
    entry: ForaminaEntry,
    session: onnxruntime.InferenceSession,
) -> dict[Cell, MeasuredCell]:
    looks = [(cell, look) for cell, point in where.items() for look in _looks(volume, point)]
    if not looks:
        return {}
    wanted = [(look.slice, where[cell]) for cell, look in looks]
    crops, places = views_in(volume, Plane.SAGITTAL, wanted, entry.view)
    maps = maps_of(session, entry.onnx, crops)
    measured: dict[Cell, MeasuredCell] = {}
    for cell in where:
        own = [k for k, (one, _) in enumerate(looks) if one is cell]
        near = [looks[k][1].near for k in own]
        measured[cell] = _measured(cell, near, maps[own], [places[k] for k in own], entry)
    return measured


REACH_MM, SPREAD_MM = 9.0, 6.0
"""How far beside a point slices are looked at, and the standard deviation by which farther ones count less, mm."""

SURELY = 4
"""Power of how surely a slice runs between the pedicles by which it counts; with the spread chosen on phantoms."""

_LEAST = 0.05
"""A slice counts as if it ran between pedicles at least this surely, so that something is measured without any."""


@dataclass(frozen=True)
class _Look:
    """A slice about a point."""

    slice: int
    near: float
    """1 where the point lies in it, less farther away."""


def _looks(volume: Volume, point: Point) -> list[_Look]:
    """Return the slices about a point."""
    at = float(geometry.to_index(volume.affine, [point])[0][0])
    step_mm = geometry.spacing_mm(volume.affine)[0]
    reach = max(REACH_MM / step_mm, 1.0)
    first, last = max(0, int(np.ceil(at - reach))), min(volume.shape[0] - 1, int(np.floor(at + reach)))
    return [
        _Look(k, float(np.exp(-(((k - at) * step_mm / SPREAD_MM) ** 2) / 2))) for k in range(first, last + 1)
    ]


def _measured(
    cell: Cell,
    near: Sequence[float],
    maps: NDArray[np.float32],
    places: Sequence[Place],
    entry: ForaminaEntry,
) -> MeasuredCell:
    """Measure a foramen on slices about it, which are so near and lie at such places."""
    grid = entry.view.grid_mm
    weights = [
        one * max(enclosed(each, grid), _LEAST) ** SURELY for one, each in zip(near, maps, strict=True)
    ]
    room = ForamenRoom.mean([room_of(one, grid) for one in maps], weights)
    best = int(np.argmax(weights))
    line = outline_of(maps[best], grid)
    outline = () if line is None else places[best].to_patient(line, entry.view)
    # half way to the middle of what fills it: part of the way that it lies off is the net's own error
    half_way = (entry.view.size_px - 1) / 2 + np.array(middle_of(maps[best], grid)) / 2 / grid
    return MeasuredCell(
        (
            Measurement(Quantity.FORAMINAL_AREA, cell.level, room.area_mm2, outline),
            Measurement(Quantity.FORAMINAL_FAT_AREA, cell.level, room.fat_mm2, ()),
        ),
        entry.model.probabilities(room, entry.usual[cell.level.value]),
        places[best].to_patient(half_way[None], entry.view)[0],
    )
