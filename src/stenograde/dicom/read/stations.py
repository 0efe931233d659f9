"""Joins the stations of a sagittal examination: stacks of one plane whose fields follow from head to feet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.dicom.read.instances import Instance
from stenograde.study import Piece, Volume

Array = NDArray[np.float64]

TALL_ENOUGH_MM: Final = 220.0
"""A field of this height holds the lumbar discs and the sacrum: L1 to S1 measure 180 to 200 mm in adults."""

SAME_FIELD: Final = 0.8
"""Share of the shorter field from which two stacks show the same rather than follow one another."""

BESIDE_MM: Final = 1.5
"""Slices of two stations up to so far beside each other are joined, mm; and no more than :data:`BESIDE_SHARE`."""

BESIDE_SHARE: Final = 0.3
"""The same, in distances between slices."""


def height_mm(volume: Volume) -> tuple[float, float]:
    """Return where the field of a volume ends at the feet and at the head: z, mm."""
    n, rows, columns = volume.shape
    corners = [[k, r, c] for k in (0, n - 1) for r in (-0.5, rows - 0.5) for c in (-0.5, columns - 0.5)]
    z = geometry.to_patient(volume.affine, corners)[:, 2]
    return float(z.min()), float(z.max())


def follow_one_another(one: Volume, other: Volume) -> bool:
    """Say whether the fields of two sagittal volumes are stations: neither shows what the other shows."""
    (low, high), (other_low, other_high) = height_mm(one), height_mm(other)
    shared = min(high, other_high) - max(low, other_low)
    return shared < SAME_FIELD * min(high - low, other_high - other_low)


@dataclass(frozen=True)
class _Fit:
    """How a station lies on the grid of another."""

    slices: int
    """Slice of the one that shows slice 0 of the other."""
    rows: int
    columns: int
    beside_mm: float


def join(upper: Volume, lower: Volume) -> tuple[Volume, str] | None:
    """Join two sagittal stations, whose rows run from head to feet, into one volume.

    Returns
    -------
    joined : Volume
        On the grid of ``lower``, over the slices that both have.
    how : str
        What a reader must know of it.
    None if they do not overlap, or do not share plane, pixel size and distance of slices.
    """
    fit = _fit(upper, lower)
    if fit is None:
        return None
    n = min(lower.shape[0], fit.slices + upper.shape[0])
    first = max(0, fit.slices)
    left = max(0, fit.columns)
    right = min(lower.shape[2], fit.columns + upper.shape[2])
    top, overlap_end = fit.rows, fit.rows + upper.shape[1]
    if n - first < 3 or top >= 0 or overlap_end < 2 or overlap_end >= lower.shape[1] or right - left < 16:
        return None
    seam = overlap_end // 2
    rows = lower.shape[1] - top
    pieces = []
    for slice_ in range(n - first):
        ours, theirs = slice_ + first, slice_ + first - fit.slices
        pieces += [
            Piece(
                slice_,
                upper.sop_instance_uids[theirs],
                upper.frames[theirs],
                (0, fit.columns - left),
                (0, seam - top),
            ),
            Piece(
                slice_, lower.sop_instance_uids[ours], lower.frames[ours], (-top, -left), (seam - top, rows)
            ),
        ]
    affine = lower.affine.copy()
    affine[:3, 3] = geometry.to_patient(lower.affine, [[first, top, left]])[0]
    parts = (
        _Part(upper, first - fit.slices, (0, seam - top), left - fit.columns),
        _Part(lower, first, (seam, lower.shape[1]), left),
    )
    volume = Volume(
        affine=affine,
        shape=(n - first, rows, right - left),
        sop_instance_uids=lower.sop_instance_uids[first:n],
        source=JoinedSource(parts, right - left),
        frames=lower.frames[first:n],
        frame_of_reference_uid=lower.frame_of_reference_uid,
        joined=tuple(pieces),
    )
    overlap = overlap_end * lower.spacing_mm[1]
    beside = f"; their slices lie {fit.beside_mm:.1f} mm beside each other" if fit.beside_mm > 0.1 else ""
    return volume, f"two stations that overlap by {overlap:.0f} mm are joined{beside}"


def _fit(upper: Volume, lower: Volume) -> _Fit | None:
    """Say how a station lies on another's grid; None where the grids do not agree."""
    if upper.frame_of_reference_uid != lower.frame_of_reference_uid:
        return None
    for axis in range(3):
        ours, theirs = lower.affine[:3, axis], upper.affine[:3, axis]
        if np.linalg.norm(ours - theirs) > 0.01 * np.linalg.norm(ours):
            return None
    at = geometry.to_index(lower.affine, [upper.affine[:3, 3]])[0]
    whole = np.round(at)
    beside_mm = abs(float(at[0] - whole[0])) * lower.spacing_mm[0]
    if beside_mm > min(BESIDE_MM, BESIDE_SHARE * lower.spacing_mm[0]):
        return None
    return _Fit(int(whole[0]), int(whole[1]), int(whole[2]), beside_mm)


@dataclass(frozen=True, eq=False)
class _Part:
    """What a station gives to a joined volume."""

    volume: Volume
    first: int
    """Its slice that is slice 0 of the joined volume."""
    rows: tuple[int, int]
    column: int
    """Its column that is column 0 of the joined volume."""


@dataclass(frozen=True, eq=False)
class JoinedSource:
    """Decodes a volume joined from stations, from head to feet; a :class:`stenograde.study.SliceSource`."""

    parts: Sequence[_Part]
    n_columns: int

    @property
    def notes(self) -> list[str]:
        """What was found out of the pixels while decoding them."""
        return [text for part in self.parts for text in getattr(part.volume.source, "notes", [])]

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Instances that hold the slices of all stations."""
        return tuple(one for part in self.parts for one in getattr(part.volume.source, "instances", ()))

    def __call__(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return slices, shape (n, rows, columns), float32.

        Raises
        ------
        UnreadableInstanceError
            If a slice cannot be decoded.
        """
        pieces = []
        for part in self.parts:
            slices = part.volume.slices([index + part.first for index in indices])
            columns = slice(part.column, part.column + self.n_columns)
            pieces.append(slices[:, part.rows[0] : part.rows[1], columns])
        return np.concatenate(pieces, axis=1)
