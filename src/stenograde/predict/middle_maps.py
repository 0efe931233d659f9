"""Features of a frozen encoder's middle maps, by ONNX Runtime: what small heads on fixed features read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stenograde.errors import BundleError
from stenograde.images.resample import shares_of_parts
from stenograde.predict.weight_files import WeightFile, check_said, open_graph

if TYPE_CHECKING:
    import onnxruntime

PICTURES = "pictures"
"""Name of what the graph takes."""


@dataclass(frozen=True)
class MiddleMapsEntry:
    """The frozen encoder of a bundle."""

    onnx: WeightFile
    encoder: str
    """Name of timm's network."""
    stages: tuple[int, ...]
    """Stages whose maps the graph gives, in order."""
    start: str
    """What its weights are, in words."""


def open_middle_maps(folder: Path, entry: MiddleMapsEntry) -> onnxruntime.InferenceSession:
    """Open the graph and check what it takes and gives.

    Raises
    ------
    BundleError
        If it is no graph of middle maps.
    """
    session = open_graph(folder / entry.onnx.file)
    taken = [(one.name, len(one.shape), one.shape[1]) for one in session.get_inputs()]
    given = session.get_outputs()
    if taken != [(PICTURES, 4, 1)] or len(given) != len(entry.stages):
        msg = (
            f"{entry.onnx.file} must take grey '{PICTURES}' and give the maps of {len(entry.stages)} stages, got "
            f"{taken} and {len(given)}; use a bundle made for this version"
        )
        raise BundleError(msg)
    return session


def features_of(
    session: onnxruntime.InferenceSession,
    entry: MiddleMapsEntry,
    pictures: NDArray[np.float32],
    grid: int | tuple[int, int],
) -> NDArray[np.float32]:
    """Return the means of the middle maps on a grid.

    Parameters
    ----------
    session : InferenceSession
    entry : MiddleMapsEntry
    pictures : ndarray of shape (n, rows, columns), float32
        Grey values from -1 to 1, the middle at 0.
    grid : int or tuple of int
        Rows and columns of the grid.

    Returns
    -------
    features : ndarray of shape (n, channels of all stages, rows of the grid, columns of the grid), float32

    Raises
    ------
    BundleError
        If the graph says what is no number.
    """
    parts = []
    for picture in pictures:  # one by one: what lies between two layers stays in the cache
        maps = session.run(None, {PICTURES: picture[None, None]})
        parts.append(np.concatenate([pooled(one, grid) for one in maps], axis=1))
    features = np.concatenate(parts)
    check_said(entry.onnx, features)
    return features


def pooled(maps: NDArray[np.float32], grid: int | tuple[int, int]) -> NDArray[np.float32]:
    """Return the means of maps (n, channels, rows, columns) over the parts of a grid.

    Parts are those of torch's ``adaptive_avg_pool2d``: from the floor of where each begins to the ceiling of its end.
    """
    rows, columns = (grid, grid) if isinstance(grid, int) else grid
    down, across = shares_of_parts(maps.shape[2], rows), shares_of_parts(maps.shape[3], columns)
    return np.asarray(down @ maps @ across.T, np.float32)
