"""Random changes of a sagittal slice, sampled apart from applied so that each can be replayed.

Geometry (turn, scale, shear, bend, shift) comes with a crop onto the network's grid; contrast is changed
strongly, per structure where a mask is at hand, so that a network trained on one weighting meets others
(domain randomisation, Billot et al., doi:10.1016/j.media.2023.102789). Nothing is ever mirrored: sides keep
their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stenograde.datasets.marked_slice import UNKNOWN
from stenograde.images.standardise import standardise
from stenograde.terms import Structure


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly slices are changed; each number is the end of a range around no change."""

    size_px: tuple[int, int] = (448, 352)
    """Rows and columns of what comes out."""
    turn_deg: float = 15.0
    log_scale: float = 0.25
    shear: float = 0.08
    bend_mm: float = 12.0
    """Largest sideways shift of the ends of the spine against its middle, mm."""
    shift_mm: tuple[float, float] = (35.0, 45.0)
    """Down and across."""
    gamma_log: float = 0.7
    remap_share: float = 0.5
    """Share of slices with a mask whose structures get new mean intensities."""
    curve_share: float = 0.25
    """Share of slices that go through a random, not always rising, intensity curve."""
    bias_log: float = 0.6
    blur_px: float = 1.6
    noise: float = 0.08
    """Largest Rician noise, as a share of the intensity range."""
    mild_share: float = 0.35
    """Share of slices whose contrast is hardly changed."""
    crop_share: float = 0.3
    """Share of slices whose borders are cut to black."""


@dataclass(frozen=True)
class Change:
    """One sampled change; apply it with :func:`apply`."""

    matrix: NDArray[np.float64]
    """Shape (2, 2): grid offset from the centre to picture offset, both mm."""
    shift_mm: tuple[float, float]
    bend_mm: tuple[float, float]
    """Quadratic and cubic sideways shift at the crop's ends."""
    gamma: float
    means: NDArray[np.float64] | None
    """Shape (3,): new mean of each structure on a 0 to 1 scale; None to keep."""
    textures: NDArray[np.float64]
    """Shape (3,): factor on each structure's deviation from its mean."""
    curve: NDArray[np.float64] | None
    """Intensities at five even stops; None for no curve."""
    bias: NDArray[np.float64]
    """Shape (5,): coefficients of y, x, yy, xy, xx of the log bias field."""
    blur_px: tuple[float, float]
    noise: float
    cut: tuple[float, float, float, float]
    """Shares of the crop cut to black at top, bottom, left, right."""
    seed: int
    """Seed of the noise."""


def sample(rng: np.random.Generator, config: AugmentConfig) -> Change:
    """Draw one change."""
    angle = np.deg2rad(rng.uniform(-config.turn_deg, config.turn_deg))
    scale = np.exp(rng.uniform(-config.log_scale, config.log_scale))
    aspect = np.exp(rng.uniform(-config.log_scale, config.log_scale) / 4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, rng.uniform(-1, 1) * config.shear], [rng.uniform(-1, 1) * config.shear, 1.0]])
    strength = 0.3 if rng.random() < config.mild_share else 1.0
    remap = rng.random() < config.remap_share and strength == 1
    curved = rng.random() < config.curve_share and strength == 1
    rising = rng.random() < 0.5
    stops = np.sort(rng.random(5)) if rising else rng.random(5)
    cut = rng.uniform(0, 0.2, 4) * (rng.random(4) < 0.5) * (rng.random() < config.crop_share)
    return Change(
        matrix=turn @ shear @ np.diag([scale, scale * aspect]),
        shift_mm=(rng.uniform(-1, 1) * config.shift_mm[0], rng.uniform(-1, 1) * config.shift_mm[1]),
        bend_mm=(rng.uniform(-1, 1) * config.bend_mm, rng.uniform(-1, 1) * config.bend_mm),
        gamma=float(np.exp(rng.uniform(-config.gamma_log, config.gamma_log) * strength)),
        means=rng.random(3) if remap else None,
        textures=rng.uniform(0.2, 1.3, 3) * np.where(rng.random(3) < 0.25, -1, 1) if remap else np.ones(3),
        curve=stops if curved else None,
        bias=rng.normal(0, strength * config.bias_log / 2, 5),
        blur_px=(
            float(rng.uniform(0, config.blur_px) * strength),
            float(rng.uniform(0, config.blur_px) * strength),
        ),
        noise=float(rng.uniform(0, config.noise) * strength),
        cut=(float(cut[0]), float(cut[1]), float(cut[2]), float(cut[3])),
        seed=int(rng.integers(2**31)),
    )


