"""Discs on the mid-sagittal surface: found as peaks, ordered along the spine, named upward from the sacrum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

from stenograde.levels.marked import MidSurface
from stenograde.terms import Structure

MIN_HEAT = 0.25
"""Lower peaks are no discs unless a gap in the chain asks for one."""

SACRAL_HEAT = 0.4
"""The lumbosacral disc is certain from this peak on."""

MIN_APART_MM = 13.0
"""Discs are at least this far apart, centre to centre, mm; half the usual lumbar pitch."""

GAP = 1.6
"""A gap of this many usual pitches lacks a disc."""

BELOW_SACRAL_MM = 12.0
"""So much of the image must lie below the lumbosacral disc for the sacrum to count as seen, mm."""

USUAL_BACK_MM = 18.0
"""From a disc's centre to its posterior margin where the disc itself was not outlined, mm."""

MIN_OUTLINE_PX = 4
"""A disc of fewer pixels has no direction: it counts as not outlined."""

MARGIN_MM = 3.0
"""Depth of the posterior rim whose middle is the margin, mm."""

NAMES = ("L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12", "T10/T11", "T9/T10", "T8/T9")
"""Discs upward from the sacrum."""


@dataclass(frozen=True)
class Disc:
    """One disc on the mid-sagittal surface; points are (row, column) on its grid."""

    name: str
    centre: tuple[float, float]
    axis: tuple[float, float]
    """Unit vector along the disc, to the back."""
    height_mm: float
    length_mm: float
    """Anteroposterior extent, mm."""
    margin: tuple[float, float]
    """Middle of the posterior margin."""
    heat: float
    sacral_heat: float
    guessed: bool = False
    """True when only the gap between its neighbours speaks for it."""


@dataclass(frozen=True)
class DiscChain:
    """Discs from the sacrum upwards, with doubts about their names."""

    discs: tuple[Disc, ...]
    doubts: tuple[str, ...]

    @property
    def certain(self) -> bool:
        """True when nothing speaks against the names."""
        return not self.doubts


def find_discs(surface: MidSurface) -> DiscChain:
    """Find, order and name the discs on the mid-sagittal surface."""
    grid = surface.marked.grid_mm
    heat = ndimage.gaussian_filter(surface.heat[0], 1.0 / grid)
    peaks = peak_local_max(
        heat,
        min_distance=max(1, round(MIN_APART_MM / grid / 2)),
        threshold_abs=MIN_HEAT,
        exclude_border=False,
    )
    found = [
        _disc_at(surface, (float(row), float(column)), float(heat[row, column])) for row, column in peaks
    ]
    chain = _without_twins(sorted(found, key=lambda disc: -disc.centre[0]), grid)
    chain = _with_gaps_filled(surface, heat, chain)
    if not chain:
        return DiscChain((), ("no disc was found",))
    first, doubts = _lumbosacral(surface, chain)
    named = [replace(disc, name=name) for disc, name in zip(chain[first:], NAMES, strict=False)]
    doubts += [
        f"{disc.name} was not seen and is placed between its neighbours" for disc in named if disc.guessed
    ]
    return DiscChain(tuple(named), tuple(doubts))


def _disc_at(surface: MidSurface, peak: tuple[float, float], heat: float, *, guessed: bool = False) -> Disc:
    """Measure the disc around a peak from its probability: centre, axis, height and length."""
    grid = surface.marked.grid_mm
    p = surface.structures[Structure.DISC.code]
    reach = round(28 / grid)
    top, left = max(0, round(peak[0]) - reach), max(0, round(peak[1]) - reach)
    window = p[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
    labels, n = ndimage.label(window > 0.4)
    at = (round(peak[0]) - top, round(peak[1]) - left)
    number = _piece_near(labels, at, reach=round(4 / grid)) if n else 0
    rows, columns = np.nonzero(labels == number)
    sacral = float(_near(surface.heat[1], peak, 8 / grid).max(initial=0))
    if number == 0 or len(rows) < MIN_OUTLINE_PX:
        nothing = float("nan")
        margin = (peak[0], peak[1] + USUAL_BACK_MM / grid)
        return Disc("", peak, (0.0, 1.0), nothing, nothing, margin, heat, sacral, guessed)
    points = np.column_stack([rows + top, columns + left]).astype(np.float64)
    weights = window[rows, columns].astype(np.float64)
    centre = (points * weights[:, None]).sum(axis=0) / weights.sum()
    spread = np.cov((points - centre).T, aweights=weights)
    values, vectors = np.linalg.eigh(spread)
    axis = vectors[:, 1] * np.sign(vectors[1, 1] or 1.0)
    if values[1] < 1.5 * values[0] or abs(axis[1]) < 0.35:
        axis = np.array([0.0, 1.0])
    along = (points - centre) @ axis * grid
    back = float(np.percentile(along, 98))
    length = back - float(np.percentile(along, 2))
    margin = points[along >= back - MARGIN_MM].mean(axis=0)
    inner = np.abs(along) < 0.3 * length
    height = float(inner.sum() * grid**2 / max(0.6 * length, grid))
    return Disc(
        "",
        (centre[0], centre[1]),
        (axis[0], axis[1]),
        height,
        length,
        (margin[0], margin[1]),
        heat,
        sacral,
        guessed,
    )


def _piece_near(labels: NDArray[np.int32], at: tuple[int, int], *, reach: int) -> int:
    """Return the number of the piece at a place, or of the nearest within reach, or 0."""
    if labels[at]:
        return int(labels[at])
    rows, columns = np.nonzero(labels)
    away = np.hypot(rows - at[0], columns - at[1])
    nearest = int(np.argmin(away))
    return int(labels[rows[nearest], columns[nearest]]) if away[nearest] <= reach else 0


def _near(values: NDArray[np.float32], at: tuple[float, float], reach: float) -> NDArray[np.float32]:
    row, column = round(at[0]), round(at[1])
    r = max(1, round(reach))
    return values[max(0, row - r) : row + r + 1, max(0, column - r) : column + r + 1]


def _apart_mm(a: Disc, b: Disc, grid: float) -> float:
    return float(np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]) * grid)


