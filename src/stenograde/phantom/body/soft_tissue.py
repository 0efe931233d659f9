"""Skin, fat, muscle, vessels and abdomen."""

from __future__ import annotations

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canvas import Canvas, Points, box, cover, norm
from stenograde.phantom.body.column import flat_top
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.tissues import Tissue

_SEPTA_MM = 45.0
"""Depth under the skin to which septa are painted, mm."""

_FRONT_OF_BACK_MM = 4.5
"""Distance of the erector's front behind the bodies' back, where the transverse processes lie, by eye, mm."""


def paint_soft_tissue(scene: Scene, points: Points, canvas: Canvas, skin: Grid) -> None:
    """Paint the surroundings of the spine: the body first, the air behind it last.

    Parameters
    ----------
    scene : Scene
    points : Points
    canvas : Canvas
        Painted in place.
    skin : ndarray of shape (n,)
        Signed distance to the skin of the back, mm.
    """
    canvas.paint(cover(skin), Tissue.FAT, texture=_septa(scene, points, skin))
    _paint_belly(scene, points, canvas)
    ahead = -points.behind - points.row(Row.BODY_DEPTH)
    about = (points.aside < _RECTUM_MM) & (ahead > 0) & (ahead < 2 * _RECTUM_MM)
    low = np.flatnonzero((points.s < _above_rectum(scene)) & about)
    if low.size:
        part = canvas.part(low)
        _paint_rectum(scene, points.take(low), part)
        canvas.put(low, part)
    front = np.flatnonzero((points.behind < 30) & (points.behind > -60) & (points.aside < 90))
    part = canvas.part(front)
    _paint_front(scene, points.take(front), part)
    canvas.put(front, part)
    back = np.flatnonzero((points.behind > 5) & (skin < 1))
    part = canvas.part(back)
    _paint_back(scene, points.take(back), part, skin.take(back))
    canvas.put(back, part)
    canvas.paint(cover(np.abs(skin + 1.0) - 1.0), Tissue.SKIN)
    canvas.paint(cover(-skin), Tissue.AIR)


def _septa(scene: Scene, points: Points, skin: Grid) -> Grid:
    """Factor on the signal of fat: thin dark sheets, parallel to the skin where they are near it."""
    out = 1 + np.float32(0.02) * points.grain(scene.medium)
    near = np.flatnonzero(skin > -_SEPTA_MM)
    x, _, z = (part.take(near) for part in points.xyz)
    sheet = scene.belly.at(x * np.float32(0.5), skin.take(near) * np.float32(0.9), z * np.float32(0.35))
    out[near] -= np.float32(scene.habitus.septa) * np.exp(-((sheet / np.float32(0.06)) ** 2))
    return out


def _paint_back(scene: Scene, points: Points, canvas: Canvas, skin: Grid) -> None:
    """Paint the muscles of the back with their fat, and their fascia."""
    x, y, z = points.xyz
    left, behind, depth = points.aside, points.behind, points.row(Row.BODY_DEPTH)
    grain, habitus = points.grain(scene.coarse), scene.habitus
    fascia = skin + scene.anatomy.back_fat_mm * points.row(Row.TAPER) + 2
    front = depth + _FRONT_OF_BACK_MM + 1.2 * grain - behind
    sheath = box((fascia + 0.8 * grain, left + 0.12 * np.abs(behind - 45) - 68), 14.0)
    bellies = box((sheath, front), 3.0)
    fibre = scene.streaks.at(*_feathered(points, depth))
    streak = fibre + 0.6 * grain
    # fat gathers about the midline and between multifidus and the laminae
    over = behind - points.row(Row.ROOF) + 0.42 * left - 8
    near = 0.7 * np.exp(-((left / 12) ** 2))
    deep = habitus.deep_fat * np.exp(-((over / 6) ** 2)) * flat_top(left / 22)
    lean = 2.0 - (3.2 + near) * points.row(Row.INFILTRATION) - near - deep + 0.015 * (left - 20)
    fat = np.clip((streak - lean) * 0.9, 0, 0.9)
    sheets = habitus.seams * np.exp(-((fibre / np.float32(0.18)) ** 2)) * np.clip(0.4 + 0.5 * grain, 0, 1)
    fat = np.maximum(fat, sheets)
    for home, tilt in ((25, 0.25), (44, 0.1)):
        seam = left - home - tilt * (behind - 30) - 3 * grain - 3 * np.sin(behind / 9 + z / 25)
        patchy = np.clip(0.6 + 0.5 * scene.medium.at(y, z, x), 0, 1)
        fat = np.maximum(fat, habitus.seams * patchy * np.exp(-((seam / 1.3) ** 2)))
    canvas.paint(cover(bellies, 1.5) * (1 - fat), Tissue.MUSCLE, texture=1 + 0.08 * streak)
    thin = np.clip((behind - depth - 15) / 20, 0, 0.8)
    canvas.paint(thin * cover(np.abs(sheath) - 0.5), Tissue.LIGAMENT)


def _feathered(points: Points, depth: Grid) -> tuple[Grid, Grid, Grid]:
    """Return coordinates in which streaks of fat run from the joints outwards, as fibres do, mm."""
    aside, back = points.aside - 12, points.behind - depth - 12
    far = norm(aside, back)
    turn = np.arctan2(back, aside) * 26
    return turn + np.where(points.left > 0, np.float32(0), np.float32(90)), far * 0.35, points.xyz[2] * 0.3


