"""Discs on the mid-sagittal surface: found as peaks, ordered along the spine, named upward from the sacrum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.levels.disc import Disc
from stenograde.levels.marked import MidSurface
from stenograde.levels.sacrum import sacrum_doubts
from stenograde.terms import Structure

MIN_HEAT = 0.25
"""Lower peaks are no discs unless a gap in the chain asks for one."""

SACRAL_HEAT = 0.4
"""The lumbosacral disc is certain from this peak on."""

MIN_APART_MM = 13.0
"""Discs are at least this far apart, centre to centre, mm; half the usual lumbar pitch."""

GAP = 1.6
"""A gap of this many usual pitches lacks a disc."""

TWIN_MM = 30.0
"""Two peaks so near each other that do not lie one above the other are of one disc, mm; it is 30 to 45 mm long."""

STRAY = 0.5
"""A disc shorter than this share of the usual length, or without outline, does not look like one."""

STRAY_PITCH = 1.35
"""Where its neighbours are less than this many usual pitches apart, nothing is missing without it."""

LONGEST_MM = 48.0
"""Lumbar discs are less deep than this, mm: 34 on average, deviation 3 to 4 (Zhou et al., 10.1007/s005860000140)."""

PITCH_MM = (18.0, 50.0)
"""Distances of lumbar discs, centre to centre, that are believed, mm: a body of 27 and a disc of 9 (ibid.)."""

SACRALISED, SACRALISED_LENGTH = 0.70, 0.55
"""The disc below a sacralised vertebra is rudimentary: its length and its height are less than the first share of those
of the discs above, or its length alone is less than the second. In 317 slices of 170 patients one patient's is."""

USUAL_BACK_MM = 18.0
"""From a disc's centre to its posterior margin where the disc itself was not outlined, mm."""

MIN_OUTLINE_PX = 4
"""A disc of fewer pixels has no direction: it counts as not outlined."""

MARGIN_MM = 3.0
"""Depth of the posterior rim whose middle is the margin, mm."""

NAMES = ("L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12", "T10/T11", "T9/T10", "T8/T9")
"""Discs upward from the sacrum."""

LUMBAR = 6
"""So many of them lie between the sacrum and the twelfth thoracic vertebra."""


@dataclass(frozen=True)
class DiscChain:
    """Discs from the sacrum upwards, with doubts about their names."""

    discs: tuple[Disc, ...]
    doubts: tuple[str, ...]
    sacrum_seen: bool = False
    """True when a sacrum was seen below the lowest disc; its name may still be in doubt."""

    @property
    def certain(self) -> bool:
        """True when nothing speaks against the names."""
        return not self.doubts


def find_discs(surface: MidSurface) -> DiscChain:
    """Find, order and name the discs on the mid-sagittal surface."""
    grid = surface.marked.grid_mm
    heat = scipy.ndimage.gaussian_filter(surface.heat[0], 1.0 / grid)
    found = [
        _disc_at(surface, (float(row), float(column)), float(heat[row, column]))
        for row, column in peaks_of(heat, max(1, round(MIN_APART_MM / grid / 2)), above=MIN_HEAT)
    ]
    chain = _without_strays(_without_twins(sorted(found, key=lambda disc: -disc.centre[0]), grid), grid)
    chain = _with_gaps_filled(surface, heat, chain)
    if not chain:
        return DiscChain((), ("no disc was found",))
    first, doubts = _lumbosacral(chain)
    unseen = sacrum_doubts(surface, chain[first])
    doubts += unseen + _transitional(chain, first)
    named = [replace(disc, name=name) for disc, name in zip(chain[first:], NAMES, strict=False)]
    doubts += [
        f"{disc.name} was not seen and is placed between its neighbours" for disc in named if disc.guessed
    ]
    seen = not unseen and chain[first].sacral_heat >= SACRAL_HEAT
    return DiscChain(tuple(named), (*doubts, *_irregular(named, grid)), seen)


def peaks_of(heat: NDArray[np.float32], apart_px: int, *, above: float) -> list[tuple[int, int]]:
    """Return the places (row, column) that nothing within ``apart_px`` rows and columns exceeds, the highest first.

    As scikit-image's ``peak_local_max`` does, which costs a tenth of a second to import; of equals near each other one
    is taken, and a picture of one value has none.
    """
    highest = scipy.ndimage.maximum_filter(heat, 2 * apart_px + 1, mode="nearest")
    at = np.argwhere((heat == highest) & (heat > above))
    if len(at) == heat.size:
        return []
    kept: list[tuple[int, int]] = []
    for row, column in at[np.argsort(-heat[tuple(at.T)], kind="stable")].tolist():
        if all(max(abs(row - r), abs(column - c)) > apart_px for r, c in kept):
            kept.append((row, column))
    return kept


