"""Arches of a whole spine as one field of distances along its curve, which the painter samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid, Lattice
from stenograde.phantom.body.anatomy import Anatomy, Row
from stenograde.phantom.body.bones import (
    FAR_MM,
    HALF_HEIGHT_MM,
    Cones,
    Part,
    add_cones,
    distance_of,
    measured_arch,
    turned,
)
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.surfaces import Surface

_STEP_MM = 1.0
_LEFT_MM, _BEHIND_MM = 54.0, (4.0, 84.0)
"""Reach of the grid to either side of the curve, and behind it, mm."""

_REACH_MM = 46.0
"""How far an arch extends above and below the centre of its body, mm."""

_BODY_MM = 3.0
"""How far behind the wall of a body a surface may still be that of the body, above and below the pedicle, mm."""

_TROPISM_DEG = 5.0
"""Standard deviation of the angle by which a facet joint is turned in the axial plane, degrees; our choice."""


@dataclass(frozen=True, eq=False)
class Field:
    """Arches about points, each array of shape (n,)."""

    bone: Grid
    """Signed distance to the nearest arch, mm."""
    joint: Grid
    """Sum of the distances to the two nearest arches, mm: small in the space of a joint."""
    owner: NDArray[np.int8]
    """Vertebra of the nearest arch."""

    def take(self, where: NDArray[np.intp]) -> Field:
        """Return the field at the points of given indices."""
        return Field(self.bone.take(where), self.joint.take(where), self.owner.take(where))


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Distances to the arches of the lumbar and lowest thoracic spine, on a grid in spine coordinates.

    Parameters
    ----------
    start : tuple of float
        Way, left and behind of the first grid point, mm; neighbours are 1 mm apart.
    distances : Lattice
        The bone and the joint of the :class:`Field` there, shape (n_way, n_left, n_behind).
    owner : ndarray of shape (n_way, n_left, n_behind)
        Its owner.
    """

    start: tuple[float, float, float]
    distances: Lattice
    owner: NDArray[np.int8]

    @property
    def bone(self) -> Grid:
        """Signed distance to the nearest arch, shape (n_way, n_left, n_behind), mm."""
        return self.distances.values(0)

    @classmethod
    def of(cls, anatomy: Anatomy, surfaces: Mapping[str, Surface] | None = None) -> Skeleton:
        """Make the field of an anatomy.

        Parameters
        ----------
        anatomy : Anatomy
        surfaces : mapping, optional
            Surfaces of L1 to L5 and S1 to be used in place of cones, see :func:`.surfaces.read_surfaces`.
        """
        rng = np.random.default_rng([anatomy.texture_seed, 6])
        last = len(anatomy.names) - 1
        bottom = float(anatomy.centre_mm[anatomy.n_sacral - 1]) - 10.0
        way = np.arange(bottom, float(anatomy.centre_mm[last]) + 20.0, _STEP_MM)
        left = np.arange(-_LEFT_MM, _LEFT_MM + _STEP_MM / 2, _STEP_MM).astype(np.float32)
        behind = np.arange(*_BEHIND_MM, _STEP_MM)
        shape = (len(way), len(left), len(behind))
        nearest, second = np.full(shape, FAR_MM, np.float32), np.full(shape, FAR_MM, np.float32)
        owner = np.full(shape, -1, np.int8)
        turns = np.deg2rad(rng.normal(0, _TROPISM_DEG, (len(anatomy.names), 2)))
        for k in range(anatomy.n_sacral - 1, last + 1):
            here = slice(*np.searchsorted(way, float(anatomy.centre_mm[k]) + np.array([-1, 1]) * _REACH_MM))
            arch = _Arch(anatomy, k, turns)
            behind_up = arch.places(way[here], behind)
            distance = (
                arch.of_cones(left, *behind_up)
                if surfaces is None
                else arch.of_surface(left, *behind_up, surfaces)
            )
            closer = distance < nearest[here]
            second[here] = np.where(closer, nearest[here], np.minimum(second[here], distance))
            nearest[here] = np.where(closer, distance, nearest[here])
            owner[here][closer] = k
        gap = np.float32(rng.uniform(*_GAP_MM))
        apart = np.maximum(nearest, (gap - (second - nearest)) / 2)  # (so that no two arches touch)
        start = (float(way[0]), float(left[0]), float(behind[0]))
        return cls(start, Lattice(apart, nearest + second), owner)

    def at(self, s: Grid, left: Grid, behind: Grid) -> Field:
        """Return the field at points in spine coordinates, each array of shape (n,), mm."""
        coordinates = zip((s, left, behind), self.start, strict=True)
        places = [(one - np.float32(start)) / np.float32(_STEP_MM) for one, start in coordinates]
        bone, joint = self.distances.at(*places)
        cell = np.zeros(s.shape, np.int32)
        for place, n in zip(places, self.owner.shape, strict=True):
            cell *= n
            cell += np.clip(place + np.float32(0.5), 0, n - 1).astype(np.int32)
        return Field(bone, joint, self.owner.ravel().take(cell))


_GAP_MM = (1.2, 2.2)
"""Least distance between the bones of a facet joint, mm: the measured surfaces are 1.4 to 1.65 mm apart."""


