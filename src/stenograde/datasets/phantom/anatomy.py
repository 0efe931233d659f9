"""One virtual patient's lumbar spine: its curve, and tables of its dimensions along the curve.

:mod:`~stenograde.datasets.phantom.shapes` turns the tables into tissues at points. Lengths are mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from stenograde.datasets.phantom.curve import STEP_MM, Array, Grid, SpineCurve
from stenograde.datasets.phantom.population import LEVEL_BELOW, SEGMENTS, Population
from stenograde.datasets.phantom.stenosis import Foramen, area_of, foramen_of, recess_of
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side


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

    @property
    def n_sacral(self) -> int:
        """Number of sacral segments, which come first."""
        return sum(name.startswith("S") for name in self.names)

    @property
    def pedicle_way_mm(self) -> Array:
        """Way of the middle of each pedicle, shape (n_vertebrae,)."""
        return self.centre_mm + 0.44 * self.half_height_mm

    def disc_of(self, level: Level) -> int:
        """Index of the vertebra under a level's disc."""
        return self.names.index(_UPPER[level]) - 1

    def at(self, row: Row, way_mm: float) -> float:
        """Read one dimension at a way."""
        return float(np.interp(way_mm, self.curve.table_way_mm, self.tables[row]))

    def index_table(self, shift: float) -> NDArray[np.int8]:
        """Vertebra in charge of each table entry, territories shifted up by a share of the pitch."""
        pitch = np.diff(self.centre_mm, append=2 * self.centre_mm[-1] - self.centre_mm[-2])
        borders = self.disc_mm[:-1] + shift * pitch[:-1]
        return np.searchsorted(borders, self.curve.table_way_mm).astype(np.int8)


_UPPER = {level: name for name, level in LEVEL_BELOW.items()}


def draw_anatomy(
    rng: np.random.Generator, severities: Mapping[Cell, float], population: Population
) -> Anatomy:
    """Draw a spine whose 25 cells have given severities.

    Parameters
    ----------
    rng : numpy.random.Generator
    severities : mapping
        Of each cell, 0 to 3.
    population : Population
    """
    size = float(np.clip(rng.normal(*population.size), 0.86, 1.14))
    worn = _worn(rng, severities)
    height = np.array([segment.height_mm for segment in SEGMENTS]) * size
    height *= rng.normal(1.0, 0.015, len(SEGMENTS))
    disc = np.array([segment.disc_above_mm for segment in SEGMENTS]) * size
    disc *= rng.normal(1.0, 0.06, len(SEGMENTS)) * (1.08 - 0.35 * worn)
    top = np.cumsum(height + disc) - disc
    zero = top[_S1] + disc[_S1] / 2
    centre, disc_way = top - height / 2 - zero, top + disc / 2 - zero
    curve = _curve(rng, centre, top - zero, population)
    layout = _Layout(size, centre, height / 2, disc_way, disc / 2)
    narrow = _Narrowed(
        area={
            cell.level: area_of(severities[cell], _open_area(rng, cell.level, population))
            for cell in LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)
        },
        recess={
            (cell.level, cell.side): recess_of(severities[cell])
            for cell in LUMBAR_MRI.of(Condition.SUBARTICULAR_STENOSIS)
            if cell.side
        },
        foramen={
            (cell.level, cell.side): foramen_of(severities[cell])
            for cell in LUMBAR_MRI.of(Condition.NEURAL_FORAMINAL_NARROWING)
            if cell.side
        },
    )
    return Anatomy(
        curve=curve,
        names=tuple(segment.name for segment in SEGMENTS),
        centre_mm=centre,
        half_height_mm=height / 2,
        disc_mm=disc_way,
        half_disc_mm=disc / 2,
        spinous_mm=np.array([segment.spinous_mm for segment in SEGMENTS])
        * size
        * rng.normal(1, 0.06, len(SEGMENTS)),
        pedicle_mm=np.array([segment.pedicle_half_width_mm for segment in SEGMENTS]) * size,
        hydration=1 - worn,
        tables=_tables(rng, curve, layout, narrow),
        sac_area_mm2=narrow.area,
        foramina=narrow.foramen,
        back_fat_mm=float(rng.uniform(*population.back_fat_mm)),
        texture_seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True, eq=False)
