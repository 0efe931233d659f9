"""Whether the sacrum was seen below the disc that is taken for the lumbosacral one, and what speaks against it.

Names are counted upward from the sacrum, so they are certain only where it was seen as a sacrum: with enough picture
below the disc, and no vertebral body there. A locator marks lumbar bodies, not sacral ones, so a body that the edge of
the picture cuts is marked, and the sacrum is not. All limits were measured on real mid-sagittal slices cut at every
height (``benchmarks/cut_fields.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stenograde.levels.disc import Disc
from stenograde.levels.marked import MidSurface, lines_about
from stenograde.terms import Structure

BELOW_MM = 30.0
"""So much of the picture must lie below the lumbosacral disc's centre for the sacrum to count as seen, mm."""

BELOW_ASIDE_MM = 20.0
"""A row of it that shows nothing so far to the front and back of the centre is padding, mm."""

SHOWN_SHARE = 0.9
"""Share of the rows that must not be padding, and of a region below the disc that must lie in the picture."""

BOXES_MM = (((4.0, 10.0), 0.25), ((6.0, 20.0), 0.10))
"""Stretches below the disc along its normal, mm, and the share of vertebra in each from which it is no sacrum."""

ACROSS_MM = 12.0
"""The stretches reach so far to the front and back of the disc's centre, mm."""

ASIDE_MM = 10.0
"""Slices so far beside the mid-sagittal surface must show the sacrum, most of them and at least two, mm."""

LEAST_SLICES = 2
"""Slices that must show the sacrum, where the volume has so many within reach."""

LEVEL_DEG = 12.0
"""A disc whose front lies lower than its back by less than this is not the lumbosacral one, degrees: in 317 slices of
170 patients the flattest has 17; the sacrum's slope is 39, deviation 8 (Roussouly et al.,
10.1097/01.brs.0000152379.54463.65)."""


def sacrum_doubts(surface: MidSurface, lowest: Disc) -> list[str]:
    """Return why the bone below a disc is not known to be the sacrum; nothing when it was seen to be."""
    marked, grid = surface.marked, surface.marked.grid_mm
    middle = float(np.interp(lowest.centre[0], np.arange(marked.size[1]), surface.slice_of_row))
    away_mm = np.abs(np.arange(marked.size[0]) - middle) * marked.slice_mm
    slices = np.flatnonzero(away_mm <= max(ASIDE_MM, float(away_mm.min()))).tolist()
    n_least = min(LEAST_SLICES, marked.size[0])
    shown = [k for k in slices if _is_shown_below(marked.shown_on(k), lowest, grid)]
    if len(shown) < max(n_least, len(slices) / 2):
        return [
            f"the image ends less than {BELOW_MM:.0f} mm below the lowest disc, so the sacrum was not seen"
        ]
    bone = marked.probabilities[:, Structure.VERTEBRA.code]
    n_seen = sum(_is_sacrum_below(bone[k], lowest, grid) for k in shown)
    if n_seen < max(n_least, len(slices) / 2):
        return [f"a sacrum was seen below the lowest disc on {n_seen} of {len(slices)} slices only"]
    slope_deg = float(np.degrees(np.arctan2(-lowest.axis[0], lowest.axis[1])))
    if not np.isfinite(lowest.length_mm):
        return ["the lowest disc was not outlined, so the sacrum below it is not sure"]
    if slope_deg < LEVEL_DEG:
        return ["the lowest disc lies level, as those above the sacrum do, so it may not be L5/S1"]
    return []


def _is_shown_below(shown: NDArray[np.bool_], disc: Disc, grid: float) -> bool:
    """Whether the picture goes on far enough below a disc's centre; ``shown`` has shape (rows, columns)."""
    row, column = round(disc.centre[0]), round(disc.centre[1])
    end, reach = row + round(BELOW_MM / grid), round(BELOW_ASIDE_MM / grid)
    if end >= shown.shape[0]:
        return False
    stretch = shown[row : end + 1, max(0, column - reach) : column + reach + 1]
    return bool(stretch.any(axis=1).mean() >= SHOWN_SHARE)


def _is_sacrum_below(bone: NDArray[np.float32], disc: Disc, grid: float) -> bool:
    """Whether no body of a vertebra lies below a disc; ``bone`` has shape (rows, columns)."""
    reach = float(np.hypot(ACROSS_MM, max(far for (_, far), _ in BOXES_MM))) / grid
    around = lines_about(disc.centre, reach, bone.shape)
    rows, columns = np.mgrid[around]
    bone = bone[around]
    off = np.stack([rows - disc.centre[0], columns - disc.centre[1]], axis=-1) * grid
    down, across = off @ disc.down, np.abs(off @ np.asarray(disc.axis))
    for (near, far), limit in BOXES_MM:
        box = (down > near) & (down < far) & (across < ACROSS_MM)
        n_whole = (far - near) * 2 * ACROSS_MM / grid**2
        if box.sum() < SHOWN_SHARE * n_whole or bone[box].mean() >= limit:
            return False
    return True
