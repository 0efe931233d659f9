"""Whether a disc of its own lies below S1: then the count from the sacrum may be off by one.

The locator marks no disc within the sacrum, so the picture is looked at: along a line through the sacral bodies, before
the front wall of the canal, the disc between S1 and S2 is a thin dark line in most people and a few millimetres high in
some. One that is as high as those above it makes S1 a transitional vertebra (O'Driscoll et al., Skeletal Radiol
1996;25:225, type 4). A sixth lumbar vertebra above a usual sacrum cannot be told in this way, nor from the lumbar field
alone in any other.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde.levels.canal import CanalLine
from stenograde.levels.disc import Disc
from stenograde.levels.measure import DARK_PERCENTILE

WELL_FORMED_MM = (5.5, 13.0)
"""Height of a disc between S1 and S2 that is no mere remnant, mm."""

WELL_FORMED_SHARE = 0.72
"""Share of the lines through the sacral bodies on which the disc must be well formed: it reaches from the canal to the
front. It is on 5 of 250 mid-sagittal slices of SPIDER (10.5281/zenodo.10159290); half of them show 3 mm or less
there."""

TOGETHER_MM = 6.0
"""What is dark on a line farther from where it is on most of them belongs to something else, mm."""

BEFORE_CANAL_MM = np.arange(5.0, 17.5, 1.0)
"""Where sacral bodies are looked at, before the front wall of the canal, mm."""

BELOW_MM = (20.0, 46.0)
"""Where the disc below S1 is looked for, along the canal from the lumbosacral disc, mm."""

MARROW_MM = (12.0, 46.0)
"""Stretch whose median is the signal of marrow, mm."""

DARK = 0.72
"""What has less than this share of the signal of marrow belongs to a disc or its end plates."""

LEAST_SEEN_MM = 10.0
"""So much of the canal must be followed below the disc for its course through the sacrum to be known, mm."""

_STEP_MM = 0.5
_SMOOTH_MM = 3.0
_BLUR_MM = 0.6


def lumbarised_doubts(
    canal: CanalLine, lowest: Disc, picture: NDArray[np.float32], grid_mm: float
) -> list[str]:
    """Return that S1 may be lumbarised, if a disc lies below it; nothing otherwise, or where it cannot be seen.

    Parameters
    ----------
    canal : CanalLine
    lowest : Disc
        The one that is taken for L5/S1.
    picture : ndarray of shape (rows, columns)
        Signal on the mid-sagittal surface.
    grid_mm : float
        Spacing of its pixels, mm.
    """
    heights, places = dark_below_s1(canal, lowest, picture, grid_mm)
    low, high = WELL_FORMED_MM
    formed = (heights >= low) & (heights < high)
    formed &= np.abs(places - np.median(places[formed])) <= TOGETHER_MM if formed.any() else False
    if len(heights) == 0 or formed.mean() < WELL_FORMED_SHARE:
        return []
    return [f"a disc {np.median(heights[formed]):.0f} mm high lies below S1, which may be lumbarised"]


def dark_below_s1(
    canal: CanalLine, lowest: Disc, picture: NDArray[np.float32], grid_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure what is dark between S1 and S2 on lines through the sacral bodies.

    Returns
    -------
    heights : ndarray of shape (lines,)
        From the first to the last dark place about the darkest one, mm; none where the sacral bodies are not shown.
    places : ndarray of shape (lines,)
        Where the middle of it lies along the canal, mm.
    """
    nothing = np.zeros(0), np.zeros(0)
    wall = _front_wall(canal, lowest, grid_mm)
    if wall is None:
        return nothing
    along_mm = np.arange(len(wall)) * _STEP_MM
    tangent = np.gradient(wall, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    front = np.column_stack([tangent[:, 1], -tangent[:, 0]])
    at = wall[:, None] + front[:, None] * BEFORE_CANAL_MM[None, :, None] / grid_mm
    if (at < 0).any() or (at > np.subtract(picture.shape, 1)).any():
        return nothing
    above_zero = picture - float(np.percentile(picture, DARK_PERCENTILE))
    blurred = scipy.ndimage.gaussian_filter(above_zero.astype(np.float64), _BLUR_MM / grid_mm)
    signal = scipy.ndimage.map_coordinates(blurred, at.transpose(2, 0, 1), order=1)
    marrow = np.median(signal[(along_mm > MARROW_MM[0]) & (along_mm < MARROW_MM[1])], axis=0)
    inside = (along_mm > BELOW_MM[0]) & (along_mm < BELOW_MM[1])
    found = [_dark(line[inside], DARK * usual) for line, usual in zip(signal.T, marrow, strict=True)]
    heights, places = np.array(found).T
    return heights, BELOW_MM[0] + places


def _dark(line: NDArray[np.float64], limit: float) -> tuple[float, float]:
    """Length from the first to the last dark place about the darkest, and where their middle is, mm."""
    darkest = int(np.argmin(line))
    dark = np.flatnonzero(line < limit)
    near = dark[np.abs(dark - darkest) * _STEP_MM < WELL_FORMED_MM[1]]
    if not len(near):
        return 0.0, darkest * _STEP_MM
    return float(near[-1] - near[0]) * _STEP_MM, float(near[0] + near[-1]) / 2 * _STEP_MM


def _front_wall(canal: CanalLine, lowest: Disc, grid_mm: float) -> NDArray[np.float64] | None:
    """Front wall of the canal from the disc downwards, every half millimetre, straight on where it was not followed."""
    down = (canal.centre - np.asarray(lowest.centre)) @ lowest.down * grid_mm
    below = np.flatnonzero(np.isfinite(canal.front).all(axis=1) & (down >= 0) & (down < BELOW_MM[1]))
    if len(below) < 2:
        return None
    wall = scipy.ndimage.gaussian_filter1d(canal.front[below], _SMOOTH_MM / _STEP_MM, axis=0, mode="nearest")
    way_mm = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(wall, axis=0), axis=1))]) * grid_mm
    if way_mm[-1] < LEAST_SEEN_MM:
        return None
    end = wall[-1] - wall[int(np.searchsorted(way_mm, way_mm[-1] - LEAST_SEEN_MM))]
    end /= np.linalg.norm(end)
    wanted = np.arange(0.0, BELOW_MM[1] + _STEP_MM, _STEP_MM)
    beyond = np.maximum(0.0, wanted - way_mm[-1])[:, None] * end / grid_mm
    return np.column_stack([np.interp(wanted, way_mm, wall[:, k]) for k in (0, 1)]) + beyond
