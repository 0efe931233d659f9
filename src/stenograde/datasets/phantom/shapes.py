"""The shapes of a spine as signed distances at points, and the order in which tissues are painted.

Distances are negative inside, mm. What is painted later covers what is there.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from stenograde.datasets.phantom.anatomy import Anatomy, Row
from stenograde.datasets.phantom.canvas import Canvas, Noise, Points, cover
from stenograde.datasets.phantom.curve import Array, Grid
from stenograde.datasets.phantom.tissues import Tissue
from stenograde.terms import Structure

VERTEBRA, DISC, CANAL = (structure.code for structure in Structure)

_NEAR_LEFT_MM, _NEAR_FRONT_MM, _NEAR_BACK_MM = 62.0, -38.0, 82.0


class Scene:
    """An anatomy made ready for painting: its look-up tables and textures."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        seed = anatomy.texture_seed
        self.fine = Noise(seed, 0.9)
        self.medium = Noise(seed + 1, 2.2)
        self.coarse = Noise(seed + 2, 7.0)
        self.of_body = anatomy.index_table(0.0)
        self.of_pedicle = anatomy.index_table(0.3)
        self.of_arch = anatomy.index_table(-0.42)
        self.roots = _draw_roots(np.random.default_rng(seed + 3), anatomy)

    @cached_property
    def back(self) -> tuple[Array, Array]:
        """Height z and the y of the skin of the back there, both of shape (n,), mm."""
        anatomy, s = self.anatomy, self.anatomy.curve.table_way_mm
        deep = anatomy.tables[Row.ROOF] + np.interp(s, anatomy.centre_mm, anatomy.spinous_mm) + 5
        fat = anatomy.back_fat_mm * anatomy.tables[Row.TAPER]
        tips = anatomy.curve.to_body(np.stack([s, 0 * s, deep], axis=1))
        order = np.argsort(tips[:, 2])
        z = np.arange(-260.0, 260.0, 2.0)
        y = np.interp(z, tips[order, 2], (tips[:, 1] + fat)[order])
        return z, gaussian_filter1d(y, 16.0, mode="nearest")

    def skin(self, points: Points) -> Grid:
        """Signed distance to the skin of the back, mm."""
        x, y, z = points.xyz
        profile = np.interp(z, *self.back).astype(np.float32)
        return y - (profile - x * x / 480 - 3 * np.exp(-((x / 13) ** 2)))


def paint(scene: Scene, xyz: Grid, signals: Grid) -> Canvas:
    """Paint the whole patient at points.

    Parameters
    ----------
    scene : Scene
    xyz : ndarray of shape (3, n), float32
        Body frame, mm.
    signals : ndarray of shape (n_tissues,), float32

    Returns
    -------
    canvas : Canvas
        Signal and label (0, or the code of a :class:`~stenograde.terms.Structure`) of each point.
    """
    points = Points.of(scene.anatomy, xyz)
    canvas = Canvas(xyz.shape[1], signals)
    _paint_soft(scene, points, canvas)
    near = np.flatnonzero(
        (np.abs(points.left) < _NEAR_LEFT_MM)
        & (points.behind > _NEAR_FRONT_MM)
        & (points.behind < _NEAR_BACK_MM)
    )
    close, part = points.take(near), canvas.part(near)
    _paint_canal(scene, close, part)
    _paint_arch(scene, close, part)
    _paint_column(scene, close, part)
    canvas.put(near, part)
    return canvas


