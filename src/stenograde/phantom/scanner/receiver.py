"""The receiver coil and the scanner's scale: gain over a slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.canvas import Points
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.patient import Phantom
from stenograde.phantom.body.tissues import Tissue
from stenograde.phantom.scanner.acquisition import SeriesPlan, SlicePlane
from stenograde.terms import Role

_COIL_STEP = 8

_BAND_AWAY_MM = 14.0
"""Distance from the foremost lumbar body to the saturation band, by eye, mm."""

_WAVES = 6
"""Number of waves that make up the smooth bias field."""


@dataclass(frozen=True, eq=False)
class Receiver:
    """Effect of the scanner on the signal of one series."""

    reach_mm: float
    """Depth below the skin at which the surface coil has lost most of its gain."""
    floor: float
    """Gain far from the coil, as a fraction of the gain at the skin."""
    band: float
    """Fraction of the signal that a saturation band in front of the spine removes."""
    noise: float
    """Standard deviation of the noise, in units of the signal."""
    scale: float
    """Stored value of a signal of 1."""
    waves: Array
    """Wave vectors (1/mm), phases and amplitudes of the logarithm of the smooth bias field, shape (n, 5)."""

    @classmethod
    def draw(cls, rng: np.random.Generator, signals: Grid, plan: SeriesPlan) -> Receiver:
        """Draw a receiver.

        Parameters
        ----------
        rng : numpy.random.Generator
        signals : ndarray of shape (n_tissues,)
        plan : SeriesPlan
        """
        look = plan.look
        reference = max(float(signals[Tissue.MARROW]), 0.2 * float(signals.max()))
        bands = {Role.AXIAL_T2: ((0.0,), (1.0,))}.get(plan.role, ((0.0, 0.75, 0.93), (0.7, 0.15, 0.15)))
        strength = float(rng.uniform(*look.bias)) * (2 / _WAVES) ** 0.5
        vectors = rng.normal(0, 2 * np.pi / 350.0, (_WAVES, 3))
        phases = rng.uniform(0, 2 * np.pi, (_WAVES, 1))
        return cls(
            reach_mm=float(rng.uniform(*look.reach_mm)),
            floor=float(rng.uniform(*look.floor)),
            band=float(rng.choice(bands[0], p=bands[1])),
            noise=reference / float(np.exp(rng.uniform(*np.log(look.snr)))),
            scale=float(rng.uniform(*look.level)) / reference,
            waves=np.hstack([vectors, phases, np.full((_WAVES, 1), strength)]),
        )


def gain(phantom: Phantom, plane: SlicePlane, receiver: Receiver) -> Grid:
    """Return the gain of the coil over a slice, from a coarse grid of points; about 1 near the spine.

    Parameters
    ----------
    phantom : Phantom
    plane : SlicePlane
    receiver : Receiver

    Returns
    -------
    gain : ndarray of shape (rows, columns), float32
    """
    points = Points.of(phantom.anatomy, sample_points(phantom, plane, step=_COIL_STEP))
    deep = np.maximum(-phantom.scene.skin(points.xyz), 0)
    out = receiver.floor + (1 - receiver.floor) * np.exp(-((deep / receiver.reach_mm) ** 1.3))
    out *= np.exp(-(((points.xyz[2] + 30) / 190) ** 4))
    front = (_band_edge(phantom) - points.xyz[1]) / 4
    out *= 1 - receiver.band / (1 + np.exp(-np.clip(front, -30, 30)))
    out /= receiver.floor + (1 - receiver.floor) * np.exp(-((65 / receiver.reach_mm) ** 1.3))
    for *vector, phase, size in receiver.waves.tolist():
        out *= np.exp(size * np.cos(np.asarray(vector) @ points.xyz + phase))
    side = len(range(0, plane.matrix, _COIL_STEP))
    coarse = out.reshape(side, side)
    place = np.minimum(np.arange(plane.matrix) / _COIL_STEP, side - 1)
    weights = np.maximum(1 - np.abs(place[:, None] - np.arange(side)), 0)
    return (weights @ coarse @ weights.T).astype(np.float32)


def sample_points(phantom: Phantom, plane: SlicePlane, depth_mm: float = 0.0, step: int = 1) -> Grid:
    """Return the body frame positions of the pixels of a slice, shape (3, n), mm.

    Parameters
    ----------
    phantom : Phantom
    plane : SlicePlane
    depth_mm : float
        Offset along the normal.
    step : int
        Sampling step along rows and columns, px.
    """
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


def _band_edge(phantom: Phantom) -> float:
    """Return y of the posterior edge of the saturation band, a straight slab in front of the lumbar bodies, mm."""
    anatomy = phantom.anatomy
    lumbar = anatomy.centre_mm[anatomy.n_sacral : anatomy.n_sacral + 5]
    walls = np.array([[way, 0.0, -anatomy.at(Row.BODY_DEPTH, way)] for way in lumbar])
    return float(anatomy.curve.to_body(walls)[:, 1].min()) - _BAND_AWAY_MM
