"""Attenuation on a regular grid, and its sums along the rays of a parallel beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.curve import Array


@dataclass(frozen=True, eq=False)
class Lattice:
    """A regular grid in the body frame.

    Parameters
    ----------
    origin_mm : ndarray of shape (3,)
        Centre of the first voxel.
    step_mm : float
        Edge of a voxel.
    shape : tuple of int
        Voxels along x, y and z.
    """

    origin_mm: Array
    step_mm: float
    shape: tuple[int, int, int]

    @classmethod
    def over(cls, low_mm: Array, high_mm: Array, step_mm: float) -> Lattice:
        """Return the grid that fills a box, placed so that it is symmetric about x = 0."""
        low, high = np.asarray(low_mm, float), np.asarray(high_mm, float)
        half = max(abs(low[0]), abs(high[0]))
        low, high = np.array([-half, *low[1:]]), np.array([half, *high[1:]])
        counts = np.ceil((high - low) / step_mm).astype(int) + 1
        origin = np.array([-(counts[0] - 1) / 2 * step_mm, low[1], low[2]])
        return cls(origin, step_mm, (int(counts[0]), int(counts[1]), int(counts[2])))

    def axis(self, number: int) -> Grid:
        """Return the coordinates of the voxels along x, y or z, mm."""
        steps = np.arange(self.shape[number], dtype=np.float32) * np.float32(self.step_mm)
        return steps + np.float32(self.origin_mm[number])

    def slices(self, low_mm: Array, high_mm: Array) -> tuple[slice, slice, slice]:
        """Return the part of the grid that lies in a box; empty where there is none."""
        first = np.floor((np.asarray(low_mm) - self.origin_mm) / self.step_mm).astype(int)
        last = np.ceil((np.asarray(high_mm) - self.origin_mm) / self.step_mm).astype(int) + 1
        ends = [np.clip([a, b], 0, n).tolist() for a, b, n in zip(first, last, self.shape, strict=True)]
        return slice(*ends[0]), slice(*ends[1]), slice(*ends[2])


@dataclass(frozen=True, eq=False)
class Volume:
    """Attenuation per mm on a grid; nothing lies outside it.

    Parameters
    ----------
    lattice : Lattice
    values : ndarray of shape (x, y, z), float32
        Attenuation, 1/mm.
    """

    lattice: Lattice
    values: Grid

    def mirrored(self) -> Volume:
        """Return the volume with left and right exchanged."""
        return Volume(self.lattice, np.ascontiguousarray(self.values[::-1]))


@dataclass(frozen=True, eq=False)
class Beam:
    """A parallel beam onto an upright plane.

    The ray through ``centre + across * right + up * z`` meets the plane at (across, up); if the beam is tilted, the ray
    also rises along its way.

    Parameters
    ----------
    centre_mm : ndarray of shape (3,)
        Position of (0, 0).
    level_way : ndarray of shape (2,)
        Horizontal direction of the rays, x and y, of length 1.
    right : ndarray of shape (2,)
        Horizontal direction of ``across``, x and y, of length 1, perpendicular to the rays.
    rise : float
        Rise of a ray per mm of horizontal distance: the tangent of the tilt.
    """

    centre_mm: Array
    level_way: Array
    right: Array
    rise: float

    def place(self, xyz: Array) -> tuple[float, float]:
        """Return the position (across, up) at which a point of the body frame is projected, mm."""
        off = np.asarray(xyz, float) - self.centre_mm
        way = float(off[:2] @ self.level_way)
        return float(off[:2] @ self.right), float(off[2]) - way * self.rise

    def turned(self, pivot_mm: Array, angle_rad: float) -> Beam:
        """Return the beam as seen from a body rotated about a vertical axis, x towards y."""
        cosine, sine = np.cos(-angle_rad), np.sin(-angle_rad)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        centre = np.asarray(self.centre_mm, float).copy()
        centre[:2] = turn @ (centre[:2] - pivot_mm[:2]) + pivot_mm[:2]
        return Beam(centre, turn @ self.level_way, turn @ self.right, self.rise)


@dataclass(frozen=True, eq=False)
class RaySums:
    """Attenuation summed along rays, on a regular grid of positions in the plane.

    Parameters
    ----------
    values : ndarray of shape (n_across, n_up), float32
        Sums, without unit.
    across_mm, up_mm : float
        Position of the first value.
    step_mm : float
    """

    values: Grid
    across_mm: float
    up_mm: float
    step_mm: float


def ray_sums(volume: Volume, beam: Beam, *, across_mm: float, up_mm: float) -> RaySums:
    """Sum a volume's attenuation along the rays of a beam.

    Rays are sampled once per voxel edge, with linear interpolation between voxels, which is exact for the grid up to
    the sampling along the ray.

    Parameters
    ----------
    volume : Volume
    beam : Beam
    across_mm, up_mm : float
        Half extents of the covered plane.
    """
    lattice, step = volume.lattice, volume.lattice.step_mm
    n_x, n_y, n_z = lattice.shape
    n_across, n_up = 2 * round(across_mm / step) + 1, 2 * round(up_mm / step) + 1
    first_across, first_up = -(n_across - 1) / 2 * step, -(n_up - 1) / 2 * step
    across = first_across + np.arange(n_across) * step
    ends = [
        (lattice.origin_mm[0] + i * (n_x - 1) * step, lattice.origin_mm[1] + j * (n_y - 1) * step)
        for i in (0, 1)
        for j in (0, 1)
    ]
    ways = [float((np.array(end) - beam.centre_mm[:2]) @ beam.level_way) for end in ends]
    rows = volume.values.reshape(n_x * n_y, n_z)
    out = np.zeros((n_across, n_up), np.float32)
    for number in range(int(np.floor(min(ways) / step)), int(np.ceil(max(ways) / step)) + 1):
        way = number * step
        spot = beam.centre_mm[:2] + way * beam.level_way
        i = (spot[0] + across * beam.right[0] - lattice.origin_mm[0]) / step
        j = (spot[1] + across * beam.right[1] - lattice.origin_mm[1]) / step
        hit = np.flatnonzero((i >= 0) & (i < n_x - 1) & (j >= 0) & (j < n_y - 1))
        if not hit.size:
            continue
        hit_rows = slice(int(hit[0]), int(hit[-1]) + 1)
        columns = _between(rows, i[hit_rows], j[hit_rows], n_y)
        up = (beam.centre_mm[2] + first_up + way * beam.rise - lattice.origin_mm[2]) / step
        _add_shifted(out[hit_rows], columns, up)
    length = step * float(np.hypot(1.0, beam.rise))
    return RaySums(out * np.float32(length), first_across, first_up, step)


def _between(rows: Grid, i: Array, j: Array, n_y: int) -> Grid:
    """Columns of the volume at positions between its voxels, shape (n, z)."""
    low_i, low_j = np.floor(i).astype(np.intp), np.floor(j).astype(np.intp)
    right, back = (i - low_i).astype(np.float32)[:, None], (j - low_j).astype(np.float32)[:, None]
    at = low_i * n_y + low_j
    front = rows[at] * (1 - back) + rows[at + 1] * back
    behind = rows[at + n_y] * (1 - back) + rows[at + n_y + 1] * back
    return front + (behind - front) * right


def _add_shifted(out: Grid, columns: Grid, start: float) -> None:
    """Add columns to the rows of ``out``, read from a position between voxels onwards."""
    low = int(np.floor(start))
    share = np.float32(start - low)
    n_up, n_z = out.shape[1], columns.shape[1]
    first, last = max(0, -low), min(n_up, n_z - 1 - low)
    if last > first:
        below, above = columns[:, low + first : low + last], columns[:, low + first + 1 : low + last + 1]
        out[:, first:last] += below + (above - below) * share
