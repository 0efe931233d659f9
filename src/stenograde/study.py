"""Study > Series > Volume: what a study is, apart from how it is stored; no files, no pydicom.

Absent is not zero: a role without a series is ``None``, and what was left out is listed in
:attr:`Study.unused` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.errors import IrregularSlicesError, UnreadableInstanceError
from stenograde.terms import BodyPart, Plane, Role, Unused, Weighting

PIXEL_MM: Final = (0.05, 10.0)
"""Least and greatest distance between rows, and between columns, mm. Lumbar MR lies between 0.2 and 1.6 mm."""

SLICE_MM: Final = (0.05, 200.0)
"""Least and greatest distance between slices, mm; slices through single discs may lie 40 mm apart."""

MAX_PIXELS: Final = 4096
"""Most rows, and most columns, of a slice; MR slices have 256 to 1024."""

MAX_FIELD_MM: Final = 1200.0
"""Longest edge of a slice, mm: a whole spine joined of three fields has 1000."""

MAX_STACK_MM: Final = 2500.0
"""Longest way through a stack of slices, mm: a patient is not longer."""

MAX_POSITION_MM: Final = 10_000.0
"""Farthest that a slice may lie from the origin of its frame of reference, mm."""

_LOCATOR_BYTES: Final = 32
"""Memory that the locator takes for each point of its grid, bytes: six numbers as float32, and room to work."""

MAX_INTENSITY: Final = 1e12
"""Greatest pixel value, and least with a minus: what is larger cannot be squared and summed in float32."""


class SliceSource(Protocol):
    """Gives decoded slices of one volume on demand."""

    def __call__(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return slices, shape (n, rows, columns), float32, rescaled to the stored units, in given order."""
        ...


@dataclass(frozen=True)
class Piece:
    """The rows of one slice of a joined volume that one instance gives."""

    slice: int
    sop_instance_uid: str
    frame: int
    corner: tuple[int, int]
    """Row and column of the slice at which the instance's own first pixel lies; may be negative."""
    rows: tuple[int, int]
    """First row that it gives, and the row after the last."""


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
    bridged : tuple of int
        Slices that were lost, and are made of those on both sides.
    joined : tuple of Piece
        What each slice is made of, where the volume was joined from stations.

    Raises
    ------
    ValueError
        If lengths, shapes or the affine do not fit together.
    IrregularSlicesError
        If spacing, size or position are none that a scanner makes.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    sop_instance_uids: tuple[str, ...]
    source: SliceSource
    frames: tuple[int, ...] = ()
    frame_of_reference_uid: str | None = None
    bridged: tuple[int, ...] = ()
    joined: tuple[Piece, ...] = ()
    _decoded: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    _together: list[NDArray[np.float32]] = field(default_factory=list, repr=False)
    """All slices in one array, once they were asked for."""

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4) or _is_flat(self.affine):
            msg = f"affine must be an invertible (4, 4) matrix, got {self.affine.tolist()}"
            raise ValueError(msg)
        check_grid(self.affine, self.shape)
        if len(self.sop_instance_uids) != self.shape[0]:
            n_named = len(self.sop_instance_uids)
            msg = f"a volume of {self.shape[0]} slices must name as many instances, got {n_named}"
            raise ValueError(msg)
        if not self.frames:
            object.__setattr__(self, "frames", (0,) * self.shape[0])

    def stored_at(self, slice_: int, row: float, column: float) -> tuple[str, int, float, float]:
        """Return the instance, frame, row and column at which a pixel is stored.

        Parameters
        ----------
        slice_ : int
        row, column : float
            In the slice, px.
        """
        for piece in self.joined:
            if piece.slice == slice_ and piece.rows[0] - 0.5 <= row < piece.rows[1] - 0.5:
                return piece.sop_instance_uid, piece.frame, row - piece.corner[0], column - piece.corner[1]
        return self.sop_instance_uids[slice_], self.frames[slice_], row, column

    def stored_in(self, slice_: int) -> tuple[tuple[str, int], ...]:
        """Return the instance and frame that a slice was read from; several where it was joined from stations."""
        pieces = [(one.sop_instance_uid, one.frame) for one in self.joined if one.slice == slice_]
        return tuple(dict.fromkeys(pieces)) or ((self.sop_instance_uids[slice_], self.frames[slice_]),)

    def find(self, sop_instance_uid: str, frame: int) -> tuple[int, tuple[int, int]] | None:
        """Return the slice that an instance gives, and where in it the instance's first pixel lies; else None."""
        for piece in self.joined:
            if (piece.sop_instance_uid, piece.frame) == (sop_instance_uid, frame):
                return piece.slice, piece.corner
        for slice_, key in enumerate(zip(self.sop_instance_uids, self.frames, strict=True)):
            if key == (sop_instance_uid, frame):
                return slice_, (0, 0)
        return None

    @property
    def lost_side_by_side(self) -> tuple[int, ...]:
        """Lost slices with a lost one beside them: the patient is not shown there, only guessed."""
        lost = set(self.bridged)
        return tuple(place for place in self.bridged if {place - 1, place + 1} & lost)

    @property
    def n_bytes(self) -> int:
        """Memory that the volume takes while it is graded, bytes, whatever its slices are packed to.

        Its pixels as float32 and, where it is sagittal, what the locator says of each point of its 0.6 mm grid.
        """
        slices, rows, columns = self.shape
        _, rows_mm, columns_mm = self.spacing_mm
        is_sagittal = int(np.argmax(np.abs(self.affine[:3, 0]))) == 0
        said = _LOCATOR_BYTES * rows * rows_mm * columns * columns_mm / 0.6**2 if is_sagittal else 0.0
        return slices * (4 * rows * columns + round(said))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distances between slices, rows and columns, mm."""
        return geometry.spacing_mm(self.affine)

    def slices(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return decoded slices, shape (n, rows, columns), float32, read-only; each is decoded once.

        Raises
        ------
        UnreadableInstanceError
            If a slice cannot be decoded, or holds a value that is not finite or beyond :data:`MAX_INTENSITY`.
        """
        run = range(indices[0], indices[0] + len(indices)) if len(indices) else range(0)
        in_order, whole = list(indices) == list(run), range(self.shape[0])
        if self._together and in_order and run.start in whole and run.stop - 1 in whole:
            return self._together[0][run.start : run.stop]
        missing = [index for index in dict.fromkeys(indices) if index not in self._decoded]
        if missing:
            decoded = self.source(missing)
            # written so that NaN is refused
            if not (decoded.min() >= -MAX_INTENSITY and decoded.max() <= MAX_INTENSITY):
                msg = (
                    f"pixels must be finite and at most {MAX_INTENSITY:g}, got {decoded.min():g} to "
                    f"{decoded.max():g}; leave out the series, or correct its rescaling"
                )
                raise UnreadableInstanceError(msg)
            decoded.flags.writeable = False
            self._decoded.update(zip(missing, decoded, strict=True))
        # (gathering a whole study again costs as much as reading it)
        gathered = (
            decoded if missing == list(indices) else np.stack([self._decoded[index] for index in indices])
        )
        gathered.flags.writeable = False
        if in_order and run == whole:
            self._together[:] = [gathered]
            self._decoded.update(enumerate(gathered))
        return gathered

    @property
    def pixels(self) -> NDArray[np.float32]:
        """All slices, shape (slices, rows, columns), float32, read-only.

        Raises
        ------
        UnreadableInstanceError
            If a slice cannot be decoded.
        """
        return self.slices(range(self.shape[0]))


