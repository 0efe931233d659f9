"""Radiographs of a neck phantom: Beer-Lambert ray sums, scatter, quantum noise, detector, look-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from stenograde.images.lattice import Grid
from stenograde.phantom.body.curve import Array
from stenograde.phantom.neck.patient import NeckPhantom
from stenograde.phantom.neck.views import View, beam_of
from stenograde.phantom.neck.volume import Beam, RaySums, ray_sums

FULL_SCALE = 4095
"""Largest stored value: 12 bits."""


@dataclass(frozen=True)
class FilmProtocol:
    """Protocol by which films are taken.

    Raises
    ------
    ValueError
        If a size or distance is not above zero, or an error negative.
    """

    rows: int = 512
    columns: int = 416
    pixel_mm: float = 0.46
    """Edge of a pixel on the detector."""
    source_mm: float = 1800.0
    """Distance from focus to detector. At this distance rays diverge by less than 4° over the film and are treated
    as parallel; the magnification is the same everywhere: this distance over that from focus to spine."""
    gap_mm: float = 270.0
    """Distance from spine to detector: half the width of the shoulders, wall stand and grid."""
    kilovolts: float = 75.0
    turn_error_deg: float = 4.0
    """Standard deviation of the patient's rotation about the vertical axis."""
    tilt_error_deg: float = 2.5
    roll_error_deg: float = 1.5
    """Standard deviation of the lateral tilt of the neck."""
    scatter: float = 0.35
    """Mean fraction of scatter, behind the grid, in the signal of the detector; by eye."""
    photons: float = 60_000.0
    """Mean count of photons per pixel in the open beam."""
    blur_mm: float = 0.30
    """Standard deviation of the blur by detector and focal spot, at the detector."""

    def __post_init__(self) -> None:
        lengths = (self.rows, self.columns, self.pixel_mm, self.source_mm, self.kilovolts, self.photons)
        if min(lengths) <= 0 or not 0 <= self.gap_mm < self.source_mm:
            msg = f"a film must have sizes and distances above 0 and a gap below the source's, got {self}"
            raise ValueError(msg)
        errors = (self.turn_error_deg, self.tilt_error_deg, self.roll_error_deg, self.blur_mm)
        if min(errors) < 0 or not 0 <= self.scatter < 1:
            msg = f"errors and blur must be at least 0 and scatter a share below 1, got {errors}, {self.scatter}"
            raise ValueError(msg)

    @property
    def magnification(self) -> float:
        """Ratio of size on the detector to size in the patient."""
        return self.source_mm / (self.source_mm - self.gap_mm)

    @property
    def patient_pixel_mm(self) -> float:
        """Edge of a pixel at the spine, mm."""
        return self.pixel_mm / self.magnification


@dataclass(frozen=True, eq=False)
class FilmPlan:
    """One film: position of the patient, and exposure."""

    view: View
    protocol: FilmProtocol
    beam: Beam
    roll_rad: float
    """Rotation of the picture, from across towards up."""
    head_turn_rad: float
    """Rotation of the head relative to the neck, x towards y."""
    exposure: float
    """Factor on the number of photons."""
    scatter: float
    """Fraction of scatter in the signal of the detector."""
    gamma: float
    """Exponent of the look-up."""
    collimated_mm: tuple[float, float]
    """Fractions of the width and height of the detector that the collimator leaves open."""

    def index(self, point: Array) -> tuple[float, float]:
        """Return row and column, counted from 0 at pixel centres, of a point of the body frame."""
        across, up = self.beam.place(point)
        cosine, sine = np.cos(self.roll_rad), np.sin(self.roll_rad)
        right, high = across * cosine - up * sine, across * sine + up * cosine
        pixel = self.protocol.patient_pixel_mm
        row = (self.protocol.rows - 1) / 2 - high / pixel
        return float(row), float((self.protocol.columns - 1) / 2 + right / pixel)


_HEAD_TURN_DEG = (34.0, 8.0)
"""Mean and standard deviation of the extra rotation of the head in oblique views, which shows it from the side."""


def plan_film(view: View, protocol: FilmProtocol, rng: np.random.Generator) -> FilmPlan:
    """Plan a film of a patient, with the small errors of a technologist.

    Parameters
    ----------
    view : View
    protocol : FilmProtocol
    rng : numpy.random.Generator
    """
    error = rng.normal(0, [protocol.turn_error_deg, protocol.tilt_error_deg, protocol.roll_error_deg])
    turn, tilt = view.turn_deg + error[0], view.tilt_deg + (error[1] if view.tilt_deg else 0.3 * error[1])
    centre = np.array([0.0, 4.0, 2.0]) + rng.normal(0, [2.0, 3.0, 5.0])
    head = np.deg2rad(rng.normal(*_HEAD_TURN_DEG)) if view.foramina else np.deg2rad(rng.normal(0, 3))
    # away from where the rays come from, or from where they go to
    towards = 1.0 if np.sin(np.deg2rad(2 * turn)) < 0 else -1.0
    width, height = protocol.columns * protocol.pixel_mm, protocol.rows * protocol.pixel_mm
    return FilmPlan(
        view=view,
        protocol=protocol,
        beam=beam_of(view, centre, turn_deg=float(turn), tilt_deg=float(tilt)),
        roll_rad=float(np.deg2rad(error[2])),
        head_turn_rad=float(head * towards) if view.foramina else float(head),
        exposure=float(np.exp(rng.normal(0, 0.3))),
        scatter=float(np.clip(rng.normal(protocol.scatter, 0.06), 0.05, 0.7)),
        gamma=float(rng.uniform(0.85, 1.2)),
        collimated_mm=(width * float(rng.uniform(0.88, 1.08)), height * float(rng.uniform(0.94, 1.1))),
    )