def _paint_belly(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint bowel and gas."""
    far = np.flatnonzero(points.behind < 4 - points.row(Row.BODY_DEPTH))
    close, part = points.take(far), canvas.part(far)
    habitus, (x, y, z) = scene.habitus, close.xyz
    grain = scene.belly.at(x, y * 0.7, z * 0.7)
    left = np.minimum(close.aside, 40)
    ahead = close.behind + close.row(Row.BODY_DEPTH) + 8 + habitus.visceral_fat_mm
    belly = cover(ahead - 0.2 * left + 3 * grain, 8.0)
    strand = scene.medium.at(x * 0.4, y * 0.4, z * 0.2) + 0.8 * grain
    begun = np.clip((4 - close.behind - close.row(Row.BODY_DEPTH)) / 12, 0, 1)
    part.paint(
        begun * np.clip(0.5 * (strand + habitus.strands), 0, 0.7), Tissue.MUSCLE, texture=1 + 0.2 * grain
    )
    content = habitus.content_signal * (1 + 0.2 * close.grain(scene.medium))
    part.paint(belly * np.clip(habitus.content + 0.7 * grain, 0, 1), Tissue.BOWEL, texture=content)
    across, deep, tall = habitus.loop_stretch
    loops = scene.loops.at(x * across, y * deep, z * tall)
    wall = np.clip(habitus.wall * (1.2 - 1.5 * np.abs(loops)), 0, 0.9)
    part.paint(belly * wall, Tissue.MUSCLE, texture=1.5 * content)
    filled = np.clip(2 * (loops - 0.7), 0, 1) * np.clip(1.2 - grain, 0, 1)
    part.paint(belly * filled, Tissue.BOWEL, texture=1.3 * content)
    part.paint(belly * np.clip(3 * (loops - habitus.gas), 0, 1), Tissue.AIR)
    canvas.put(far, part)


def _above_rectum(scene: Scene) -> float:
    """Way above which there is no rectum, mm."""
    return float(scene.anatomy.centre_mm[scene.anatomy.names.index("S2")]) + 20


_RECTUM_MM = 30.0
"""No part of the rectum lies farther from the midline, or twice as far before the front of the sacrum, mm."""


def _paint_rectum(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the rectum, which follows the sacrum behind a layer of fat."""
    at = dict(zip(scene.anatomy.names, scene.anatomy.centre_mm.tolist(), strict=True))
    grain = scene.loops.at(*points.xyz)  # (nobody else asks for it)
    wide = 10 + 2 * np.sin(points.s / 9) + 1.5 * grain
    deep = points.behind + points.row(Row.BODY_DEPTH) + 8 + wide
    tube = norm(norm(points.left * 0.8, deep), np.maximum(points.s - at["S2"], 0)) - wide
    canvas.paint(cover(tube, 1.5), Tissue.MUSCLE, texture=1.3 + 0.2 * points.grain(scene.medium))
    content = 0.5 + 0.2 * points.grain(scene.medium)
    canvas.paint(cover(tube + 3, 1.5) * np.clip(0.6 + grain, 0, 1), Tissue.BOWEL, texture=content)


def _paint_front(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint psoas and the great vessels."""
    anatomy = scene.anatomy
    s, behind, depth = points.s, points.behind, points.row(Row.BODY_DEPTH)
    left = points.aside
    grain, small = points.grain(scene.coarse), points.grain(scene.medium)
    at = dict(zip(anatomy.names, anatomy.centre_mm.tolist(), strict=True))
    low = np.clip((at["T12"] - s) / (at["T12"] - at["S1"]), 0, 1)
    radius = 21 * scene.habitus.psoas * np.sqrt(low)
    centre = np.maximum(points.row(Row.BODY_WIDTH), 22) + 0.66 * radius + 0.45 * np.clip(-s, 0, 90)
    psoas = norm(left - centre, (behind - 0.18 * depth) / 1.25) - radius + 0.8 * grain
    canvas.paint(cover(psoas) * (low > 0.03), Tissue.MUSCLE, texture=1 + 0.06 * small)
    quadratus = norm((left - 48 - 0.08 * np.clip(-s, 0, 90)) / 14, (behind - depth + 0.5) / 5) - 1
    above = np.clip((s - at["L5"]) / 15, 0, 1)
    canvas.paint(cover(4 * quadratus + 0.8 * grain) * above, Tissue.MUSCLE, texture=1 + 0.06 * small)
    thick = scene.habitus.crus_mm * np.clip((s - at["L3"]) / 25, 0, 1)
    crus = norm((left - 8) / 2, behind + depth + 2.5 + thick) - thick
    canvas.paint(cover(crus) * (thick > 0.2), Tissue.MUSCLE, texture=1 + 0.1 * small)
    split = np.clip(at["L4"] - 6 - s, 0, 60)
    aorta, cava, aorta_radius, cava_radius = scene.habitus.vessels_mm
    wind = scene.habitus.winding_mm * np.sin(s / 28 + aorta)
    for side, home, size in ((1.0, aorta, aorta_radius), (-1.0, cava, cava_radius)):
        turn = wind * (side > 0)
        deep = -depth - size - 4 - 0.05 * split - np.abs(turn)
        tube = norm(points.left - home - turn - side * 0.38 * split, behind - deep)
        tube = tube - (size - 0.05 * split)
        canvas.paint(0.7 * cover(tube - 1.0), Tissue.MUSCLE)
        canvas.paint(cover(tube, 1.5), Tissue.FLOWING_BLOOD, texture=1 + small)
