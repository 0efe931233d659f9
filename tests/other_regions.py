"""MR-like sagittal volumes of a neck, a head and a knee, none of which is a lumbar spine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tests.plain_volumes import volume_of

from stenograde.phantom.neck import make_neck
from stenograde.phantom.neck.anatomy import NeckAnatomy
from stenograde.phantom.neck.bones import bone_field
from stenograde.phantom.neck.volume import Lattice
from stenograde.study import Volume

Array = NDArray[np.float64]

T2 = {"muscle": 0.25, "fat": 0.8, "marrow": 0.45, "cortex": 0.05, "disc": 0.45, "fluid": 1.0, "cord": 0.5}
T1 = {"muscle": 0.35, "fat": 1.0, "marrow": 0.6, "cortex": 0.1, "disc": 0.4, "fluid": 0.2, "cord": 0.5}
"""Signals of tissues, by eye."""

NOISE = 0.03


def neck(seed: int, signals: dict[str, float], *, slice_mm: float = 4.0, pixel_mm: float = 0.8) -> Volume:
    """The cervical phantom's bones, with discs, canal, cord, airway and a brain, in MR signals."""
    anatomy = make_neck(seed).anatomy
    ends = [placed.centre_mm for placed in anatomy.vertebrae]
    middle = float(np.mean([end[1] for end in ends]))
    lattice = Lattice.over(
        np.array([-28.0, middle - 80, ends[-1][2] - 15]), np.array([28.0, middle + 80, ends[0][2] + 45]), 1.0
    )
    image = _tissues(anatomy, lattice, signals)
    x, y, z = (lattice.axis(k) for k in range(3))
    slices = np.arange(x[-1] - 2, x[0] + 2, -slice_mm)
    rows, columns = np.arange(z[-1], z[0], -pixel_mm), np.arange(y[0], y[-1], pixel_mm)
    at = np.meshgrid(slices - x[0], rows - z[0], columns - y[0], indexing="ij")
    pixels = ndimage.map_coordinates(image, [at[0], at[2], at[1]], order=1)
    return _volume(pixels, seed, slice_mm, pixel_mm)


def _tissues(anatomy: NeckAnatomy, lattice: Lattice, signals: dict[str, float]) -> Array:
    x, y, z = np.meshgrid(*(lattice.axis(k).astype(float) for k in range(3)), indexing="ij")
    upward = anatomy.vertebrae[::-1]
    heights = [placed.centre_mm[2] for placed in upward]
    spine = np.interp(z, heights, [placed.centre_mm[1] for placed in upward])
    half = np.interp(z, heights, [placed.size.half_depth_mm for placed in upward])
    canal = np.interp(z, heights, [placed.size.canal_depth_mm for placed in upward])
    back = spine + half + canal + 45
    image = np.full(x.shape, signals["muscle"])
    image[y > back - 8] = signals["fat"]
    image[(y > back) | (y < spine - half - 55)] = 0
    image[np.hypot(x / 9, (y - (spine - half - 12)) / 6) < 1] = 0
    for above, below in zip(anatomy.vertebrae, anatomy.vertebrae[1:], strict=False):
        centre = (above.centre_mm + below.centre_mm) / 2
        flat = np.abs(z - centre[2] - 0.07 * (y - centre[1])) < above.size.disc_below_mm / 2 + 0.8
        round_ = np.hypot(x / below.size.half_width_mm, (y - centre[1]) / (below.size.half_depth_mm + 1)) < 1
        image[flat & round_] = signals["disc"]
    bone = bone_field(anatomy, lattice).distance
    image[bone < 0.6] = signals["cortex"]
    image[bone < -0.8] = signals["marrow"]
    sac = spine + half + 1 + canal / 2
    image[np.hypot(x / 11, (y - sac) / (canal / 2 - 1.2)) < 1] = signals["fluid"]
    image[np.hypot(x / 6.5, (y - sac) / 3.6) < 1] = signals["cord"]
    return np.asarray(ndimage.gaussian_filter(image, 0.5))


def head(signals: dict[str, float], *, slice_mm: float = 12.0, pixel_mm: float = 1.2) -> Volume:
    """Scalp, skull, fluid, brain, ventricles and brain stem as ellipsoids."""
    rows, columns = np.mgrid[:192, :192] * pixel_mm
    pictures = []
    for aside in np.arange(-60, 61, slice_mm):
        away = ((rows - 100) / 95) ** 2 + ((columns - 115) / 100) ** 2 + (aside / 78) ** 2
        picture = np.zeros(rows.shape)
        for limit, tissue in ((1.0, "fat"), (0.92, "cortex"), (0.85, "fluid"), (0.8, "cord")):
            picture[away < limit] = signals[tissue]
        inner = ((rows - 100) / 14) ** 2 + ((columns - 115) / 40) ** 2 + ((abs(aside) - 12) / 10) ** 2
        picture[inner < 1] = signals["fluid"]
        picture[(rows > 170) & (np.abs(columns - 125) < 45) & (away >= 0.8)] = signals["muscle"]
        if abs(aside) < 11:
            picture[(rows > 180) & (np.abs(columns - 135) < 8)] = signals["fluid"]
            picture[(rows > 180) & (np.abs(columns - 135) < 4)] = signals["cord"]
        pictures.append(picture)
    return _volume(np.array(pictures), 1, slice_mm, pixel_mm)


def knee(signals: dict[str, float], *, slice_mm: float = 9.0, pixel_mm: float = 0.8) -> Volume:
    """Femur, tibia and patella in muscle and fat."""
    rows, columns = np.mgrid[:200, :200] * pixel_mm
    pictures = []
    for aside in np.arange(-40, 41, slice_mm):
        wide = np.sqrt(1 - (aside / 50) ** 2)
        picture = np.where(np.abs(columns - 80) < 65 * wide, signals["muscle"], 0.0)
        picture[np.abs(np.abs(columns - 80) - 60 * wide) < 5] = signals["fat"]
        femur = (rows < 75) & (np.abs(columns - 75) < 20 * wide)
        femur |= np.hypot((rows - 70) / 22, (columns - 78) / 30) < wide
        tibia = (rows > 98) & (np.abs(columns - 80) < (32 - np.clip(rows - 98, 0, 40) * 0.4) * wide)
        patella = np.hypot((rows - 65) / 20, (columns - 32) / 9) < wide
        for bone in (femur, tibia, patella):
            picture[ndimage.binary_dilation(bone, iterations=2)] = signals["cortex"]
            picture[bone] = signals["marrow"]
        pictures.append(picture)
    return _volume(np.array(pictures), 2, slice_mm, pixel_mm)


def _volume(pixels: Array, seed: int, slice_mm: float, pixel_mm: float) -> Volume:
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, NOISE, pixels.shape) + 1j * rng.normal(0, NOISE, pixels.shape)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-slice_mm, 0, 0], [0, 0, pixel_mm], [0, -pixel_mm, 0]])
    return volume_of(800 * np.abs(pixels + noise), affine)
