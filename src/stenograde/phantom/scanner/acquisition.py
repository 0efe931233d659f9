"""Position of the slices of each series, and how they are acquired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stenograde.images.lattice import Grid
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.patient import Phantom, rotation
from stenograde.phantom.body.tissues import FIELDS_T, SpinEcho
from stenograde.phantom.scanner.look import LOOKS, NO_ARTEFACTS, Artefacts, Look
from stenograde.phantom.scanner.sequences import ContrastMode, draw_echo, draw_field
from stenograde.terms import LUMBAR_MRI, Level, Role

_BLOCK_MARGIN_MM = 5.0
"""How far a block of axial slices extends beyond the points of its levels."""


@dataclass(frozen=True)
class Protocol:
    """Acquisition of a study.

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
    """Gap between slices, as a fraction of the thickness."""
    layers: int = 3
    """Planes painted across the thickness of a slice and averaged with the slice profile."""
    contrast: ContrastMode = ContrastMode.CLINICAL
    """Mode in which timing, tissue signals, noise and coil are drawn."""
    field_t: float | None = None
    """Field strength, T; None: drawn."""
    stir: bool = False
    """Whether the sagittal T2 series nulls fat (STIR)."""
    axial_block: bool = False
    """Whether an axial series is one block of parallel slices instead of stacks per disc."""
    axial_series: int = 1
    """Number of axial series into which the levels are divided, from the head down."""
    missing: frozenset[Role] = frozenset()
    """Roles of series that are left out."""
    artefacts: Artefacts = NO_ARTEFACTS
    """Artefacts in every series."""

    def __post_init__(self) -> None:
        for name in (
            "sagittal_matrix",
            "sagittal_slices",
            "axial_matrix",
            "axial_slices_per_level",
            "axial_series",
            "layers",
        ):
            if getattr(self, name) < 1:
                msg = f"{name} must be at least 1, got {getattr(self, name)}"
                raise ValueError(msg)
        if min(self.sagittal_field_mm, self.axial_field_mm, self.thickness_mm) <= 0 or self.gap < 0:
            msg = "fields of view and thickness must be above 0 mm and the gap not below 0"
            raise ValueError(msg)
        if self.field_t not in (None, *FIELDS_T):
            msg = f"field_t must be one of {FIELDS_T} T or None, got {self.field_t}"
            raise ValueError(msg)
        if self.axial_series > len(LUMBAR_MRI.levels) or set(Role) <= self.missing:
            msg = (
                f"axial_series must be at most {len(LUMBAR_MRI.levels)} and one role not missing, got {self}"
            )
            raise ValueError(msg)

    @property
    def step_mm(self) -> float:
        """Distance between the centres of neighbouring slices, mm."""
        return self.thickness_mm * (1 + self.gap)


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """One slice: position, orientation and sampling, LPS mm.

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
        """Return the distance of a point from the plane (mm, along the normal), and its row and column."""
        off = np.asarray(point, dtype=np.float64) - self.position
        u, v = self.orientation[:3], self.orientation[3:]
        return float(off @ self.normal), float(off @ v) / self.pixel_mm, float(off @ u) / self.pixel_mm


@dataclass(frozen=True, eq=False)
class SeriesPlan:
    """One series: role, slices in order of numbering, and timing."""

    role: Role
    planes: tuple[SlicePlane, ...]
    echo: SpinEcho
    look: Look = LOOKS[ContrastMode.CLINICAL]
    artefacts: Artefacts = NO_ARTEFACTS

    def nearest(self, point: Array) -> tuple[int, float, float] | None:
        """Return the index of the slice nearest to a point among those that show it, and its row and column.

        None where the point lies outside all slices, or farther from the stack than the slice spacing.
        """
        best: tuple[float, int, float, float] | None = None
        for number, plane in enumerate(self.planes):
            off, row, column = plane.index(point)
            if max(row, column) > plane.matrix - 0.5 or min(row, column) < -0.5:
                continue
            if best is None or abs(off) < best[0]:
                best = abs(off), number, row, column
        return None if best is None or best[0] > self._reach_mm else best[1:]

    @property
    def _reach_mm(self) -> float:
        """Greatest distance of a point from the nearest slice."""
        places = [plane.position @ self.planes[0].normal for plane in self.planes[:2]]
        return float(max(np.ptp(places), self.planes[0].thickness_mm))


def plan_study(phantom: Phantom, protocol: Protocol) -> tuple[SeriesPlan, ...]:
    """Plan the slices of a study of a phantom, with the small errors of a technologist.

    Parameters
    ----------
    phantom : Phantom
    protocol : Protocol

    Returns
    -------
    plans : tuple of SeriesPlan
        Sagittal T1, sagittal T2 (or STIR), axial T2 (one or more, from the head down), without those missing.
    """
    rng = np.random.default_rng([phantom.seed, 1])
    timing = np.random.default_rng([phantom.seed, 3])
    tilt = rotation(np.deg2rad(rng.normal(0, 1.0, 3)))
    shifts = rng.normal(0, [0.7, 4.0, 5.0], (2, 3))
    drawn = draw_field(timing, protocol.contrast)
    field_t = drawn if protocol.field_t is None else protocol.field_t
    echoes = {
        role: draw_echo(
            timing,
            role,
            protocol.contrast,
            field_t=field_t,
            stir=protocol.stir and role is Role.SAGITTAL_T2_STIR,
        )
        for role in Role
    }
    stacks = [
        (Role.SAGITTAL_T1, _sagittal(phantom, protocol, tilt, shifts[0])),
        (Role.SAGITTAL_T2_STIR, _sagittal(phantom, protocol, tilt, shifts[1])),
        *((Role.AXIAL_T2, planes) for planes in _axials(phantom, protocol, rng)),
    ]
    return tuple(
        SeriesPlan(role, planes, echoes[role], LOOKS[protocol.contrast], protocol.artefacts)
        for role, planes in stacks
        if role not in protocol.missing
    )


def _proper(turn: Array) -> Array:
    """Return body axes that a scanner can follow: x of a mirrored body is reversed."""
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


def _axials(phantom: Phantom, protocol: Protocol, rng: np.random.Generator) -> list[tuple[SlicePlane, ...]]:
    """Planes of each axial series, with the levels divided among them."""
    parts = np.array_split(np.arange(len(LUMBAR_MRI.levels)), protocol.axial_series)
    groups = [[LUMBAR_MRI.levels[k] for k in part] for part in parts]
    if protocol.axial_block:
        return [_block(phantom, protocol, group, rng) for group in groups]
    return [
        tuple(plane for level in group for plane in _at_disc(phantom, protocol, level, rng))
        for group in groups
    ]


def _at_disc(
    phantom: Phantom, protocol: Protocol, level: Level, rng: np.random.Generator
) -> tuple[SlicePlane, ...]:
    """Slices in the plane of one disc."""
    curve = phantom.anatomy.curve
    disc = float(phantom.anatomy.disc_mm[phantom.anatomy.disc_of(level)])
    lean = rotation(np.array([-curve.tilt_at(disc), 0.0, 0.0]))
    error = rotation(np.deg2rad(rng.normal(0, [1.5, 0.7, 0.7])))
    axes = _proper(phantom.turn) @ lean @ error
    centre = np.array(phantom.levels[level].disc_centre) + 20 * axes[:, 1] + rng.normal(0, 0.6) * axes[:, 2]
    count = protocol.axial_slices_per_level
    places = (np.arange(count)[::-1] - (count - 1) / 2) * protocol.step_mm
    return _stack(protocol, axes, centre, places)


def _block(
    phantom: Phantom, protocol: Protocol, levels: list[Level], rng: np.random.Generator
) -> tuple[SlicePlane, ...]:
    """One block of parallel slices through some levels, perpendicular to the line through their discs."""
    centres = np.array([phantom.levels[level].disc_centre for level in levels])
    tilts = [
        phantom.anatomy.curve.tilt_at(float(phantom.anatomy.disc_mm[phantom.anatomy.disc_of(level)]))
        for level in levels
    ]
    lean = rotation(np.array([-float(np.mean(tilts)), 0.0, 0.0]))
    error = rotation(np.deg2rad(rng.normal(0, [1.5, 0.7, 0.7])))
    axes = _proper(phantom.turn) @ lean @ error
    middle = centres.mean(axis=0)
    points = np.array(
        [
            point
            for level in levels
            for truth in (phantom.levels[level],)
            for point in (truth.canal_centre, *truth.foramen.values(), *truth.subarticular.values())
        ]
    )
    reach = (np.concatenate([points, centres]) - middle) @ axes[:, 2]
    top, bottom = reach.max() + _BLOCK_MARGIN_MM, reach.min() - _BLOCK_MARGIN_MM
    count = int(np.ceil((top - bottom) / protocol.step_mm)) + 1
    places = (top + bottom) / 2 + (np.arange(count)[::-1] - (count - 1) / 2) * protocol.step_mm
    return _stack(protocol, axes, middle + 20 * axes[:, 1], places)


def _stack(protocol: Protocol, axes: Array, centre: Array, places: Grid) -> tuple[SlicePlane, ...]:
    """Axial slices at positions along the third axis."""
    u, v, up = axes.T
    pixel = protocol.axial_field_mm / protocol.axial_matrix
    half = (protocol.axial_matrix - 1) / 2 * pixel
    return tuple(
        SlicePlane(
            position=centre + place * up - half * (u + v),
            orientation=np.concatenate([u, v]),
            matrix=protocol.axial_matrix,
            pixel_mm=pixel,
            thickness_mm=protocol.thickness_mm,
        )
        for place in places
    )
