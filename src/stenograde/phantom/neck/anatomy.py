"""The anatomy of one neck phantom: position and dimensions of its vertebrae, and its foramina.

Body frame: x to the patient's left, y to the back, z to the head, mm, origin in the disc C4/C5. Each vertebra has its
own frame, (l, a, h): to the left, behind and above the middle of its body, tilted in the sagittal plane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stenograde.phantom.body.curve import Array
from stenograde.phantom.neck.foramen import Foramen
from stenograde.phantom.neck.population import (
    FORAMEN_ANGLE_DEG,
    FORAMEN_HEIGHT_MM,
    FORAMEN_SLOPE_DEG,
    FORAMEN_WIDTH_MM,
    VERTEBRAE,
    Narrowed,
    Population,
    Vertebra,
    width_of,
)
from stenograde.terms import CERVICAL_XRAY, Level, Severity, Side

Where = tuple[Level, Side]
"""One foramen."""

LEFT_SIGN: Mapping[Side, float] = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
"""Sign of x on each side."""

PEDICLE_ABOVE = 0.17
"""Height of the middle of the pedicles above that of the body, as a fraction of the body's height; by eye."""

_BESIDE_MM, _BEHIND_MM = 4.0, 0.6
"""Position of the middle of a foramen beyond the body's half width, and behind its half depth, mm; by eye."""

_T1_SLOPE_DEG = (24.0, 6.0)
"""Mean and standard deviation of the forward tilt of T1, degrees; rounded, by eye."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A vertebra of a neck phantom.

    Parameters
    ----------
    size : Vertebra
        Dimensions of the vertebra.
    centre_mm : ndarray of shape (3,)
        Middle of the vertebral body, in the body frame.
    tilt_rad : float
        Backward tilt of its axis (towards the head).
    """

    size: Vertebra
    centre_mm: Array
    tilt_rad: float

    @property
    def axes(self) -> Array:
        """Left, backward and upward axis in the body frame, as rows, shape (3, 3)."""
        cosine, sine = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])

    def to_body(self, lah: Array) -> Array:
        """Map points from the frame of the vertebra, shape (n, 3), to the body frame."""
        return np.asarray(lah) @ self.axes + self.centre_mm

    @property
    def pedicle_height_mm(self) -> float:
        """Height of the middle of the pedicles above that of the body."""
        return PEDICLE_ABOVE * self.size.height_mm


@dataclass(frozen=True, eq=False)
class PlacedForamen:
    """A foramen of a neck phantom.

    Parameters
    ----------
    shape : Foramen
    centre_mm : ndarray of shape (3,)
        Body frame.
    axes : ndarray of shape (3, 3)
        Rows: u (from body to pillar), v (up) and the outward direction, in the body frame.
    """

    shape: Foramen
    centre_mm: Array
    axes: Array


@dataclass(frozen=True, eq=False)
class NeckAnatomy:
    """A neck with known dimensions, in the body frame."""

    vertebrae: tuple[Placed, ...]
    """C2 to T2."""
    foramina: Mapping[Where, PlacedForamen]
    size: float
    shoulder_mm: float
    """Height z of the top of the shoulders."""
    girth: float
    """Factor on the soft tissue."""
    chin_up_deg: float
    """Elevation of the chin."""
    texture_seed: int

    def vertebra(self, name: str) -> Placed:
        """Return a vertebra by its name."""
        return next(placed for placed in self.vertebrae if placed.size.name == name)


def draw_anatomy(
    rng: np.random.Generator, wear: Mapping[Where, Narrowed], population: Population
) -> NeckAnatomy:
    """Draw a neck with given narrowing of its foramina.

    Parameters
    ----------
    rng : numpy.random.Generator
    wear : mapping
        Narrowing of every foramen.
    population : Population
    """
    size = float(np.clip(rng.normal(*population.size), 0.84, 1.16))
    worn = [_wear_of_level(level, wear) for level in CERVICAL_XRAY.levels]
    sizes = _sizes(rng, size, worn)
    vertebrae = _placed(rng, sizes, population)
    foramina = {}
    for level, lost in zip(CERVICAL_XRAY.levels, worn, strict=True):
        number = CERVICAL_XRAY.levels.index(level)
        for side in Side:
            shape = _shape(rng, (level, wear[level, side]), size, lost, population)
            foramina[level, side] = _place(level, side, shape, vertebrae[number : number + 2])
    return NeckAnatomy(
        vertebrae=vertebrae,
        foramina=foramina,
        size=size,
        shoulder_mm=float(vertebrae[6].centre_mm[2] + rng.normal(8.0, 9.0)),
        girth=float(np.clip(rng.normal(1.0, 0.1), 0.8, 1.25)),
        chin_up_deg=float(rng.normal(4.0, 5.0)),
        texture_seed=int(rng.integers(2**31)),
    )


def _wear_of_level(level: Level, wear: Mapping[Where, Narrowed]) -> float:
    """Mean wear of the two foramina, 0 to 1."""
    ranks = [wear[level, side].severity.rank + wear[level, side].place for side in Side]
    return float(np.mean(ranks)) / len(Severity)


