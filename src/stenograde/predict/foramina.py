"""What lies in each neural foramen on sagittal T1, outlined by a small net, and what its room says; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stenograde import geometry
from stenograde.errors import BundleError
from stenograde.grades import Measurement, Point, Probabilities
from stenograde.images.orient import display_turn
from stenograde.levels.foramen_room import (
    ForamenModel,
    ForamenRoom,
    ForamenTissue,
    ForamenView,
    normalised,
    outline_of,
    room_of,
)
from stenograde.levels.slices import seen_in
from stenograde.predict.weight_files import WeightFile, check_said, open_graph
from stenograde.study import Study, Volume
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Plane, Quantity, Role

if TYPE_CHECKING:
    import onnxruntime

PICTURES, MAPS = "pictures", "maps"
"""Names of what the graph takes and gives."""

HEADLINE: Final = "## Second opinion on foramina"
"""Headline of the section of a card that tells of it."""

SOURCE: Final = "the foramen's fat and root outlined on T1"
"""How a foramen's second opinion is named."""


@dataclass(frozen=True)
class UsualRoom:
    """Medians of foramina without narrowing at a level, as the net outlines them, mm²."""

    fat_mm2: float
    root_mm2: float

    def __post_init__(self) -> None:
        if not min(self.fat_mm2, self.root_mm2) > 0:
            msg = f"usual areas must be above 0 mm2, got {self.fat_mm2}, {self.root_mm2}"
            raise ValueError(msg)

    def as_room(self) -> ForamenRoom:
        """Return the areas as those of a foramen."""
        return ForamenRoom(self.fat_mm2, self.root_mm2)


@dataclass(frozen=True)
class ForaminaEntry:
    """The net of a bundle that outlines what lies in a foramen, and what its areas mean."""

    onnx: WeightFile
    usual: Mapping[str, UsualRoom]
    """By level."""
    view: ForamenView = field(default_factory=ForamenView)
    model: ForamenModel = field(default_factory=ForamenModel)

    def __post_init__(self) -> None:
        if set(self.usual) != set(LUMBAR_MRI.levels):
            msg = f"usual rooms must be of {', '.join(LUMBAR_MRI.levels)}, got {', '.join(self.usual) or 'none'}"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class MeasuredForamen:
    """A foramen's areas with its outline, and the probabilities that follow from them."""

    measurements: tuple[Measurement, ...]
    probabilities: Probabilities


def open_foramina(folder: Path, entry: ForaminaEntry) -> onnxruntime.InferenceSession:
    """Open the graph and check what it takes and gives.

    Raises
    ------
    BundleError
        If it is no graph that outlines foramina.
    """
    session = open_graph(folder / entry.onnx.file)
    taken = {one.name: one.shape[1:] for one in session.get_inputs()}
    given = [one.shape[1] for one in session.get_outputs()]
    size = entry.view.size_px
    if taken != {PICTURES: [1, size, size]} or given != [len(ForamenTissue)]:
        msg = (
            f"{entry.onnx.file} must take '{PICTURES}' of {size} x {size} px and give {len(ForamenTissue)} maps, got "
            f"{taken} and {given}; use a bundle made for this version"
        )
        raise BundleError(msg)
    return session


def maps_of(
    session: onnxruntime.InferenceSession, file: WeightFile, crops: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the probability of each tissue, shape (n, tissues, rows, columns), for crops (n, rows, columns).

    Raises
    ------
    BundleError
        If the net says what is no number.
    """
    said = [session.run(None, {PICTURES: one[None, None]})[0] for one in normalised(crops)]
    maps = np.concatenate(said) if said else np.zeros((0, len(ForamenTissue), *crops.shape[1:]), np.float32)
    check_said(file, maps)
    return np.asarray(softmax(maps, axis=1), np.float32)


def measure_foramina(
    study: Study,
    where: Mapping[Cell, Point],
    entry: ForaminaEntry,
    session: onnxruntime.InferenceSession,
) -> dict[Cell, MeasuredForamen]:
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
        What could be measured, by cell: areas lie between those of the two slices beside the point; the outline is of
        the nearer one.

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
    found: dict[Cell, MeasuredForamen] = {}
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
) -> dict[Cell, MeasuredForamen]:
    looks = [(cell, look) for cell, point in where.items() for look in _looks(volume, point)]
    if not looks:
        return {}
    needed = sorted({look.slice for _, look in looks})
    turn = display_turn(volume.affine, Plane.SAGITTAL)
    pictures = dict(zip(needed, turn.apply(volume.slices(needed)), strict=True))
    affine = turn.affine(volume.affine, volume.shape[1:])
    spacing = geometry.spacing_mm(affine)[1:]
    crops = []
    for cell, look in looks:
        _, row, column = geometry.to_index(affine, [where[cell]])[0]
        crops.append(entry.view.cut(np.asarray(pictures[look.slice], np.float32), row, column, spacing))
    maps = maps_of(session, entry.onnx, np.stack(crops))
    measured: dict[Cell, MeasuredForamen] = {}
    for cell, point in where.items():
        own = [(look, maps[k]) for k, (one, look) in enumerate(looks) if one is cell]
        measured[cell] = _measured(cell, own, _Plane(affine, point, spacing), entry)
    return measured


@dataclass(frozen=True)
class _Look:
    """One of the slices beside a point."""

    slice: int
    weight: float
    """1 where the point lies in the slice, 0 where it lies in the next."""


def _looks(volume: Volume, point: Point) -> list[_Look]:
    """Return the two slices beside a point, the nearer first; one where it is the outermost."""
    at = float(np.clip(geometry.to_index(volume.affine, [point])[0][0], 0, volume.shape[0] - 1))
    beside = {int(np.floor(at)), int(np.ceil(at))}
    return sorted((_Look(k, 1 - abs(at - k)) for k in beside), key=lambda look: -look.weight)


@dataclass(frozen=True, eq=False)
class _Plane:
    """Where the crops about a point lie."""

    affine: NDArray[np.float64]
    point: Point
    spacing_mm: Sequence[float]

    def to_patient(self, line: NDArray[np.float64], slice_: int, view: ForamenView) -> tuple[Point, ...]:
        """Map places (row, column) of a view to LPS mm."""
        _, row, column = geometry.to_index(self.affine, [self.point])[0]
        off = (line - (view.size_px - 1) / 2) * view.grid_mm / np.asarray(self.spacing_mm)
        index = np.column_stack([np.full(len(line), slice_), off + np.array([row, column])])
        return tuple(geometry.as_point(one) for one in geometry.to_patient(self.affine, index))


def _measured(
    cell: Cell, looks: Sequence[tuple[_Look, NDArray[np.float32]]], plane: _Plane, entry: ForaminaEntry
) -> MeasuredForamen:
    rooms = [room_of(maps, entry.view.grid_mm) for _, maps in looks]
    room = rooms[0] if len(rooms) == 1 else rooms[0].between(rooms[1], 1 - looks[0][0].weight)
    nearest, maps = looks[0]
    line = outline_of(maps, entry.view.grid_mm)
    outline = () if line is None else plane.to_patient(line, nearest.slice, entry.view)
    narrowing = entry.model.narrowing(room, entry.usual[cell.level.value].as_room())
    return MeasuredForamen(
        (
            Measurement(Quantity.FORAMINAL_AREA, cell.level, room.area_mm2, outline),
            Measurement(Quantity.FORAMINAL_FAT_AREA, cell.level, room.fat_mm2, ()),
        ),
        entry.model.probabilities(narrowing),
    )
