"""Arches of the vertebrae: pedicles, laminae, articular, spinous and transverse processes; sacral wings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canal import ROOF_SLOPE, canal_room, foramen_room
from stenograde.phantom.body.canvas import Canvas, Points, box, cover, norm
from stenograde.phantom.body.column import marrow_grain
from stenograde.phantom.body.population import Transition
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.skeleton import Field
from stenograde.phantom.body.tissues import Tissue
from stenograde.terms import Structure

_NOWHERE = np.float32(99.0)

_ABOUT_MM, _CAPSULE_MM = 1.5, 0.5
"""Thickness of what lies between the free room of canal and foramina, and bone, mm."""

_OVERLAP_MM = 4.0
"""How far above the middle of the lowest lumbar body the sacrum, or a sacralised L5, may reach, mm."""

WING_MM = 12.0
"""How far sacral wings reach before the back of the bodies, with their edges, mm."""

_REACH_MM = 4.0
"""Reach of what is painted around an arch, mm."""

_RECESS_MM = 2.5
"""Width of a lateral recess, which bone leaves free, mm."""


def paint_arch(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the arches; those of lumbar and thoracic vertebrae are labelled as vertebra, those of the sacrum are not.

    Parameters
    ----------
    scene : Scene
    points : Points
    canvas : Canvas
        Painted in place.
    """
    anatomy = scene.anatomy
    behind_wall = points.behind - points.row(Row.BODY_DEPTH)
    below = points.s < float(anatomy.centre_mm[anatomy.n_sacral]) + _OVERLAP_MM
    low = np.flatnonzero(below & (behind_wall > -WING_MM))
    part = canvas.part(low)
    _paint_sacrum(scene, points.take(low), part)
    canvas.put(low, part)
    rear = np.flatnonzero(behind_wall > -6)
    field = scene.skeleton.at(points.s.take(rear), points.left.take(rear), points.behind.take(rear))
    near = np.flatnonzero(field.bone < _REACH_MM)
    part = canvas.part(rear[near])
    _paint_arches(scene, points.take(rear[near]), part, field.take(near))
    canvas.put(rear[near], part)


def _paint_arches(scene: Scene, points: Points, canvas: Canvas, field: Field) -> None:
    """Paint the arches of the lumbar and thoracic spine, and the joints between them."""
    canal, foramen = canal_room(points, aside_mm=_RECESS_MM), foramen_room(scene, points)
    bone, joint = field.bone, field.joint
    capsule = np.maximum(np.maximum(joint - 5.0, bone - 3.0) / 2, -np.minimum(canal, foramen))
    canvas.paint(cover(capsule) * (bone > 0), Tissue.LIGAMENT)
    canvas.paint(0.6 * cover(np.maximum(joint - 3.2, capsule), 1.6) * (bone > 0), Tissue.VEIN)
    bone = bone + 0.35 * points.grain(scene.coarse)
    bone = np.maximum(bone, np.maximum(_ABOUT_MM - canal, _CAPSULE_MM - foramen))
    code = np.where(field.owner >= scene.anatomy.n_sacral, Structure.VERTEBRA.code, 0).astype(np.uint8)
    hard = 0.5 + scene.hard_mm * np.clip(1 - (joint - field.bone - 2.0) / 5.0, 0, 1)
    canvas.paint(cover(bone - 0.3), Tissue.CORTEX, code=code)
    canvas.paint(cover(bone + hard), Tissue.MARROW, texture=marrow_grain(scene, points), code=code)


def _paint_sacrum(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the wings, laminae and the median crest of the sacrum."""
    distance = _sacrum(scene, points)
    canvas.paint(cover(distance - 0.3), Tissue.CORTEX)
    canvas.paint(cover(distance + 0.8), Tissue.MARROW, texture=marrow_grain(scene, points))
    owner, way, half = _place(scene, points, scene.of_pedicle)
    hole = _sacral_hole(points.aside, way, half)
    depth = np.abs(points.behind - points.row(Row.BODY_DEPTH)) - 9
    canvas.paint(cover(np.maximum(hole + 1.2, depth)) * (owner < scene.anatomy.n_sacral), Tissue.ROOT)


def _sacral_hole(left: Grid, way: Grid, half: Grid) -> Grid:
    """Signed distance to the hole through which a sacral root leaves, mm."""
    return norm(left - 17, (way + half) * 1.1) - 3.4


def _place(scene: Scene, points: Points, table: NDArray[np.int8]) -> tuple[NDArray[np.int8], Grid, Grid]:
    """Vertebra to which each point belongs, way above its centre, and half its height."""
    owner = table.take(points.entry)
    way = points.s - scene.per_vertebra(scene.anatomy.centre_mm, owner)
    return owner, way, scene.per_vertebra(scene.anatomy.half_height_mm, owner)


def _sacrum(scene: Scene, points: Points) -> Grid:
    """Distance to wings, laminae and median crest of the sacrum; with a sacralised L5, to its broad processes, too."""
    anatomy = scene.anatomy
    n_sacral = anatomy.n_sacral
    owner, way, half = _place(scene, points, scene.of_arch)
    left, roof = points.aside, points.behind - points.row(Row.ROOF)
    length = scene.per_vertebra(anatomy.spinous_mm, owner)
    tip = np.clip(roof / length, 0, 1)
    stretch = np.sqrt(np.clip(1 - points.row(Row.BEND) * points.behind, 0.3, 1.2))
    drop = (way + 0.75 * half) * stretch + 0.2 * roof
    ripple = 0.7 * points.grain(scene.coarse)
    crest = box(
        (
            left - 2.4 - 2.6 * tip * tip * tip,
            np.abs(roof - 1 - length / 2) - length / 2 - 1,
            np.abs(drop) - 1.1 * half - ripple,
        ),
        3.0,
    )
    sheet = roof + ROOF_SLOPE * left - 3.4 + 0.22 * (way + 0.6 * half)
    lamina = box((left - 15, np.abs(sheet) - 3.2, np.abs(way + 0.62 * half) - 1.2 * half), 2.0)
    behind = np.where(owner < n_sacral, np.minimum(crest, lamina), _NOWHERE)
    owner, way, half = _place(scene, points, scene.of_pedicle)
    back = points.behind - points.row(Row.BODY_DEPTH)
    reach = 20 * np.clip(half / 14, 0, 1)
    aside = np.abs(left - points.row(Row.CANAL_WIDTH) - 1 - reach) - reach
    wing = box((aside, np.abs(back - 1) - 11, np.abs(way) - half - 2), 5.0)
    beside = np.where(owner < n_sacral, np.maximum(wing, -_sacral_hole(left, way, half)), _NOWHERE)
    if anatomy.transition is Transition.SACRALISED_L5:
        rise = points.s - scene.per_vertebra(anatomy.pedicle_way_mm, owner)
        broad = box((np.abs(left - 34) - 13, np.abs(back - 9) - 7, np.abs(rise + 8) - 14), 4.0)
        beside = np.where(owner == n_sacral, broad, beside)
    return np.minimum(behind, beside)
