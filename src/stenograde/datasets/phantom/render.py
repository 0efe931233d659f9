"""Pictures of a virtual patient: signal through thick slices, coil, noise; and their true labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from stenograde.datasets.phantom.acquisition import SeriesPlan, SlicePlane
from stenograde.datasets.phantom.anatomy import Row
from stenograde.datasets.phantom.canvas import Points
from stenograde.datasets.phantom.curve import Array, Grid
from stenograde.datasets.phantom.paint import paint
from stenograde.datasets.phantom.patient import Phantom
from stenograde.datasets.phantom.tissues import Tissue
from stenograde.terms import Role

FULL_SCALE = 4095
"""Largest stored value: 12 bits, as scanners store."""

_COIL_STEP = 8

_BAND_AWAY_MM = 14.0
"""From the foremost lumbar body to the saturation band, by eye, mm."""


@dataclass(frozen=True)
class Receiver:
    """What the scanner adds to the signal of one series."""

    reach_mm: float
    """Depth below the skin at which the surface coil has lost most of its gain."""
    floor: float
    """Gain far from the coil, share of the gain at the skin."""
    band: float
    """Share of the signal that a saturation band in front of the spine takes away."""
    noise: float
    """Standard deviation of the noise, in units of the signal."""
    scale: float
    """Stored value of a signal of 1."""

    @classmethod
    def draw(cls, rng: np.random.Generator, signals: Grid, role: Role) -> Receiver:
        """Draw a receiver."""
        axial = role is Role.AXIAL_T2
        reference = float(signals[Tissue.MARROW])
        return cls(
            reach_mm=float(rng.uniform(55, 110)),
            floor=float(rng.uniform(0.3, 0.5)),
            band=0.0 if axial else float(rng.choice([0.0, 0.75, 0.93], p=[0.3, 0.35, 0.35])),
            noise=reference / float(rng.uniform(22, 45)),
            scale=float(rng.uniform(330, 520)) / reference,
        )


def render_series(
    phantom: Phantom, plan: SeriesPlan, *, layers: int, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Render the slices of a series.

    Parameters
    ----------
    phantom : Phantom
    plan : SeriesPlan
    layers : int
        Planes averaged through the thickness of a slice.
    rng : numpy.random.Generator

    Returns
    -------
    pixels : ndarray of shape (slices, rows, columns), uint16
    """
    signals = plan.echo.signals()
    receiver = Receiver.draw(rng, signals, plan.role)
    out = []
    for plane in plan.planes:
        picture = _signal(phantom, plane, signals, layers)
        picture *= _gain(phantom, plane, receiver)
        picture = gaussian_filter(picture, 0.45)
        noise = rng.standard_normal((2, *picture.shape), dtype=np.float32)
        noise = gaussian_filter(noise, (0, 0.55, 0.55)) * np.float32(receiver.noise / 0.51)
        picture = np.hypot(picture + noise[0], noise[1]) * np.float32(receiver.scale)
        out.append(np.clip(np.rint(picture), 0, FULL_SCALE).astype(np.uint16))
    return np.stack(out)


def label_series(phantom: Phantom, plan: SeriesPlan) -> NDArray[np.uint8]:
    """Return the true label of each pixel at the middle of its slice.

    Parameters
    ----------
    phantom : Phantom
    plan : SeriesPlan

    Returns
    -------
    labels : ndarray of shape (slices, rows, columns), uint8
        0, or the code of a :class:`~stenograde.terms.Structure`: vertebra (with its arch), disc, canal (what
        the dural sac holds). The sacrum and what lies below its first end plate have no label but the sac.
    """
    signals = plan.echo.signals()
    return np.stack(
        [
            paint(phantom.scene, _points(phantom, plane), signals).label.reshape(plane.matrix, plane.matrix)
            for plane in plan.planes
        ]
    )


def _points(phantom: Phantom, plane: SlicePlane, depth_mm: float = 0.0, step: int = 1) -> Grid:
    """Body frame positions of a slice's pixels, shape (3, n), at a depth along the normal."""
    back: Array = phantom.turn.T
    u, v = back @ plane.orientation[:3] * plane.pixel_mm, back @ plane.orientation[3:] * plane.pixel_mm
    origin = back @ (plane.position + depth_mm * plane.normal - phantom.offset_mm)
    rows = columns = np.arange(0, plane.matrix, step, dtype=np.float32)
    grid = (
        origin.astype(np.float32)[:, None, None]
        + v.astype(np.float32)[:, None, None] * rows[:, None]
        + u.astype(np.float32)[:, None, None] * columns
    )
    return grid.reshape(3, -1)


def _signal(phantom: Phantom, plane: SlicePlane, signals: Grid, layers: int) -> Grid:
    depths = ((np.arange(layers) + 0.5) / layers - 0.5) * plane.thickness_mm
    total = np.zeros(plane.matrix**2, np.float32)
    for depth in depths:
        total += paint(phantom.scene, _points(phantom, plane, float(depth)), signals).signal
    return (total / layers).reshape(plane.matrix, plane.matrix)


def _band_edge(phantom: Phantom) -> float:
    """Return the y of the back of the saturation band, a straight slab in front of the lumbar bodies, mm."""
    anatomy = phantom.anatomy
    lumbar = anatomy.centre_mm[anatomy.n_sacral : anatomy.n_sacral + 5]
    walls = np.array([[way, 0.0, -anatomy.at(Row.BODY_DEPTH, way)] for way in lumbar])
    return float(anatomy.curve.to_body(walls)[:, 1].min()) - _BAND_AWAY_MM


def _gain(phantom: Phantom, plane: SlicePlane, receiver: Receiver) -> Grid:
    """Gain of the coil over a slice, from a coarse grid of points; 1 near the spine."""
    points = Points.of(phantom.anatomy, _points(phantom, plane, step=_COIL_STEP))
    deep = np.maximum(-phantom.scene.skin(points.xyz), 0)
    gain = receiver.floor + (1 - receiver.floor) * np.exp(-((deep / receiver.reach_mm) ** 1.3))
    gain *= np.exp(-(((points.xyz[2] + 30) / 190) ** 4))
    front = (_band_edge(phantom) - points.xyz[1]) / 4
    gain *= 1 - receiver.band / (1 + np.exp(-np.clip(front, -30, 30)))
    gain /= receiver.floor + (1 - receiver.floor) * np.exp(-((65 / receiver.reach_mm) ** 1.3))
    side = len(range(0, plane.matrix, _COIL_STEP))
    coarse = gain.reshape(side, side)
    place = np.minimum(np.arange(plane.matrix) / _COIL_STEP, side - 1)
    weights = np.maximum(1 - np.abs(place[:, None] - np.arange(side)), 0)
    return (weights @ coarse @ weights.T).astype(np.float32)
