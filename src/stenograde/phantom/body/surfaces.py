"""Surfaces of real vertebrae, read from a folder, in place of the rounded cones of :mod:`.bones`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize

from stenograde.errors import DatasetError
from stenograde.images.lattice import Grid
from stenograde.phantom.body.bones import FAR_MM
from stenograde.phantom.body.curve import Array

NAMES: Final = ("L1", "L2", "L3", "L4", "L5", "S1")
"""Vertebrae of the labels 1 to 6."""

GRID_MM: Final = (np.arange(-46, 46.01), np.arange(-4, 60.01), np.arange(-40, 30.01))
"""Where distances are known: to the left, behind the wall of the body, above its centre, mm."""

_L5_FLEXED_DEG: Final = 9.5
"""How far L5 is taken to be tilted against L4, as in the phantom; the column below it is too short to tell."""

_FILE: Final = "labels_05mm.npz"


@dataclass(frozen=True, eq=False)
class Frame:
    """Frame of a vertebra in the plane between left and right."""

    wall: Array
    """x and z of the wall behind the body at its half height, mm."""
    back: Array
    up: Array
    half_height_mm: float


@dataclass(frozen=True, eq=False)
class Surface:
    """Signed distance to one vertebra.

    Parameters
    ----------
    distance : ndarray of shape (93, 65, 71), float32
        At the points of :data:`GRID_MM`, mm.
    half_height_mm : float
        Half the height of the body in whose frame it is; that of S1 is L5's.
    """

    distance: Grid
    half_height_mm: float

    def at(self, left: Grid, behind: Grid, up: Grid) -> Grid:
        """Return the distance at points, arrays that broadcast, mm; :data:`.bones.FAR_MM` outside the grid."""
        places = [
            one - axis[0] for one, axis in zip(np.broadcast_arrays(left, behind, up), GRID_MM, strict=True)
        ]
        found = ndimage.map_coordinates(self.distance, places, order=1, cval=FAR_MM, output=np.float32)
        return np.asarray(np.minimum(found, np.float32(FAR_MM)))


@cache
def read_surfaces(folder: Path) -> dict[str, Surface]:
    """Read the vertebrae L1 to L5 and S1 of a folder.

    Parameters
    ----------
    folder : Path
        Holds ``labels_05mm.npz``: ``labels`` with axes to the front, to the left and to the head, 1 to 5 for L1 to L5,
        6 for S1, other numbers for anything else; ``origin_mm``, ``spacing_mm``.

    Raises
    ------
    DatasetError
        If the file is not there or not like this.
    """
    try:
        with np.load(folder / _FILE) as file:
            labels, origin, step = (
                file["labels"],
                file["origin_mm"].astype(float),
                np.ravel(file["spacing_mm"]),
            )
    except (OSError, KeyError, ValueError) as exc:
        msg = f"bones must be a folder with {_FILE} (labels, origin_mm, spacing_mm), got {type(exc).__name__}"
        raise DatasetError(msg) from exc
    missing = [name for k, name in enumerate(NAMES, start=1) if not np.any(labels == k)]
    if labels.ndim != 3 or np.ptp(step) > 0 or missing:
        msg = (
            f"{_FILE} must hold the labels 1 to 6 in three dimensions and one spacing, got {labels.ndim} dimensions, "
            f"spacing {step.tolist()}, missing {', '.join(missing) or 'none'}"
        )
        raise DatasetError(msg)
    bones = _Bones(labels, origin, float(step[0]))
    return {name: bones.surface(k) for k, name in enumerate(NAMES, start=1)}


class _Bones:
    """Labelled bones."""

    def __init__(self, labels: NDArray[np.integer], origin: Array, step: float) -> None:
        self.labels, self.origin, self.step = labels, origin, step
        lumbar = np.flatnonzero(((labels >= 2) & (labels <= 5)).any(axis=(0, 2)))
        self.middle_y = float(origin[1] + lumbar.mean() * step)

    def body(self, k: int) -> Array:
        """Return the points x, z of the body of a vertebra in the midline, shape (n, 2), mm."""
        middle = round((self.middle_y - self.origin[1]) / self.step)
        flat = (self.labels[:, middle - 2 : middle + 3] == k).any(axis=1)
        parts, _ = ndimage.label(flat)
        largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        return np.asarray(self.origin[[0, 2]] + np.argwhere(parts == largest) * self.step)

    def frame(self, k: int) -> Frame:
        """Return the frame of a vertebra, upright along the column; that of S1 is L5's."""
        k = min(k, 5)
        bodies = {j: self.body(j) for j in range(max(k - 1, 1), min(k + 1, 5) + 1)}
        centres = {j: points.mean(axis=0) for j, points in bodies.items()}
        if k == 5:
            above = self.frame(4)
            up = above.up * np.cos(np.deg2rad(_L5_FLEXED_DEG)) - above.back * np.sin(
                np.deg2rad(_L5_FLEXED_DEG)
            )
        else:
            up = centres[max(k - 1, 1)] - centres[k + 1]
            up /= np.linalg.norm(up)
        back = np.array([-up[1], up[0]])
        off = bodies[k] - centres[k]
        core = np.abs(off @ back) < 8
        low, high = (off @ up)[core].min(), (off @ up)[core].max()
        centre = centres[k] + (low + high) / 2 * up
        off = bodies[k] - centre
        wall = np.percentile((off @ back)[np.abs(off @ up) < 1.5], 99)
        return Frame(centre + wall * back, back, up, float(high - low) / 2)

    def surface(self, k: int) -> Surface:
        """Return the distance to a vertebra in its frame, turned so that its two sides are as alike as possible."""
        frame = self.frame(k)
        box = ndimage.find_objects((self.labels == k).astype(np.int8))[0]
        margin = round((FAR_MM + 2) / self.step)
        inside = np.pad(self.labels[box] == k, margin)
        # a surface lies half a step from the voxels on both of its sides
        outwards = np.maximum(ndimage.distance_transform_edt(~inside) - 0.5, 0)
        distance = (outwards - np.maximum(ndimage.distance_transform_edt(inside) - 0.5, 0)) * self.step
        origin = self.origin + (np.array([one.start for one in box]) - margin) * self.step
        points = np.stack(np.meshgrid(*GRID_MM, indexing="ij"))

        def at(shift: Array, points: Array) -> Array:
            left, behind, up = points
            behind, up = behind - 0.05 * shift[2] * left, up - 0.05 * shift[1] * left
            x, z = (
                wall + back * behind + head * up
                for wall, back, head in zip(frame.wall, frame.back, frame.up, strict=True)
            )
            y = self.middle_y + shift[0] + left + 0.05 * (shift[1] * points[2] + shift[2] * points[1])
            place = [(one - start) / self.step for one, start in zip((x, y, z), origin, strict=True)]
            return np.asarray(ndimage.map_coordinates(distance, place, order=1, mode="nearest"))

        flat = points.reshape(3, -1)
        some = flat[:, np.random.default_rng(0).choice(flat.shape[1], 6000, replace=False)]
        mirror = np.array([[-1.0], [1.0], [1.0]])

        def unlike(shift: Array) -> float:
            one, other = at(shift, some), at(shift, some * mirror)
            near = np.minimum(np.abs(one), np.abs(other)) < 3
            return float(np.abs(one - other)[near].mean())

        best = minimize(unlike, np.zeros(3), method="Nelder-Mead", options={"maxiter": 80}).x
        return Surface(at(best, points).astype(np.float32), frame.half_height_mm)