def _paint_soft(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint skin, fat, muscle, vessels and belly."""
    anatomy = scene.anatomy
    left, behind, depth = np.abs(points.left), points.behind, points.row(Row.BODY_DEPTH)
    skin = scene.skin(points)
    x, y, z = points.xyz
    grain = scene.coarse.at(x, y, z)
    septa = 1 - 0.10 * np.clip(np.abs(scene.medium.at(x, y, z * 2)), 0, 2)
    canvas.paint(cover(skin), Tissue.FAT, texture=septa)
    belly = cover(behind + depth + 9 + 0.3 * np.minimum(left, 40), 8.0)
    canvas.paint(
        belly * np.clip(0.5 + grain, 0, 1), Tissue.BOWEL, texture=1 + 0.25 * scene.medium.at(x, y, z)
    )
    canvas.paint(belly * np.clip(grain - 1.2, 0, 1), Tissue.AIR)
    fascia = skin + anatomy.back_fat_mm * points.row(Row.TAPER) + 2
    back = np.maximum(np.maximum(fascia, depth + 8 - behind), left - 70 + 0.004 * (behind - 30) ** 2)
    streak = scene.medium.at(x * 1.3, y * 1.3, z * 0.3) + 0.5 * grain
    fat = np.clip((streak - 2.3 + 3.2 * points.row(Row.INFILTRATION)) * 1.4, 0, 0.85)
    fat = np.maximum(fat, 0.6 * np.exp(-(((left - 25 - 0.25 * (behind - 30)) / 1.6) ** 2)))
    muscle = cover(back, 1.5)
    canvas.paint(muscle * (1 - fat), Tissue.MUSCLE, texture=1 + 0.08 * streak)
    canvas.paint(cover(np.abs(fascia) - 0.7) * (left < 72), Tissue.LIGAMENT)
    _paint_front(scene, points, canvas)
    canvas.paint(cover(np.abs(skin + 1.0) - 1.0), Tissue.SKIN)
    canvas.paint(cover(-skin), Tissue.AIR)


def _paint_front(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint psoas and the great vessels."""
    anatomy = scene.anatomy
    s, behind, depth = points.s, points.behind, points.row(Row.BODY_DEPTH)
    at = dict(zip(anatomy.names, anatomy.centre_mm.astype(np.float32), strict=True))
    low = np.clip((at["T12"] - s) / (at["T12"] - at["S1"]), 0, 1)
    radius = 22 * low**0.8
    centre = points.row(Row.BODY_WIDTH) + 0.62 * radius
    psoas = np.hypot(np.abs(points.left) - centre, (behind - 4) / 1.25) - radius
    canvas.paint(cover(psoas) * (low > 0.03), Tissue.MUSCLE, texture=1 + 0.05 * scene.medium.at(*points.xyz))
    split = np.clip(at["L4"] - 6 - s, 0, 60)
    for side, home, size in ((1.0, 6.0, 9.0), (-1.0, -16.0, 10.0)):
        middle = home + side * 0.38 * split
        deep = -depth - 12 - 0.05 * split
        tube = np.hypot(points.left - middle, behind - deep) - (size - 0.05 * split)
        canvas.paint(cover(tube - 1.2), Tissue.MUSCLE)
        canvas.paint(cover(tube), Tissue.FLOWING_BLOOD)


def _paint_canal(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint epidural fat, ligaments, the dural sac with what is in it, and the exiting roots."""
    left, behind = np.abs(points.left), points.behind
    roof = points.row(Row.ROOF) - 0.42 * left
    wall = points.row(Row.BODY_DEPTH)
    room = np.maximum(np.maximum(wall - 1 - behind, behind - roof), left - 27)
    canvas.paint(cover(room), Tissue.FAT)
    gap = np.abs(np.abs(left - 8) - 6.5)
    ligament = np.maximum(
        np.abs(behind - roof + points.row(Row.LIGAMENT) / 2) - points.row(Row.LIGAMENT) / 2, gap - 6.5
    )
    canvas.paint(cover(np.maximum(ligament, left - 14)), Tissue.LIGAMENT)
    between = np.maximum(left - 3.2, np.abs(behind - roof - 16) - 15)
    streak = 1 + 0.3 * scene.medium.at(points.left, behind, points.s * 0.5)
    canvas.paint(0.75 * cover(between, 2.0), Tissue.LIGAMENT, texture=streak)
    _paint_exits(scene, points, canvas)
    sac = sac_distance(points)
    inside = np.flatnonzero(sac < 2.5)
    part = canvas.part(inside)
    _paint_sac(scene, points.take(inside), part, sac[inside])
    canvas.put(inside, part)


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
    """Paint dura, fluid, cord and the roots of the cauda equina."""
    canvas.paint(cover(sac - 0.5), Tissue.LIGAMENT, code=0)
    flow = 1 - 0.06 * np.abs(scene.coarse.at(points.left, points.behind, points.s * 0.5))
    canvas.paint(cover(sac), Tissue.CSF, texture=flow, code=CANAL)
    depth, width = points.row(Row.SAC_DEPTH), points.row(Row.SAC_WIDTH)
    wedge, centre = points.row(Row.SAC_WEDGE), points.row(Row.SAC_CENTRE)
    for q, p, thick, start, end in scene.roots:
        sway = 0.10 * np.sin(points.s / 21 + 9 * p)
        a = centre + (q + 0.5 * sway) * depth
        x = (p + sway) * width * (1 - wedge * q)
        strand = np.hypot(points.left - x, points.behind - a) - thick
        alive = (points.s > end) & (points.s < start)
        canvas.paint(cover(strand) * alive * cover(sac + 0.3), Tissue.ROOT, code=CANAL)
    cord = points.row(Row.CORD)
    round_ = np.hypot(points.left, (points.behind - centre - 0.12 * depth) * 1.25) - cord
    canvas.paint(cover(round_) * (cord > 0.3), Tissue.CORD, code=CANAL)


def _draw_roots(rng: np.random.Generator, anatomy: Anatomy) -> list[tuple[float, ...]]:
    """Draw the roots: place behind and across (shares of the sac), radius, ways of beginning and end."""
    at = dict(zip(anatomy.names, anatomy.centre_mm.tolist(), strict=True))
    ends = [at[name] - 8 for name in ("L1", "L2", "L3", "L4", "L5")] + [at["S1"], at["S1"] - 8, at["S2"] + 5]
    roots: list[tuple[float, ...]] = []
    for rank, end in enumerate(ends):
        for side in (-1, 1):
            for _ in range(2 if rank < 6 else 1):
                inward = 1 - rank / len(ends)
                p = side * (0.12 + 0.66 * inward) * rng.uniform(0.8, 1.1)
                q = float(np.sqrt(max(0.9 - p * p, 0.02)) * rng.uniform(0.1, 0.9))
                roots.append((q, p, float(rng.uniform(0.7, 0.95)), at["L1"] + 14, float(end)))
    return roots


def _paint_exits(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint the root that leaves under each pedicle, with its ganglion."""
    owner = scene.of_body[points.entry]
    anatomy = scene.anatomy
    left = np.abs(points.left)
    under = anatomy.centre_mm + 0.44 * anatomy.half_height_mm - 12.5
    way = under.astype(np.float32)[owner] - 0.45 * (left - 13)
    deep = points.row(Row.BODY_DEPTH) + 6.5 - 0.30 * (left - 13)
    thick = 2.2 + 1.3 * np.exp(-(((left - 17) / 4) ** 2))
    root = np.hypot((points.s - way) / 1.25, points.behind - deep) - thick
    out = np.maximum(root, np.maximum(points.row(Row.SAC_WIDTH) - left, left - 40))
    lumbar = owner >= anatomy.n_sacral - 2
    canvas.paint(cover(out) * lumbar, Tissue.ROOT)
    vein = np.hypot(points.s - way - 1, points.behind - deep + 4.5) - 1.1
    canvas.paint(cover(np.maximum(vein, np.abs(left - 18) - 7)) * lumbar, Tissue.VEIN)


def _box(extents: tuple[Grid, ...], round_mm: float) -> Grid:
    """Signed distance to a box with round edges, from |coordinate| - half length along each axis."""
    outside = np.sqrt(sum(np.maximum(e + round_mm, 0) ** 2 for e in extents))
    inside = np.minimum(np.maximum.reduce([e + round_mm for e in extents]), 0)
    return outside + inside - np.float32(round_mm)


def _paint_arch(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint pedicles, articular and spinous processes, laminae, and the back of the sacrum."""
    behind_wall = np.flatnonzero(points.behind > points.row(Row.BODY_DEPTH) - 6)
    close, part = points.take(behind_wall), canvas.part(behind_wall)
    low, high = _lower_arch(scene, close), _upper_arch(scene, close)
    grain = 1 + 0.07 * scene.fine.at(*close.xyz)
    n_sacral = scene.anatomy.n_sacral
    for bone, owner in ((high, scene.of_pedicle), (low, scene.of_arch)):
        code = np.where(owner[close.entry] >= n_sacral, VERTEBRA, 0).astype(np.uint8)
        part.paint(cover(bone - 0.3), Tissue.CORTEX, code=code)
        part.paint(cover(bone + 0.9), Tissue.MARROW, texture=0.92 * grain, code=code)
    canvas.put(behind_wall, part)


def _lower_arch(scene: Scene, points: Points) -> Grid:
    """Distance to spinous process, lamina and lower articular process of the vertebra above."""
    anatomy = scene.anatomy
    owner = scene.of_arch[points.entry]
    half = anatomy.half_height_mm.astype(np.float32)[owner]
    way = points.s - anatomy.centre_mm.astype(np.float32)[owner]
    left, roof = np.abs(points.left), points.row(Row.ROOF)
    length = anatomy.spinous_mm.astype(np.float32)[owner]
    sacral = owner < anatomy.n_sacral
    back = points.behind - roof
    tip = np.clip(back / length, 0, 1)
    drop = way + half * 0.78 + 0.22 * back
    tall = np.where(sacral, 1.1 * half, 0.62 * half + 1.8 * tip)
    wide = 2.6 + 2.2 * tip**3
    ripple = 0.6 * scene.coarse.at(*points.xyz)
    spinous = _box(
        (left - wide, np.abs(back - 2 - length / 2) - length / 2, np.abs(drop) - tall + ripple), 2.0
    )
    sheet = back + 0.42 * left - 3.2 + 0.22 * (way + 0.6 * half)
    lamina = _box(
        (left - 15, np.abs(sheet) - 3.0, np.abs(way + 0.62 * half) - np.where(sacral, 1.2, 0.6) * half), 1.5
    )
    facet_back = points.behind - points.row(Row.BODY_DEPTH)
    lower = _box(
        (np.abs(left - 15) - 4.5, np.abs(facet_back - 18.5) - 3.4, np.abs(way + 0.95 * half) - 0.75 * half),
        2.5,
    )
    return np.minimum(np.minimum(spinous, lamina), np.where(sacral, 99, lower))


def _upper_arch(scene: Scene, points: Points) -> Grid:
    """Distance to pedicle, upper articular process, transverse process or sacral wing of a vertebra."""
    anatomy = scene.anatomy
    owner = scene.of_pedicle[points.entry]
    half = anatomy.half_height_mm.astype(np.float32)[owner]
    pedicle_half = anatomy.pedicle_mm.astype(np.float32)[owner]
    way = points.s - anatomy.centre_mm.astype(np.float32)[owner]
    left = np.abs(points.left)
    back = points.behind - points.row(Row.BODY_DEPTH)
    middle = np.minimum(points.row(Row.CANAL_WIDTH) + pedicle_half, 20)
    rise = way - 0.44 * half
    neck = np.hypot((left - middle) / pedicle_half, rise / (0.52 * half)) - 1
    pedicle = np.maximum(neck * np.minimum(pedicle_half, 0.52 * half), np.abs(back - 5) - 12)
    upper = _box(
        (np.abs(left - 17) - 4.2, np.abs(back - 11.5) - 3.0, np.abs(way - 1.05 * half) - 0.75 * half), 2.4
    )
    column = _box(
        (np.abs(left - 16) - 4.5, np.abs(back - 14.5) - 4.5, np.abs(way - 0.1 * half) - 0.7 * half), 2.5
    )
    transverse = _box((np.abs(left - 32) - 15, np.abs(back - 10) - 2.5, np.abs(rise) - 5), 2.0)
    free = np.minimum.reduce([pedicle, upper, column, transverse])
    wing = _box(
        (np.abs(left - 27) - 24 * np.clip(half / 14, 0, 1), np.abs(back - 1) - 11, np.abs(way) - half - 2),
        5.0,
    )
    hole = np.hypot(np.abs(left) - 17, (way + half) * 1.1) - 4.5
    fused = np.minimum(np.maximum(wing, -hole), np.where(owner == anatomy.n_sacral - 1, upper, 99))
    return np.where(owner < anatomy.n_sacral, fused, free)


def _paint_column(scene: Scene, points: Points, canvas: Canvas) -> None:
    """Paint vertebral bodies and discs."""
    front = np.flatnonzero(points.behind < points.row(Row.BODY_DEPTH) + 12)
    close, part = points.take(front), canvas.part(front)
    anatomy = scene.anatomy
    depth, width = close.row(Row.BODY_DEPTH), close.row(Row.BODY_WIDTH)
    across, along = np.abs(close.left) / width, np.abs(close.behind) / depth
    radius = (across**2.5 + along**2.5) ** np.float32(0.4) + np.float32(1e-4)
    rim = np.hypot(close.left, close.behind) * (1 - 1 / radius)
    owner = scene.of_body[close.entry]
    way = close.s - anatomy.centre_mm.astype(np.float32)[owner]
    rise = way * (1 - 0.75 * close.row(Row.BEND) * np.clip(close.behind, -25, 25))
    hollow = np.where(owner < anatomy.n_sacral - 1, 0.3, 1.7) * np.clip(1 - radius**2, 0, 1)
    plate = np.abs(rise) - anatomy.half_height_mm.astype(np.float32)[owner] + hollow
    plate += 0.25 * scene.coarse.at(close.left, close.behind, close.s)
    _paint_discs(scene, close, part, (rim, plate, radius))
    _paint_bodies(scene, close, part, (rim, plate, way, owner))
    canvas.put(front, part)


def _paint_bodies(
    scene: Scene, points: Points, canvas: Canvas, where: tuple[Grid, Grid, Grid, NDArray[np.int8]]
) -> None:
    rim, plate, way, owner = where
    sacral = owner < scene.anatomy.n_sacral
    body = np.maximum(rim, plate)
    code = np.where(sacral, 0, VERTEBRA).astype(np.uint8)
    canvas.paint(cover(body - 0.4), Tissue.CORTEX, code=code)
    noise = 0.09 * scene.fine.at(*points.xyz) + 0.06 * scene.coarse.at(*points.xyz)
    canvas.paint(cover(body + 0.6), Tissue.MARROW, texture=1 + noise, code=code)
    tunnel = np.hypot(points.left / 2.5, way) - 0.25 * np.clip(points.behind - 1, 0, 9)
    canvas.paint(0.85 * cover(tunnel, 1.6) * cover(body + 0.6) * ~sacral, Tissue.VEIN, code=code)


def _paint_discs(scene: Scene, points: Points, canvas: Canvas, where: tuple[Grid, Grid, Grid]) -> None:
    rim, plate, radius = where
    anatomy = scene.anatomy
    upper = np.clip(np.searchsorted(anatomy.centre_mm, points.s) - 1, 0, len(anatomy.names) - 1)
    off = points.s - anatomy.disc_mm.astype(np.float32)[upper]
    half = anatomy.half_disc_mm.astype(np.float32)[upper]
    behind_sign = np.clip(points.behind / 6, 0, 1)
    bulge = points.row(Row.BULGE) * np.exp(-((points.left / 11) ** 2)) * behind_sign
    bulge += 0.8 * np.clip(-points.behind / 6, 0, 1)
    slab = np.where(rim < 0, -plate, np.abs(off) - half - 1.5)
    disc = np.maximum(rim - bulge, slab)
    graded = upper >= anatomy.n_sacral - 1
    code = np.where(graded, DISC, 0).astype(np.uint8)
    grain = 1 + 0.12 * scene.fine.at(*points.xyz)
    longitudinal = np.maximum(np.abs(rim - 0.9) - 0.9, np.abs(points.left) - 15)
    canvas.paint(cover(longitudinal), Tissue.LIGAMENT)
    canvas.paint(cover(disc), Tissue.ANNULUS, texture=grain, code=code)
    core = np.maximum((radius - 0.72) * 15, -plate + 0.8)
    wet = anatomy.hydration.astype(np.float32)[upper]
    canvas.paint(cover(core, 3.0) * graded, Tissue.DRY_NUCLEUS, texture=grain, code=code)
    cleft = 1 - 0.4 * np.exp(-((off / 1.2) ** 2))
    canvas.paint(cover(core, 3.0) * wet * graded, Tissue.WET_NUCLEUS, texture=grain * cleft, code=code)
