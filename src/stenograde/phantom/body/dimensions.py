"""Tables of a spine's dimensions along its curve: healthy column and canal, then the effect of stenosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from stenograde.images.lattice import Grid
from stenograde.phantom.body.anatomy import Row
from stenograde.phantom.body.curve import STEP_MM, Array, SpineCurve
from stenograde.phantom.body.population import S1, SEGMENTS, disc_index
from stenograde.phantom.body.stenosis import Foramen
from stenograde.terms import Level, Side


@dataclass(frozen=True, eq=False)
class Layout:
    """Size factor, and way and half height of each vertebra and of the disc above it, mm."""

    size: float
    centre: Array
    half_height: Array
    disc: Array
    half_disc: Array


@dataclass(frozen=True, eq=False)
class Narrowed:
    """Sizes that stenosis leaves open: sac (mm²), recess (mm), soft tissue of foramina."""

    area: dict[Level, float]
    recess: dict[tuple[Level, Side], float]
    foramen: dict[tuple[Level, Side], Foramen]


def draw_tables(rng: np.random.Generator, curve: SpineCurve, layout: Layout, narrow: Narrowed) -> Grid:
    """Draw the tables of an anatomy.

    Parameters
    ----------
    rng : numpy.random.Generator
    curve : SpineCurve
    layout : Layout
    narrow : Narrowed

    Returns
    -------
    tables : ndarray of shape (n_rows, n_entries), float32
        Rows of :class:`Row` at ``curve.table_way_mm``.
    """
    s = curve.table_way_mm
    out = np.zeros((len(Row), len(s)))
    out[Row.BEND] = curve.bend_per_mm
    out[Row.BODY_DEPTH], out[Row.BODY_WIDTH] = _column(s, layout)
    out[Row.WALL_POWER], out[Row.WALL_HOLLOW] = _wall(s, layout)
    (apart,) = rng.spawn(1)  # a separate stream, so that the other draws do not depend on it
    _canal(out, s, layout, _EpiduralFat.draw(apart))
    for level, area in narrow.area.items():
        _narrow(out, s, float(layout.disc[disc_index(level)]), area, float(rng.uniform(0.4, 0.7)))
    for k in range(S1, len(SEGMENTS) - 1):
        plump = np.exp(-(((s - layout.disc[k]) / (layout.half_disc[k] + 3)) ** 4))
        out[Row.BULGE] = np.maximum(out[Row.BULGE], plump * rng.uniform(0.2, 1.0))
    wall = out[Row.BODY_DEPTH] + out[Row.BULGE] + 0.8
    front = out[Row.SAC_CENTRE] - out[Row.SAC_DEPTH]
    out[Row.BULGE] -= np.maximum(wall - front, 0) * (out[Row.SAC_DEPTH] > 1)
    _narrow_recesses(rng, out, s, layout, narrow)
    nodes = layout.centre[[0, S1, S1 + 2, S1 + 4, -1]]
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
    rng: np.random.Generator, out: Array, s: Array, layout: Layout, narrow: Narrowed
) -> None:
    """Lower the recesses at their discs, and let disc and joint grow into recesses and foramina."""
    for recess, _, _ in _SIDES.values():
        out[recess] = OPEN_RECESS_MM
    for (level, side), height in narrow.recess.items():
        recess, bulge, growth = _SIDES[side]
        disc = float(layout.disc[disc_index(level)])
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


def _smooth(s: Array, nodes: Array, values: Array) -> Array:
    return np.asarray(PchipInterpolator(nodes, values)(np.clip(s, nodes[0], nodes[-1])))


def _column(s: Array, layout: Layout) -> tuple[Array, Array]:
    nodes, depths, widths = [], [], []
    for k, segment in enumerate(SEGMENTS):
        depth, width = segment.half_depth_mm * layout.size, segment.half_width_mm * layout.size
        waist = (1.0, 1.0) if k < S1 else (0.94, 0.88)
        rim = {"S1": 1.3}.get(segment.name, 1.0)
        for place, factors in (
            (-0.97, (1.0 if k != S1 else 0.80, 1.0)),
            (0.0, waist),
            (0.97, (rim, 1.0)),
        ):
            nodes.append(layout.centre[k] + place * layout.half_height[k])
            depths.append(depth * factors[0])
            widths.append(width * factors[1])
    return _smooth(s, np.array(nodes), np.array(depths)), _smooth(s, np.array(nodes), np.array(widths))


def _wall(s: Array, layout: Layout) -> tuple[Array, Array]:
    """Shape of the back of the column, by what was measured on the surfaces named in :mod:`.bones`."""
    at = [
        layout.centre[[segment.name for segment in SEGMENTS].index(name)]
        for name in ("S1", "L5", "L4", "L3", "L1")
    ]
    return (
        _smooth(s, np.array(at), np.array([2.0, 2.1, 2.8, 4.0, 4.6])),
        _smooth(s, np.array(at), np.array([0.0, 0.0, 0.6, 1.3, 1.4])) * layout.size,
    )


_DISC_FAT_MM = 1.6
"""Distance from disc to sac above L5/S1: longitudinal ligament and a little fat, by eye, mm."""


@dataclass(frozen=True)
class _EpiduralFat:
    """Epidural fat of one patient, by eye from axial T1 slices of patients."""

    behind_mm: float
    """How much deeper the fat behind the sac is at the discs L2/L3 to L5/S1 than between them."""
    before_sacrum_mm: float
    """Distance from disc to sac at L5/S1."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _EpiduralFat:
        behind, before = rng.normal([6.5, 3.8], [2.0, 1.5])
        return cls(float(np.clip(behind, 2.0, 10.0)), float(np.clip(before, 1.6, 7.0)))


