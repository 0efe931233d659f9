"""Where the slices of each series lie, and how they are acquired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stenograde.datasets.phantom.curve import Array
from stenograde.datasets.phantom.patient import Phantom, rotation
from stenograde.datasets.phantom.tissues import SpinEcho
from stenograde.terms import LUMBAR_MRI, Role


@dataclass(frozen=True)
class Protocol:
    """How a study is acquired.

    Raises
    ------
    ValueError
        If a count or a length is not above zero.
    """

    sagittal_matrix: int = 448
    """Rows and columns of a sagittal slice."""
    sagittal_field_mm: float = 280.0
    """Field of view of a sagittal slice."""
    sagittal_slices: int = 16
    axial_matrix: int = 320
    axial_field_mm: float = 180.0
    axial_slices_per_level: int = 5
    thickness_mm: float = 4.0
    gap: float = 0.1
    """Gap between slices, share of the thickness."""
    layers: int = 3
    """Planes painted through the thickness of a slice and averaged."""

    def __post_init__(self) -> None:
        for name in (
            "sagittal_matrix",
            "sagittal_slices",
            "axial_matrix",
            "axial_slices_per_level",
            "layers",
        ):
            if getattr(self, name) < 1:
                msg = f"{name} must be at least 1, got {getattr(self, name)}"
                raise ValueError(msg)
        if min(self.sagittal_field_mm, self.axial_field_mm, self.thickness_mm) <= 0 or self.gap < 0:
            msg = "fields of view and thickness must be above 0 mm and the gap not below 0"
            raise ValueError(msg)

    @property
    def step_mm(self) -> float:
        """Distance between the centres of neighbouring slices, mm."""
        return self.thickness_mm * (1 + self.gap)


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """One slice: place, orientation and sampling, LPS mm.

    Parameters
    ----------
    position : ndarray of shape (3,)
        Centre of the first pixel (ImagePositionPatient).
    orientation : ndarray of shape (6,)
        Direction along a row, then along a column (ImageOrientationPatient).
    """

    position: Array
    orientation: Array
    matrix: int
    pixel_mm: float
    thickness_mm: float

    @property
    def normal(self) -> Array:
        """Unit normal u × v."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def index(self, point: Array) -> tuple[float, float, float]:
        """Return distance from the plane (mm, along the normal), row and column of a point."""
        off = np.asarray(point, dtype=np.float64) - self.position
        u, v = self.orientation[:3], self.orientation[3:]
        return float(off @ self.normal), float(off @ v) / self.pixel_mm, float(off @ u) / self.pixel_mm


@dataclass(frozen=True, eq=False)
class SeriesPlan:
    """One series: role, slices in the order they are numbered, and timing."""

    role: Role
    planes: tuple[SlicePlane, ...]
    echo: SpinEcho

    def nearest(self, point: Array) -> tuple[int, float, float]:
        """Return the index of the slice nearest to a point among those that show it, and its row and column.

        Raises
        ------
        ValueError
            If no slice shows the point.
        """
        best: tuple[float, int, float, float] | None = None
        for number, plane in enumerate(self.planes):
            off, row, column = plane.index(point)
            if max(row, column) > plane.matrix - 0.5 or min(row, column) < -0.5:
                continue
            if best is None or abs(off) < best[0]:
                best = abs(off), number, row, column
        if best is None:
            msg = f"series {self.role.shown} must show every labelled point, got one outside its slices"
            raise ValueError(msg)
        return best[1:]


def plan_study(phantom: Phantom, protocol: Protocol) -> tuple[SeriesPlan, ...]:
    """Lay the slices of the three series over a patient, with the small errors of a technologist.

    Parameters
    ----------
    phantom : Phantom
    protocol : Protocol

    Returns
    -------
    plans : tuple of SeriesPlan
        Sagittal T1, sagittal T2, axial T2 (disc by disc, from the head down).
    """
    rng = np.random.default_rng([phantom.seed, 1])
    tilt = rotation(np.deg2rad(rng.normal(0, 1.0, 3)))
    t1 = SpinEcho(float(np.round(rng.uniform(450, 720))), float(np.round(rng.uniform(9, 14), 1)), 3)
    t2 = SpinEcho(float(np.round(rng.uniform(3000, 4300))), float(np.round(rng.uniform(92, 122), 1)), 19)
    axial = SpinEcho(float(np.round(rng.uniform(3000, 4800))), float(np.round(rng.uniform(92, 120), 1)), 17)
    shifts = rng.normal(0, [0.7, 4.0, 5.0], (2, 3))
    return (
        SeriesPlan(Role.SAGITTAL_T1, _sagittal(phantom, protocol, tilt, shifts[0]), t1),
        SeriesPlan(Role.SAGITTAL_T2_STIR, _sagittal(phantom, protocol, tilt, shifts[1]), t2),
        SeriesPlan(Role.AXIAL_T2, _axial(phantom, protocol, rng), axial),
    )


def _proper(turn: Array) -> Array:
    """Body axes as a scanner can follow them: a mirrored body's x points the other way."""
    return turn * ([np.sign(np.linalg.det(turn)), 1.0, 1.0])


def _sagittal(phantom: Phantom, protocol: Protocol, tilt: Array, shift: Array) -> tuple[SlicePlane, ...]:
    axes = tilt @ _proper(phantom.turn)
    u, v = axes[:, 1], -axes[:, 2]
    centre = phantom.offset_mm + axes @ (shift + np.array([0.0, 2.0, -34.0]))
    pixel = protocol.sagittal_field_mm / protocol.sagittal_matrix
    half = (protocol.sagittal_matrix - 1) / 2 * pixel
    places = (np.arange(protocol.sagittal_slices) - (protocol.sagittal_slices - 1) / 2) * protocol.step_mm
    return tuple(
        SlicePlane(
            position=centre + place * axes[:, 0] - half * (u + v),
            orientation=np.concatenate([u, v]),
            matrix=protocol.sagittal_matrix,
            pixel_mm=pixel,
            thickness_mm=protocol.thickness_mm,
        )
        for place in places
    )


def _axial(phantom: Phantom, protocol: Protocol, rng: np.random.Generator) -> tuple[SlicePlane, ...]:
    curve = phantom.anatomy.curve
    pixel = protocol.axial_field_mm / protocol.axial_matrix
    half = (protocol.axial_matrix - 1) / 2 * pixel
    count = protocol.axial_slices_per_level
    planes = []
    for level in LUMBAR_MRI.levels:
        disc = float(phantom.anatomy.disc_mm[phantom.anatomy.disc_of(level)])
        lean = rotation(np.array([-curve.tilt_at(disc), 0.0, 0.0]))
        error = rotation(np.deg2rad(rng.normal(0, [1.5, 0.7, 0.7])))
        axes = _proper(phantom.turn) @ lean @ error
        u, v, up = axes.T
        centre = np.array(phantom.levels[level].disc_centre) + 20 * v + rng.normal(0, 0.6) * up
        for place in (np.arange(count)[::-1] - (count - 1) / 2) * protocol.step_mm:
            planes.append(
                SlicePlane(
                    position=centre + place * up - half * (u + v),
                    orientation=np.concatenate([u, v]),
                    matrix=protocol.axial_matrix,
                    pixel_mm=pixel,
                    thickness_mm=protocol.thickness_mm,
                )
            )
    return tuple(planes)