def attenuation(phantom: NeckPhantom, plan: FilmPlan) -> Grid:
    """Return the attenuation summed along the ray of each pixel, without noise, shape (rows, columns), float32."""
    protocol = plan.protocol
    pixel = protocol.patient_pixel_mm
    # far enough for the corners of a slightly rotated film
    across = 0.5 * protocol.columns * pixel * 1.08 + 8
    up = 0.5 * protocol.rows * pixel * 1.08 + 8
    spine = ray_sums(phantom.spine, plan.beam, across_mm=across, up_mm=up)
    body = ray_sums(phantom.body, plan.beam, across_mm=across, up_mm=up)
    turned = plan.beam.turned(phantom.head_pivot_mm, plan.head_turn_rad)
    head = ray_sums(phantom.head, turned, across_mm=across, up_mm=up)
    right = (np.arange(protocol.columns) - (protocol.columns - 1) / 2) * pixel
    high = ((protocol.rows - 1) / 2 - np.arange(protocol.rows)) * pixel
    cosine, sine = np.cos(plan.roll_rad), np.sin(plan.roll_rad)
    at_across = (right[None, :] * cosine + high[:, None] * sine).astype(np.float32)
    at_up = (high[:, None] * cosine - right[None, :] * sine).astype(np.float32)
    total = _read(spine, at_across, at_up, order=1)
    for coarse in (body, head):
        total += _read(coarse, at_across, at_up, order=2)
    return np.maximum(total, 0)


def _read(sums: RaySums, across: Grid, up: Grid, *, order: int) -> Grid:
    at = np.stack([(across - sums.across_mm) / sums.step_mm, (up - sums.up_mm) / sums.step_mm])
    return map_coordinates(sums.values, at, order=order, mode="nearest", output=np.float32)


_SCATTER_MM = 28.0
"""Standard deviation of the spread of scattered rays, mm on the detector; by eye."""

_SPREAD_MM = 16.0
_FLATTENED = 0.55
"""Fraction of the contrast beyond ``_SPREAD_MM`` on the detector that the look-up removes, as vendors' processing of
films does; by eye."""


def expose(sums: Grid, plan: FilmPlan, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return the film of summed attenuations, bone bright, 12 bits.

    Parameters
    ----------
    sums : ndarray of shape (rows, columns)
        Result of :func:`attenuation`.
    plan : FilmPlan
    rng : numpy.random.Generator
        Source of the noise.
    """
    protocol = plan.protocol
    primary = np.exp(-sums)
    share = plan.scatter / (1 - plan.scatter)
    # scatter arises in tissue: the open beam beside the neck makes none
    born = np.where(sums > 0.2, primary, 0.1 * primary)
    scattered = share * gaussian_filter(born, _SCATTER_MM / protocol.pixel_mm, mode="nearest")
    reached = gaussian_filter(primary + scattered, protocol.blur_mm / protocol.pixel_mm, mode="nearest")
    photons = protocol.photons * plan.exposure
    counts = rng.poisson(np.maximum(reached * photons, 0.5)).astype(np.float32)
    dark = -np.log(np.maximum(counts, 1.0) / np.float32(photons))
    film = _look_up(dark, plan)
    film[~_open(plan)] = 0
    return film


def _look_up(dark: Grid, plan: FilmPlan) -> NDArray[np.uint16]:
    """Turn logarithms into grey values: even out slow changes, sharpen edges, stretch, apply gamma."""
    pixel = plan.protocol.pixel_mm
    top = float(np.percentile(dark[::4, ::4], 99.5))
    clipped = np.clip(dark, 0, top).astype(np.float32)
    coarse = gaussian_filter(clipped, _SPREAD_MM / pixel, mode="nearest")
    fine = gaussian_filter(clipped, 1.2 / pixel, mode="nearest")
    even = clipped - np.float32(_FLATTENED) * (coarse - float(coarse.mean())) + 0.5 * (clipped - fine)
    white, bent = _LATERAL if plan.view is View.LATERAL else (99.7, 1.0)
    low, high = (float(value) for value in np.percentile(even[::4, ::4], (3, white)))
    grey = np.clip((even - low) / max(high - low, 1e-6), 0, 1) ** np.float32(bent * plan.gamma)
    if plan.view is View.LATERAL:
        # the open beam appears black
        grey *= np.clip(clipped / np.float32(0.25), 0, 1)
    return np.rint(FULL_SCALE * (0.02 + 0.98 * grey)).astype(np.uint16)


def _open(plan: FilmPlan) -> NDArray[np.bool_]:
    """Return which pixels the collimator leaves open."""
    protocol = plan.protocol
    sides = zip((protocol.rows, protocol.columns), reversed(plan.collimated_mm), strict=True)
    row, column = (
        np.abs(np.arange(n) - (n - 1) / 2) * protocol.pixel_mm <= length / 2 for n, length in sides
    )
    return row[:, None] & column[None, :]


_LATERAL = (94.0, 0.62)
"""Percentile shown as white, and factor on gamma, for lateral films: the shoulders are left white and the neck is
brighter, as on five real films (docs/cervical-phantom.md has the figures)."""


def take_film(phantom: NeckPhantom, plan: FilmPlan, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return a film of a patient, shape (rows, columns), 12 bits, bone bright."""
    return expose(attenuation(phantom, plan), plan, rng)