SIDE_FAT_MM = 0.35
"""Distance from the sac to the ligaments around it, at a disc above L5/S1, by eye, mm."""


def _canal(out: Array, s: Array, layout: Layout, epidural: _EpiduralFat) -> None:
    """Fill in the canal without stenosis."""
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
    for k in range(S1, len(SEGMENTS) - 1):
        near = np.exp(-(((s - layout.disc[k] + 2) / 11) ** 2))
        fat += near * epidural.behind_mm * (1.0 if k < S1 + 4 else 0.6 if k == S1 + 4 else 0.2)
        gap += ((epidural.before_sacrum_mm if k == S1 else _DISC_FAT_MM) - gap) * np.exp(
            -(((s - layout.disc[k]) / 7) ** 2)
        )
        near = np.exp(-(((s - layout.disc[k]) / 9) ** 4)) * (s > -5)
        side += ((0.5 * epidural.before_sacrum_mm if k == S1 else SIDE_FAT_MM) - side) * near
    out[Row.SIDE_FAT], out[Row.BACK_FAT] = side, fat - 0.8
    wall = out[Row.BODY_DEPTH]
    out[Row.SAC_CENTRE] = wall + gap + out[Row.SAC_DEPTH]
    out[Row.ROOF] = out[Row.SAC_CENTRE] + np.maximum(out[Row.SAC_DEPTH], 2.0) + fat
    out[Row.CANAL_WIDTH] = _smooth(
        s, nodes, np.array([4.0, 5, 7, 9, 12.5, 13.5, 13.2, 12.2, 11.6, 11.2, 10.5]) * size
    )
    out[Row.FACET] = np.maximum(out[Row.CANAL_WIDTH], 11) + 3.2
    low = [at[name] for name in ("S1", "L5", "L4", "L3", "L1")]
    out[Row.FORAMEN] = _smooth(s, np.array(low), np.array([-4.0, -0.5, 2.5, 5.3, 6.0]))
    tip = at["L1"] - 10
    cord = np.array([0, 1.2, 2.6, 4.2, 4.8, 4.3]) * size
    out[Row.CORD] = _smooth(s, np.array([tip, tip + 5, tip + 14, tip + 30, tip + 50, at["T9"]]), cord)


def _narrow(out: Array, s: Array, disc: float, area: float, share_front: float) -> None:
    """Shrink the sac at a disc to the given area there; the area is π · depth · width."""
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
    out[Row.BACK_FAT] *= 1 - min(1.2 * tight, 0.85) * near
    out[Row.FACET] -= 2.5 * tight * near
    out[Row.BULGE] = np.maximum(
        out[Row.BULGE], (2 * max(lost, 0) * share_front + 0.8 * tight) * np.exp(-(((s - disc) / 7.0) ** 4))
    )
