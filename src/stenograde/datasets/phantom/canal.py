"""What the spinal canal and the foramina hold: fat, ligaments, the dural sac, cord and roots."""

from __future__ import annotations

import numpy as np

from stenograde.datasets.phantom.anatomy import SIDE_FAT_MM, Row
from stenograde.datasets.phantom.canvas import Canvas, Points, cover
from stenograde.datasets.phantom.column import bulge_behind
from stenograde.datasets.phantom.curve import Grid
from stenograde.datasets.phantom.scene import Scene
from stenograde.datasets.phantom.tissues import Tissue
from stenograde.terms import Structure

ROOF_SLOPE = 0.42
"""How much the canal's roof comes forward per mm beside the midline."""

_BACK_FAT_SLOPE = 1.1
"""How much the triangle of fat behind the sac comes forward per mm beside the midline, by eye."""

_RECESS_MM = 2.5
"""Depth of the band of fat behind a disc beside the sac, where the next root passes, by eye, mm."""

_ROOTLETS = 0.8
"""Share of the sac that roots too thin to draw take where it is tightest."""


def paint_canal(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint epidural fat, ligaments, the dural sac with what is in it, and the exiting roots.

    Parameters
    ----------
    scene : Scene
    points : Points
    canvas : Canvas
        Painted in place.
    """
    left, behind = np.abs(points.left), points.behind
    under_roof = behind - (points.row(Row.ROOF) - ROOF_SLOPE * left)
    room = np.maximum(np.maximum(points.row(Row.BODY_DEPTH) - 1 - behind, under_roof), left - 25)
    canvas.paint(cover(room, 1.5), Tissue.FAT)
    length = scene.per_vertebra(scene.anatomy.spinous_mm, scene.of_body[points.entry])
    between = np.maximum(left - 3.2, np.abs(under_roof - length / 2) - length / 2)
    strands = 0.55 + 0.25 * scene.medium.at(points.left, behind * 0.4, points.s)
    canvas.paint(np.clip(strands, 0, 1) * cover(between, 2.0), Tissue.LIGAMENT)
    sac = sac_distance(points)
    yellow = np.maximum(_yellow(points, sac), under_roof - 0.5)
    canvas.paint(cover(yellow), Tissue.LIGAMENT, texture=2.2 + 0.5 * scene.medium.at(*points.xyz))
    _paint_exits(scene, points, canvas)
    inside = np.flatnonzero(sac < 2.5)
    if inside.size:
        part = canvas.part(inside)
        _paint_sac(scene, points.take(inside), part, sac[inside])
        canvas.put(inside, part)


def _yellow(points: Points, sac: Grid) -> Grid:
    """Distance to the ligaments around the canal: what closes in on the sac but for a little fat."""
    left, behind = np.abs(points.left), points.behind
    back = points.row(Row.SAC_CENTRE) + points.row(Row.SAC_DEPTH) + points.row(Row.BACK_FAT)
    triangle = np.maximum(behind + _BACK_FAT_SLOPE * left - back, points.row(Row.SAC_CENTRE) - behind)
    band = np.clip(_RECESS_MM * points.row(Row.SIDE_FAT) / SIDE_FAT_MM, 0, _RECESS_MM)
    recess = points.row(Row.BODY_DEPTH) + bulge_behind(points) + band + 0.8 * np.clip(left - 10, 0, 9)
    aside = np.maximum(behind - recess, points.row(Row.SAC_WIDTH) + 0.3 - left)
    free = np.minimum(np.minimum(sac - points.row(Row.SIDE_FAT), 0.7 * triangle), aside)
    return np.maximum(-free, left - 18)


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
    for root in scene.roots:
        sway = 0.10 * np.sin(points.s / 21 + 9 * root.across)
        high = root.behind + 0.5 * sway + crowd * (root.tight_behind - root.behind)
        side = root.across + sway + crowd * (root.tight_across - root.across)
        behind, left = centre + high * depth, side * width * (1 - wedge * high)
        strand = np.hypot(points.left - left, points.behind - behind) - root.radius_mm
        alive = np.clip(np.minimum(points.s - root.end_mm, root.begin_mm - points.s) / 8, 0, 1)
        canvas.paint(cover(strand) * alive * edge, Tissue.ROOT, code=code)
    cord = points.row(Row.CORD)
    tube = np.hypot(points.left, (points.behind - centre - 0.12 * depth) * 1.25) - cord
    canvas.paint(cover(tube) * (cord > 0.3), Tissue.CORD, code=code)


def _paint_exits(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the root that leaves under each pedicle, with its ganglion and a vein."""
    anatomy = scene.anatomy
    owner = scene.of_body[points.entry]
    left = np.abs(points.left)
    under = anatomy.pedicle_way_mm - 0.52 * anatomy.half_height_mm - 4.8
    way = scene.per_vertebra(under, owner) - 0.45 * (left - 13) + 1.6 * np.clip(13 - left, 0, 6)
    deep = points.row(Row.BODY_DEPTH) + points.row(Row.FORAMEN) + 0.5 - 0.30 * (left - 13)
    thick = 1.6 + 0.6 * np.clip(left - 11, 0, 1) + 1.3 * np.exp(-(((left - 17) / 4) ** 2))
    root = np.hypot((points.s - way) / 1.25, points.behind - deep) - thick
    outside = np.maximum(points.row(Row.SAC_WIDTH) - left, left - 40)
    lumbar = owner >= anatomy.n_sacral - 2
    canvas.paint(cover(np.maximum(root, outside)) * lumbar, Tissue.ROOT)
    vein = np.hypot(points.s - way - 1, points.behind - deep + 4.5) - 1.1
    canvas.paint(cover(np.maximum(vein, np.abs(left - 18) - 7)) * lumbar, Tissue.VEIN)