def apply(
    change: Change,
    picture: NDArray[np.float32],
    marks: NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    *,
    grid_mm: float,
    size_px: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Apply a change to a slice and its masks, onto the network's grid.

    Parameters
    ----------
    change : Change
    picture : ndarray of shape (rows, columns), float32
    marks : ndarray of shape (n, rows, columns), uint8
        Masks that share the slice's geometry; the first holds :attr:`Structure.code` values.
    spacing_mm : tuple of float
        Pixel spacing of the slice, mm.
    grid_mm : float
        Pixel spacing of what comes out, mm.
    size_px : tuple of int
        Rows and columns of what comes out.

    Returns
    -------
    picture : ndarray of shape ``size_px``, float32
        Standardised.
    marks : ndarray of shape (n, *size_px), uint8
        The first is :data:`UNKNOWN` outside the stored picture.
    """
    where = _source_pixels(change, picture.shape, marks[0], spacing_mm, grid_mm=grid_mm, size_px=size_px)
    low, high = np.percentile(picture[::4, ::4], (0.5, 99.5))
    warped = ndimage.map_coordinates(
        picture, where, order=1, mode="constant", cval=float(low), prefilter=False
    )
    warped = np.clip((warped - np.float32(low)) / np.float32(max(float(high - low), 1e-6)), 0, 1)
    nearest = np.rint(where).astype(np.int32)
    stored = ((nearest >= 0) & (nearest < np.reshape(picture.shape, (2, 1, 1)))).all(axis=0)
    row, column = np.where(stored, nearest, 0)
    warped_marks = np.where(stored, marks[:, row, column], 0).astype(np.uint8)
    warped_marks[0][~stored] = UNKNOWN
    warped_marks[0][~_kept(change, size_px)] = UNKNOWN
    return standardise(_recolour(change, warped, warped_marks[0])), warped_marks


def _source_pixels(
    change: Change,
    shape: tuple[int, ...],
    mask: NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    *,
    grid_mm: float,
    size_px: tuple[int, int],
) -> NDArray[np.float32]:
    """Where in the stored picture each pixel of the grid lies; shape (2, rows, columns), px."""
    marked = np.argwhere((mask > 0) & (mask <= len(Structure)))
    centre_px = marked.mean(axis=0) if len(marked) else np.asarray(shape) / 2
    centre_mm = (centre_px + 0.5) * spacing_mm + change.shift_mm
    y = (np.arange(size_px[0]) + 0.5 - size_px[0] / 2) * grid_mm
    x = (np.arange(size_px[1]) + 0.5 - size_px[1] / 2) * grid_mm
    t = y / max(abs(y[0]), 1e-6)
    bend = change.bend_mm[0] * (t**2 - 0.5) + change.bend_mm[1] * (t**3 - 0.6 * t)
    m, down, across = change.matrix, y[:, None], x[None] + bend[:, None]
    rows = (m[0, 0] * down + m[0, 1] * across + centre_mm[0]) / spacing_mm[0] - 0.5
    columns = (m[1, 0] * down + m[1, 1] * across + centre_mm[1]) / spacing_mm[1] - 0.5
    return np.stack([rows, columns]).astype(np.float32)


def _recolour(change: Change, picture: NDArray[np.float32], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Change the intensities of a warped picture on a 0 to 1 scale."""
    rng = np.random.default_rng(change.seed)
    if change.means is not None:
        difference = np.zeros_like(picture)
        for structure, mean, texture in zip(Structure, change.means, change.textures, strict=True):
            inside = mask == structure.code
            if inside.any():
                values = picture[inside]
                old = float(values.mean())
                difference[inside] = mean - old + (texture - 1) * (values - old)
        picture = picture + ndimage.gaussian_filter(difference, 0.8)
    picture = np.clip(picture, 0, None) ** change.gamma
    if change.curve is not None:
        picture = np.interp(picture, np.linspace(0, 1, len(change.curve)), change.curve).astype(np.float32)
    if max(change.blur_px) > 0.3:
        picture = ndimage.gaussian_filter(picture, change.blur_px)
    rows, columns = picture.shape
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None]
    b = change.bias.astype(np.float32)
    picture = picture * np.exp(b[0] * y + b[1] * x + b[2] * y * y + b[3] * x * y + b[4] * x * x)
    if change.noise > 0:
        level = np.float32(change.noise * float(np.percentile(picture[::4, ::4], 98)))
        real, imaginary = rng.standard_normal((2, rows, columns), dtype=np.float32) * level
        picture = np.hypot(picture + real, imaginary)
    return np.where(_kept(change, (rows, columns)), picture, 0).astype(np.float32)


def _kept(change: Change, size_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Where the picture is not cut to black; shape ``size_px``."""
    rows, columns = size_px
    top, bottom, left, right = change.cut
    kept = np.zeros(size_px, bool)
    kept[
        round(top * rows) : round((1 - bottom) * rows), round(left * columns) : round((1 - right) * columns)
    ] = True
    return kept
