"""Study > Series > Volume: what a study is, apart from how it is stored; no files, no pydicom.

Absent is not zero: a role without a series is ``None``, and what was left out is listed in
:attr:`Study.unused` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.terms import Plane, Role, Unused, Weighting


class SliceSource(Protocol):
    """Gives decoded slices of one volume on demand."""

    def __call__(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return slices, shape (n, rows, columns), float32, rescaled to the stored units, in given order."""
        ...


@dataclass(frozen=True, eq=False)
class Volume:
    """A regular stack of slices, sorted along n = u × v; one series has one or more.

    Parameters
    ----------
    affine : ndarray of shape (4, 4), float64
        (slice, row, column) index to LPS mm.
    shape : tuple of int
        (slices, rows, columns).
    sop_instance_uids : tuple of str
        One per slice.
    frames : tuple of int
        One per slice: frame within its instance, from 0.
    source : SliceSource
        Decodes slices when asked.
    frame_of_reference_uid : str, optional
        FrameOfReferenceUID of the slices (PS3.3 C.7.4.1); None when it is absent, or not one for all.

    Raises
    ------
    ValueError
        If lengths, shapes or the affine do not fit together.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    sop_instance_uids: tuple[str, ...]
    source: SliceSource
    frames: tuple[int, ...] = ()
    frame_of_reference_uid: str | None = None
    _decoded: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4) or abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            msg = f"affine must be an invertible (4, 4) matrix, got {self.affine.tolist()}"
            raise ValueError(msg)
        if len(self.sop_instance_uids) != self.shape[0]:
            n_named = len(self.sop_instance_uids)
            msg = f"a volume of {self.shape[0]} slices must name as many instances, got {n_named}"
            raise ValueError(msg)
        if not self.frames:
            object.__setattr__(self, "frames", (0,) * self.shape[0])

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances between slices, rows and columns, mm."""
        return geometry.spacing_mm(self.affine)

    def slices(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return decoded slices, shape (n, rows, columns), float32, read-only; each is decoded once.

        Raises
        ------
        UnreadableInstanceError
            If a slice cannot be decoded.
        """
        missing = [index for index in dict.fromkeys(indices) if index not in self._decoded]
        if missing:
            decoded = self.source(missing)
            decoded.flags.writeable = False
            self._decoded.update(zip(missing, decoded, strict=True))
            if missing == list(indices):
                return decoded  # without a copy: gathering a whole study again costs as much as reading it
        gathered = np.stack([self._decoded[index] for index in indices])
        gathered.flags.writeable = False
        return gathered

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """All slices, shape (slices, rows, columns), float32, read-only.

        Raises
        ------
        UnreadableInstanceError
            If a slice cannot be decoded.
        """
        return self.slices(range(self.shape[0]))


@dataclass(frozen=True, eq=False)
class Series:
    """One acquisition within a study, with what it is used for and why."""

    uid: str
    plane: Plane
    weighting: Weighting | None
    role: Role | None
    why: str
    """Why it has this role, or why it has none."""
    volumes: tuple[Volume, ...]
    description: str = ""
    problems: tuple[str, ...] = ()
    """What was tolerated while reading it."""

    def __post_init__(self) -> None:
        if not self.volumes:
            msg = f"series {self.uid} must have at least one volume, got none"
            raise ValueError(msg)

    @property
    def n_slices(self) -> int:
        """Number of slices over all volumes."""
        return sum(volume.shape[0] for volume in self.volumes)


@dataclass(frozen=True)
class Examination:
    """What a reader needs to match a report to its examination; never a name, a number or a birth date."""

    day: date | None = None
    age: str = ""
    """Such as ``57 years``; empty where the header is silent."""
    sex: str = ""
    """``female``, ``male`` or ``other``; empty where the header is silent."""
    scanner: str = ""
    """Maker and model, as far as they are known ones."""
    field_t: float | None = None
    """Strength of the magnetic field, T."""

    def without_demographics(self) -> Examination:
        """Return what is left when date, age and sex are not to be told."""
        return replace(self, day=None, age="", sex="")


@dataclass(frozen=True, eq=False)
class Study:
    """One examination of one patient."""

    uid: str
    series: tuple[Series, ...]
    unused: tuple[Unused, ...] = ()
    warnings: tuple[str, ...] = ()
    """What was tolerated while reading, in words for the report."""
    examination: Examination = field(default_factory=Examination)

    def by_role(self, role: Role) -> Series | None:
        """Series chosen for a role, or None when the study has none."""
        return next((series for series in self.series if series.role is role), None)

    def volumes(self) -> Iterator[tuple[Series, Volume]]:
        """Each volume with its series."""
        return ((series, volume) for series in self.series for volume in series.volumes)
