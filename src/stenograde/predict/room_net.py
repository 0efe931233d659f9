"""The small nets of a bundle that tell tissues apart on slices through foramina or the canal; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stenograde.errors import BundleError
from stenograde.levels.rooms import RoomTissue, RoomView, normalised
from stenograde.predict.weight_files import WeightFile, check_said, open_graph

if TYPE_CHECKING:
    import onnxruntime

PICTURES, MAPS = "pictures", "maps"
"""Names of what a graph takes and gives."""


def open_room_net(folder: Path, file: WeightFile, view: RoomView) -> onnxruntime.InferenceSession:
    """Open a graph and check what it takes and gives.

    Raises
    ------
    BundleError
        If it is no graph that tells these tissues apart.
    """
    session = open_graph(folder / file.file)
    taken = {one.name: one.shape[1:] for one in session.get_inputs()}
    given = [one.shape[1] for one in session.get_outputs()]
    size = view.size_px
    if taken != {PICTURES: [1, size, size]} or given != [len(RoomTissue)]:
        msg = (
            f"{file.file} must take '{PICTURES}' of {size} x {size} px and give {len(RoomTissue)} maps, got "
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
    maps = np.concatenate(said) if said else np.zeros((0, len(RoomTissue), *crops.shape[1:]), np.float32)
    check_said(file, maps)
    return np.asarray(softmax(maps, axis=1), np.float32)
