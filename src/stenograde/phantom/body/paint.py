"""Painting of a phantom at points, from the skin inwards; later tissues cover earlier ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.arch import paint_arch
from stenograde.phantom.body.canal import paint_canal
from stenograde.phantom.body.canvas import Canvas, Points
from stenograde.phantom.body.column import paint_column
from stenograde.phantom.body.flow import paint_flow
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.soft_tissue import paint_soft_tissue
from stenograde.phantom.body.tissues import Tissue

_LEFT_MM, _FRONT_MM, _BACK_MM = 54.0, -32.0, 78.0
"""How far the spine extends from the curve, mm; beyond is soft tissue only."""

_OVERLAP_MM = 6.0
"""How far the surroundings of the canal are painted into the column, which then covers them, mm."""

_SKIN_MM = 2.0
"""How far behind the skin points are painted, mm; beyond is air."""


def paint(
    scene: Scene,
    xyz: Grid,
    signals: Grid,
    *,
    texture: float = 1.0,
    flow_void: float = 0.0,
) -> Grid:
    """Return the signal of the whole phantom at points.

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

    Returns
    -------
    signal : ndarray of shape (n,) or (n_channels, n), float32
    """
    canvas = Canvas(xyz.shape[1], signals, texture)
    _paint_all(scene, xyz, canvas, flow_void)
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
    _paint_all(scene, xyz, Canvas(xyz.shape[1], np.zeros(len(Tissue), np.float32), 1.0, labels), 0.0)
    return labels


def _paint_all(scene: Scene, xyz: Grid, canvas: Canvas, flow_void: float) -> None:
    """Paint every point of a canvas, in place."""
    skin = scene.skin(xyz)
    inside = np.flatnonzero(skin < _SKIN_MM)
    if inside.size:
        points = Points.of(scene.anatomy, np.stack([line.take(inside) for line in xyz]))
        part = canvas.part(inside)
        paint_soft_tissue(scene, points, part, skin.take(inside))
        _paint_spine(scene, points, part, flow_void)
        grain = np.float32(0.9) * points.grain(scene.medium) + np.float32(0.4) * points.grain(scene.fine)
        part.signal *= np.maximum(1 + canvas.strength * np.float32(scene.habitus.uneven) * grain, 0)
        canvas.put(inside, part)


def _paint_spine(scene: Scene, points: Points, canvas: Canvas, flow_void: float) -> None:
    near = np.flatnonzero(
        (points.aside < _LEFT_MM) & (points.behind > _FRONT_MM) & (points.behind < _BACK_MM)
    )
    if near.size:
        close, part = points.take(near), canvas.part(near)
        rear = np.flatnonzero(close.behind > close.row(Row.BODY_DEPTH) - _OVERLAP_MM)
        beyond, back = close.take(rear), part.part(rear)
        paint_canal(scene, beyond, back)
        if flow_void:
            paint_flow(scene, beyond, back, flow_void)
        part.put(rear, back)
        paint_arch(scene, close, part)
        paint_column(scene, close, part)
        canvas.put(near, part)
