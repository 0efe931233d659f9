"""One virtual patient's lumbar spine: its curve, and tables of its dimensions along the curve.

:mod:`~stenograde.phantom.body.draw` makes one, :mod:`~stenograde.phantom.body.paint` turns the tables into
tissues at points. Lengths are mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np
from numpy.typing import NDArray

from stenograde.phantom.body.curve import Array, Grid, SpineCurve
from stenograde.phantom.body.population import Transition, disc_index
from stenograde.phantom.body.stenosis import Foramen
from stenograde.terms import Level, Side


class Row(IntEnum):
    """Rows of :attr:`Anatomy.tables`: dimensions that change along the curve, mm unless said."""

    BODY_DEPTH = 0  # half depth of the column of bodies and discs
    BODY_WIDTH = auto()  # half width
    SAC_CENTRE = auto()  # a of the dural sac's centre
    SAC_DEPTH = auto()  # half anteroposterior depth of the sac
    SAC_WIDTH = auto()  # half width of the sac
    CROWD = auto()  # how tightly the roots fill the sac, 0 to 1
    SAC_WEDGE = auto()  # how much narrower behind than in front, share
    ROOF = auto()  # a of the bony canal's roof in the midline
    CANAL_WIDTH = auto()  # half width of the bony canal
    FORAMEN = auto()  # how far behind the midline wall of the body the middle of a foramen lies
    SIDE_FAT = auto()  # fat between the sac and the ligamenta flava beside it
    BACK_FAT = auto()  # height of the triangle of fat behind the sac in the midline
    FACET = auto()  # how far beside the midline the middle of a facet joint lies
    BULGE = auto()  # how far the disc stands out behind
    SIDE_BULGE_LEFT = auto()  # how much further it stands out at the patient's left
    SIDE_BULGE_RIGHT = auto()
    RECESS_LEFT = auto()  # height of the lateral recess: from the disc to the ligament, beside the sac
    RECESS_RIGHT = auto()
    OVERGROWTH_LEFT = auto()  # how far the facet joint has grown to the front and middle
    OVERGROWTH_RIGHT = auto()
    BEND = auto()  # curvature, 1/mm
    CORD = auto()  # half width of the cord
    INFILTRATION = auto()  # fat among the muscle, share
    TAPER = auto()  # thickness of the subcutaneous fat, factor


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A spine with known dimensions, in the body frame.

    Parameters
    ----------
    curve : SpineCurve
    names : tuple of str
        Vertebrae from below.
    centre_mm, half_height_mm, disc_mm : ndarray of shape (n_vertebrae,)
        Way of each body's centre, half its height, and the way of the disc above it.
    half_disc_mm : ndarray of shape (n_vertebrae,)
        Half the height of the disc above.
    spinous_mm, pedicle_mm : ndarray of shape (n_vertebrae,)
        Length of the spinous process, half width of the pedicle.
    hydration : ndarray of shape (n_vertebrae,)
        Of the nucleus of the disc above: 1 bright on T2, 0 dark.
    tables : ndarray of shape (n_rows, n_entries), float32
        Rows of :class:`Row` at ``curve.table_way_mm``.
    sac_area_mm2 : dict
        Area of the dural sac at each graded level, mm².
    foramina : dict
        Per level and side the soft tissue of the foramen; unmirrored.
    back_fat_mm : float
        Thickness of the subcutaneous fat of the back.
    texture_seed : int
        Seeds all textures.
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
    hydration: Array
    tables: Grid
    sac_area_mm2: dict[Level, float]
    foramina: dict[tuple[Level, Side], Foramen]
    back_fat_mm: float
    texture_seed: int
    transition: Transition = Transition.NONE

    @property
    def n_sacral(self) -> int:
        """Number of sacral segments, which come first."""
        return sum(name.startswith("S") for name in self.names)

    @property
    def n_fused(self) -> int:
        """Number of vertebrae from below whose bodies are one bone: the sacrum's, but for a transitional one."""
        more = {Transition.SACRALISED_L5: 1, Transition.LUMBARISED_S1: -1}
        return self.n_sacral + more.get(self.transition, 0)

    @property
    def pedicle_way_mm(self) -> Array:
        """Way of the middle of each pedicle, shape (n_vertebrae,)."""
        return self.centre_mm + 0.44 * self.half_height_mm

    def disc_of(self, level: Level) -> int:
        """Index of the vertebra under a level's disc."""
        return disc_index(level, self.names)

    def at(self, row: Row, way_mm: float) -> float:
        """Read one dimension at a way."""
        return float(np.interp(way_mm, self.curve.table_way_mm, self.tables[row]))

    def index_table(self, shift: float) -> NDArray[np.int8]:
        """Vertebra in charge of each table entry, territories shifted up by a share of the pitch."""
        pitch = np.diff(self.centre_mm, append=2 * self.centre_mm[-1] - self.centre_mm[-2])
        borders = self.disc_mm[:-1] + shift * pitch[:-1]
        return np.searchsorted(borders, self.curve.table_way_mm).astype(np.int8)