_DISC_LOSS = 0.5
"""Fraction of its height that a disc loses at a level with maximally narrowed foramina; by eye."""

_HEIGHT_LOSS = 0.25
"""Fraction of its height that a foramen loses there; by eye."""


def _sizes(rng: np.random.Generator, size: float, worn: list[float]) -> list[Vertebra]:
    out = []
    for number, mean in enumerate(VERTEBRAE):
        own = rng.normal(1.0, 0.02, 7) * size
        lost = _DISC_LOSS * max(worn[number] - 0.2, 0) / 0.8 if number < len(worn) else 0.0
        out.append(
            Vertebra(
                mean.name,
                mean.height_mm * own[0],
                mean.half_depth_mm * own[1],
                mean.half_width_mm * own[2],
                max(mean.disc_below_mm * own[3] * (1 - lost), 2.0),
                mean.canal_depth_mm * own[4],
                mean.pillar_mm * own[2],
                mean.spinous_mm * own[5] * float(rng.uniform(0.85, 1.15)),
                mean.spinous_slope_deg + float(rng.normal(0, 4)),
            )
        )
    return out


def _placed(rng: np.random.Generator, sizes: list[Vertebra], population: Population) -> tuple[Placed, ...]:
    lordosis = float(np.clip(rng.normal(*population.lordosis_deg), -10, 35))
    at_t1 = -float(np.clip(rng.normal(*_T1_SLOPE_DEG), 10, 38))
    bends = np.array([0.10, 0.16, 0.18, 0.20, 0.22, 0.14])
    # lordosis: from C7 upwards each vertebra is tilted further backwards
    tilts = np.zeros(len(sizes))
    tilts[6], tilts[7] = at_t1, at_t1 - 2
    for number in range(5, -1, -1):
        tilts[number] = tilts[number + 1] + (lordosis + 8) * bends[number]
    tilts += rng.normal(0, 0.8, len(tilts))
    rad = np.deg2rad(tilts)
    up = np.stack([np.zeros_like(rad), np.sin(rad), np.cos(rad)], axis=1)
    centres = np.zeros((len(sizes), 3))
    for number in range(1, len(sizes)):
        above, here = sizes[number - 1], sizes[number]
        disc = (up[number - 1] + up[number]) / 2 * above.disc_below_mm
        half = up[number - 1] * above.height_mm / 2 + up[number] * here.height_mm / 2
        centres[number] = centres[number - 1] - half - disc
    sway = float(rng.normal(0, 1.2)) * np.sin(np.linspace(0, np.pi, len(sizes)))
    centres[:, 0] = sway
    centres -= [0.0, *(centres[2, 1:] + centres[3, 1:]) / 2]
    return tuple(
        Placed(size, centre, float(tilt)) for size, centre, tilt in zip(sizes, centres, rad, strict=True)
    )


def _shape(
    rng: np.random.Generator,
    narrowed: tuple[Level, Narrowed],
    size: float,
    lost: float,
    population: Population,
) -> Foramen:
    level, wear = narrowed
    spread = np.clip(rng.normal(1.0, population.foramen_spread, 2), 0.85, 1.15)
    height = FORAMEN_HEIGHT_MM[level] * size * spread[0] * (1 - _HEIGHT_LOSS * max(lost - 0.2, 0) / 0.8)
    plain = Foramen(FORAMEN_WIDTH_MM[level] * size * spread[1], height)
    gone = plain.passage_mm - width_of(level, wear, plain.passage_mm)
    front = float(rng.uniform(0.55, 0.9))
    return Foramen(plain.open_width_mm, height, front * gone, (1 - front) * gone)


def _place(level: Level, side: Side, shape: Foramen, pair: tuple[Placed, ...]) -> PlacedForamen:
    """Place a foramen midway between the pedicles above and below, beside the posterior corners of the bodies."""
    upper, lower = pair
    beside = (upper.size.half_width_mm + lower.size.half_width_mm) / 2 + _BESIDE_MM
    ends = [
        placed.to_body(
            np.array([[beside, placed.size.half_depth_mm + _BEHIND_MM, placed.pedicle_height_mm]])
        )[0]
        for placed in pair
    ]
    sign = LEFT_SIGN[side]
    angle, slope = np.deg2rad(FORAMEN_ANGLE_DEG[level]), np.deg2rad(FORAMEN_SLOPE_DEG)
    tilt = (upper.tilt_rad + lower.tilt_rad) / 2
    frame = Placed(upper.size, np.zeros(3), tilt).axes
    out = np.array([sign * np.sin(angle), -np.cos(angle), -np.tan(slope)]) @ frame
    out /= np.linalg.norm(out)
    u = np.array([sign * np.cos(angle), np.sin(angle), 0.0]) @ frame
    v = np.cross(out, u) * sign
    centre = (ends[0] + ends[1]) / 2
    centre[0] = (upper.centre_mm[0] + lower.centre_mm[0]) / 2 + sign * beside
    return PlacedForamen(shape, centre, np.stack([u, v, out]))
