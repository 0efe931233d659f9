"""The column of vertebral bodies and discs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canvas import Canvas, Points, cover, norm, once
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.tissues import Tissue
from stenograde.terms import Structure

_SQUARE, _SQUARE_L5 = np.float32(0.75), np.float32(0.45)
"""Fraction of the spine's bend that each body leaves to the discs; L5 is the most wedge-shaped. By eye."""


@dataclass(frozen=True, eq=False)
class _Where:
    """Position of points relative to the column, each array of shape (n,)."""

    owner: NDArray[np.int8]
    """Vertebra to which the point belongs."""
    way: Grid
    """Way above that vertebra's centre, mm."""
    radius: Grid
    """Distance from the curve, as a fraction of the column's radius."""
    rim: Grid
    """Signed distance to the column's side, mm."""
    plate: Grid
    """Signed distance to the end plates, mm; positive in a disc."""


def paint_column(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint vertebral bodies, discs and the longitudinal ligaments.

    Parameters
    ----------
    scene : Scene
    points : Points
    canvas : Canvas
        Painted in place.
    """
    front = np.flatnonzero(points.behind < points.row(Row.BODY_DEPTH) + 12)
    close, part = points.take(front), canvas.part(front)
    where = _locate(scene, close)
    _paint_discs(scene, close, part, where)
    _paint_bodies(scene, close, part, where)
    canvas.put(front, part)


@once
def wall_behind(points: Points) -> Grid:
    """How far behind the curve the back of the column lies, at each point's height and lateral position, mm."""
    left = points.aside
    across = np.minimum(left / points.row(Row.BODY_WIDTH), 1)
    power = points.row(Row.WALL_POWER)
    beside = points.row(Row.WALL_HOLLOW) * (1 - np.exp(-((left / 7) ** 2)))
    return (points.row(Row.BODY_DEPTH) + beside) * (1 - across**power) ** (1 / power)


@once
def bulge_behind(points: Points) -> Grid:
    """How far a disc bulges backwards, at each point's height and lateral position, mm."""
    left = points.aside
    aside = points.sided(Row.SIDE_BULGE_LEFT, Row.SIDE_BULGE_RIGHT)
    return points.row(Row.BULGE) * flat_top(left / 11) + aside * flat_top((left - 12) / 5)


def flat_top(place: Grid) -> Grid:
    """Return exp(-x⁴): about 1 within half the width, about 0 beyond one and a half times the width."""
    square = place * place
    return np.exp(-square * square)


def marrow_grain(scene: Scene, points: Points) -> Grid:
    """Factor on the signal of marrow."""
    return 1 + 0.10 * points.grain(scene.fine) + 0.06 * points.grain(scene.coarse)


def _locate(scene: Scene, points: Points) -> _Where:
    anatomy = scene.anatomy
    owner = scene.of_body.take(points.entry)
    across = points.aside / points.row(Row.BODY_WIDTH)
    along = np.abs(points.behind) / points.row(Row.BODY_DEPTH)
    along = np.where(points.behind > 0, along * _flattened(points, across), along)
    wide, deep = across * across, along * along
    radius = np.sqrt(np.sqrt(wide * wide + deep * deep + wide * deep)) + np.float32(1e-4)
    way = points.s - scene.per_vertebra(anatomy.centre_mm, owner)
    square = np.where(owner == anatomy.n_sacral, _SQUARE_L5, _SQUARE)
    rise = np.abs(way * (1 - square * points.row(Row.BEND) * np.clip(points.behind, -25, 25)))
    dish = np.clip(1 - radius**2, 0, 1)
    hollow = np.where(owner < anatomy.n_fused - 1, 0.3 * dish, 1.7 * dish)
    fused = (owner < anatomy.n_fused - 1) | ((owner == anatomy.n_fused - 1) & (way < 0))
    bridge = np.where(fused, np.clip((radius - 0.55) * 8, 0, 4), 0)
    uneven = 0.3 * scene.coarse.at(points.left, points.behind, points.s)
    return _Where(
        owner=owner,
        way=way,
        radius=radius,
        rim=norm(points.left, points.behind) * (1 - 1 / radius),
        plate=rise - scene.per_vertebra(anatomy.half_height_mm, owner) + hollow + uneven - bridge,
    )


def _flattened(points: Points, across: Grid) -> Grid:
    """Factor on the distance behind the curve that gives the back of the column the shape of :func:`wall_behind`."""
    square = np.minimum(across, 1) ** 2
    round_ = np.sqrt((np.sqrt(4 - 3 * square**2) - square) / 2)
    return np.clip(round_ * points.row(Row.BODY_DEPTH) / np.maximum(wall_behind(points), 0.1), 0.4, 1.6)


def _paint_bodies(scene: Scene, points: Points, canvas: Canvas, where: _Where) -> None:
    lumbar = where.owner >= scene.anatomy.n_sacral
    body = np.maximum(where.rim, where.plate)
    corner = np.maximum(where.rim + 3, 0) * np.maximum(where.plate + 3, 0) / 12
    body = body + corner
    code = np.where(lumbar, Structure.VERTEBRA.code, 0).astype(np.uint8)
    shell = 0.45 - np.float32(0.15) * (where.rim > where.plate)  # walls are thinner than end plates
    canvas.paint(cover(body - 0.2), Tissue.CORTEX, code=code)
    marrow = cover(body + shell)
    canvas.paint(marrow, Tissue.MARROW, texture=marrow_grain(scene, points), code=code)
    _open_pedicles(scene, points, canvas, np.maximum(np.abs(where.rim) - _WALL_MM, where.plate + 2))
    tunnel = norm(points.left / 2.5, where.way) - 0.22 * np.clip(points.behind - 3, 0, 9)
    canvas.paint(0.8 * cover(tunnel, 1.6) * marrow * lumbar, Tissue.VEIN, code=code)


_WALL_MM = 1.4
"""Reach of the wall of a body to either side, mm."""


def _open_pedicles(scene: Scene, points: Points, canvas: Canvas, wall: Grid) -> None:
    """Paint the marrow that passes from the bodies into the pedicles, through the wall, whose distance is given."""
    through = np.flatnonzero((wall < 1) & (points.behind > 0) & (points.aside > _INNER_MM))
    close, part = points.take(through), canvas.part(through)
    arch = scene.skeleton.at(close.s, close.left, close.behind)
    is_free = arch.owner >= scene.anatomy.n_sacral
    code = np.where(is_free, Structure.VERTEBRA.code, 0).astype(np.uint8)
    shown = cover(np.maximum(arch.bone + 1.0, wall.take(through)))
    part.paint(shown * is_free, Tissue.MARROW, texture=marrow_grain(scene, close), code=code)
    canvas.put(through, part)


_INNER_MM = 7.0
"""Distance from the midline within which there is no pedicle, mm."""


def _paint_discs(scene: Scene, points: Points, canvas: Canvas, where: _Where) -> None:
    anatomy = scene.anatomy
    last = len(anatomy.names) - 1
    below = np.clip(np.where(where.way > 0, where.owner, where.owner - 1), 0, last)
    off = points.s - scene.per_vertebra(anatomy.disc_mm, below)
    half = scene.per_vertebra(anatomy.half_disc_mm, below)
    bulge = bulge_behind(points) * np.clip(points.behind / 6, 0, 1)
    bulge += 0.8 * np.clip(-points.behind / 6, 0, 1)
    bulge = np.maximum(bulge, 0.1)
    lip = (norm(np.maximum(where.rim, 0) / bulge, off / (half + 2)) - 1) * np.minimum(bulge, half + 2)
    disc = np.where(where.rim < 0, np.maximum(where.rim - bulge, -where.plate), lip)
    real = below >= anatomy.n_fused - 1
    code = np.where(real, Structure.DISC.code, 0).astype(np.uint8)
    bands = np.maximum(np.abs(where.rim - 0.8) - 0.8, points.aside - 15)
    canvas.paint(0.8 * cover(bands), Tissue.LIGAMENT)
    grain = 1 + 0.12 * points.grain(scene.fine)
    canvas.paint(cover(disc), Tissue.ANNULUS, texture=grain, code=code)
    high = off * (1 - points.row(Row.BEND) * points.behind) / (0.8 * half)
    lens = (norm(where.radius / 0.74, high) - 1) * half
    core = cover(lens, 2.5) * real * (where.plate > 0)
    canvas.paint(core, Tissue.DRY_NUCLEUS, texture=grain, code=code)
    cleft = 1 - 0.35 * np.exp(-((off / 1.2) ** 2))
    wet = scene.per_vertebra(anatomy.hydration, below)
    canvas.paint(core * wet, Tissue.WET_NUCLEUS, texture=grain * cleft, code=code)
