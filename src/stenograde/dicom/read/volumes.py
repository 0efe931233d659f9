"""Stacks slices into regular volumes; the only place that does (a series is not a volume).

Slices are ordered by slice location s = n·p, n = u × v; InstanceNumber, file names and SliceLocation order
nothing. An axial series that is angled disc by disc becomes one volume per angle.

References
----------
PS3.3 C.7.6.2.1.1; Natalia and Sudirman, section 3 (s = n·p, n = u × v).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.dicom.read.decode import FrameSource
from stenograde.dicom.read.frames import Frame, normal_of
from stenograde.errors import IrregularSlicesError
from stenograde.study import Volume

Array = NDArray[np.float64]

PARALLEL_TOLERANCE: Final = 1e-3
"""Largest difference between direction cosines of slices that count as parallel (0.2 mm at 200 mm)."""

POSITION_TOLERANCE_MM: Final = 0.1
"""Largest distance of a slice from the regular grid of its volume that goes without saying, mm."""

JUMP_TOLERANCE: Final = 0.4
"""Largest distance of a slice from the regular grid, in gaps between slices, at which a stack that jumps once
stays one volume, which is then said; beyond it the stack is split.

Some scanners put two blocks of equal angle into one axial series with a gap between the blocks that is no
multiple of the gap within them. Below half a gap the nearest slice of the grid is still the right slice.
"""

MISSING_TOLERANCE: Final = 0.1
"""How near to a whole number of gaps, in gaps, a wider gap must be to be called missing slices."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """Volumes made of one series' frames, and what was tolerated or found on the way."""

    volumes: tuple[Volume, ...]
    problems: tuple[str, ...]


def stack(frames: Sequence[Frame]) -> Stacked:
    """Stack frames into regular volumes.

    Parameters
    ----------
    frames : sequence of Frame
        Slices of one series and one contrast, in any order; no position twice.

    Returns
    -------
    stacked : Stacked
        Volumes from head to feet, then right to left, then front to back.

    Raises
    ------
    IrregularSlicesError
        If parallel slices follow no regular grid, not even in parts.
    """
    groups = _parallel_groups(frames)
    problems = []
    matrices = Counter(_matrix(frame) for frame in frames)
    if len(matrices) > 1:
        counts = ", ".join(f"{n} of {rows} x {columns}" for (rows, columns), n in sorted(matrices.items()))
        problems.append(f"mixed matrices: slices {counts}; each matrix is a volume of its own")
    references = Counter(frame.instance.text("FrameOfReferenceUID") for frame in frames)
    if len(references) > 1:
        counts = " and ".join(map(str, sorted(references.values())))
        problems.append(f"mixed frames of reference: {counts} slices; they are assumed to share one")
    volumes: list[Volume] = []
    for group in groups:
        blocks, found = _regular_blocks(group)
        problems += found
        for block in blocks:
            volume, found = _volume(block)
            volumes.append(volume)
            problems += found
    problems += check_stored_locations(frames)
    return Stacked(tuple(sorted(volumes, key=_place)), tuple(dict.fromkeys(problems)))


def location(frame: Frame) -> float:
    """Slice location s = n·p of a frame, mm."""
    return sum(n * p for n, p in zip(normal_of(frame.orientation), frame.position_mm, strict=True))


def _matrix(frame: Frame) -> tuple[int, int]:
    layout = frame.instance.layout
    assert layout is not None
    return layout.rows, layout.columns