class _Narrowed:
    """What stenosis leaves open: mm² of sac, mm of recess, soft tissue of foramina."""

    area: dict[Level, float]
    recess: dict[tuple[Level, Side], float]
    foramen: dict[tuple[Level, Side], Foramen]


def _worn(rng: np.random.Generator, severities: Mapping[Cell, float]) -> Array:
    """Wear of the disc above each vertebra, 0 to 1: the more, the worse its cells are on average."""
    of_level = {
        level: float(np.mean([value for cell, value in severities.items() if cell.level is level]))
        for level in LUMBAR_MRI.levels
    }
    means = [
        0.22 + 0.3 * (of_level[_LEVEL_OF_DISC[k]] if k in _LEVEL_OF_DISC else 0.3)
        for k in range(len(SEGMENTS))
    ]
    return np.clip(rng.normal(means, 0.2), 0, 1)


_S1 = [segment.name for segment in SEGMENTS].index("S1")

_LEVEL_OF_DISC = {
    k - 1: LEVEL_BELOW[segment.name] for k, segment in enumerate(SEGMENTS) if segment.name in LEVEL_BELOW
}


@dataclass(frozen=True, eq=False)
class _Layout:
    size: float
    centre: Array
    half_height: Array
    disc: Array
    half_disc: Array


def _open_area(rng: np.random.Generator, level: Level, population: Population) -> float:
    factor = {Level.L1_L2: 1.08, Level.L2_L3: 1.04, Level.L5_S1: 0.84}.get(level, 1.0)
    return float(max(rng.normal(*population.sac_area_mm2), 125.0) * factor)


def _curve(rng: np.random.Generator, centre: Array, top: Array, population: Population) -> SpineCurve:
    slope = float(np.clip(rng.normal(*population.sacral_slope_deg), 28, 52))
    factor = float(np.clip(rng.normal(*population.lordosis), 0.8, 1.2))
    tilt = np.array([segment.tilt_deg for segment in SEGMENTS])
    bent = factor * (slope + 14) / 52
    at_l5 = tilt[_S1 + 1]
    tilt[_S1 + 1 :] = at_l5 * (2 + bent) / 3 + (tilt[_S1 + 1 :] - at_l5) * bent
    ways = np.concatenate([[centre[0] - 60], centre, [centre[-1] + 60]])
    tilt = np.concatenate([[tilt[0] + 20], tilt, [tilt[-1] - 10]]) - slope
    sway = (float(rng.normal(0, 1.5)), float(rng.uniform(260, 380)), float(rng.uniform(0, 2 * np.pi)))
    origin = float(centre[[s.name for s in SEGMENTS].index("L3")])
    return SpineCurve(ways, np.deg2rad(tilt), origin, sway)


def _tables(rng: np.random.Generator, curve: SpineCurve, layout: _Layout, narrow: _Narrowed) -> Grid:
    s = curve.table_way_mm
    out = np.zeros((len(Row), len(s)))
    out[Row.BEND] = curve.bend_per_mm
    out[Row.BODY_DEPTH], out[Row.BODY_WIDTH] = _column(s, layout)
    _canal(out, s, layout)
    for level, area in narrow.area.items():
        _narrow(out, s, float(layout.disc[_disc_index(level)]), area, float(rng.uniform(0.4, 0.7)))
    for k in range(_S1, len(SEGMENTS) - 1):
        plump = np.exp(-(((s - layout.disc[k]) / (layout.half_disc[k] + 3)) ** 4))
        out[Row.BULGE] = np.maximum(out[Row.BULGE], plump * rng.uniform(0.2, 1.0))
    wall = out[Row.BODY_DEPTH] + out[Row.BULGE] + 0.8
    front = out[Row.SAC_CENTRE] - out[Row.SAC_DEPTH]
    out[Row.BULGE] -= np.maximum(wall - front, 0) * (out[Row.SAC_DEPTH] > 1)
    _narrow_recesses(rng, out, s, layout, narrow)
    nodes = layout.centre[[0, _S1, _S1 + 2, _S1 + 4, -1]]
    fatty = np.array([0.6, 0.5, 0.3, 0.16, 0.1]) * rng.uniform(0.5, 1.3)
    out[Row.INFILTRATION] = _smooth(s, nodes, fatty)
    out[Row.TAPER] = _smooth(s, nodes, np.array([1.3, 1.2, 0.95, 0.8, 0.7]))
    return out.astype(np.float32)


