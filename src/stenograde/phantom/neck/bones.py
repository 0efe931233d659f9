"""Bones of the neck, C1 to T2, as one signed distance field; the foramina are cut last, with their spurs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.canvas import Noise
from stenograde.phantom.body.curve import Array
from stenograde.phantom.neck.anatomy import NeckAnatomy, Placed, PlacedForamen
from stenograde.phantom.neck.attenuation import CORTEX, MUSCLE, SPONGE
from stenograde.phantom.neck.shapes import capsule, cover, ellipsoid, slab
from stenograde.phantom.neck.volume import Lattice

CORTEX_MM = 1.0
"""Thickness of all cortical bone, mm; cervical end plates have 0.4 to 0.9 mm (Panjabi et al., Spine 2001;26:2478,
10.1097/00007632-200111150-00016), pillars and laminae more."""

FRAME_MM = (2.2, 3.8)
"""Extent of the bone behind and in front of a foramen, mm: the uncinate process, the corner of the body above,
the upper articular process and the edges of the pedicles."""

TUNNEL_MM = 6.5
"""Length of that bone along the tunnel, mm: the 4 to 5 mm of a bony foramen (cited at FORAMEN_SLOPE_DEG) and the spurs
that extend beyond it."""

_CUT_MM = 18.0
"""Length over which the tunnel is kept free of other bone, mm."""

_CLEFT_MM = 0.5
"""Half height of the cleft of the uncovertebral joint in the front wall, mm."""

_FAR_MM = 9.0


class Field:
    """Signed distance to bone on a grid, mm."""

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.distance = np.full(lattice.shape, _FAR_MM, np.float32)

    def part(self, points: Array, margin_mm: float) -> tuple[Grid, tuple[Grid, Grid, Grid]]:
        """Return the part of the field around points (n, 3) and its coordinates, ready to broadcast."""
        where = self.lattice.slices(points.min(axis=0) - margin_mm, points.max(axis=0) + margin_mm)
        x, y, z = (self.lattice.axis(k)[where[k]] for k in range(3))
        return self.distance[where], (x[:, None, None], y[None, :, None], z[None, None, :])


@dataclass(frozen=True, eq=False)
class _Mould:
    """A vertebra to be added to a field; every shape is added on both sides at once."""

    field: Field
    placed: Placed

    def near(self, corners: list[tuple[float, float, float]], margin: float) -> tuple[Grid, ...]:
        """Return the field, |l|, a and h around corners given for the left side in the frame of the vertebra."""
        both = np.array([*corners, *((-left, a, h) for left, a, h in corners)])
        part, (x, y, z) = self.field.part(self.placed.to_body(both), margin)
        centre = self.placed.centre_mm.astype(np.float32)
        axes = self.placed.axes.astype(np.float32)
        off_y, off_z = y - centre[1], z - centre[2]
        behind = off_y * axes[1, 1] + off_z * axes[1, 2]
        above = off_y * axes[2, 1] + off_z * axes[2, 2]
        return part, np.abs(x - centre[0]), behind, above

    def rod(self, *path: tuple[float, float, float], radius: float) -> None:
        """Add rods with rounded ends along a path."""
        for start, end in pairwise(path):
            part, left, behind, above = self.near([start, end], radius + 1.5)
            np.minimum(part, capsule((left, behind, above), (start, end), radius), out=part)


def bone_field(anatomy: NeckAnatomy, lattice: Lattice) -> Field:
    """Return the signed distance to the bones of a neck."""
    field = Field(lattice)
    for number, placed in enumerate(anatomy.vertebrae):
        mould = _Mould(field, placed)
        disc_above = anatomy.vertebrae[number - 1].size.disc_below_mm if number else 0.0
        _body(mould)
        _arch(mould, disc_above)
        if placed.size.name == "C2":
            _dens_and_atlas(mould)
    for foramen in anatomy.foramina.values():
        cut_foramen(field, foramen)
    return field


def _body(mould: _Mould) -> None:
    size = mould.placed.size
    half = size.height_mm / 2
    ends = [(0.0, -size.half_depth_mm, -half - 1.5), (size.half_width_mm, size.half_depth_mm, half)]
    part, left, behind, above = mould.near(ends, 2.0)
    waist = 0.90 + 0.10 * np.minimum((above / half) ** 2, 1)
    across, along = left / (size.half_width_mm * waist), behind / (size.half_depth_mm * waist)
    inner = across**2 + along**2
    side = (np.sqrt(np.sqrt(across**4 + along**4)) - 1) * (size.half_depth_mm * 0.95)
    dish = 0.9 * np.maximum(1 - inner, 0)
    top = half - dish + 0.07 * behind
    lip = 1.5 * np.clip(-along, 0, 1) ** 2
    bevel = 2.4 * np.clip((across - 0.55) / 0.45, 0, 1) ** 2
    bottom = -half + dish - lip + bevel
    np.minimum(part, slab(side, above - top, bottom - above), out=part)
    if size.name[0] == "C" and size.name != "C2":
        # uncinate process: a ridge along the side of the upper end plate, higher at the back
        ridge = [
            (size.half_width_mm, -0.5 * size.half_depth_mm, half),
            (size.half_width_mm, size.half_depth_mm, half + 5),
        ]
        part, left, behind, above = mould.near(ridge, 2.5)
        height = half + 1.5 + 3.0 * np.clip(behind / size.half_depth_mm + 0.5, 0, 1)
        thin = 1.9 - 0.18 * np.maximum(above - half, 0)
        wall = slab(
            np.abs(left - (size.half_width_mm - 0.9)) - thin,
            np.abs(behind - 0.15 * size.half_depth_mm) - 0.75 * size.half_depth_mm,
            above - height,
            half - 3 - above,
        )
        np.minimum(part, wall, out=part)


def _arch(mould: _Mould, disc_above_mm: float) -> None:
    """Add pedicles, articular pillars, transverse processes, laminae and the spinous process."""
    size, up = mould.placed.size, mould.placed.pedicle_height_mm
    depth, half = size.half_depth_mm, size.height_mm / 2
    pillar_behind = depth + 6.2
    mould.rod(
        (0.72 * size.half_width_mm, 0.6 * depth, up), (size.pillar_mm - 2, pillar_behind - 2, up), radius=3.1
    )
    if size.name[0] == "C":
        tip = (size.half_width_mm + 12.0, -0.35 * depth, up - 5.0)
        mould.rod((size.half_width_mm, -0.1 * depth, up - 1.5), tip, radius=1.3)
        mould.rod((size.pillar_mm, depth + 2.0, up - 2.5), tip, radius=1.3)
    else:
        mould.rod(
            (size.pillar_mm, pillar_behind, up), (size.pillar_mm + 16, pillar_behind + 6, up + 2), radius=4.0
        )
    _pillar(mould, (size.pillar_mm, pillar_behind), half + disc_above_mm / 2)
    _lamina(mould, pillar_behind)
    _spinous(mould)


def _pillar(mould: _Mould, place: tuple[float, float], reach_up: float) -> None:
    """Add the pillar between its two facets, which slope backwards and down by 45°."""
    size = mould.placed.size
    low = -(size.height_mm + size.disc_below_mm) / 2
    top = 4.0 if size.name == "C2" else reach_up
    corners = [(place[0] - 6, place[1] - 6, low - 6), (place[0] + 6, place[1] + 6, top + 6)]
    part, left, behind, above = mould.near(corners, 1.0)
    off, middle = behind - place[1], (top + low) / 2
    shape = slab(
        np.abs(left - place[0]) - (5.7 - 1.4 * np.minimum((2 * (above - middle) / (top - low)) ** 2, 1)),
        np.abs(off) - 5.6,
        (above - top + 0.75 + off) * 0.707,
        (low + 0.75 - above - off) * 0.707,
    )
    np.minimum(part, shape, out=part)


def _lamina(mould: _Mould, pillar_behind: float) -> None:
    size = mould.placed.size
    roof = size.half_depth_mm + size.canal_depth_mm + 2.0
    corners = [(0.0, pillar_behind, -9.5), (size.pillar_mm, roof + 2, 5.5)]
    part, left, behind, above = mould.near(corners, 4.0)
    start, end = (size.pillar_mm - 3.5, pillar_behind + 3.0), (0.0, roof)
    leaning = behind + 0.3 * (above + 2)
    along = np.array([end[0] - start[0], end[1] - start[1]])
    share = np.clip(
        ((left - start[0]) * along[0] + (leaning - start[1]) * along[1]) / float(along @ along), 0, 1
    )
    across = np.hypot(left - start[0] - share * along[0], leaning - start[1] - share * along[1])
    thin = 2.5 - 0.16 * np.maximum(above + 2, 0)
    np.minimum(part, slab(across - thin, np.abs(above + 2) - 6.2), out=part)


def _spinous(mould: _Mould) -> None:
    size = mould.placed.size
    roof = size.half_depth_mm + size.canal_depth_mm + 1.0
    slope = np.deg2rad(size.spinous_slope_deg)
    cosine, sine = float(np.cos(slope)), float(np.sin(slope))
    length = size.spinous_mm
    tip = (2.0, roof + length * cosine, -3 - length * sine)
    part, left, behind, above = mould.near([(0.0, roof, -3.0), tip], 7.0)
    along = (behind - roof) * cosine - (above + 3) * sine
    across = (behind - roof) * sine + (above + 3) * cosine
    share = np.clip(along / length, 0, 1)
    blade = slab(left - 2.1, np.abs(across) - (5.0 - 2.2 * share), along - length, -2 - along)
    np.minimum(part, blade, out=part)
    knob = 3.0 if size.name in ("C2", "C7", "T1", "T2") else 2.3
    apart = 0.0 if size.name in ("C7", "T1", "T2") else 2.4
    mould.rod((apart, tip[1] - 3 * cosine, tip[2] + 3 * sine), (apart + 0.1, tip[1] - 1, tip[2]), radius=knob)


def _dens_and_atlas(mould: _Mould) -> None:
    size = mould.placed.size
    top = size.height_mm / 2
    mould.rod((0.0, -0.5, top - 2), (0.0, -1.5, top + 13.5), radius=5.0)
    for centre, radii in (
        ((14.0, 1.0, top - 2.5), (8.0, 8.5, 5.0)),
        ((16.5, 1.5, top + 9.0), (7.5, 9.0, 5.8)),
    ):
        part, left, behind, above = mould.near([(*centre[:2], centre[2])], max(radii) + 1.5)
        np.minimum(part, ellipsoid((left, behind, above), centre, radii), out=part)
    mould.rod((0.0, -10.5, top + 9.5), (7.0, -8.5, top + 9.5), (14.0, -2.0, top + 9.0), radius=3.0)
    mould.rod((18.0, 8.0, top + 9.5), (15.0, 20.0, top + 9.5), (0.0, 29.0, top + 9.0), radius=2.8)
    mould.rod((20.0, 3.0, top + 8.0), (33.0, 5.0, top + 6.5), radius=3.2)


def cut_foramen(field: Field, foramen: PlacedForamen) -> None:
    """Cut a foramen into a field: a free tunnel, framed by bone and narrowed by spurs over the length of the frame."""
    shape, out = foramen.shape, foramen.axes[2]
    ends = foramen.centre_mm + np.array([[-_CUT_MM / 2], [_CUT_MM / 2]]) * out
    part, (x, y, z) = field.part(ends, max(shape.height_mm, shape.open_width_mm) / 2 + FRAME_MM[1] + 1)
    axes, centre = foramen.axes.astype(np.float32), foramen.centre_mm.astype(np.float32)
    x, y, z = x - centre[0], y - centre[1], z - centre[2]
    u, v, way = (x * axis[0] + y * axis[1] + z * axis[2] for axis in axes)
    wide = shape.open_distance(u, v)
    np.maximum(part, -slab(wide, np.abs(way) - _CUT_MM / 2), out=part)
    frame = slab(
        wide - np.where(u < 0, FRAME_MM[1], FRAME_MM[0]), -shape.distance(u, v), np.abs(way) - TUNNEL_MM / 2
    )
    cleft = slab(u, np.abs(v - 0.28 * shape.height_mm) - _CLEFT_MM, -wide - 0.01)
    np.minimum(part, np.maximum(frame, -cleft), out=part)


def bone_excess(field: Field, seed: int) -> Grid:
    """Return the excess attenuation of bone over muscle, on the grid of the field, 1/mm."""
    step = field.lattice.step_mm
    distance = field.distance.ravel()
    where = np.flatnonzero(distance < step / 2)
    near = distance[where]
    grain = _texture(field.lattice, where, seed)
    sponge = (SPONGE - MUSCLE) * (1 + np.float32(0.35) * grain)
    shell, core = cover(near, step), cover(near + np.float32(CORTEX_MM), step)
    out = np.zeros(distance.shape, np.float32)
    out[where] = (CORTEX - MUSCLE) * (shell - core) + sponge * core
    return out.reshape(field.lattice.shape)


def _texture(lattice: Lattice, where: NDArray[np.intp], seed: int) -> Grid:
    """Trabecular texture: smooth noise, mean 0, standard deviation 1."""
    step = np.float32(lattice.step_mm)
    x, y, z = (place.astype(np.float32) * step for place in np.unravel_index(where, lattice.shape))
    return Noise(seed, 0, 1.6, smooth=2.5, size=128).at(x, y, z)
