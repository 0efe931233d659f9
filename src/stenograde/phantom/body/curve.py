"""The curve of a spine, and the coordinates that follow it.

Body frame: x to the patient's left, y to the back, z to the head, mm, origin at the centre of L3. Every
point has spine coordinates (s, l, a): ``s`` is the way (arc length) along the curve through the vertebral
bodies, upwards from the L5/S1 disc; ``l`` the distance to the left of the curve; ``a`` the distance behind it, in the
plane perpendicular to the curve. A plane of constant ``s`` is a plane of the body, and (l, a) are rectangular
coordinates in it, in mm, so that an area there is a true area.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from stenograde.images.lattice import Grid, Lattice

Array = NDArray[np.float64]

STEP_MM = 0.25
"""Distance between the entries of tables along the curve, mm."""

_SOFT_MM = 5.0
"""Smoothing of the tilts, mm. Otherwise they are linear from one vertebra to the next, so that the curve bends
no more than necessary: planes across it intersect at its centre of curvature."""

_SLIP_MM = 3.0
"""Half the distance over which a slip passes from one vertebra to the next, mm: about half a disc."""

_STEPS, _STRIDE_MM = 6, 2.0
"""Number and greatest length (mm) of the steps in the search for a point's way where there are slips."""

_GRID_MM = 1.5
_GRID_Y_MM = (-170.0, 140.0)
_GRID_Z_MM = (-230.0, 240.0)