def _without_twins(chain: list[Disc], grid: float) -> list[Disc]:
    """Keep the better of two discs that lie too near each other."""
    kept: list[Disc] = []
    for disc in chain:
        if kept and _apart_mm(kept[-1], disc, grid) < MIN_APART_MM:
            if disc.heat > kept[-1].heat:
                kept[-1] = disc
        else:
            kept.append(disc)
    return kept


def _with_gaps_filled(surface: MidSurface, heat: NDArray[np.float32], chain: list[Disc]) -> list[Disc]:
    """Look again, less strictly, where the distance between two discs says that one is missing."""
    grid = surface.marked.grid_mm
    if len(chain) < 3:
        return chain
    usual = float(np.median([_apart_mm(a, b, grid) for a, b in pairwise(chain)]))
    filled = [chain[0]]
    for disc in chain[1:]:
        below = filled[-1]
        n_missing = round(_apart_mm(below, disc, grid) / usual) - 1 if usual else 0
        if _apart_mm(below, disc, grid) > GAP * usual:
            for k in range(1, n_missing + 1):
                share = k / (n_missing + 1)
                place = tuple(
                    (1 - share) * a + share * b for a, b in zip(below.centre, disc.centre, strict=True)
                )
                filled.append(_weak_disc(surface, heat, (place[0], place[1]), 0.3 * usual))
        filled.append(disc)
    return filled


def _weak_disc(
    surface: MidSurface, heat: NDArray[np.float32], place: tuple[float, float], reach_mm: float
) -> Disc:
    grid = surface.marked.grid_mm
    evidence = heat + 0.3 * ndimage.gaussian_filter(surface.structures[Structure.DISC.code], 2.0 / grid)
    row, column = round(place[0]), round(place[1])
    reach = round(reach_mm / grid)
    top, left = max(0, row - reach), max(0, column - reach)
    window = evidence[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
    best = np.unravel_index(int(np.argmax(window)), window.shape)
    if window[best] < 0.08:
        return _disc_at(surface, place, 0.0, guessed=True)
    peak = (float(best[0] + top), float(best[1] + left))
    return _disc_at(surface, peak, float(heat[best[0] + top, best[1] + left]))


def _lumbosacral(surface: MidSurface, chain: list[Disc]) -> tuple[int, list[str]]:
    """Index of the lumbosacral disc in the chain, and doubts about it."""
    grid = surface.marked.grid_mm
    scores = [disc.sacral_heat for disc in chain]
    doubts = []
    first = int(np.argmax(scores))
    if scores[first] < SACRAL_HEAT:
        first = 0
        doubts.append("the sacrum was not recognised; the lowest disc is taken for L5/S1")
    rivals = [score for index, score in enumerate(scores) if index != first]
    if scores[first] >= SACRAL_HEAT and rivals and max(rivals) > 0.6 * scores[first]:
        doubts.append("two discs look like the lumbosacral one; a transitional vertebra is possible")
    below_mm = (surface.marked.size[1] - 1 - chain[first].centre[0]) * grid
    if below_mm < BELOW_SACRAL_MM:
        doubts.append("the image ends at the lowest disc, so the sacrum was not seen")
    return first, doubts + _transitional(chain, first)


def _transitional(chain: list[Disc], first: int) -> list[str]:
    """Signs of a transitional vertebra in the discs around the lumbosacral one (Castellvi; O'Driscoll)."""
    doubts = []
    lowest = chain[first]
    if first > 0 and chain[first - 1].length_mm > 0.85 * lowest.length_mm and chain[first - 1].height_mm > 4:
        doubts.append("a well-formed disc lies below L5/S1; S1 may be lumbarised")
    above = [disc for disc in chain[first + 1 : first + 3] if np.isfinite(disc.length_mm)]
    if above and np.isfinite(lowest.length_mm):
        usual_length = float(np.median([disc.length_mm for disc in above]))
        if lowest.length_mm < 0.55 * usual_length:
            doubts.append("the lowest disc is much shorter than those above; L5 may be sacralised")
    return doubts