def _parallel_groups(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames that share matrix, pixel spacing and orientation."""
    groups: list[list[Frame]] = []
    for frame in frames:
        rows, columns = _matrix(frame)
        for group in groups:
            if (rows, columns) == _matrix(group[0]) and _is_parallel(frame, group[0]):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _is_parallel(frame: Frame, other: Frame) -> bool:
    """Whether two frames share orientation and pixel spacing."""
    if frame.orientation != other.orientation:
        off = max(abs(a - b) for a, b in zip(frame.orientation, other.orientation, strict=True))
        if off > PARALLEL_TOLERANCE:
            return False
    return all(abs(a - b) <= 1e-3 * b for a, b in zip(frame.spacing_mm, other.spacing_mm, strict=True))


def _regular_blocks(group: list[Frame]) -> tuple[list[list[Frame]], list[str]]:
    """Split parallel slices wherever their grid breaks."""
    normal = np.asarray(normal_of(group[0].orientation))
    ordered = sorted(group, key=lambda frame: float(normal @ np.asarray(frame.position_mm)))
    if len(ordered) < 3:
        return [ordered], []
    positions = np.array([frame.position_mm for frame in ordered])
    steps = np.diff(positions, axis=0)
    gaps = steps @ normal
    usual = float(np.median(gaps))
    off = _distances_from_grid(positions)
    if off.max() <= POSITION_TOLERANCE_MM:
        return [ordered], []
    missing = _missing_slices(gaps, usual)
    text = ", ".join(f"{gap:.1f}" for gap in gaps)
    if not missing and off.max() <= min(JUMP_TOLERANCE * usual, usual / 2) and _n_jumps(steps) == 1:
        found = (
            f"slices must be evenly spaced within {POSITION_TOLERANCE_MM} mm, got gaps {text} mm; "
            f"kept as one volume, whose grid is off by up to {off.max():.1f} mm"
        )
        return [ordered], [found]
    blocks = _split(ordered, steps)
    if (
        not missing
        and len(ordered) > 3
        and sum(len(block) for block in blocks if len(block) > 2) * 2 < len(ordered)
    ):
        by_number = sorted(group, key=lambda frame: frame.number)
        blocks = _split(by_number, np.diff([frame.position_mm for frame in by_number], axis=0))
        if sum(len(block) for block in blocks if len(block) > 2) * 2 < len(ordered):
            msg = f"slices must be evenly spaced within {POSITION_TOLERANCE_MM} mm, got gaps {text} mm"
            raise IrregularSlicesError(msg)
    what = f"; {missing}" if missing else ""
    found = (
        f"slices must be evenly spaced within {POSITION_TOLERANCE_MM} mm, got gaps {text} mm{what}; "
        f"split into {len(blocks)} volumes"
    )
    return blocks, [found]


def _distances_from_grid(positions: Array) -> Array:
    """Distance of each slice from the straight, even line through the first and last, centred; mm."""
    n = len(positions)
    index = np.arange(n) - (n - 1) / 2
    step = (index @ positions) / (index @ index)
    grid = positions.mean(axis=0) + index[:, None] * step
    return np.linalg.norm(positions - grid, axis=1)


def _n_jumps(steps: Array) -> int:
    usual = np.median(steps, axis=0)
    return int((np.linalg.norm(steps - usual, axis=1) > POSITION_TOLERANCE_MM).sum())


def _missing_slices(gaps: Array, usual: float) -> str:
    """Say after which slices some are missing; empty when none are."""
    ratios = gaps / usual
    whole = np.round(ratios)
    wide = (whole >= 2) & (np.abs(ratios - whole) <= MISSING_TOLERANCE)
    if not wide.any() or wide.sum() * 2 > len(gaps):
        return ""
    return " and ".join(
        "a slice is missing after " + str(place + 1)
        if whole[place] == 2
        else f"{int(whole[place]) - 1} slices are missing after {place + 1}"
        for place in np.flatnonzero(wide)
    )


def _split(ordered: list[Frame], steps: Array) -> list[list[Frame]]:
    """Cut an ordered list into the longest runs of equal steps."""
    blocks = [[ordered[0]]]
    step: Array | None = None
    usual = np.median(steps, axis=0)
    for place, frame in enumerate(ordered[1:]):
        expected = usual if step is None else step
        if np.linalg.norm(steps[place] - expected) <= POSITION_TOLERANCE_MM:
            blocks[-1].append(frame)
            step = steps[place] if step is None else step
        elif step is None and len(blocks[-1]) == 1 and _repeats(steps, place):
            blocks[-1].append(frame)
            step = steps[place]
        else:
            blocks.append([frame])
            step = None
    return blocks


def _repeats(steps: Array, place: int) -> bool:
    """Whether the next step equals this one, so that a run with another gap begins here."""
    return place + 1 < len(steps) and bool(
        np.linalg.norm(steps[place + 1] - steps[place]) <= POSITION_TOLERANCE_MM
    )


def _volume(block: list[Frame]) -> tuple[Volume, list[str]]:
    """Make one volume of slices on a regular grid."""
    problems = []
    normal = np.asarray(normal_of(block[0].orientation))
    block = sorted(block, key=lambda frame: float(normal @ np.asarray(frame.position_mm)))
    positions = np.array([frame.position_mm for frame in block])
    n = len(block)
    if n > 1:
        index = np.arange(n) - (n - 1) / 2
        step = (index @ positions) / (index @ index)
        first = positions.mean(axis=0) - step * (n - 1) / 2
        if np.abs(positions[0] - first).max() < 1e-3:
            first, step = positions[0], (positions[-1] - positions[0]) / (n - 1)
    else:
        thickness = block[0].thickness_mm
        if thickness is None or thickness <= 0:
            problems.append("a single slice has no thickness; 1 mm is assumed")
            thickness = 1.0
        first, step = positions[0], normal * thickness
    layout = block[0].instance.layout
    assert layout is not None
    references = {frame.instance.text("FrameOfReferenceUID") for frame in block}
    volume = Volume(
        affine=geometry.affine_of(first, block[0].orientation, block[0].spacing_mm, step),
        shape=(n, layout.rows, layout.columns),
        sop_instance_uids=tuple(frame.instance.sop_instance_uid for frame in block),
        source=FrameSource(tuple(block)),
        frames=tuple(frame.index for frame in block),
        frame_of_reference_uid=(references.pop() or None) if len(references) == 1 else None,
    )
    return volume, problems


def check_stored_locations(frames: Sequence[Frame]) -> list[str]:
    """Compare stored SliceLocations with n·p; some makers store it with the opposite sign.

    Returns
    -------
    problems : list of str
        Nothing when they agree.
    """
    frames = [frame for frame in frames if not frame.instance.has_functional_groups]
    stored = [
        (frame.stored_location_mm, location(frame))
        for frame in frames
        if frame.stored_location_mm is not None
    ]
    problems = []
    if len(stored) < len(frames):
        problems.append(
            f"{len(frames) - len(stored)} of {len(frames)} slices have no SliceLocation; n·p is used"
        )
    if stored:
        there, ours = np.array(stored).T
        # of the two signs that makers use, the one that leaves the least to explain
        differences = min(there - ours, there + ours, key=lambda one: (float(np.ptp(one)), abs(one[0])))
        off = float(np.abs(differences).max())
        if off > POSITION_TOLERANCE_MM:
            how = "by a constant " if np.ptp(differences) <= POSITION_TOLERANCE_MM else "by up to "
            problems.append(f"stored SliceLocation disagrees with n·p {how}{off:.1f} mm; n·p is used")
    return problems


def _place(volume: Volume) -> tuple[float, float, float]:
    centre = geometry.to_patient(volume.affine, [[(n - 1) / 2 for n in volume.shape]])[0]
    return -float(centre[2]), float(centre[0]), float(centre[1])