@dataclass(frozen=True, eq=False)
class SpineCurve:
    """A curve in the sagittal plane with a lateral sway.

    Parameters
    ----------
    way_mm : ndarray of shape (n,)
        Ways along the curve at which the tilt is given, increasing, mm.
    tilt_rad : ndarray of shape (n,)
        Angle of the curve (towards the head) to z, positive towards the back.
    origin_way_mm : float
        Way at the origin of the body frame.
    sway_mm : tuple of float
        Amplitude (mm), wave length (mm) and phase (rad) of the lateral sway.
    slips : tuple of pairs of float
        Way and length (mm) of each forward step of the spine above over the spine below: spondylolisthesis.
    """

    way_mm: Array
    tilt_rad: Array
    origin_way_mm: float
    sway_mm: tuple[float, float, float] = (0.0, 300.0, 0.0)
    slips: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.way_mm.shape != self.tilt_rad.shape or np.any(np.diff(self.way_mm) <= 0):
            msg = f"ways along a spine must grow and have one tilt each, got {self.way_mm.tolist()}"
            raise ValueError(msg)

    @cached_property
    def table_way_mm(self) -> Array:
        """Ways of the table entries, every :data:`STEP_MM`."""
        return np.arange(self.way_mm[0], self.way_mm[-1] + STEP_MM / 2, STEP_MM)

    @cached_property
    def _tilt(self) -> Array:
        sharp = np.interp(self.table_way_mm, self.way_mm, self.tilt_rad)
        return np.asarray(gaussian_filter1d(sharp, _SOFT_MM / STEP_MM, mode="nearest"))

    @cached_property
    def bend_per_mm(self) -> Array:
        """Curvature at the table entries, 1/mm; positive in lordosis."""
        return np.gradient(self._tilt, STEP_MM)

    @cached_property
    def _line(self) -> Array:
        steps = np.stack([np.sin(self._tilt), np.cos(self._tilt)], axis=1) * STEP_MM
        line = np.zeros_like(steps)
        line[1:] = np.cumsum((steps[1:] + steps[:-1]) / 2, axis=0)
        for way, forward in self.slips:
            step = forward * (1 + np.tanh((self.table_way_mm - way) / _SLIP_MM)) / 2
            line += step[:, None] * np.stack([-np.cos(self._tilt), np.sin(self._tilt)], axis=1)
        return line - [np.interp(self.origin_way_mm, self.table_way_mm, line[:, k]) for k in (0, 1)]

    @cached_property
    def _ways(self) -> Lattice:
        y = np.arange(*_GRID_Y_MM, _GRID_MM)
        z = np.arange(*_GRID_Z_MM, _GRID_MM)
        points = np.stack(np.meshgrid(y, z, indexing="ij"), axis=-1).reshape(-1, 2)
        ways = self.table_way_mm[cKDTree(self._line).query(points)[1]]
        steps, stride = (_STEPS, _STRIDE_MM) if self.slips else (1, 2 * STEP_MM)
        for _ in range(steps):  # Newton steps to the plane that contains the point
            tilt, bend, *line = (
                np.interp(ways, self.table_way_mm, table)
                for table in (self._tilt, self.bend_per_mm, *self._line.T)
            )
            off = points - np.stack(line, axis=1)
            behind = off[:, 0] * np.cos(tilt) - off[:, 1] * np.sin(tilt)
            along = off[:, 0] * np.sin(tilt) + off[:, 1] * np.cos(tilt)
            ways = ways + np.clip(along / np.maximum(1 - bend * behind, 0.2), -stride, stride)
        return Lattice(ways.reshape(len(y), len(z)).astype(np.float32))

    def sway(self, way_mm: Array) -> Array:
        """Return x of the curve at given ways, mm."""
        amplitude, length, phase = self.sway_mm
        return amplitude * np.sin(2 * np.pi * np.asarray(way_mm) / length + phase)

    def to_body(self, sla: Array) -> Array:
        """Map spine coordinates to the body frame.

        Parameters
        ----------
        sla : ndarray of shape (n, 3)
            Way along the curve, distance to the left and behind, mm.

        Returns
        -------
        xyz : ndarray of shape (n, 3), float64
            Body frame, mm.
        """
        s, left, behind = np.asarray(sla, dtype=np.float64).T
        tilt = np.interp(s, self.table_way_mm, self._tilt)
        y = np.interp(s, self.table_way_mm, self._line[:, 0]) + behind * np.cos(tilt)
        z = np.interp(s, self.table_way_mm, self._line[:, 1]) - behind * np.sin(tilt)
        return np.stack([self.sway(s) + left, y, z], axis=1)

    def to_spine(self, xyz: Grid) -> tuple[Grid, Grid, Grid]:
        """Map the body frame to spine coordinates.

        Parameters
        ----------
        xyz : ndarray of shape (3, n), float32
            Body frame, mm.

        Returns
        -------
        s, l, a : ndarray of shape (n,), float32
            Way along the curve, distance to the left and behind, mm; beyond the ends, the way of that end.
        """
        y, z = xyz[1], xyz[2]
        (s,) = self._ways.at((y - _GRID_Y_MM[0]) / _GRID_MM, (z - _GRID_Z_MM[0]) / _GRID_MM)
        at_entry = self.entry(s)
        turned, moved = (table.take(at_entry) for table in self._tables)
        return s, xyz[0] - moved.imag, y * turned.real - z * turned.imag - moved.real

    def entry(self, way_mm: Grid) -> NDArray[np.intp]:
        """Return the table entry nearest to each way, shape (n,)."""
        place = (way_mm - np.float32(self.table_way_mm[0])) * np.float32(1 / STEP_MM)
        nearest = np.clip(place + np.float32(0.5), 0, len(self.table_way_mm) - 1)
        # by way of 32 bits, to which a processor converts four or eight at once
        return nearest.astype(np.int32).astype(np.intp)

    @cached_property
    def _tables(self) -> tuple[NDArray[np.complex64], ...]:
        """Cosine and sine of the tilt; how far behind the origin the curve lies in a plane, and its sway: as pairs."""
        cosine, sine = np.cos(self._tilt), np.sin(self._tilt)
        behind = self._line[:, 0] * cosine - self._line[:, 1] * sine
        pairs = cosine + 1j * sine, behind + 1j * self.sway(self.table_way_mm)
        return tuple(pair.astype(np.complex64) for pair in pairs)

    def tilt_at(self, way_mm: float) -> float:
        """Return the tilt at a way, rad."""
        return float(np.interp(way_mm, self.table_way_mm, self._tilt))