def _is_flat(affine: NDArray[np.float64]) -> bool:
    """Whether two axes of a finite affine coincide or one has no length; whatever its unit."""
    axes = affine[:3, :3]
    lengths = np.hypot.reduce(axes)
    return bool((lengths == 0).any() or abs(np.linalg.det(axes / lengths)) < 1e-6)


def check_grid(affine: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    """Check that a volume has the size of something that lies in a scanner.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        (slice, row, column) index to mm.
    shape : tuple of int
        (slices, rows, columns).

    Raises
    ------
    IrregularSlicesError
        If a spacing, a number of pixels, an edge or a position is out of range.
    """
    steps = np.hypot.reduce(affine[:3, :3])  # (a norm would overflow)
    for what, value, (least, most) in (
        ("distance of slices", steps[0], SLICE_MM),
        ("distance of rows", steps[1], PIXEL_MM),
        ("distance of columns", steps[2], PIXEL_MM),
        ("way through the slices", steps[0] * shape[0], (0.0, MAX_STACK_MM)),
        ("longest edge", max(steps[1] * shape[1], steps[2] * shape[2]), (0.0, MAX_FIELD_MM)),
        ("distance from the origin", float(np.abs(affine[:3, 3]).max()), (0.0, MAX_POSITION_MM)),
    ):
        if not least <= value <= most:  # written so that NaN is refused
            msg = f"{what} must be {least:g} to {most:g} mm, got {value:g} mm; check the header"
            raise IrregularSlicesError(msg)
    if not 1 <= min(shape) <= max(shape[1:]) <= MAX_PIXELS:
        size = " x ".join(map(str, shape))
        msg = f"slices must be at least one, with 1 to {MAX_PIXELS} rows and columns, got {size}; check the header"
        raise IrregularSlicesError(msg)


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
    """What was found while reading it, the worst first."""
    body_parts: tuple[BodyPart, ...] = ()
    """Parts of the body that its own header names; none where that is silent."""

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
    """What a reader of the report must know of the reading, the worst first."""
    lost: tuple[tuple[Role, str], ...] = ()
    """Roles of which a series was there that could not be read, while no other serves, with the reason."""
    name_doubts: tuple[str, ...] = ()
    """Why the names of levels cannot be certain, whatever the picture shows, such as a station left out."""
    body_parts: tuple[BodyPart, ...] = ()
    """Parts of the body that the descriptions of the study and its procedures name."""
    examination: Examination = field(default_factory=Examination)

    @property
    def n_bytes(self) -> int:
        """Memory that the volumes of the series with a role take while they are graded, bytes."""
        return sum(volume.n_bytes for series, volume in self.volumes() if series.role is not None)

    def by_role(self, role: Role) -> Series | None:
        """Series chosen for a role, or None when the study has none."""
        return next((series for series in self.series if series.role is role), None)

    def volumes(self) -> Iterator[tuple[Series, Volume]]:
        """Each volume with its series."""
        return ((series, volume) for series in self.series for volume in series.volumes)
