"""A sagittal volume with what a locator says about it, and the curved mid-sagittal surface through it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.terms import Structure

MID_SMOOTH_MM = 18.0
"""How far along the spine the mid-sagittal surface is smoothed, mm."""

MID_REACH_MM = 22.0
"""Canal further than this beside the canal's middle slice is not believed, mm."""

MIN_CANAL_MM2 = 150.0
"""Less canal than this on every slice, and there is no spine to be found, mm²."""


@dataclass(frozen=True, eq=False)
class MarkedVolume:
    """Class probabilities and heat maps on a sagittal grid, head up, front to the left.

    Parameters
    ----------
    affine : ndarray of shape (4, 4), float64
        Grid (slice, row, column) to LPS mm.
    probabilities : ndarray of shape (slices, classes, rows, columns), float32
    heat : ndarray of shape (slices, 2, rows, columns), float32
        Centres of all discs, then of the lumbosacral disc.
    shown : ndarray of shape (slices, rows, columns), bool, optional
        Where the picture shows anything; False on padding. All is shown when absent.
    lost : tuple of int
        Slices that were not acquired, side by side: what is marked on them was made up between others.
    """

    affine: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    heat: NDArray[np.float32]
    shown: NDArray[np.bool_] | None = None
    lost: tuple[int, ...] = ()

    def shown_on(self, index: int) -> NDArray[np.bool_]:
        """Return where one slice shows anything, shape (rows, columns)."""
        return np.ones(self.size[1:], bool) if self.shown is None else self.shown[index]

    @property
    def grid_mm(self) -> float:
        """Row and column spacing of the grid, mm."""
        return geometry.spacing_mm(self.affine)[1]

    @property
    def slice_mm(self) -> float:
        """Distance between slices, mm."""
        return geometry.spacing_mm(self.affine)[0]

    @property
    def size(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        slices, _, rows, columns = self.probabilities.shape
        return slices, rows, columns


@dataclass(frozen=True, eq=False)
class MidSurface:
    """The mid-sagittal surface: for each row of the grid the slice, in fractions, through the canal's middle.

    ``structures`` (classes, rows, columns) and ``heat`` (2, rows, columns) are the marks averaged around it, but for
    the canal, which is that of the surface itself: it is round, and shallower beside its middle.
    """

    marked: MarkedVolume
    slice_of_row: NDArray[np.float64]
    """Shape (rows,)."""
    structures: NDArray[np.float32]
    heat: NDArray[np.float32]
    unseen: NDArray[np.bool_]
    """Shape (rows,): whether the canal is deepest on an outer slice, or beside lost ones, so that its middle may lie
    where nothing was acquired."""

    def acquired(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say of rows, in fractions, whether the canal's middle was acquired there: no slice beside it was lost."""
        every, last = np.arange(len(self.slice_of_row)), self.marked.size[0] - 1
        places = np.interp(rows, every, self.slice_of_row)
        beside = np.clip([np.floor(places), np.ceil(places)], 0, last).astype(int)
        was_lost = np.isin(np.arange(last + 1), self.marked.lost)[beside].any(axis=0)
        return ~was_lost & ~self.unseen[np.clip(np.rint(rows).astype(int), 0, len(every) - 1)]

    def to_patient(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (row, column) on the surface, shape (n, 2), to LPS mm, shape (n, 3)."""
        points = np.atleast_2d(points)
        rows = np.arange(len(self.slice_of_row))
        slices = np.interp(points[:, 0], rows, self.slice_of_row)
        return geometry.to_patient(self.marked.affine, np.column_stack([slices, points]))

    def sample(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values of slices of shape (slices, rows, columns) on the surface, (rows, columns)."""
        return _on_surface(slices[:, None], self.slice_of_row)[0]


def lines_about(
    centre: tuple[float, float] | NDArray[np.float64], reach_px: float, size: tuple[int, ...]
) -> tuple[slice, slice]:
    """Return the rows and the columns of a grid that lie within a reach of a place on it, px.

    Examples
    --------
    >>> lines_about((10.0, 2.5), 4.0, (12, 40))
    (slice(6, 12, None), slice(0, 8, None))
    """
    rows, columns = (
        slice(min(max(int(at - reach_px), 0), n), max(min(int(at + reach_px) + 2, n), 0))
        for at, n in zip(centre, size, strict=True)
    )
    return rows, columns


@dataclass(frozen=True, eq=False)
class Midline:
    """Where the canal's middle lies in a stack of sagittal slices."""

    slice_of_row: NDArray[np.float64]
    """The slice, in fractions, for each row of the grid, shape (rows,)."""
    near: NDArray[np.bool_]
    """Slices on which canal is believed, shape (slices,)."""


def midline_of(width: NDArray[np.floating], slice_mm: float, grid_mm: float) -> Midline | None:
    """Find the canal's middle from its width on each row of each slice; None where there is no canal to follow.

    Parameters
    ----------
    width : ndarray of shape (slices, rows)
        From front to back, px.
    slice_mm, grid_mm : float
        Between slices; between rows and columns, mm.
    """
    area_mm2 = width.sum(axis=1) * grid_mm**2
    if area_mm2.max(initial=0) < MIN_CANAL_MM2:
        return None
    slices, rows = (np.arange(n) for n in width.shape)
    weight = area_mm2**2
    middle = float((weight * slices).sum() / weight.sum())
    middle = float(slices[np.argmax(np.where(np.abs(slices - middle) < 1.5, area_mm2, -1))])
    near = np.abs(slices - middle) * slice_mm <= MID_REACH_MM
    by_row = (width * near[:, None]) ** 2
    sigma = MID_SMOOTH_MM / grid_mm
    total = scipy.ndimage.gaussian_filter1d(by_row.sum(axis=0), sigma, mode="constant")
    moment = scipy.ndimage.gaussian_filter1d((by_row * slices[:, None]).sum(axis=0), sigma, mode="constant")
    known = total > 1e-3 * total.max()
    return Midline(np.interp(rows, rows[known], moment[known] / total[known]), near)


def mid_surface(marked: MarkedVolume) -> MidSurface | None:
    """Find the mid-sagittal surface from where the canal lies; None when there is no canal to follow."""
    canal = marked.probabilities[:, Structure.CANAL.code]
    width = np.where(canal > 0.5, canal, 0).sum(axis=2)  # (slices, rows), px
    midline = midline_of(width, marked.slice_mm, marked.grid_mm)
    if midline is None:
        return None
    slice_of_row, sigma = midline.slice_of_row, MID_SMOOTH_MM / marked.grid_mm
    step = min(1.0, 5.0 / marked.slice_mm)
    around = [np.clip(slice_of_row + offset, 0, marked.size[0] - 1) for offset in (-step, 0.0, step)]
    held = _columns_held(marked)
    before, there, after = (_on_surface(marked.probabilities[..., held], at) for at in around)
    structures = np.zeros((marked.probabilities.shape[1], *marked.size[1:]), np.float32)
    structures[0] = 1
    structures[..., held] = 0.25 * before + 0.5 * there + 0.25 * after
    structures[Structure.CANAL.code][:, held] = there[Structure.CANAL.code]
    heat = np.zeros((marked.heat.shape[1], *marked.size[1:]), np.float32)
    heat[..., held] = reduce(np.maximum, (_on_surface(marked.heat[..., held], at) for at in around))
    return MidSurface(
        marked,
        slice_of_row,
        structures,
        heat,
        _unseen(width * midline.near[:, None], sigma, marked.lost),
    )


def _columns_held(marked: MarkedVolume) -> slice:
    """Columns of the grid between which all lies that is not background for certain."""
    background = marked.probabilities[:, 0].min(axis=(0, 1)) >= 1
    held = np.flatnonzero(~background | marked.heat.any(axis=(0, 1, 2)))
    return slice(int(held[0]), int(held[-1]) + 1) if held.size else slice(None)


def _unseen(width: NDArray[np.float32], sigma: float, lost: tuple[int, ...]) -> NDArray[np.bool_]:
    """Say for each row whether the canal is deepest on an outer slice or beside lost ones; two slices have none."""
    n = len(width)
    if n < 3:
        return np.zeros(width.shape[1], bool)
    depth = scipy.ndimage.gaussian_filter1d(width, sigma, axis=1, mode="nearest")
    depth[list(lost)] = -1.0
    deepest = depth.argmax(axis=0)
    first, last = depth[0] > depth[1], depth[-1] > depth[-2]
    beside = np.isin(deepest - 1, lost) | np.isin(deepest + 1, lost)
    return np.asarray(((deepest == 0) & first) | ((deepest == n - 1) & last) | beside)


def _on_surface(slices: NDArray[np.float32], slice_of_row: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate (slices, channels, rows, columns) between slices, row by row; (channels, rows, columns)."""
    below = np.clip(np.floor(slice_of_row).astype(int), 0, len(slices) - 1)
    above = np.minimum(below + 1, len(slices) - 1)
    share = (slice_of_row - below)[None, :, None].astype(np.float32)
    rows = np.arange(len(slice_of_row))
    low = slices[below, :, rows].swapaxes(0, 1)
    high = slices[above, :, rows].swapaxes(0, 1)
    return low * (1 - share) + high * share
