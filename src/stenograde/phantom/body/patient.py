"""The phantom: an anatomy at a position in the scanner, with known answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from stenograde.grades import Point
from stenograde.phantom.body.anatomy import Anatomy, Row
from stenograde.phantom.body.canal import root_shape
from stenograde.phantom.body.curve import Array
from stenograde.phantom.body.draw import draw_anatomy
from stenograde.phantom.body.population import Population
from stenograde.phantom.body.scene import Scene
from stenograde.phantom.body.stenosis import Foramen, severity_of_area, severity_of_recess
from stenograde.phantom.body.surfaces import read_surfaces
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Severity, Side


@dataclass(frozen=True)
class LevelTruth:
    """True points and measurements of one level; points are LPS mm."""

    level: Level
    disc_centre: Point
    canal_centre: Point
    """Centre of the dural sac at half the height of the disc."""
    foramen: Mapping[Side, Point]
    """Midpoint between the pedicles above and below, per side of the patient."""
    subarticular: Mapping[Side, Point]
    """Front corner of the canal beside the sac, at the height of the disc."""
    sac_ap_mm: float
    """Anteroposterior diameter of the dural sac in the midline at the disc."""
    sac_area_mm2: float
    """Area of the dural sac in the plane of the disc."""
    recess_height_mm: Mapping[Side, float]
    """Distance from the disc to the ligament in front of the facet joint, beside the sac."""
    foramina: Mapping[Side, Foramen]
    """Fat around the root and shape of the root in the middle of the foramen."""
    foraminal_area_mm2: Mapping[Side, float]
    """Area of the root and the fat around it in the sagittal plane through the middle of the foramen."""

    def severity(self, condition: Condition, side: Side | None = None) -> Severity:
        """Return the severity of a condition, by the rules of :mod:`~stenograde.phantom.body.stenosis`."""
        if condition is Condition.SPINAL_CANAL_STENOSIS or side is None:
            return severity_of_area(self.sac_area_mm2)
        if condition is Condition.SUBARTICULAR_STENOSIS:
            return severity_of_recess(self.recess_height_mm[side])
        return self.foramina[side].severity


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated patient with known answers.

    Parameters
    ----------
    seed : int
    anatomy : Anatomy
    turn : ndarray of shape (3, 3)
        Rotation from the body frame to LPS; that of a mirrored phantom has determinant -1.
    offset_mm : ndarray of shape (3,)
        LPS position of the body frame's origin.
    bones : Path, optional
        See :attr:`.Population.bones`.
    """

    seed: int
    anatomy: Anatomy
    turn: Array
    offset_mm: Array
    bones: Path | None = None

    def to_patient(self, sla: Array) -> Array:
        """Map spine coordinates, shape (n, 3), to LPS mm, shape (n, 3)."""
        return self.anatomy.curve.to_body(sla) @ self.turn.T + self.offset_mm

    def mirrored(self) -> Phantom:
        """Return the same phantom with left and right exchanged."""
        mirror = np.array([-1.0, 1.0, 1.0])
        return replace(self, turn=mirror[:, None] * self.turn, offset_mm=mirror * self.offset_mm)

    @cached_property
    def scene(self) -> Scene:
        """The anatomy prepared for painting."""
        return Scene(self.anatomy, read_surfaces(self.bones) if self.bones else None)

    @cached_property
    def levels(self) -> Mapping[Level, LevelTruth]:
        """True points and measurements of each level."""
        return {level: self._truth(level) for level in LUMBAR_MRI.levels}

    def point(self, cell: Cell) -> Point:
        """Return the point of a cell, LPS mm."""
        truth = self.levels[cell.level]
        if cell.side is None:
            return truth.canal_centre
        foraminal = cell.condition is Condition.NEURAL_FORAMINAL_NARROWING
        return (truth.foramen if foraminal else truth.subarticular)[cell.side]

    def severity(self, cell: Cell) -> Severity:
        """Return the severity of a cell."""
        return self.levels[cell.level].severity(cell.condition, cell.side)

    def _point(self, way: float, left: float, behind: float) -> Point:
        x, y, z = self.to_patient(np.array([[way, left, behind]]))[0]
        return float(x), float(y), float(z)

    def _truth(self, level: Level) -> LevelTruth:
        anatomy = self.anatomy
        below = anatomy.disc_of(level)
        disc = float(anatomy.disc_mm[below])
        depth, width = anatomy.at(Row.SAC_DEPTH, disc), anatomy.at(Row.SAC_WIDTH, disc)
        centre = anatomy.at(Row.SAC_CENTRE, disc)
        room = float(anatomy.pedicle_way_mm[below : below + 2].mean())
        hole = anatomy.at(Row.BODY_DEPTH, room) + anatomy.at(Row.FORAMEN, room)
        recess = width + 0.5, centre - 0.55 * depth
        named = dict(zip(Side, reversed(Side) if self._is_mirrored else Side, strict=True))
        signs = {side: 1.0 if drawn is Side.LEFT else -1.0 for side, drawn in named.items()}
        foramina = {side: anatomy.foramina[level, drawn] for side, drawn in named.items()}
        rows = {Side.LEFT: Row.RECESS_LEFT, Side.RIGHT: Row.RECESS_RIGHT}
        half_depth, half_height = (float(half) for half in root_shape(0.0))
        aside = float(anatomy.foramen_mm[below + 1])
        return LevelTruth(
            level=level,
            disc_centre=self._point(disc, 0, 0),
            canal_centre=self._point(disc, 0, centre),
            foramen={side: self._point(room, sign * aside, hole) for side, sign in signs.items()},
            subarticular={
                side: self._point(disc, sign * recess[0], recess[1]) for side, sign in signs.items()
            },
            sac_ap_mm=2 * depth,
            sac_area_mm2=float(np.pi * depth * width),
            recess_height_mm={side: anatomy.at(rows[drawn], disc) for side, drawn in named.items()},
            foramina=foramina,
            foraminal_area_mm2={
                side: foramen.area_mm2(half_depth, half_height) for side, foramen in foramina.items()
            },
        )

    @property
    def _is_mirrored(self) -> bool:
        return bool(np.linalg.det(self.turn) < 0)


