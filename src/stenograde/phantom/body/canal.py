"""Contents of the spinal canal and the foramina: fat, ligaments, the dural sac, cord and roots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canvas import Canvas, Points, cover, norm
from stenograde.phantom.body.column import bulge_behind, flat_top, wall_behind
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.tissues import Tissue
from stenograde.terms import Structure

ROOF_SLOPE = 0.42
"""How far the roof of the canal slopes forwards per mm from the midline."""

_BACK_FAT_SLOPE = 1.3
"""How far the triangle of fat behind the sac slopes forwards per mm from the midline, by eye."""

_LIGAMENT_MM = 1.3
"""Thickness of the posterior longitudinal ligament and the tissue adhering to it, by eye, mm."""

_ROOTLETS = 0.8
"""Fraction of the sac occupied by roots too thin to draw, where it is tightest."""


def paint_canal(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint epidural fat, ligaments, the dural sac with its contents, and the exiting roots.

    Parameters
    ----------
    scene : Scene
    points : Points
    canvas : Canvas
        Painted in place.
    """
    under_roof = points.behind - (points.row(Row.ROOF) - ROOF_SLOPE * points.aside)
    within = np.flatnonzero((under_roof < 2) & (points.aside < _ROOM_MM) | (points.aside < _BETWEEN_MM))
    part = canvas.part(within)
    _paint_room(scene, points.take(within), part, under_roof.take(within))
    canvas.put(within, part)
    beside = np.flatnonzero(
        (points.aside < _ASIDE_MM) & (np.abs(points.behind - points.row(Row.BODY_DEPTH) - 6) < _ABOUT_MM)
    )
    part = canvas.part(beside)
    _paint_exits(scene, points.take(beside), part)
    canvas.put(beside, part)
    sac = sac_distance(points)
    inside = np.flatnonzero(sac < 2.5)
    if inside.size:
        part = canvas.part(inside)
        _paint_sac(scene, points.take(inside), part, sac.take(inside))
        canvas.put(inside, part)


_ROOM_MM, _BETWEEN_MM = 35.0, 5.0
"""Reach of the canal's fat to either side, and of the ligaments between spinous processes, mm."""


def _paint_room(scene: Scene, points: Points, canvas: Canvas, under_roof: Grid) -> None:
    """Paint epidural fat and the ligaments behind it."""
    left, behind = points.aside, points.behind
    aside = 0.5 * (left - 21) - points.grain(scene.coarse)
    room = np.maximum(np.maximum(points.row(Row.BODY_DEPTH) - 1 - behind, under_roof), aside)
    canvas.paint(cover(room, 1.5), Tissue.FAT, texture=_strands(scene, points))
    length = scene.per_vertebra(scene.anatomy.spinous_mm, scene.of_body.take(points.entry))
    between = np.maximum(left - 3.2, np.abs(under_roof - length / 2) - length / 2)
    strands = 0.55 + 0.25 * scene.medium.at(points.left, behind * 0.4, points.s)
    canvas.paint(np.clip(strands, 0, 1) * cover(between, 2.0), Tissue.LIGAMENT)
    yellow = np.maximum(np.maximum(-canal_room(points), left - 18), under_roof - 0.5)
    canvas.paint(cover(yellow), Tissue.LIGAMENT, texture=2.2 + 0.5 * points.grain(scene.medium))


def _strands(scene: Scene, points: Points) -> Grid:
    """Factor on the signal of epidural and foraminal fat: dark sheets of ligament and small vessels in it."""
    sheet = scene.medium.at(0.7 * points.left, 0.9 * points.behind, 0.6 * points.s)
    return 1 - np.float32(scene.habitus.septa) * np.exp(-((sheet / np.float32(0.25)) ** 2))


def canal_room(points: Points, *, aside_mm: float = np.inf) -> Grid:
    """Signed distance, mm, to what is free in the canal: the sac with the fat about and behind it, and the recesses.

    Parameters
    ----------
    points : Points
    aside_mm : float
        How far beyond the sac the recesses are taken to reach, mm.
    """
    sac = sac_distance(points)
    left, behind = points.aside, points.behind
    back = points.row(Row.SAC_CENTRE) + points.row(Row.SAC_DEPTH) + points.row(Row.BACK_FAT)
    triangle = np.maximum(behind + _BACK_FAT_SLOPE * left - back, points.row(Row.SAC_CENTRE) - behind)
    height = points.sided(Row.RECESS_LEFT, Row.RECESS_RIGHT)
    wider = np.clip(left - points.row(Row.SAC_WIDTH) - 4, 0, 9) * np.clip(height / 4, 0, 1)
    recess = _recess_front(points) + height + 0.8 * wider
    beside = left - points.row(Row.SAC_WIDTH)
    aside = np.maximum(behind - recess, np.maximum(0.3 - beside, beside - np.float32(aside_mm)))
    return np.minimum(np.minimum(sac - points.row(Row.SIDE_FAT), 0.7 * triangle), aside)


