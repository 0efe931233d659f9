"""Drawing of a spine whose 25 cells have given severities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stenograde.phantom.body.anatomy import Anatomy
from stenograde.phantom.body.curve import Array, SpineCurve
from stenograde.phantom.body.dimensions import Layout, Narrowed, draw_tables
from stenograde.phantom.body.population import (
    LEVEL_BELOW,
    S1,
    SEGMENTS,
    Population,
    Transition,
    disc_index,
)
from stenograde.phantom.body.stenosis import area_of, foramen_of, recess_of
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level


def draw_anatomy(
    rng: np.random.Generator, severities: Mapping[Cell, float], population: Population
) -> Anatomy:
    """Draw a spine whose 25 cells have given severities.

    Parameters
    ----------
    rng : numpy.random.Generator
    severities : mapping
        Continuous severity of each cell, 0 to 3.
    population : Population
    """
    size = float(np.clip(rng.normal(*population.size), 0.86, 1.14))
    worn = _worn(rng, severities)
    height = np.array([segment.height_mm for segment in SEGMENTS]) * size
    height *= rng.normal(1.0, 0.015, len(SEGMENTS))
    disc = np.array([segment.disc_above_mm for segment in SEGMENTS]) * size
    disc *= rng.normal(1.0, 0.06, len(SEGMENTS)) * (1.08 - 0.35 * worn)
    (apart,) = rng.spawn(1)  # a separate stream, so that the other draws do not depend on it
    transition = population.draw_transition(apart)
    disc[S1] *= _SACRALISED_DISC if transition is Transition.SACRALISED_L5 else 1
    if transition is Transition.LUMBARISED_S1:
        disc[S1 - 1] = _LUMBARISED_DISC * disc[S1]
    top = np.cumsum(height + disc) - disc
    zero = top[S1] + disc[S1] / 2
    centre, disc_way = top - height / 2 - zero, top + disc / 2 - zero
    curve = _curve(rng, centre, disc_way, population)
    layout = Layout(size, centre, height / 2, disc_way, disc / 2)
    narrow = _narrowed(rng, severities, population)
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
        foramen_mm=np.array([segment.foramen_mm for segment in SEGMENTS]) * size,
        notch_mm=centre - np.array([segment.notch_mm for segment in SEGMENTS]) * size,
        hydration=1 - worn,
        tables=draw_tables(rng, curve, layout, narrow),
        sac_area_mm2=narrow.area,
        foramina=narrow.foramen,
        back_fat_mm=float(rng.uniform(*population.back_fat_mm)),
        texture_seed=int(rng.integers(2**31)),
        size=size,
        transition=transition,
    )


def _narrowed(rng: np.random.Generator, severities: Mapping[Cell, float], population: Population) -> Narrowed:
    """Return the sizes that follow from the severities of the cells."""
    return Narrowed(
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


_SACRALISED_DISC = 0.35
"""Height of the disc under a sacralised L5, as a fraction of its normal height, by eye."""

_LUMBARISED_DISC = 0.8
"""Height of the disc under a lumbarised S1, as a fraction of the disc above it, by eye."""

_LEVEL_OF_DISC = {
    k - 1: LEVEL_BELOW[segment.name] for k, segment in enumerate(SEGMENTS) if segment.name in LEVEL_BELOW
}


def _worn(rng: np.random.Generator, severities: Mapping[Cell, float]) -> Array:
    """Wear of the disc above each vertebra, 0 to 1: greater, the worse its cells are on average."""
    of_level = {
        level: float(np.mean([value for cell, value in severities.items() if cell.level is level]))
        for level in LUMBAR_MRI.levels
    }
    means = [
        0.22 + 0.3 * (of_level[_LEVEL_OF_DISC[k]] if k in _LEVEL_OF_DISC else 0.3)
        for k in range(len(SEGMENTS))
    ]
    return np.clip(rng.normal(means, 0.2), 0, 1)


def _open_area(rng: np.random.Generator, level: Level, population: Population) -> float:
    factor = {Level.L1_L2: 1.08, Level.L2_L3: 1.04, Level.L5_S1: 0.84}.get(level, 1.0)
    return float(max(rng.normal(*population.sac_area_mm2), 125.0) * factor)


_SLIP_AT_L4_L5 = 0.7
"""Share of slips at L4/L5, by far the most common place of degenerative slips; the rest are at L5/S1."""


def _curve(rng: np.random.Generator, centre: Array, disc: Array, population: Population) -> SpineCurve:
    slope = float(np.clip(rng.normal(*population.sacral_slope_deg), 28, 52))
    factor = float(np.clip(rng.normal(*population.lordosis), 0.8, 1.2))
    tilt = np.array([segment.tilt_deg for segment in SEGMENTS])
    bent = factor * (slope + 14) / 52
    at_l5 = tilt[S1 + 1]
    tilt[S1 + 1 :] = at_l5 * (2 + bent) / 3 + (tilt[S1 + 1 :] - at_l5) * bent
    ways = np.concatenate([[centre[0] - 60], centre, [centre[-1] + 60]])
    tilt = np.concatenate([[tilt[0] + 20], tilt, [tilt[-1] - 10]]) - slope
    sway = (
        float(rng.normal(0, population.sway_mm)),
        float(rng.uniform(260, 380)),
        float(rng.uniform(0, 2 * np.pi)),
    )
    origin = float(centre[[s.name for s in SEGMENTS].index("L3")])
    slips: tuple[tuple[float, float], ...] = ()
    if rng.random() < population.slip_share:
        slipped = disc_index(Level.L4_L5 if rng.random() < _SLIP_AT_L4_L5 else Level.L5_S1)
        slips = ((float(disc[slipped]), float(rng.uniform(*population.slip_mm))),)
    return SpineCurve(ways, np.deg2rad(tilt), origin, sway, slips)
