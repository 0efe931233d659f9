"""Measures how much of the lumbar discs a series can show, as far as that is known before they are located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from stenograde import geometry
from stenograde.dicom.read.stations import height_mm
from stenograde.study import Volume
from stenograde.terms import Plane, Role

SIMILAR_COVERAGE: Final = 0.9
"""Share of the widest coverage from which candidates count as equal."""

DISCS_MM: Final = 140.0
"""Distance from the disc L1/L2 to L5/S1, four times 35 mm: an axial series that spans more shows no more discs."""

SPINE_MM: Final = 200.0
"""Height of the field that lumbar discs and sacrum take, from the feet's end of the lowest sagittal field, mm;
used where no axial series shows where the discs lie."""

WIDTH_MM: Final = 60.0
"""Width, from side to side, that sagittal slices need for the foramina of both sides, mm."""

BETWEEN_DISCS_MM: Final = 35.0
"""Distance from one lumbar disc to the next, mm: a shorter gap between axial slices skips none."""

MARGIN_MM: Final = 20.0
"""A sagittal field should reach so far beyond the axial slices, mm: half a vertebra."""


class Stacks(Protocol):
    """What coverage is measured of."""

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """Volumes of a series."""
        ...


@dataclass(frozen=True)
class Coverage:
    """How much of the lumbar discs a series can show."""

    discs_mm: float
    """From head to feet: of the stretch where the discs lie, for sagittal fields; spanned by slices, for axial."""
    width_mm: float = 0.0
    """From side to side, for sagittal slices; no more than :data:`WIDTH_MM`."""


def coverages(role: Role, candidates: Sequence[Stacks], axial: Sequence[Stacks]) -> list[Coverage]:
    """Return the coverage of candidates for one role.

    Parameters
    ----------
    role : Role
    candidates : sequence
    axial : sequence
        All axial series of the study that may show discs; they tell where the lumbar discs lie.
    """
    plane = Plane.AXIAL if role is Role.AXIAL_T2 else Plane.SAGITTAL
    if plane is Plane.AXIAL:
        found = []
        for one in candidates:
            stretches = stretches_mm(one.volumes, plane)
            spanned = max(high for _, high in stretches) - min(low for low, _ in stretches)
            found.append(Coverage(min(spanned, DISCS_MM)))
        return found
    fields = [[height_mm(volume) for volume in one.volumes] for one in candidates]
    low, high = _where_discs_lie(fields, axial)
    return [
        Coverage(
            union_mm([(max(a, low), min(b, high)) for a, b in of_one if min(b, high) > max(a, low)]),
            min(union_mm(stretches_mm(one.volumes, plane)), WIDTH_MM),
        )
        for one, of_one in zip(candidates, fields, strict=True)
    ]


def _where_discs_lie(
    fields: Sequence[Sequence[tuple[float, float]]], axial: Sequence[Stacks]
) -> tuple[float, float]:
    slices = [stretch for one in axial for stretch in stretches_mm(one.volumes, Plane.AXIAL)]
    if slices:
        return min(low for low, _ in slices) - MARGIN_MM, max(high for _, high in slices) + MARGIN_MM
    lowest = min(low for of_one in fields for low, _ in of_one)
    return lowest, lowest + SPINE_MM


def stretches_mm(volumes: Sequence[Volume], plane: Plane) -> list[tuple[float, float]]:
    """Stretches that slices cover across their plane, half a gap beyond their centres: head to feet for axial."""
    axis = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL).index(plane)
    found = []
    for volume in volumes:
        n, rows, columns = volume.shape
        ends = [[-0.5, (rows - 1) / 2, (columns - 1) / 2], [n - 0.5, (rows - 1) / 2, (columns - 1) / 2]]
        centres = geometry.to_patient(volume.affine, ends)[:, axis]
        found.append((float(centres.min()), float(centres.max())))
    return found


def extended_mm(there: Sequence[tuple[float, float]], more: Sequence[tuple[float, float]]) -> float:
    """Return how much axial slices show of the discs beside others that are there, mm.

    Between two discs there is nothing to add, and what spans all lumbar discs lacks none.
    """
    filled: list[tuple[float, float]] = []
    for low, high in sorted(there):
        if filled and low - filled[-1][1] < BETWEEN_DISCS_MM:
            filled[-1] = filled[-1][0], max(filled[-1][1], high)
        else:
            filled.append((low, high))
    if filled and filled[-1][1] - filled[0][0] >= DISCS_MM and len(filled) == 1:
        return 0.0
    return union_mm([*filled, *more]) - union_mm(filled)


def union_mm(stretches: Sequence[tuple[float, float]]) -> float:
    """Length of stretches, overlaps counted once, mm."""
    total, end = 0.0, -np.inf
    for low, high in sorted(stretches):
        total += max(high - max(low, end), 0.0)
        end = max(end, high)
    return float(total)
