"""From signal to image through k-space: resolution, chemical shift, motion, ghosts and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2

from stenograde.images.lattice import Grid

FAT_PPM = 3.5
"""Shift of the methylene protons of fat relative to water (Dixon, Radiology 1984;153:189), parts per million."""

GYROMAGNETIC_MHZ_PER_T = 42.577
"""Gyromagnetic ratio of the proton over 2π (CODATA 2018)."""

_ROLL_OFF = 0.12
"""Width of the fall-off of the k-space window, as a fraction of the acquired half; it damps ringing at edges."""

Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class Encoding:
    """Encoding of the slices of a series; the phase direction runs along columns, the read-out along rows.

    Parameters
    ----------
    acquired : tuple of float
        Acquired over stored matrix size along the phase direction and the read-out.
    noise : float
        Standard deviation of the noise in each of the two channels, in units of the signal.
    fat_shift_px : float
        Shift of fat along a row, px.
    ghosting : float
        Modulation of the phase lines, as a fraction.
    motion_px : float
        Shift of the patient along a column, px.
    """

    acquired: tuple[float, float] = (0.8, 0.95)
    noise: float = 0.0
    fat_shift_px: float = 0.0
    ghosting: float = 0.0
    motion_px: float = 0.0


def fat_shift_px(field_t: float, bandwidth_hz: float) -> float:
    """Return the shift of fat along the read-out, px.

    Parameters
    ----------
    field_t : float
        Field strength, T.
    bandwidth_hz : float
        Bandwidth per pixel.

    Examples
    --------
    >>> round(fat_shift_px(1.5, 224), 2)
    1.0
    """
    return FAT_PPM * GYROMAGNETIC_MHZ_PER_T * field_t / bandwidth_hz


def window(n_lines: int, acquired: float) -> Grid:
    """Return the weight of each line of k-space, shape (n_lines,): 1 inside, 0 outside, a cosine between.

    Parameters
    ----------
    n_lines : int
        Stored lines, in the order of a discrete Fourier transform.
    acquired : float
        Fraction of them that is acquired.
    """
    place = np.abs(np.fft.fftfreq(n_lines)) * 2 / acquired
    fall = np.clip((1 - place) / _ROLL_OFF, 0, 1)
    return (0.5 - 0.5 * np.cos(np.pi * fall)).astype(np.float32)


def acquire(
    signal: Grid, encoding: Encoding, rng: np.random.Generator, stored: tuple[int, int] | None = None
) -> Grid:
    """Acquire one slice.

    Parameters
    ----------
    signal : ndarray of shape (n_channels, rows, columns), float32
        Water and, if there is a second channel, fat.
    encoding : Encoding
    rng : numpy.random.Generator
    stored : tuple of int, optional
        Rows and columns of the picture, no fewer than those of the signal, which they are by default; lines of k-space
        beyond are filled with zeros, as scanners do.

    Returns
    -------
    picture : ndarray of shape (rows, columns), float32
        Magnitude; its noise is Rician (Gudbjartsson and Patz, Magn Reson Med 1995;34:910).
    """
    shape = signal.shape[1:]
    stored = stored or shape
    lines, points = (
        window(n, share * whole / n) for n, share, whole in zip(shape, encoding.acquired, stored, strict=True)
    )
    rows, columns = map(_cycles, shape)
    space: Complex = fft2(signal[0].astype(np.complex64))
    if len(signal) > 1:
        ramp = np.exp(-2j * np.pi * columns / stored[1] * encoding.fat_shift_px)
        space = space + fft2(signal[1].astype(np.complex64)) * ramp.astype(np.complex64)
    space *= _line_errors(rows / stored[0], encoding, rng)[:, None]
    if encoding.noise > 0:
        kept = float(np.sum(lines**2) * np.sum(points**2)) ** 0.5
        size = np.float32(encoding.noise * np.prod(shape) / kept)
        white = rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
        space += size * white
    space *= lines[:, None] * points
    if shape != stored:
        known, space = space, np.zeros(stored, np.complex64)
        space[np.ix_(rows, columns)] = known * np.float32(np.prod(stored) / np.prod(shape))
    return np.abs(ifft2(space)).astype(np.float32)


def _cycles(n: int) -> NDArray[np.int64]:
    """Return the cycles over the field of each of n lines of k-space, in the order of a discrete Fourier transform."""
    return np.rint(np.fft.fftfreq(n) * n).astype(np.int64)


def _line_errors(frequency: Grid, encoding: Encoding, rng: np.random.Generator) -> Complex:
    """Factor on each phase line, due to motion between lines, from its cycles per stored pixel."""
    errors = np.ones(len(frequency), np.complex64)
    order = np.fft.fftfreq(len(frequency)) + 0.5
    if encoding.motion_px > 0:
        # in order of acquisition, from one side of k-space to the other, at one or two times
        moved = np.zeros(len(frequency))
        for start in rng.uniform(0.15, 0.85, int(rng.integers(1, 3))):
            moved[order > start] += encoding.motion_px * float(rng.uniform(-1, 1))
        errors *= np.exp(-2j * np.pi * frequency * moved).astype(np.complex64)
    if encoding.ghosting > 0:
        cycles, phase = float(rng.uniform(4, 30)), float(rng.uniform(0, 2 * np.pi))
        beat = np.cos(2 * np.pi * cycles * frequency + phase)
        errors *= (1 + encoding.ghosting * beat * np.exp(1j * phase)).astype(np.complex64)
    return errors
