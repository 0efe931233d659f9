"""Painting of a phantom at points, from the skin inwards; later tissues cover earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.arch import WING_MM, paint_arch
from stenograde.phantom.body.canal import paint_canal
from stenograde.phantom.body.canvas import Canvas, Noise, Points
from stenograde.phantom.body.column import paint_column
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.flow import paint_flow
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.soft_tissue import paint_soft_tissue
from stenograde.phantom.body.tissues import Tissue

_LEFT_MM, _FRONT_MM, _BACK_MM = 54.0, -32.0, 78.0
"""How far the spine extends from the curve, mm; beyond is soft tissue only."""

_COLUMN_MM = 38.0
"""How far the column extends to either side, mm."""

_SLAB_MM = 4.0
"""How far planes of a slab may lie from that of the points, and more, mm."""

_OVERLAP_MM = 6.0
"""How far the surroundings of the canal are painted into the column, which then covers them, mm."""

_SKIN_MM = 2.0
"""How far behind the skin points are painted, mm; beyond is air."""


@dataclass(frozen=True, eq=False)
class Slab:
    """Planes about that of the points, which are painted and averaged: a slice has a thickness.

    Parameters
    ----------
    normal : ndarray of shape (3,)
        Unit vector across the slice, body frame.
    depths_mm : ndarray of shape (n_planes,)
        Where each plane lies along it.
    weights : ndarray of shape (n_planes,)
        Positive, of sum 1.
    """

    normal: Array
    depths_mm: Array
    weights: Array

    def planes(self, xyz: Grid) -> Iterator[tuple[Grid, np.float32]]:
        """Give the points of each plane, shape (3, n), and its weight."""
        for depth, weight in zip(self.depths_mm.tolist(), self.weights.tolist(), strict=True):
            yield xyz + (depth * self.normal).astype(np.float32)[:, None], np.float32(weight)

    def kept_of(self, noise: Noise) -> np.float32:
        """Return the standard deviation of a texture that is averaged over the planes, as a fraction of its own."""
        apart = np.abs(self.depths_mm[:, None] - self.depths_mm)
        return np.float32((self.weights @ noise.correlation(apart) @ self.weights) ** 0.5)


THIN = Slab(np.zeros(3), np.zeros(1), np.ones(1))
"""The plane of the points alone."""


def paint(
    scene: Scene,
    xyz: Grid,
    signals: Grid,
    *,
    texture: float = 1.0,
    flow_void: float = 0.0,
    slab: Slab = THIN,
) -> Grid:
    """Return the signal of the whole phantom at points.

    Soft tissue about the spine, which is most of a picture and hardly changes across a slice, is painted in the plane
    of the points alone.

    Parameters
    ----------
    scene : Scene
    xyz : ndarray of shape (3, n), float32
        Body frame, mm.
    signals : ndarray of shape (n_tissues,) or (n_channels, n_tissues), float32
        Signal of each tissue.
    texture : float
        Factor on how strongly tissues are textured.
    flow_void : float
        Fraction of its signal that fluid loses where it flows fastest.
    slab : Slab
        Planes about that of the points over which the spine is averaged.

    Returns
    -------
    signal : ndarray of shape (n,) or (n_channels, n), float32
    """
    canvas = Canvas(xyz.shape[1], signals, texture)
    _paint_all(scene, xyz, canvas, flow_void, slab)
    return canvas.signal


def label(scene: Scene, xyz: Grid) -> NDArray[np.uint8]:
    """Return the label of each point, shape (n,): 0, or the code of a :class:`~stenograde.terms.Structure`.

    Parameters
    ----------
    scene : Scene
    xyz : ndarray of shape (3, n), float32
        Body frame, mm.
    """
    labels = np.zeros(xyz.shape[1], np.uint8)
    _paint_all(scene, xyz, Canvas(xyz.shape[1], np.zeros(len(Tissue), np.float32), 1.0, labels), 0.0, THIN)
    return labels


def _paint_all(scene: Scene, xyz: Grid, canvas: Canvas, flow_void: float, slab: Slab) -> None:
    """Paint every point of a canvas, in place."""
    skin = scene.skin(xyz)
    inside = np.flatnonzero(skin < _SKIN_MM)
    if inside.size:
        points = Points.of(scene.anatomy, np.stack([line.take(inside) for line in xyz]))
        part = canvas.part(inside)
        paint_soft_tissue(scene, points, part, skin.take(inside))
        near = np.flatnonzero(_may_be_spine(points))
        if near.size:
            part.put(near, _spine(scene, points.take(near), part.part(near), flow_void, slab))
        uneven = canvas.strength * np.float32(scene.habitus.uneven)
        grain = np.float32(0.9) * slab.kept_of(scene.medium) * points.grain(scene.medium)
        grain += np.float32(0.4) * slab.kept_of(scene.fine) * points.grain(scene.fine)
        part.signal *= np.maximum(1 + uneven * grain, 0)
        canvas.put(inside, part)


def _may_be_spine(points: Points) -> NDArray[np.bool_]:
    """Tell which points lie where some of the spine may be."""
    about = (points.aside < _LEFT_MM) & (points.behind > _FRONT_MM) & (points.behind < _BACK_MM)
    beside = points.behind > points.row(Row.BODY_DEPTH) - WING_MM - _SLAB_MM
    return about & (beside | (points.aside < _COLUMN_MM))


def _spine(scene: Scene, points: Points, about: Canvas, flow_void: float, slab: Slab) -> Canvas:
    """Return what surrounds the spine with the spine in it."""
    if slab is THIN:
        _paint_spine(scene, points, about, flow_void)
        return about
    mean = about.copy()
    mean.signal[:] = 0
    for xyz, weight in slab.planes(points.xyz):
        part = about.copy()
        _paint_spine(scene, Points.of(scene.anatomy, xyz), part, flow_void)
        mean.signal += weight * part.signal
    return mean


def _paint_spine(scene: Scene, points: Points, canvas: Canvas, flow_void: float) -> None:
    rear = np.flatnonzero(points.behind > points.row(Row.BODY_DEPTH) - _OVERLAP_MM)
    beyond, back = points.take(rear), canvas.part(rear)
    paint_canal(scene, beyond, back)
    if flow_void:
        paint_flow(scene, beyond, back, flow_void)
    canvas.put(rear, back)
    paint_arch(scene, points, canvas)
    paint_column(scene, points, canvas)