def recess_share(scene: Scene, xyz: Grid, beside_mm: tuple[float, float]) -> Grid:
    """Return how much of each point, shape (3, n), lies in a lateral recess, whatever fills it.

    Parameters
    ----------
    scene : Scene
    xyz : ndarray of shape (3, n), float32
        Body frame, mm.
    beside_mm : tuple of float
        Where recesses begin and end beside the sac, from its half width at its middle, mm. Before and behind they end
        at the disc, or the ligament covering it, and at the ligament before the joint.
    """
    points = Points.of(scene.anatomy, xyz)
    behind = points.behind - _recess_front(points)
    beside = points.aside - points.row(Row.SAC_WIDTH)
    deep = np.maximum(-behind, behind - points.sided(Row.RECESS_LEFT, Row.RECESS_RIGHT))
    return cover(
        np.maximum(deep, np.maximum(np.float32(beside_mm[0]) - beside, beside - np.float32(beside_mm[1])))
    )


def _recess_front(points: Points) -> Grid:
    """How far behind the curve a recess begins: behind the disc, or the ligament covering it."""
    return wall_behind(points) + np.maximum(bulge_behind(points), _LIGAMENT_MM)


def sac_distance(points: Points) -> Grid:
    """Signed distance to the dural sac, mm: an ellipse narrower behind, whose area is π · depth · width."""
    depth, width = points.row(Row.SAC_DEPTH), points.row(Row.SAC_WIDTH)
    up = (points.behind - points.row(Row.SAC_CENTRE)) / depth
    narrow = np.maximum(1 - points.row(Row.SAC_WEDGE) * np.clip(up, -1.2, 1.2), 0.3)
    across = points.left / (width * narrow)
    radius = np.sqrt(up * up + across * across) + np.float32(1e-6)
    steep = np.sqrt((up / depth) ** 2 + (across / width) ** 2) + np.float32(1e-6)
    return (radius - 1) * radius / steep


def _paint_sac(scene: Scene, points: Points, canvas: Canvas, sac: Grid) -> None:
    """Paint dura, fluid, the roots of the cauda equina, and the cord."""
    code = Structure.CANAL.code
    canvas.paint(0.8 * cover(sac - 0.45), Tissue.LIGAMENT)
    flow = 1 - 0.06 * np.abs(scene.coarse.at(points.left, points.behind, points.s * 0.5))
    canvas.paint(cover(sac), Tissue.CSF, texture=flow, code=code)
    edge, crowd = cover(sac + 0.3), points.row(Row.CROWD)
    canvas.paint(_ROOTLETS * crowd**2 * edge, Tissue.ROOT, code=code)
    depth, width = points.row(Row.SAC_DEPTH), points.row(Row.SAC_WIDTH)
    wedge, centre = points.row(Row.SAC_WEDGE), points.row(Row.SAC_CENTRE)
    strands = np.zeros_like(edge)
    lowest, highest = float(points.s.min()), float(points.s.max())
    for root in scene.roots:
        if root.end_mm > highest or root.begin_mm < lowest:
            continue
        sway = 0.10 * np.sin(points.s / 21 + 9 * root.across)
        high = root.behind + 0.5 * sway + crowd * (root.tight_behind - root.behind)
        side = root.across + sway + crowd * (root.tight_across - root.across)
        behind, left = centre + high * depth, side * width * (1 - wedge * high)
        strand = norm(points.left - left, points.behind - behind) - root.radius_mm
        alive = np.clip(np.minimum(points.s - root.end_mm, root.begin_mm - points.s) / 8, 0, 1)
        np.maximum(strands, cover(strand) * alive, out=strands)
    canvas.paint(strands * edge, Tissue.ROOT, code=code)
    cord = points.row(Row.CORD)
    tube = norm(points.left, (points.behind - centre - 0.12 * depth) * 1.25) - cord
    canvas.paint(cover(tube) * (cord > 0.3), Tissue.CORD, code=code)


_ASIDE_MM, _ABOUT_MM = 40.0, 20.0
"""Reach of exiting roots from the midline, and to either side of the front wall of the canal, mm."""

_MEDIAL_MM = 8.0
"""Distance from the midline at which every foramen has ended, mm."""

_PASSING_MM = 1.4
"""Radius of a root that passes through a recess, by eye, mm."""


def root_shape(aside_mm: Grid | float) -> tuple[Grid, Grid]:
    """Half depth and half height of an uncompressed root, mm, by the distance from the middle of its foramen."""
    half = 1.6 + 0.6 * np.clip(np.add(aside_mm, 6), 0, 1) + 1.3 * np.exp(-((np.asarray(aside_mm) / 4) ** 2))
    return half, 1.25 * half


