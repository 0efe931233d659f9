"""Arches of the vertebrae: pedicles, laminae, articular, spinous and transverse processes; sacral wings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canal import ROOF_SLOPE
from stenograde.phantom.body.canvas import Canvas, Points, box, cover
from stenograde.phantom.body.curve import Grid
from stenograde.phantom.body.population import Transition
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.tissues import Tissue
from stenograde.terms import Structure

_JOINT_BACK_MM = 17.0
"""Distance of the middle of a facet joint behind the vertebral body, by eye, mm."""

_NOWHERE = np.float32(99.0)


def paint_arch(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the arches; those of lumbar and thoracic vertebrae are labelled as vertebra, those of the sacrum are not.

    Parameters
    ----------
    scene : Scene
    points : Points
    canvas : Canvas
        Painted in place.
    """
    rear = np.flatnonzero(points.behind > points.row(Row.BODY_DEPTH) - 10)
    close, part = points.take(rear), canvas.part(rear)
    grain = 0.92 + 0.07 * scene.fine.at(*close.xyz) + 0.05 * scene.medium.at(*close.xyz)
    joint = _facet(close)
    owner = scene.of_pedicle[close.entry]
    fluid = np.maximum(np.abs(joint[0]) - 0.8, np.abs(joint[1]) - 7)
    part.paint(0.6 * cover(fluid) * (owner >= scene.anatomy.n_sacral), Tissue.VEIN)
    upper, lower = _upper_arch(scene, close, joint), _lower_arch(scene, close, joint)
    for bone, owners in ((upper, owner), (lower, scene.of_arch[close.entry])):
        code = np.where(owners >= scene.anatomy.n_sacral, Structure.VERTEBRA.code, 0).astype(np.uint8)
        part.paint(cover(bone - 0.3), Tissue.CORTEX, code=code)
        part.paint(cover(bone + 0.8), Tissue.MARROW, texture=grain, code=code)
    canvas.put(rear, part)


def _facet(points: Points) -> tuple[Grid, Grid]:
    """Distances across (forwards and outwards) and along a facet joint, which is oriented at 45°."""
    grown = points.sided(Row.OVERGROWTH_LEFT, Row.OVERGROWTH_RIGHT)
    left = np.abs(points.left) - points.row(Row.FACET) + 0.5 * grown
    back = points.behind - points.row(Row.BODY_DEPTH) - _JOINT_BACK_MM + 0.7 * grown
    return (left - back) * np.float32(0.7071), (left + back) * np.float32(0.7071)


def _place(scene: Scene, points: Points, table: NDArray[np.int8]) -> tuple[NDArray[np.int8], Grid, Grid]:
    """Vertebra to which each point belongs, way above its centre, and half its height."""
    owner = table[points.entry]
    way = points.s - scene.per_vertebra(scene.anatomy.centre_mm, owner)
    return owner, way, scene.per_vertebra(scene.anatomy.half_height_mm, owner)


def _lower_arch(scene: Scene, points: Points, joint: tuple[Grid, Grid]) -> Grid:
    """Distance to spinous process, lamina and lower articular process."""
    owner, way, half = _place(scene, points, scene.of_arch)
    sacral = owner < scene.anatomy.n_sacral
    left, back = np.abs(points.left), points.behind - points.row(Row.ROOF)
    length = scene.per_vertebra(scene.anatomy.spinous_mm, owner)
    tip = np.clip(back / length, 0, 1)
    ripple = 0.7 * scene.coarse.at(*points.xyz)
    tall = np.where(sacral, 1.1 * half, (0.62 + 0.22 * tip) * half) + ripple
    stretch = np.sqrt(np.clip(1 - points.row(Row.BEND) * points.behind, 0.3, 1.2))
    drop = (way + 0.75 * half) * stretch + 0.2 * back
    spinous = box(
        (left - 2.4 - 2.6 * tip**3, np.abs(back - 1 - length / 2) - length / 2 - 1, np.abs(drop) - tall), 3.0
    )
    sheet = back + ROOF_SLOPE * left - 3.4 + 0.22 * (way + 0.6 * half)
    high = np.where(sacral, 1.2 * half, 0.62 * half)
    lamina = box((left - 15, np.abs(sheet) - 3.2, np.abs(way + 0.62 * half) - high), 2.0)
    across, along = joint
    lower = box(
        (np.abs(across + 5.2) - 4.7, np.abs(along) - 6.5, np.abs(way + 0.95 * half) - 0.8 * half), 3.0
    )
    return np.minimum(np.minimum(spinous, lamina), np.where(sacral, _NOWHERE, lower))


def _upper_arch(scene: Scene, points: Points, joint: tuple[Grid, Grid]) -> Grid:
    """Distance to pedicle, upper articular and transverse process, or to the sacral wing."""
    owner, way, half = _place(scene, points, scene.of_pedicle)
    n_sacral = scene.anatomy.n_sacral
    left, back = np.abs(points.left), points.behind - points.row(Row.BODY_DEPTH)
    wide = scene.per_vertebra(scene.anatomy.pedicle_mm, owner)
    rise = points.s - scene.per_vertebra(scene.anatomy.pedicle_way_mm, owner)
    middle = np.minimum(points.row(Row.CANAL_WIDTH) + wide, 20)
    tall = 0.52 * half
    neck = np.hypot((left - middle) / wide, rise / tall) - 1
    pedicle = np.maximum(neck * np.minimum(wide, tall), np.abs(back - 5) - 13)
    across, along = joint
    upper = box(
        (np.abs(across - 4.8) - 4.3, np.abs(along + 0.5) - 7, np.abs(way - 0.95 * half) - 0.85 * half), 3.0
    )
    pillar = box(
        (np.abs(left - 16) - 5, np.abs(back - 14.5) - 4.5, np.abs(way - 0.1 * half) - 0.75 * half), 3.0
    )
    process = box((np.abs(left - 32) - 15, np.abs(back - 11) - 3, np.abs(rise) - 5), 2.4)
    if scene.anatomy.transition is Transition.SACRALISED_L5:
        broad = box((np.abs(left - 34) - 13, np.abs(back - 9) - 7, np.abs(rise + 8) - 14), 4.0)
        process = np.where(owner == n_sacral, np.minimum(process, broad), process)
    free = np.minimum.reduce([pedicle, upper, pillar, process])
    reach = 20 * np.clip(half / 14, 0, 1)
    aside = np.abs(left - points.row(Row.CANAL_WIDTH) - 1 - reach) - reach
    wing = box((aside, np.abs(back - 1) - 11, np.abs(way) - half - 2), 5.0)
    hole = np.hypot(left - 17, (way + half) * 1.1) - 4.5
    fused = np.minimum(np.maximum(wing, -hole), np.where(owner == n_sacral - 1, upper, _NOWHERE))
    return np.where(owner < n_sacral, fused, free)