OPEN_RECESS_MM = 5.5
"""Height of a lateral recess without stenosis, mm; see :data:`.stenosis.NARROW_RECESS_MM`."""

_SIDES = {
    Side.LEFT: (Row.RECESS_LEFT, Row.SIDE_BULGE_LEFT, Row.OVERGROWTH_LEFT),
    Side.RIGHT: (Row.RECESS_RIGHT, Row.SIDE_BULGE_RIGHT, Row.OVERGROWTH_RIGHT),
}


def _narrow_recesses(
    rng: np.random.Generator, out: Array, s: Array, layout: _Layout, narrow: _Narrowed
) -> None:
    """Lower the recesses at their discs, and let disc and joint grow into recesses and foramina."""
    for recess, _, _ in _SIDES.values():
        out[recess] = OPEN_RECESS_MM
    for (level, side), height in narrow.recess.items():
        recess, bulge, growth = _SIDES[side]
        disc = float(layout.disc[_disc_index(level)])
        near = np.exp(-(((s - disc) / 8.0) ** 4))
        closed = 1 - height / OPEN_RECESS_MM
        squeezed = 1 - min(narrow.foramen[level, side].fat_along_mm / 7.0, 1.0)
        out[recess] -= (OPEN_RECESS_MM - height) * near
        here = round((disc - float(s[0])) / STEP_MM)
        room = 0.45 * out[Row.SAC_DEPTH, here]  # the disc must not reach the front corner of the sac
        stands = min(closed * float(rng.uniform(0.5, 2.5)), room)
        out[bulge] = np.maximum(out[bulge], stands * np.exp(-(((s - disc) / 7.0) ** 4)))
        grown = float(rng.uniform(0.5, 1.5)) * (closed + squeezed)
        out[growth] = np.maximum(out[growth], grown * np.exp(-(((s - disc) / 14.0) ** 4)))


def _disc_index(level: Level) -> int:
    return [segment.name for segment in SEGMENTS].index(_UPPER[level]) - 1


def _smooth(s: Array, nodes: Array, values: Array) -> Array:
    return np.asarray(PchipInterpolator(nodes, values)(np.clip(s, nodes[0], nodes[-1])))


def _column(s: Array, layout: _Layout) -> tuple[Array, Array]:
    nodes, depths, widths = [], [], []
    for k, segment in enumerate(SEGMENTS):
        depth, width = segment.half_depth_mm * layout.size, segment.half_width_mm * layout.size
        waist = (1.0, 1.0) if k < _S1 else (0.94, 0.88)
        rim = {"S1": 1.3}.get(segment.name, 1.0)
        for place, factors in (
            (-0.97, (1.0 if k != _S1 else 0.80, 1.0)),
            (0.0, waist),
            (0.97, (rim, 1.0)),
        ):
            nodes.append(layout.centre[k] + place * layout.half_height[k])
            depths.append(depth * factors[0])
            widths.append(width * factors[1])
    return _smooth(s, np.array(nodes), np.array(depths)), _smooth(s, np.array(nodes), np.array(widths))


_DISC_FAT_MM = (1.6, 2.3)
"""From the disc to the sac, L1/L2 to L4/L5 and L5/S1: the longitudinal ligament and little fat, by eye, mm."""


SIDE_FAT_MM = 0.35
"""From the sac to the ligaments around it at a disc above L5/S1, by eye, mm."""


