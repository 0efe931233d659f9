"""Surroundings of the cervical spine: neck, shoulders and airway, and the head, which rotates independently.

Shapes and positions are rounded to look like lateral radiographs of adults and are not data.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.canvas import Noise
from stenograde.phantom.body.curve import Array
from stenograde.phantom.neck.anatomy import NeckAnatomy
from stenograde.phantom.neck.attenuation import (
    AIR,
    BRAIN,
    CORTEX,
    FAT,
    LUNG,
    MUSCLE,
    SKULL,
    SPONGE,
    TOOTH,
)
from stenograde.phantom.neck.bones import bone_excess, bone_field
from stenograde.phantom.neck.shapes import Place, capsule, cover, ellipsoid, slab
from stenograde.phantom.neck.volume import Lattice, Volume

SPINE_STEP_MM = 0.65
"""Edge of a voxel around the spine and airway, mm."""

BODY_STEP_MM = 2.5
"""Edge of a voxel of neck, shoulders and head, mm."""

Point = tuple[Grid, Grid, Grid]


class _Canvas:
    """Volume that shapes are painted into."""

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.values = np.zeros(lattice.shape, np.float32)

    def part(self, low: Place, high: Place) -> tuple[Grid, Point]:
        where = self.lattice.slices(np.array(low), np.array(high))
        x, y, z = (self.lattice.axis(k)[where[k]] for k in range(3))
        return self.values[where], (x[:, None, None], y[None, :, None], z[None, None, :])

    def fill(self, values: Grid, distance: Grid, value: float) -> None:
        """Set a value in a part, where a distance is negative."""
        values += cover(distance, self.lattice.step_mm) * (np.float32(value) - values)

    def ball(self, centre: Place, radii: Place, value: float) -> None:
        """Fill an ellipsoid on both sides of the midline."""
        reach = np.array(radii) + self.lattice.step_mm
        low, high = np.array(centre) - reach, np.array(centre) + reach
        part, (x, y, z) = self.part((-high[0], low[1], low[2]), tuple(high))
        self.fill(part, ellipsoid((np.abs(x), y, z), centre, radii), value)

    def rods(self, path: list[Place], radius: float, value: float) -> None:
        """Fill rods along a path on both sides of the midline."""
        for start, end in pairwise(path):
            low, high = np.minimum(start, end) - radius - 2, np.maximum(start, end) + radius + 2
            part, (x, y, z) = self.part((-high[0], low[1], low[2]), tuple(high))
            self.fill(part, capsule((np.abs(x), y, z), (start, end), radius), value)


def spine_volume(anatomy: NeckAnatomy) -> Volume:
    """Return the excess attenuation over muscle of bone, cartilage and air near the spine."""
    first, last = anatomy.vertebrae[0].centre_mm, anatomy.vertebrae[-1].centre_mm
    ys = np.array([placed.centre_mm[1] for placed in anatomy.vertebrae])
    low, high = [-37.0, ys.min() - 48.0, last[2] - 14.0], [37.0, ys.max() + 62.0, first[2] + 34.0]
    lattice = Lattice.over(np.array(low), np.array(high), SPINE_STEP_MM)
    excess = bone_excess(bone_field(anatomy, lattice), anatomy.texture_seed)
    canvas = _Canvas(lattice)
    canvas.values = excess
    _airway(canvas, anatomy)
    return Volume(lattice, canvas.values)


def _airway(canvas: _Canvas, anatomy: NeckAnatomy) -> None:
    """Add pharynx, larynx and trachea in front of the spine, and the hyoid bone."""
    fronts = {
        placed.size.name: placed.centre_mm - [0, placed.size.half_depth_mm, 0] for placed in anatomy.vertebrae
    }
    gaps = {"C2": 5.0, "C3": 5.0, "C4": 6.5, "C5": 12.0, "C6": 14.5, "C7": 15.0, "T1": 16.0, "T2": 17.0}
    radii = {"C2": 7.0, "C3": 7.5, "C4": 7.5, "C5": 6.0, "C6": 8.0, "C7": 8.5, "T1": 8.5, "T2": 8.5}
    path = [(0.0, float(fronts[n][1] - gaps[n] - radii[n]), float(fronts[n][2])) for n in fronts]
    top = (0.0, path[0][1] - 2.0, path[0][2] + 60.0)
    names = list(fronts)
    for start, end, name in zip([top, *path[:-1]], path, names, strict=True):
        radius = radii[name]
        low, high = np.minimum(start, end) - 1.4 * radius - 2, np.maximum(start, end) + 1.4 * radius + 2
        part, (x, y, z) = canvas.part(tuple(low), tuple(high))
        # wider than deep
        canvas.fill(part, capsule((x * np.float32(0.75), y, z), (start, end), radius), AIR - MUSCLE)
    hyoid = path[1]
    bone = SPONGE + 0.4 * (CORTEX - SPONGE) - MUSCLE
    canvas.rods(
        [
            (18.0, hyoid[1] - 4, hyoid[2] - 6),
            (9.0, hyoid[1] - 18, hyoid[2] - 10),
            (0.0, hyoid[1] - 20, hyoid[2] - 10),
        ],
        2.2,
        bone,
    )
    canvas.rods([(16.0, path[3][1] + 2, path[3][2] + 12), (15.0, path[3][1] + 1, path[3][2] - 8)], 1.6, 0.006)


def body_volume(anatomy: NeckAnatomy) -> Volume:
    """Return neck and shoulders, filled with muscle and fat, without the contents of the spine volume."""
    lattice = Lattice.over(np.array([-205.0, -125.0, -135.0]), np.array([205.0, 135.0, 150.0]), BODY_STEP_MM)
    canvas = _Canvas(lattice)
    part, (x, y, z) = canvas.part((-1e3, -1e3, -1e3), (1e3, 1e3, 1e3))
    # above, the head has a volume of its own
    skin = np.maximum(_skin(anatomy, x, y, z), z - np.float32(head_pivot(anatomy)[2]))
    canvas.fill(part, skin, FAT)
    grain = Noise(anatomy.texture_seed, 5, 9.0, smooth=5.0, size=128)
    canvas.fill(part, skin + 5.0 * anatomy.girth, MUSCLE)
    inside = np.flatnonzero(part.ravel() > 0.5 * FAT)
    axes = np.unravel_index(inside, lattice.shape)
    at = grain.at(*(np.float32(BODY_STEP_MM) * axis.astype(np.float32) for axis in axes))
    part.reshape(-1)[inside] *= 1 - np.float32(0.03) * np.clip(at, -2, 2)
    _shoulder_girdle(canvas, anatomy)
    return Volume(lattice, canvas.values)


def _skin(anatomy: NeckAnatomy, x: Grid, y: Grid, z: Grid) -> Grid:
    """Approximate signed distance to the skin, mm."""
    ways = np.array([[*placed.centre_mm[1:]] for placed in anatomy.vertebrae[::-1]])
    spine = np.interp(z, ways[:, 1], ways[:, 0]).astype(np.float32)
    below = anatomy.shoulder_mm + 22.0 - z
    slope = np.clip(below / 48.0, 0, 1.25).astype(np.float32)
    wide = (57.0 * anatomy.girth + 132.0 * slope**1.3) * anatomy.size
    thick = (62.0 * anatomy.girth + 30.0 * np.clip(slope - 0.3, 0, 1)) * anatomy.size
    middle = spine + 6.0 - 8.0 * np.clip(slope - 0.3, 0, 1)
    across, along = np.abs(x) / wide, np.abs(y - middle) / thick
    square = across**2.4 + along**2.4
    return (square ** np.float32(1 / 2.4) - 1) * np.minimum(wide, thick)


def _shoulder_girdle(canvas: _Canvas, anatomy: NeckAnatomy) -> None:
    top, size = anatomy.shoulder_mm, anatomy.size
    spine = anatomy.vertebra("T1").centre_mm
    y, z = float(spine[1]), float(spine[2])
    bone = SPONGE + 0.25 * (CORTEX - SPONGE)
    canvas.ball((52.0, y - 6, z - 62), (34.0, 44.0, 46.0), LUNG)
    canvas.rods(
        [
            (22.0, y + 14, z),
            (50.0, y + 4, z - 8),
            (58.0, y - 24, z - 20),
            (34.0, y - 50, z - 34),
        ],
        4.0,
        bone,
    )
    canvas.rods([(14.0, y - 62, z - 30), (75.0, y - 50, top - 22), (140.0, y - 8, top - 14)], 5.5, bone)
    canvas.ball((158.0 * size, y - 4, top - 42), (24.0, 24.0, 26.0), bone)
    canvas.rods([(158.0 * size, y - 4, top - 60), (162.0 * size, y - 6, top - 150)], 15.0, bone)
    canvas.rods([(60.0, y + 62, top - 30), (130.0, y + 44, top - 12)], 6.0, bone)


def head_pivot(anatomy: NeckAnatomy) -> Array:
    """Return the point where the head rests on the atlas, body frame."""
    c2 = anatomy.vertebrae[0]
    return c2.to_body(np.array([[0.0, 0.0, c2.size.height_mm / 2 + 15.0]]))[0]


def head_volume(anatomy: NeckAnatomy) -> Volume:
    """Return skull, face, lower jaw and teeth above the neck, looking straight ahead."""
    pivot = head_pivot(anatomy)
    lattice = Lattice.over(
        np.array([-85.0, pivot[1] - 115.0, pivot[2] - 75.0]),
        np.array([85.0, pivot[1] + 112.0, pivot[2] + 105.0]),
        BODY_STEP_MM,
    )
    canvas = _Canvas(lattice)
    part, (x, y, z) = canvas.part((-1e3, -1e3, -1e3), (1e3, 1e3, 1e3))
    nod = np.deg2rad(-anatomy.chin_up_deg)
    size, cosine, sine = anatomy.size**0.5, float(np.cos(nod)), float(np.sin(nod))
    off_y, off_z = (y - pivot[1]) / size, (z - pivot[2]) / size
    point = (x / size, off_y * cosine + off_z * sine, off_z * cosine - off_y * sine)
    folded = np.abs(point[0]), point[1], point[2]
    height = z - np.float32(pivot[2])
    neck = _skin(anatomy, x, y, np.full_like(z, pivot[2]))
    _flesh(canvas, part, folded)
    # below the pivot, the neck is part of the body volume, which does not rotate with the head; above, it is added here
    part *= 1 - cover(slab(neck, height), BODY_STEP_MM)
    canvas.fill(part, slab(neck, -height, height - 37.0), MUSCLE)
    _skull(canvas, part, folded)
    return Volume(lattice, canvas.values)


def _flesh(canvas: _Canvas, part: Grid, point: Point) -> None:
    """Paint scalp and face."""
    canvas.fill(part, ellipsoid(point, (0.0, 4.0, 60.0), (80.0, 102.0, 76.0)), MUSCLE)
    face = ellipsoid(point, (0.0, -48.0, -2.0), (66.0, 56.0, 66.0))
    canvas.fill(part, slab(face, -point[2] - 62.0), MUSCLE)


def _skull(canvas: _Canvas, part: Grid, point: Point) -> None:
    """Paint bones and teeth in the frame of the head: both sides at once, +y backwards, the atlas at the origin."""

    def rods(path: list[Place], radius: float, value: float) -> None:
        for start, end in pairwise(path):
            canvas.fill(part, capsule(point, (start, end), radius), value)

    def ball(centre: Place, radii: Place, value: float) -> None:
        canvas.fill(part, ellipsoid(point, centre, radii), value)

    ball((0.0, 4.0, 60.0), (74.0, 95.0, 66.0), SKULL)
    ball((0.0, 4.0, 61.0), (69.0, 89.5, 60.0), BRAIN)
    # base of the skull: condyles, clivus, petrous bones, mastoids with their air cells
    rods([(16.0, 2.0, 0.0), (9.0, -6.0, 4.0), (0.0, -18.0, 16.0), (0.0, -34.0, 32.0)], 6.5, SKULL)
    rods([(14.0, -14.0, 10.0), (56.0, 4.0, 16.0)], 9.0, SKULL)
    ball((54.0, 8.0, 2.0), (10.0, 11.0, 17.0), 0.6 * SKULL)
    ball((54.0, 10.0, 10.0), (6.0, 7.0, 7.0), 0.3 * MUSCLE)
    rods([(24.0, 40.0, -1.0), (0.0, 66.0, 4.0)], 6.0, SKULL)
    # face: sinuses and nose, hard palate, upper and lower teeth, lower jaw
    ball((18.0, -70.0, 26.0), (14.0, 20.0, 16.0), 0.3 * MUSCLE)
    ball((0.0, -60.0, 8.0), (12.0, 34.0, 14.0), 0.35 * MUSCLE)
    rods([(24.0, -48.0, -8.0), (18.0, -74.0, -8.0), (0.0, -86.0, -8.0)], 4.0, SKULL)
    rods([(0.0, -50.0, -8.0), (0.0, -84.0, -8.0)], 3.0, SKULL)
    rods([(25.0, -50.0, -17.0), (19.0, -74.0, -17.0), (0.0, -88.0, -17.0)], 4.5, TOOTH)
    rods([(24.0, -50.0, -27.0), (18.0, -73.0, -27.0), (0.0, -86.0, -27.0)], 4.5, TOOTH)
    jaw: list[Place] = [(47.0, -20.0, 10.0), (46.0, -26.0, -30.0), (24.0, -70.0, -42.0), (0.0, -86.0, -42.0)]
    rods(jaw, 7.0, SKULL)
    rods(jaw, 3.5, SPONGE)