def _disc_at(surface: MidSurface, peak: tuple[float, float], heat: float, *, guessed: bool = False) -> Disc:
    """Measure the disc around a peak from its probability: centre, axis, height and length."""
    grid = surface.marked.grid_mm
    p = surface.structures[Structure.DISC.code]
    reach = round(28 / grid)
    top, left = max(0, round(peak[0]) - reach), max(0, round(peak[1]) - reach)
    window = p[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
    labels, n = scipy.ndimage.label(window > 0.4)
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


def _are_twins(a: Disc, b: Disc, grid: float) -> bool:
    """Whether two peaks are of one disc: too near each other, or beside each other along the disc itself."""
    apart_mm = _apart_mm(a, b, grid)
    if apart_mm < MIN_APART_MM:
        return True
    off = (np.asarray(b.centre) - np.asarray(a.centre)) * grid
    above_mm = min(abs(float(off @ one.down)) for one in (a, b))
    return apart_mm < TWIN_MM and above_mm < MIN_APART_MM


def _without_twins(chain: list[Disc], grid: float) -> list[Disc]:
    """Keep the better of two peaks of one disc."""
    kept: list[Disc] = []
    for disc in chain:
        if kept and _are_twins(kept[-1], disc, grid):
            if disc.heat > kept[-1].heat:
                kept[-1] = disc
        else:
            kept.append(disc)
    return kept


def _is_stray(disc: Disc, usual_mm: float) -> bool:
    return not disc.length_mm >= STRAY * usual_mm


def _without_strays(chain: list[Disc], grid: float) -> list[Disc]:
    """Leave out what does not look like a disc and lies between two that are no more than neighbours."""
    lengths = [disc.length_mm for disc in chain if np.isfinite(disc.length_mm)]
    if len(chain) < 4 or not lengths:
        return chain
    usual_mm = float(np.median(lengths))
    sound = [disc for disc in chain if not _is_stray(disc, usual_mm)]
    pitches = [_apart_mm(a, b, grid) for a, b in pairwise(sound)]
    if not pitches:
        return chain
    kept = [chain[0]]
    for disc, above in zip(chain[1:], [*chain[2:], None], strict=True):
        gap_mm = _apart_mm(kept[-1], above, grid) if above else np.inf
        if not (_is_stray(disc, usual_mm) and gap_mm < STRAY_PITCH * float(np.median(pitches))):
            kept.append(disc)
    return kept


def _irregular(named: list[Disc], grid: float) -> list[str]:
    """Lumbar discs that do not look like discs, or are not spaced like them, so that the count may be wrong."""
    lumbar = named[:LUMBAR]
    lengths = [disc.length_mm for disc in lumbar if np.isfinite(disc.length_mm)]
    if len(lengths) < 3:
        return []
    usual_mm = float(np.median(lengths))
    apart_mm = {f"{b.name} and {a.name}": _apart_mm(a, b, grid) for a, b in pairwise(lumbar)}
    # the lowest may be short: see _transitional
    strays = [disc.name for disc in lumbar[1:] if _is_stray(disc, usual_mm) and not disc.guessed]
    doubts = [f"{name} does not look like a disc, so the count may be wrong" for name in strays]
    doubts += [
        f"{pair} lie closer together than lumbar discs do"
        for pair, mm in apart_mm.items()
        if mm < PITCH_MM[0]
    ]
    pitch_mm = float(np.median(list(apart_mm.values())))
    if usual_mm > LONGEST_MM or pitch_mm > PITCH_MM[1]:
        doubts.append(
            f"discs {usual_mm:.0f} mm deep and {pitch_mm:.0f} mm apart are larger than lumbar ones; check the spacing"
        )
    return doubts


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
    evidence = heat + 0.3 * scipy.ndimage.gaussian_filter(surface.structures[Structure.DISC.code], 2.0 / grid)
    row, column = round(place[0]), round(place[1])
    reach = round(reach_mm / grid)
    top, left = max(0, row - reach), max(0, column - reach)
    window = evidence[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
    best = np.unravel_index(int(np.argmax(window)), window.shape)
    if window[best] < 0.08:
        return _disc_at(surface, place, 0.0, guessed=True)
    peak = (float(best[0] + top), float(best[1] + left))
    return _disc_at(surface, peak, float(heat[best[0] + top, best[1] + left]))


def _lumbosacral(chain: list[Disc]) -> tuple[int, list[str]]:
    """Index of the lumbosacral disc in the chain, and doubts about it."""
    scores = [disc.sacral_heat for disc in chain]
    doubts = []
    first = int(np.argmax(scores))
    if scores[first] < SACRAL_HEAT:
        first = 0
        doubts.append("the sacrum was not recognised; the lowest disc is taken for L5/S1")
    rivals = [score for index, score in enumerate(scores) if index != first]
    if scores[first] >= SACRAL_HEAT and rivals and max(rivals) > 0.6 * scores[first]:
        doubts.append("two discs look like the lumbosacral one; a transitional vertebra is possible")
    return first, doubts


def _transitional(chain: list[Disc], first: int) -> list[str]:
    """Signs of a transitional vertebra in the discs around the lumbosacral one (Castellvi; O'Driscoll)."""
    doubts = []
    lowest = chain[first]
    if first > 0 and chain[first - 1].length_mm > 0.85 * lowest.length_mm and chain[first - 1].height_mm > 4:
        doubts.append("a well-formed disc lies below L5/S1; S1 may be lumbarised")
    above = [disc for disc in chain[first + 1 : first + 3] if np.isfinite(disc.length_mm)]
    if above and np.isfinite(lowest.length_mm):
        length = lowest.length_mm / float(np.median([disc.length_mm for disc in above]))
        height = lowest.height_mm / float(np.median([disc.height_mm for disc in above]))
        if length < SACRALISED_LENGTH or max(length, height) < SACRALISED:
            doubts.append("the lowest disc is much smaller than those above; L5 may be sacralised")
    return doubts
