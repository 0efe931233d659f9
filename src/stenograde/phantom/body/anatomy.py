"""The lumbar spine of one phantom: its curve, and tables of its dimensions along the curve.

:mod:`~stenograde.phantom.body.draw` draws one, :mod:`~stenograde.phantom.body.paint` turns the tables into
tissues at points. Lengths are in mm; a "way" is an arc length along the curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np
from numpy.typing import NDArray

from stenograde.images.lattice import Grid
from stenograde.phantom.body.curve import Array, SpineCurve
from stenograde.phantom.body.population import Transition, disc_index
from stenograde.phantom.body.stenosis import Foramen
from stenograde.terms import Level, Side


class Row(IntEnum):
    """Rows of :attr:`Anatomy.tables`: dimensions that vary along the curve, in mm unless stated."""

    BODY_DEPTH = 0  # half depth of the column of bodies and discs
    BODY_WIDTH = auto()  # half width
    WALL_POWER = auto()  # how square the back of the column is: exponent of a superellipse, without unit
    WALL_HOLLOW = auto()  # how far the wall stands further back beside the midline
    SAC_CENTRE = auto()  # a of the dural sac's centre
    SAC_DEPTH = auto()  # half anteroposterior depth of the sac
    SAC_WIDTH = auto()  # half width of the sac
    CROWD = auto()  # how tightly the roots fill the sac, 0 to 1
    SAC_WEDGE = auto()  # how much narrower behind than in front, as a fraction
    ROOF = auto()  # a of the bony canal's roof in the midline
    CANAL_WIDTH = auto()  # half width of the bony canal
    FORAMEN = auto()  # how far behind the body's midline wall the middle of a foramen lies
    SIDE_FAT = auto()  # fat between the sac and the ligamenta flava beside it
    BACK_FAT = auto()  # height of the triangle of fat behind the sac in the midline
    FACET = auto()  # distance of the middle of a facet joint from the midline
    BULGE = auto()  # how far the disc bulges backwards
    SIDE_BULGE_LEFT = auto()  # how much further it bulges on the patient's left
    SIDE_BULGE_RIGHT = auto()
    RECESS_LEFT = auto()  # height of the lateral recess: from the disc to the ligament, beside the sac
    RECESS_RIGHT = auto()
    OVERGROWTH_LEFT = auto()  # how far the facet joint has grown forwards and inwards
    OVERGROWTH_RIGHT = auto()
    BEND = auto()  # curvature, 1/mm
    CORD = auto()  # half width of the cord
    INFILTRATION = auto()  # fat within the muscle, as a fraction
    TAPER = auto()  # factor on the thickness of the subcutaneous fat


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A spine with known dimensions, in the body frame.

    Parameters
    ----------
    curve : SpineCurve
    names : tuple of str
        Vertebrae, from below.
    centre_mm, half_height_mm, disc_mm : ndarray of shape (n_vertebrae,)
        Way of the centre of each body, half its height, and the way of the disc above it.
    half_disc_mm : ndarray of shape (n_vertebrae,)
        Half the height of the disc above.
    spinous_mm, pedicle_mm, foramen_mm : ndarray of shape (n_vertebrae,)
        Length of the spinous process, half width of the pedicle, distance from the midline of the middle of the foramen
        below it.
    notch_mm : ndarray of shape (n_vertebrae,)
        Way at which the pedicle ends above the foramen.
    hydration : ndarray of shape (n_vertebrae,)
        Hydration of the nucleus of the disc above: 1 bright on T2, 0 dark.
    tables : ndarray of shape (n_rows, n_entries), float32
        Rows of :class:`Row` at ``curve.table_way_mm``.
    sac_area_mm2 : dict
        Area of the dural sac at each graded level, mm².
    foramina : dict
        Soft tissue of the foramen, per level and side, before any mirroring.
    back_fat_mm : float
        Thickness of the subcutaneous fat of the back.
    texture_seed : int
        Seed of all textures.
    size : float
        Factor on all bony dimensions.
    transition : Transition
    """

    curve: SpineCurve
    names: tuple[str, ...]
    centre_mm: Array
    half_height_mm: Array
    disc_mm: Array
    half_disc_mm: Array
    spinous_mm: Array
    pedicle_mm: Array
    foramen_mm: Array
    notch_mm: Array
    hydration: Array
    tables: Grid
    sac_area_mm2: dict[Level, float]
    foramina: dict[tuple[Level, Side], Foramen]
    back_fat_mm: float
    texture_seed: int
    size: float
    transition: Transition = Transition.NONE

    @property
    def n_sacral(self) -> int:
        """Number of sacral segments, which come first."""
        return sum(name.startswith("S") for name in self.names)

    @property
    def n_fused(self) -> int:
        """Number of vertebrae, from below, fused into one bone: the sacral ones, corrected for a transitional one."""
        more = {Transition.SACRALISED_L5: 1, Transition.LUMBARISED_S1: -1}
        return self.n_sacral + more.get(self.transition, 0)

    @property
    def pedicle_way_mm(self) -> Array:
        """Way of the middle of each pedicle, shape (n_vertebrae,)."""
        return self.centre_mm + 0.44 * self.half_height_mm

    def disc_of(self, level: Level) -> int:
        """Return the index of the vertebra below the disc of a level."""
        return disc_index(level, self.names)

    def at(self, row: Row, way_mm: float) -> float:
        """Return one dimension at a way."""
        return float(np.interp(way_mm, self.curve.table_way_mm, self.tables[row]))

    def index_table(self, shift: float) -> NDArray[np.int8]:
        """Vertebra to which each table entry belongs, borders shifted up by a fraction of the pitch."""
        pitch = np.diff(self.centre_mm, append=2 * self.centre_mm[-1] - self.centre_mm[-2])
        borders = self.disc_mm[:-1] + shift * pitch[:-1]
        return np.searchsorted(borders, self.curve.table_way_mm).astype(np.int8)
