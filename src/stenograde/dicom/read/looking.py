"""Looks at a few slices of a series whose header is silent, to tell whether fluid is bright or dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.images.contrast import FluidSignal, fluid_by_reference, fluid_signal, local_contrast
from stenograde.images.lattice import Lattice
from stenograde.images.orient import display_turn
from stenograde.images.resample import resample
from stenograde.study import Volume
from stenograde.terms import Plane

SAGITTAL_SLICES: Final = 5
"""Slices in the middle of a sagittal volume that axial ones are compared with; every other one of them is looked at.

In 34 stacks, centred and up to three slices beside that, three of five decide as often as all, and three in a row less.
"""

AXIAL_SLICES: Final = 12
"""Slices of an axial series, evenly spread over it, that are looked at."""

PIXEL_MM: Final = 2.0
"""Pixel size at which axial and sagittal slices are compared, mm."""


def look_at_sagittal(volumes: Sequence[Volume]) -> FluidSignal:
    """Judge a sagittal series by the middle slices of its largest volume.

    Raises
    ------
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    volume = max(volumes, key=lambda one: one.shape[0])
    turn = display_turn(volume.affine, Plane.SAGITTAL)
    _, rows_mm, columns_mm = volume.spacing_mm
    spacing = (columns_mm, rows_mm) if turn.transpose else (rows_mm, columns_mm)
    middle = _middle(volume)
    looked_at = middle[::2] if len(middle) == SAGITTAL_SLICES else middle
    return fluid_signal(list(turn.apply(volume.slices(looked_at))), spacing)


def look_at_axial(volumes: Sequence[Volume], bright: Volume, dark: Volume) -> FluidSignal:
    """Judge an axial series at the points where two sagittal ones show fluid.

    Parameters
    ----------
    volumes : sequence of Volume
        Of the axial series.
    bright, dark : Volume
        Sagittal, known to show fluid bright (T2, STIR) and dark (T1); patient space carries the points.

    Raises
    ------
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    places = [(volume, index) for volume in volumes for index in range(volume.shape[0])]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(AXIAL_SLICES, len(places))).round().astype(int))
    coarse = [_coarse(volume, _middle(volume)) for volume in (bright, dark)]
    references = [(Lattice(stack), affine) for stack, affine in coarse]
    found: list[list[NDArray[np.float32]]] = [[], [], []]
    for volume, index in (places[place] for place in chosen):
        judged, affine = _coarse(volume, range(index, index + 1))
        grid = np.indices(judged.shape).reshape(3, -1).T
        points = geometry.to_patient(affine, grid)
        seen = np.ones(len(points), bool)
        for _, reference in references:
            # the middle sagittal slices are a slab; what lies beside it needs no closer look
            across = geometry.to_index(reference, points)[:, 0]
            seen &= (across > -1) & (across < SAGITTAL_SLICES)
        points, values = points[seen], judged.reshape(-1)[seen]
        sampled = [_sample(lattice, reference, points) for lattice, reference in references]
        known = np.isfinite(sampled[0]) & np.isfinite(sampled[1])
        for one, kept in zip((values, *sampled), found, strict=True):
            kept.append(one[known])
    return fluid_by_reference(*(np.concatenate(kept) for kept in found))


def _middle(volume: Volume) -> range:
    n = min(SAGITTAL_SLICES, volume.shape[0])
    start = (volume.shape[0] - n) // 2
    return range(start, start + n)


def _coarse(volume: Volume, indices: range) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Local contrast of some slices on 2 mm pixels, and the affine of that stack."""
    _, rows_mm, columns_mm = volume.spacing_mm
    pictures = resample(volume.slices(indices), (rows_mm, columns_mm), (PIXEL_MM, PIXEL_MM))
    stack = np.stack([local_contrast(picture, PIXEL_MM) for picture in pictures])
    row_step, column_step = PIXEL_MM / rows_mm, PIXEL_MM / columns_mm
    # both grids start at the same outer edge, so the first centres lie half a pixel each from it
    coarse = np.diag([1.0, row_step, column_step, 1.0])
    coarse[:3, 3] = indices.start, (row_step - 1) / 2, (column_step - 1) / 2
    return stack, volume.affine @ coarse


def _sample(
    lattice: Lattice, affine: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Values of a stack at points; NaN outside it."""
    index = geometry.to_index(affine, points)
    last = np.asarray(lattice.shape) - 1
    inside = np.all((index >= -0.5) & (index <= last + 0.5), axis=1)
    values = np.full(len(points), np.nan, np.float32)
    (values[inside],) = lattice.at(*index[inside].T.astype(np.float32))
    return values
