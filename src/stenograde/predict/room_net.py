"""The small nets that tell tissues and recesses on slices through foramina or the canal, and what they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.errors import BundleError
from stenograde.grades import Measurement, Point, Probabilities
from stenograde.images.orient import display_turn
from stenograde.levels.rooms import RoomTissue, RoomView, normalised
from stenograde.predict.weight_files import WeightFile, check_said, open_graph
from stenograde.study import Volume
from stenograde.terms import Plane

if TYPE_CHECKING:
    import onnxruntime

PICTURES, MAPS = "pictures", "maps"
"""Names of what a graph takes and gives."""


def open_room_net(
    folder: Path, file: WeightFile, view: RoomView, *, n_maps: int = len(RoomTissue)
) -> onnxruntime.InferenceSession:
    """Open a graph and check what it takes and gives: so many maps, tissues first.

    Raises
    ------
    BundleError
        If it is no graph that tells these tissues apart.
    """
    session = open_graph(folder / file.file)
    taken = {one.name: one.shape[1:] for one in session.get_inputs()}
    given = [one.shape[1] for one in session.get_outputs()]
    size = view.size_px
    if taken != {PICTURES: [1, size, size]} or given != [n_maps]:
        msg = (
            f"{file.file} must take '{PICTURES}' of {size} x {size} px and give {n_maps} maps, got "
            f"{taken} and {given}; use a bundle made for this version"
        )
        raise BundleError(msg)
    return session


def maps_of(
    session: onnxruntime.InferenceSession, file: WeightFile, crops: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what a net says of one or more crops, (n, rows, columns): probabilities, shape (n, maps, rows, columns).

    Those of tissues add up to one; what a net tells beside them has a probability of its own.

    Raises
    ------
    BundleError
        If the net says what is no number.
    """
    maps = np.concatenate([session.run(None, {PICTURES: one[None, None]})[0] for one in normalised(crops)])
    check_said(file, maps)
    tissues, beside = np.split(maps, [len(RoomTissue)], axis=1)
    said = [scipy.special.softmax(tissues, axis=1), scipy.special.expit(beside)]
    return np.concatenate(said, axis=1, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class MeasuredCell:
    """What was measured of a cell, and the probabilities that follow from it."""

    measurements: tuple[Measurement, ...]
    probabilities: Probabilities
    point: Point | None = None
    """Where the cell was found to lie; None where it was not looked for."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a view lies: the volume's affine as displayed, the slice, and the view's middle there, px."""

    affine: NDArray[np.float64]
    slice: int
    middle: tuple[float, float]

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance between rows and between columns, mm."""
        return geometry.spacing_mm(self.affine)[1:]

    def to_patient(self, line: NDArray[np.float64], view: RoomView) -> tuple[Point, ...]:
        """Map places (row, column) of a view to LPS mm."""
        off = (line - (view.size_px - 1) / 2) * view.grid_mm / np.asarray(self.spacing_mm)
        index = np.column_stack([np.full(len(line), self.slice), off + np.array(self.middle)])
        return tuple(geometry.as_point(one) for one in geometry.to_patient(self.affine, index))

    def to_view(self, points: NDArray[np.float64], view: RoomView) -> NDArray[np.float64]:
        """Map points (n, 3), LPS mm, to places (row, column) of a view; how far they lie off the slice is left out."""
        off = geometry.to_index(self.affine, points)[:, 1:] - np.array(self.middle)
        return np.asarray(off * np.asarray(self.spacing_mm) / view.grid_mm + (view.size_px - 1) / 2)


def views_in(
    volume: Volume, plane: Plane, wanted: Sequence[tuple[int, Point]], view: RoomView
) -> tuple[NDArray[np.float32], list[Place]]:
    """Cut views out of slices of a volume, each about a point, as they are displayed.

    Parameters
    ----------
    volume : Volume
    plane : Plane
        Of its slices.
    wanted : sequence of tuple
        Slice and point (LPS mm) of each view, one or more.
    view : RoomView

    Returns
    -------
    crops : ndarray of shape (n, rows, columns), float32
    places : list of Place

    Raises
    ------
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    needed = sorted({number for number, _ in wanted})
    turn = display_turn(volume.affine, plane)
    pictures = dict(zip(needed, turn.apply(volume.slices(needed)), strict=True))
    affine = turn.affine(volume.affine, volume.shape[1:])
    crops, places = [], []
    for number, point in wanted:
        _, row, column = geometry.to_index(affine, [point])[0]
        place = Place(affine, number, (float(row), float(column)))
        places.append(place)
        crops.append(view.cut(np.asarray(pictures[number], np.float32), row, column, place.spacing_mm))
    return np.stack(crops), places
