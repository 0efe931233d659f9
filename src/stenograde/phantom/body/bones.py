"""Arches of lumbar vertebrae as measured on real ones: parts made of rounded cones, and their distance field.

The numbers of ``arches.csv`` are centre lines and radii of the parts of an arch: pedicle, superior and inferior
articular process, pars, lamina, spinous and transverse process. ``benchmarks/bones.py`` fitted them to the surfaces of
L2 to L5, means of 87 patients (github.com/aclouthier/morphable-lumbar-model, MIT), and to L1 and S1 of
github.com/RemusR9/artisynth_lumbosacralSpineModel (BSD-3), brought to the others' size. They lie 0.3 to 0.5 mm from
those surfaces on average (S1: 0.9).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.curve import Array

FAR_MM = 6.0
"""Distance beyond which a field is not known any better, mm."""

_BLEND_MM = 1.5
"""Width over which neighbouring parts pass into one another, mm."""


class Part(StrEnum):
    """A part of an arch."""

    PEDICLE = "pedicle"
    SUPERIOR = "superior"
    PARS = "pars"
    INFERIOR = "inferior"
    LAMINA = "lamina"
    SPINOUS = "spinous"
    TRANSVERSE = "transverse"


@dataclass(frozen=True, eq=False)
class Cones:
    """Rounded cones: the points nearer to a line than a radius that changes along it.

    Parameters
    ----------
    parts : tuple of Part
        Part to which each cone belongs.
    ends : ndarray of shape (n, 2, 3)
        Both ends of each line in the frame of a vertebra, mm: to the left of the midline, behind the wall of the body
        at its half height, above its centre.
    radii : ndarray of shape (n, 2)
        Radius at each end, mm.
    """

    parts: tuple[Part, ...]
    ends: Array
    radii: Array

    def of(self, *parts: Part) -> NDArray[np.bool_]:
        """Return which cones belong to one of some parts, shape (n,)."""
        return np.array([part in parts for part in self.parts])


HALF_HEIGHT_MM = {"S1": 14.5, "L5": 14.5, "L4": 13.9, "L3": 14.2, "L2": 14.2, "L1": 15.1}
"""Half height of the bodies in whose frames arches were measured, mm; that of S1 was measured in the frame of L5."""


@cache
def measured_arch(name: str) -> Cones:
    """Return the left half of the measured arch of a vertebra, ``L1`` to ``L5`` or ``S1``.

    Raises
    ------
    KeyError
        If there is no such vertebra.

    Examples
    --------
    >>> arch = measured_arch("L4")
    >>> arch.ends.shape[1:], bool(arch.ends[arch.of(Part.SPINOUS), :, 1].max() > 40)
    ((2, 3), True)
    """
    text = (files("stenograde.phantom.body") / "arches.csv").read_text("utf-8")
    rows = [row for row in csv.DictReader(text.splitlines()) if row["vertebra"] == name]
    if not rows:
        raise KeyError(name)
    ends = [[[float(row[f"{axis}{k}"]) for axis in ("left", "behind", "up")] for k in (1, 2)] for row in rows]
    radii = [[float(row["radius1"]), float(row["radius2"])] for row in rows]
    return Cones(tuple(Part(row["part"]) for row in rows), np.array(ends), np.array(radii))


def add_cones(field: Grid, axis: Grid, behind: Grid, up: Grid, cones: Cones) -> None:
    """Add cones to a field of exp(-distance / blend), of which :func:`distance_of` makes distances.

    Parameters
    ----------
    field : ndarray of shape (n_s, n_left, n_behind), float32
        Changed in place.
    axis : ndarray of shape (n_left,)
        Distance to the left of the midline, mm, ascending.
    behind, up : ndarray of shape (n_s, n_behind)
        The other two coordinates of :class:`Cones`, mm.
    cones : Cones
    """
    for ends, (first, last) in zip(
        cones.ends.astype(np.float32), cones.radii.astype(np.float32), strict=True
    ):
        low, high = ends.min(0) - max(first, last) - FAR_MM, ends.max(0) + max(first, last) + FAR_MM
        near = (behind > low[1]) & (behind < high[1]) & (up > low[2]) & (up < high[2])
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        lefts = slice(*np.searchsorted(axis, [low[0], high[0]]))
        if not rows.size or lefts.start >= lefts.stop:
            continue
        block = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        way = ends[1] - ends[0]
        off = (
            (axis[lefts] - ends[0, 0])[None, :, None],
            (behind[block] - ends[0, 1])[:, None, :],
            (up[block] - ends[0, 2])[:, None, :],
        )
        along = sum(one * step for one, step in zip(off, way, strict=True)) / max(float(way @ way), 1e-3)
        along = np.clip(along, 0, 1)
        square = sum((one - along * step) ** 2 for one, step in zip(off, way, strict=True))
        distance = np.sqrt(square) - (first + along * (last - first))
        field[block[0], lefts, block[1]] += np.exp(-np.minimum(distance, 2 * FAR_MM) / np.float32(_BLEND_MM))


def distance_of(field: Grid) -> Grid:
    """Return signed distances, mm, at most :data:`FAR_MM`, of a field that :func:`add_cones` has filled."""
    nothing = np.float32(np.exp(-FAR_MM / _BLEND_MM))
    return np.minimum(-np.float32(_BLEND_MM) * np.log(field + nothing), np.float32(FAR_MM))


def turned(points: Array, about: Sequence[float], angle_rad: float) -> Array:
    """Return points turned about a vertical line through a point, from the left to the back, shape of ``points``."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    off = points - np.asarray(about)
    left, behind = off[..., 0] * cosine - off[..., 1] * sine, off[..., 0] * sine + off[..., 1] * cosine
    return np.stack([left, behind, off[..., 2]], axis=-1) + np.asarray(about)