def _canal(out: Array, s: Array, layout: _Layout) -> None:
    """Fill in the canal as it is without stenosis."""
    size = layout.size
    names = [segment.name for segment in SEGMENTS]
    at = {name: layout.centre[names.index(name)] for name in names}
    end = at["S2"]
    nodes = np.array(
        [
            at["S5"],
            at["S4"],
            end - 6,
            end,
            at["S1"] - 4,
            0.0,
            at["L5"],
            at["L3"],
            at["L1"],
            at["T12"],
            at["T9"],
        ]
    )
    out[Row.SAC_DEPTH] = _smooth(
        s, nodes, np.array([0.1, 0.1, 0.1, 2.0, 4.3, 5.8, 6.6, 7.2, 7.6, 7.2, 6.4]) * size
    )
    out[Row.SAC_WIDTH] = _smooth(
        s, nodes, np.array([0.1, 0.1, 0.1, 2.5, 6.0, 7.6, 8.5, 8.7, 8.6, 8.2, 7.4]) * size
    )
    out[Row.SAC_WEDGE] = _smooth(s, nodes, np.array([0, 0, 0, 0.1, 0.3, 0.34, 0.3, 0.15, 0.05, 0, 0]))
    gap = _smooth(s, nodes, np.array([2.0, 2, 2.5, 3, 4.0, 3.6, 3.2, 2.9, 2.6, 2.0, 1.6]))
    fat = _smooth(s, nodes, np.array([1.0, 1, 1.5, 1.5, 2.0, 2.6, 2.2, 1.9, 1.7, 1.5, 1.4]))
    side = _smooth(s, nodes, np.array([20.0, 20, 20, 20, 16, 2.4, 3.4, 2.8, 2.4, 2.0, 1.8]))
    for k in range(_S1, len(SEGMENTS) - 1):
        near = np.exp(-(((s - layout.disc[k] + 2) / 11) ** 2))
        fat += near * (3.0 if k <= _S1 + 5 else 1.0)
        gap += (_DISC_FAT_MM[k == _S1] - gap) * np.exp(-(((s - layout.disc[k]) / 7) ** 2))
        near = np.exp(-(((s - layout.disc[k]) / 9) ** 4)) * (s > -5)
        side += (SIDE_FAT_MM * (2.5 if k == _S1 else 1) - side) * near
    out[Row.SIDE_FAT], out[Row.BACK_FAT] = side, fat - 0.8
    wall = out[Row.BODY_DEPTH]
    out[Row.SAC_CENTRE] = wall + gap + out[Row.SAC_DEPTH]
    out[Row.ROOF] = out[Row.SAC_CENTRE] + np.maximum(out[Row.SAC_DEPTH], 2.0) + fat
    out[Row.CANAL_WIDTH] = _smooth(
        s, nodes, np.array([4.0, 5, 7, 9, 12.5, 13.5, 13.2, 12.2, 11.6, 11.2, 10.5]) * size
    )
    out[Row.FACET] = np.maximum(out[Row.CANAL_WIDTH], 11) + 3.2
    low = [at[name] for name in ("S1", "L5", "L4", "L3", "L1")]
    out[Row.FORAMEN] = _smooth(s, np.array(low), np.array([0.5, 2.0, 4.0, 5.5, 6.0]))
    tip = at["L1"] - 10
    cord = np.array([0, 1.2, 2.6, 4.2, 4.8, 4.3]) * size
    out[Row.CORD] = _smooth(s, np.array([tip, tip + 5, tip + 14, tip + 30, tip + 50, at["T9"]]), cord)


def _narrow(out: Array, s: Array, disc: float, area: float, share_front: float) -> None:
    """Shrink the sac at a disc until its area there is the given one; the area is π · depth · width."""
    here = round((disc - float(s[0])) / STEP_MM)
    depth, width = out[Row.SAC_DEPTH, here], out[Row.SAC_WIDTH, here]
    ratio = area / (np.pi * depth * width)
    off = (s - disc) / 8.0
    near = 0.5 * np.exp(-(off**4)) + 0.5 * np.exp(-(off**2))
    lost = depth * (1 - ratio**0.66)
    tight = max(1 - ratio, 0.0)
    out[Row.SAC_DEPTH] -= lost * near
    out[Row.SAC_WIDTH] *= 1 - (1 - ratio**0.34) * near
    out[Row.SAC_CENTRE] += lost * near * (2 * share_front - 1)
    out[Row.SAC_WEDGE] += 0.3 * tight * near
    out[Row.CROWD] = np.maximum(out[Row.CROWD], min(1.4 * tight, 1) * near)
    out[Row.SIDE_FAT] *= 1 - min(tight, 0.8) * near
    out[Row.BACK_FAT] *= 1 - min(1.5 * tight, 0.95) * near
    out[Row.FACET] -= 2.5 * tight * near
    out[Row.BULGE] = np.maximum(
        out[Row.BULGE], (2 * max(lost, 0) * share_front + 0.8 * tight) * np.exp(-(((s - disc) / 7.0) ** 4))
    )