class _Arch:
    """The arch of one vertebra, in its own size, with its joints turned and overgrown."""

    def __init__(self, anatomy: Anatomy, k: int, turns: Array) -> None:
        self._anatomy, self._k, self._turns = anatomy, k, turns
        self._frame = max(k, anatomy.n_sacral)  # (the first sacral arch was measured in the frame of L5)
        name = anatomy.names[k]
        self._name = name if name in HALF_HEIGHT_MM else "L1"

    def places(self, way: Array, behind: Array) -> tuple[Grid, Grid]:
        """Return where points behind the curve are in the frame of the vertebra.

        Returns
        -------
        behind, up : ndarray of shape (n_way, n_behind), float32
            Behind the wall of the body, and above its centre, mm.
        """
        anatomy = self._anatomy
        centre = float(anatomy.centre_mm[self._frame])
        s, b = np.meshgrid(way, behind, indexing="ij")
        points = anatomy.curve.to_body(np.stack([s.ravel(), 0 * s.ravel(), b.ravel()], axis=1))
        y, z = (points - anatomy.curve.to_body(np.array([[centre, 0.0, 0.0]])))[:, 1:].T
        tilt = anatomy.curve.tilt_at(centre)
        back = y * np.cos(tilt) - z * np.sin(tilt) - anatomy.at(Row.BODY_DEPTH, centre)
        up = y * np.sin(tilt) + z * np.cos(tilt)
        return back.reshape(s.shape).astype(np.float32), up.reshape(s.shape).astype(np.float32)

    def of_cones(self, left: Grid, behind: Grid, up: Grid) -> Grid:
        """Return the distance by the measured cones, shape (n_way, n_left, n_behind), mm."""
        field = np.zeros((up.shape[0], len(left), up.shape[1]), np.float32)
        for side in (0, 1):
            cones = self._grown(measured_arch(self._name), side)
            once = cones.of(Part.SPINOUS)
            pair = _only(cones, ~once)
            add_cones(field, left, behind, up, pair if side == 0 else _mirrored(pair))
            if side == 0:
                add_cones(field, left, behind, up, _filled(_only(cones, once)))
        return distance_of(field)

    def of_surface(self, left: Grid, behind: Grid, up: Grid, surfaces: Mapping[str, Surface]) -> Grid:
        """Return the distance by a surface, shape (n_way, n_left, n_behind), mm."""
        surface, size = surfaces[self._name], np.float32(self._anatomy.size)
        tall = np.float32(self._anatomy.half_height_mm[self._frame] / surface.half_height_mm)
        behind, up = behind[:, None, :], up[:, None, :]
        distance = size * surface.at(left[None, :, None] / size, behind / size, up / tall)
        beyond = np.abs(up / tall - 0.3 * surface.half_height_mm) > 0.5 * surface.half_height_mm
        distance = np.maximum(
            distance, np.where(beyond, _BODY_MM, -_BODY_MM) - behind
        )  # (bodies are drawn apart)
        joints = np.clip((behind - 6) / 4, 0, 1) * np.clip((np.abs(left[None, :, None]) - 6) / 4, 0, 1)
        for is_upper, sign in ((True, 1), (False, -1)):
            grown = np.where(left > 0, *(self._growth(side, is_upper=is_upper) for side in (0, 1))).astype(
                np.float32
            )
            distance = distance - grown[None, :, None] * joints * np.clip(
                sign * (up + 6 - 2 * sign) / 6, 0, 1
            )
        return distance

    def _growth(self, side: int, *, is_upper: bool) -> float:
        """How far the articular processes of a side have grown above or below, mm."""
        disc = float(self._anatomy.disc_mm[self._joint(is_upper=is_upper)])
        return 0.6 * self._anatomy.at((Row.OVERGROWTH_LEFT, Row.OVERGROWTH_RIGHT)[side], disc)

    def _joint(self, *, is_upper: bool) -> int:
        """Index of the joints with the vertebra above or below."""
        return min(self._k if is_upper else self._k - 1, len(self._anatomy.names) - 1)

    def _grown(self, cones: Cones, side: int) -> Cones:
        size = self._anatomy.size
        tall = float(self._anatomy.half_height_mm[self._frame]) / HALF_HEIGHT_MM[self._name]
        ends, radii = cones.ends * np.array([size, size, tall]), cones.radii * size
        for part, is_upper in ((Part.SUPERIOR, True), (Part.INFERIOR, False)):
            which = cones.of(part)
            if which.any():
                radii[which] += self._growth(side, is_upper=is_upper)
                about = ends[which].reshape(-1, 3).mean(axis=0)
                ends[which] = turned(
                    ends[which], about, float(self._turns[self._joint(is_upper=is_upper), side])
                )
        return Cones(cones.parts, ends, radii)


def _filled(cones: Cones) -> Cones:
    """Return cones with others, half way between each and the next, so that together they make a sheet."""
    if len(cones.parts) < 2:
        return cones
    between = (cones.ends[1:] + cones.ends[:-1]) / 2, (cones.radii[1:] + cones.radii[:-1]) / 2
    ends, radii = (
        np.concatenate([one, more]) for one, more in zip((cones.ends, cones.radii), between, strict=True)
    )
    return Cones(cones.parts + cones.parts[1:], ends, np.maximum(radii - _THINNER_MM, 1.0))


_THINNER_MM = 0.6
"""How much cones that lie side by side thicken one another where they blend, by eye, mm."""


def _only(cones: Cones, which: NDArray[np.bool_]) -> Cones:
    parts = tuple(part for part, is_one in zip(cones.parts, which, strict=True) if is_one)
    return Cones(parts, cones.ends[which], cones.radii[which])


def _mirrored(cones: Cones) -> Cones:
    return Cones(cones.parts, cones.ends * np.array([-1.0, 1.0, 1.0]), cones.radii)
