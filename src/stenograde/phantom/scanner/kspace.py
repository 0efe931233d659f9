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


def acquire(signal: Grid, encoding: Encoding, rng: np.random.Generator) -> Grid:
    """Acquire one slice.

    Parameters
    ----------
    signal : ndarray of shape (n_channels, rows, columns), float32
        Water and, if there is a second channel, fat.
    encoding : Encoding
    rng : numpy.random.Generator

    Returns
    -------
    picture : ndarray of shape (rows, columns), float32
        Magnitude; its noise is Rician (Gudbjartsson and Patz, Magn Reson Med 1995;34:910).
    """
    rows, columns = signal.shape[1:]
    lines, points = window(rows, encoding.acquired[0]), window(columns, encoding.acquired[1])
    space: Complex = fft2(signal[0].astype(np.complex64))
    if len(signal) > 1:
        ramp = np.exp(-2j * np.pi * np.fft.fftfreq(columns) * encoding.fat_shift_px)
        space = space + fft2(signal[1].astype(np.complex64)) * ramp.astype(np.complex64)
    space *= _line_errors(rows, encoding, rng)[:, None]
    if encoding.noise > 0:
        kept = float(np.mean(lines**2) * np.mean(points**2)) ** 0.5
        size = np.float32(encoding.noise * (rows * columns) ** 0.5 / kept)
        white = rng.standard_normal((rows, columns, 2), dtype=np.float32).view(np.complex64)[..., 0]
        space += size * white
    space *= lines[:, None] * points
    return np.abs(ifft2(space)).astype(np.float32)


def _line_errors(rows: int, encoding: Encoding, rng: np.random.Generator) -> Complex:
    """Factor on each phase line, due to motion between lines."""
    errors = np.ones(rows, np.complex64)
    frequency = np.fft.fftfreq(rows)
    if encoding.motion_px > 0:
        # in order of acquisition, from one side of k-space to the other, at one or two times
        moved = np.zeros(rows)
        for start in rng.uniform(0.15, 0.85, int(rng.integers(1, 3))):
            moved[frequency + 0.5 > start] += encoding.motion_px * float(rng.uniform(-1, 1))
        errors *= np.exp(-2j * np.pi * frequency * moved).astype(np.complex64)
    if encoding.ghosting > 0:
        cycles, phase = float(rng.uniform(4, 30)), float(rng.uniform(0, 2 * np.pi))
        beat = np.cos(2 * np.pi * cycles * frequency + phase)
        errors *= (1 + encoding.ghosting * beat * np.exp(1j * phase)).astype(np.complex64)
    return errors
