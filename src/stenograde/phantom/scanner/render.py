"""Images of a phantom: signal through thick slices, coil, k-space; and their true labels."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.special import erf

from stenograde.images.lattice import Grid
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.paint import Slab, label, paint
from stenograde.phantom.body.patient import Phantom
from stenograde.phantom.body.tissues import FAT_SHARE, Tissue, with_marrow_fat
from stenograde.phantom.scanner.acquisition import SeriesPlan, SlicePlane
from stenograde.phantom.scanner.kspace import Encoding, acquire, fat_shift_px
from stenograde.phantom.scanner.metal import add_metal
from stenograde.phantom.scanner.receiver import Receiver, gain, sample_points

FULL_SCALE = 4095
"""Largest stored value: 12 bits, as scanners store."""

_PROFILE_REACH: Final = 0.65
"""Half the width over which a slice profile is sampled, as a fraction of the thickness."""

_COARSEST_MM: Final = 1.0
"""Pixels are painted no larger than this where stored ones are smaller, mm: edges are
:data:`~stenograde.phantom.body.canvas.EDGE_MM` wide, and would become steps."""

_PROFILE_EDGE: Final = 0.10
"""Standard deviation of the edges of a slice profile, as a fraction of the thickness: a sinc pulse of a few lobes."""


def slice_profile(layers: int) -> tuple[Array, Array]:
    """Return the depths within a slice at which layers are painted, and their weights.

    The profile is a box of the slice thickness with soft edges; each layer represents an equal part of its extent.

    Parameters
    ----------
    layers : int
        Number of layers; a single one lies in the middle.

    Returns
    -------
    depths : ndarray of shape (layers,)
        Depths as a fraction of the thickness, 0 in the middle.
    weights : ndarray of shape (layers,)
        Positive weights of sum 1.

    Examples
    --------
    >>> depths, weights = slice_profile(3)
    >>> [round(float(value), 2) for value in (*depths, *weights)]
    [-0.43, 0.0, 0.43, 0.28, 0.44, 0.28]
    """
    borders = np.linspace(-_PROFILE_REACH, _PROFILE_REACH, layers + 1)
    weights = np.diff(_profile_integral(borders))
    return (borders[1:] + borders[:-1]) / 2, weights / weights.sum()


def _profile_integral(depth: Array) -> Array:
    """Integral from the middle of a box whose edges are normal distribution functions."""
    total = np.zeros_like(depth)
    for edge, sign in ((-0.5, 1.0), (0.5, -1.0)):
        z = (depth - edge) / _PROFILE_EDGE
        below = 0.5 * (1 + erf(z / np.sqrt(2)))
        total += sign * _PROFILE_EDGE * (z * below + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return total


def render_series(
    phantom: Phantom, plan: SeriesPlan, *, layers: int, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Render the slices of a series.

    Parameters
    ----------
    phantom : Phantom
    plan : SeriesPlan
    layers : int
        Planes averaged across the thickness of a slice, by :func:`slice_profile`.
    rng : numpy.random.Generator

    Returns
    -------
    pixels : ndarray of shape (slices, rows, columns), uint16
    """
    signals = with_marrow_fat(plan.echo.signals(), phantom.scene.habitus.marrow_fat)
    signals = plan.look.draw_signals(rng, signals)
    texture = float(rng.uniform(*plan.look.texture))
    receiver = Receiver.draw(rng, signals, plan)
    encoding = _encoding(plan, receiver, rng)
    channels = _channels(signals) if encoding.fat_shift_px else signals[None]
    out = []
    for plane in plan.planes:
        shape = painted_shape(plane, encoding.acquired)
        points, slab = sample_points(phantom, plane, shape), slab_of(phantom, plane, layers)
        void = plan.artefacts.flow_void
        signal = paint(phantom.scene, points, channels, texture=texture, flow_void=void, slab=slab)
        signal = signal.reshape(len(channels), *shape)
        signal *= gain(phantom, plane, receiver, shape)
        if plan.artefacts.metal_levels:
            signal = add_metal(signal, phantom, plane, plan.artefacts.metal_levels)
        stored = (plane.matrix, plane.matrix)
        picture = acquire(signal, encoding, rng, stored) * np.float32(receiver.scale)
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
        0, or the code of a :class:`~stenograde.terms.Structure`: vertebra (with its arch), disc, canal (the
        contents of the dural sac). In and below the sacrum, only the sac is labelled.
    """
    return np.stack(
        [
            label(phantom.scene, sample_points(phantom, plane)).reshape(plane.matrix, plane.matrix)
            for plane in plan.planes
        ]
    )


def painted_shape(plane: SlicePlane, acquired: tuple[float, float]) -> tuple[int, int]:
    """Return the rows and columns in which a slice is painted: what k-space holds.

    Parameters
    ----------
    plane : SlicePlane
    acquired : tuple of float
        Acquired over stored matrix size, as :class:`~stenograde.phantom.scanner.kspace.Encoding` has it.
    """
    least = plane.pixel_mm / _COARSEST_MM
    shares = (max(share, least) for share in acquired)
    rows, columns = (min(plane.matrix, next_fast_len(math.ceil(plane.matrix * share))) for share in shares)
    return rows, columns


def slab_of(phantom: Phantom, plane: SlicePlane, layers: int) -> Slab:
    """Return the planes that a slice is averaged over, by :func:`slice_profile`."""
    depths, weights = slice_profile(layers)
    return Slab(phantom.turn.T @ plane.normal, depths * plane.thickness_mm, weights)


def _channels(signals: Grid) -> Grid:
    """Split the signal of each tissue into water and fat, shape (2, n_tissues)."""
    share = np.array([FAT_SHARE.get(tissue, 0.0) for tissue in Tissue], np.float32)
    return np.stack([signals * (1 - share), signals * share])


def _encoding(plan: SeriesPlan, receiver: Receiver, rng: np.random.Generator) -> Encoding:
    artefacts, pixel_mm = plan.artefacts, plan.planes[0].pixel_mm
    shift = fat_shift_px(plan.echo.field_t, artefacts.bandwidth_hz) if artefacts.bandwidth_hz else 0.0
    phase = float(rng.uniform(*plan.look.acquired))
    return Encoding(
        acquired=(phase, min(1.0, phase + 0.15)),
        noise=receiver.noise,
        fat_shift_px=shift * (1.0 if rng.random() < 0.5 else -1.0),
        ghosting=artefacts.ghosting,
        motion_px=artefacts.motion_mm / pixel_mm,
    )