def make_patient(
    seed: int,
    *,
    cells: Mapping[Cell, Severity] | None = None,
    population: Population | None = None,
) -> Phantom:
    """Make a phantom.

    Parameters
    ----------
    seed : int
        The same seed gives the same phantom.
    cells : mapping, optional
        Severity of chosen cells; the others are drawn.
    population : Population, optional
        Population that the phantom is drawn from.

    Raises
    ------
    ValueError
        If the seed is negative or a cell is not lumbar.
    DatasetError
        When it is painted, if the population's bones cannot be read.

    Examples
    --------
    >>> cell = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L5_S1, Side.LEFT)
    >>> make_patient(7, cells={cell: Severity.SEVERE}).severity(cell).shown
    'Severe'
    """
    if seed < 0:
        msg = f"seed must be zero or more, got {seed}"
        raise ValueError(msg)
    strange = [cell.name for cell in cells or {} if cell not in LUMBAR_MRI.cells]
    if strange:
        msg = f"cells of a lumbar phantom must be among the 25 of RSNA 2024, got {', '.join(strange)}"
        raise ValueError(msg)
    rng = np.random.default_rng(seed)
    population = population or Population()
    severities = population.draw_severities(rng)
    for cell, severity in (cells or {}).items():
        severities[cell] = severity.rank + severities[cell] % 1.0
    anatomy = draw_anatomy(rng, severities, population)
    turn = rotation(np.deg2rad(rng.normal(0.0, 2.0, 3)))
    return Phantom(seed, anatomy, turn, rng.normal(0.0, [6.0, 12.0, 12.0]), population.bones)


def rotation(angles_rad: Array) -> Array:
    """Return the rotation by angles about x, then y, then z, shape (3, 3)."""
    out = np.eye(3)
    for axis, angle in enumerate(angles_rad):
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.eye(3)
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        turn[i, i] = turn[j, j] = cosine
        turn[i, j], turn[j, i] = -sine, sine
        out = turn @ out
    return out