@dataclass(frozen=True, eq=False)
class _Exits:
    """Points about the root that leaves below each pedicle, each array of shape (n,)."""

    up: Grid
    """Way above the root, mm."""
    back: Grid
    """Distance behind it, mm."""
    half_depth: Grid
    half_height: Grid
    across: Grid
    """Fat in front and behind, mm."""
    along: Grid
    """Fat above and below, mm."""
    near: Grid
    """1 in the foramen, 0 far from it."""
    is_lumbar: NDArray[np.bool_]

    @classmethod
    def of(cls, scene: Scene, points: Points) -> _Exits:
        """Find the root next to each point."""
        anatomy = scene.anatomy
        owner = scene.of_foramen.take(points.entry)
        left = points.aside
        middle = scene.per_vertebra(anatomy.foramen_mm, owner)
        inner = middle - 4
        way = (
            scene.per_vertebra(anatomy.notch_mm - 4.8, owner)
            - 0.45 * (left - inner)
            + 1.6 * np.clip(inner - left, 0, 6)
        )
        deep = points.row(Row.BODY_DEPTH) + points.row(Row.FORAMEN) + 0.3 * np.clip(middle - left, -12, 6)
        side = (points.left < 0).astype(np.int8)
        place = side * np.intp(scene.foramina.shape[2]) + owner
        across, along, share = (one.astype(np.float32).ravel().take(place) for one in scene.foramina)
        near = flat_top((left - middle) / (0.5 * (middle - _MEDIAL_MM)))
        share = 1 - (1 - share) * near
        half_depth, half_height = root_shape(left - middle)
        return cls(
            up=points.s - way,
            back=points.behind - deep,
            half_depth=half_depth * share,
            half_height=half_height * (1.2 - 0.2 * share),
            across=across,
            along=along,
            near=near,
            is_lumbar=owner >= anatomy.n_sacral - 2,
        )

    @property
    def root(self) -> Grid:
        """Signed distance to the root, mm."""
        return (norm(self.up / self.half_height, self.back / self.half_depth) - 1) * self.half_depth

    @property
    def room(self) -> Grid:
        """Signed distance to the root with the fat around it, mm."""
        deep = self.half_depth + self.across
        return (norm(self.up / (self.half_height + self.along), self.back / deep) - 1) * np.minimum(deep, 5)


def foramen_room(scene: Scene, points: Points) -> Grid:
    """Signed distance to the roots that leave, with fat of a millimetre at most around them, mm."""
    exits = _Exits.of(scene, points)
    deep = exits.half_depth + np.minimum(exits.across, 1)
    tall = exits.half_height + np.minimum(exits.along, 1)
    inside = (norm(exits.up / tall, exits.back / deep) - 1) * deep
    return np.where(exits.is_lumbar & (exits.near > 0.1), inside, np.float32(99))


def _paint_exits(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the root that leaves below each pedicle, with its ganglion, a vein, and what encroaches on it."""
    exits, left = _Exits.of(scene, points), points.aside
    rough = points.grain(scene.medium)
    encroached = cover(-exits.room - 0.5 * rough, 1.0) * exits.near * exits.is_lumbar
    encroached *= np.clip((7.0 - exits.along) / 3, 0, 1) * cover(np.abs(exits.back - 1) - 10, 3.0)
    canvas.paint(encroached, Tissue.LIGAMENT, texture=1.3 + 0.4 * rough)
    _paint_passing(scene, points, canvas)
    outside = np.maximum(points.row(Row.SAC_WIDTH) - left, left - _ASIDE_MM)
    canvas.paint(cover(np.maximum(exits.root + 0.15 * rough, outside)) * exits.is_lumbar, Tissue.ROOT)
    vein = norm(exits.up - 1, exits.back + 4.5) - 1.1
    free = np.clip(exits.across - 1, 0, 1)
    canvas.paint(cover(np.maximum(vein, np.abs(left - 18) - 7)) * exits.is_lumbar * free, Tissue.VEIN)


def _paint_passing(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the root that passes through the recess to the foramen below, flattened where the recess is low."""
    anatomy = scene.anatomy
    owner = scene.of_pedicle.take(points.entry)
    below = scene.per_vertebra(anatomy.notch_mm - 1.0, owner)
    above = scene.per_vertebra(anatomy.disc_mm, owner)
    height = points.sided(Row.RECESS_LEFT, Row.RECESS_RIGHT)
    half = np.minimum(_PASSING_MM, 0.5 * height - 0.1)
    left = points.aside - points.row(Row.SAC_WIDTH) - 1.3
    near = flat_top((points.s - above) / 7)
    far = points.row(Row.FORAMEN) + 1.5
    front = _recess_front(points)
    deep = near * (front + 0.5 * height) + (1 - near) * (wall_behind(points) + far)
    strand = (norm(left / _PASSING_MM, (points.behind - deep) / half) - 1) * half
    alive = np.clip(np.minimum(points.s - below, above + 7 - points.s) / 2, 0, 1)
    canvas.paint(cover(strand) * alive * (owner >= anatomy.n_sacral - 1), Tissue.ROOT)
