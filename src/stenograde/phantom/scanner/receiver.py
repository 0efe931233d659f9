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


def gain(phantom: Phantom, plane: SlicePlane, receiver: Receiver, shape: tuple[int, int]) -> Grid:
    """Return the gain of the coil over a slice, from a coarse grid of points; about 1 near the spine.

    Parameters
    ----------
    phantom : Phantom
    plane : SlicePlane
    receiver : Receiver
    shape : tuple of int
        Rows and columns into which the slice is divided.

    Returns
    -------
    gain : ndarray of shape (rows, columns), float32
    """
    side = -(-plane.matrix // _COIL_STEP) + 1
    points = Points.of(phantom.anatomy, _lattice(phantom, plane, (side, side), (_COIL_STEP, _COIL_STEP)))
    deep = np.maximum(-phantom.scene.skin(points.xyz), 0)
    out = receiver.floor + (1 - receiver.floor) * np.exp(-((deep / receiver.reach_mm) ** 1.3))
    out *= np.exp(-(((points.xyz[2] + 30) / 190) ** 4))
    front = (_band_edge(phantom) - points.xyz[1]) / 4
    out *= 1 - receiver.band / (1 + np.exp(-np.clip(front, -30, 30)))
    out /= receiver.floor + (1 - receiver.floor) * np.exp(-((65 / receiver.reach_mm) ** 1.3))
    for *vector, phase, size in receiver.waves.tolist():
        out *= np.exp(size * np.cos(np.asarray(vector) @ points.xyz + phase))
    rows, columns = (_between(side, n, plane.matrix / n / _COIL_STEP) for n in shape)
    return (rows @ out.reshape(side, side) @ columns.T).astype(np.float32)


def _between(n_known: int, n: int, step: float) -> Array:
    """Return the weights of known values for n values among them, a step of theirs apart, shape (n, n_known)."""
    return np.maximum(1 - np.abs(np.arange(n)[:, None] * step - np.arange(n_known)), 0)


def sample_points(phantom: Phantom, plane: SlicePlane, shape: tuple[int, int] | None = None) -> Grid:
    """Return the body frame positions of the pixels of a slice, shape (3, n), mm.

    Parameters
    ----------
    phantom : Phantom
    plane : SlicePlane
    shape : tuple of int, optional
        Rows and columns into which the slice is divided; its own by default. The first pixel stays where it is.
    """
    shape = shape or (plane.matrix, plane.matrix)
    return _lattice(phantom, plane, shape, (plane.matrix / shape[0], plane.matrix / shape[1]))


def _lattice(
    phantom: Phantom, plane: SlicePlane, shape: tuple[int, int], steps_px: tuple[float, float]
) -> Grid:
    back: Array = phantom.turn.T
    u, v = back @ plane.orientation[:3] * plane.pixel_mm, back @ plane.orientation[3:] * plane.pixel_mm
    origin = back @ (plane.position - phantom.offset_mm)
    rows, columns = (
        np.arange(n, dtype=np.float32) * np.float32(step) for n, step in zip(shape, steps_px, strict=True)
    )
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
