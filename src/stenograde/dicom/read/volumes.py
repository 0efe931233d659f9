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
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.dicom.read.decode import FrameSource
from stenograde.dicom.read.findings import Finding, Weight, note
from stenograde.dicom.read.frames import Frame, normal_of
from stenograde.dicom.read.grids import (
    POSITION_TOLERANCE_MM,
    distances_from_grid,
    odd_ones,
    parallel_groups,
    placed,
    split,
    stacks,
)
from stenograde.dicom.read.instances import Instance
from stenograde.errors import IrregularSlicesError
from stenograde.study import Volume

Array = NDArray[np.float64]

JUMP_TOLERANCE: Final = 0.4
"""Largest distance of a slice from the regular grid, in gaps between slices, at which a stack that jumps once
stays one volume, which is then said; beyond it the stack is split.

Some scanners put two blocks of equal angle into one axial series with a gap between the blocks that is no
multiple of the gap within them. Below half a gap the nearest slice of the grid is still the right slice.
"""

MISSING_TOLERANCE: Final = 0.1
"""How near to a whole number of gaps, in gaps, a wider gap must be to be called missing slices."""

MAX_BRIDGED: Final = 3
"""Most sagittal slices that are bridged where they were lost side by side."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """Volumes made of one series' frames, and what was found on the way."""

    volumes: tuple[Volume, ...]
    findings: tuple[Finding, ...]
    odd: tuple[Frame, ...] = ()
    """Slices that lie off the grid of all others, and are in no volume."""


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
    findings = []
    matrices = Counter(frame.matrix for frame in frames)
    if len(matrices) > 1:
        counts = ", ".join(f"{n} of {rows} x {columns}" for (rows, columns), n in sorted(matrices.items()))
        text = f"mixed matrices: slices {counts}; each matrix is a volume of its own"
        findings.append(Finding(Weight.GRID, text))
    references = Counter(frame.instance.text("FrameOfReferenceUID") for frame in frames)
    if len(references) > 1:
        counts = " and ".join(map(str, sorted(references.values())))
        text = f"mixed frames of reference: {counts} slices; they are assumed to share one"
        findings.append(Finding(Weight.GRID, text))
    volumes: list[Volume] = []
    odd: list[Frame] = []
    for group in parallel_groups(frames):
        for one in stacks(group):
            blocks, found, off = _regular_blocks(one)
            findings += found
            odd += off
            for block in blocks:
                volume, notes = _volume(block)
                volumes.append(volume)
                findings += notes
    findings += map(note, check_stored_locations(frames))
    return Stacked(tuple(sorted(volumes, key=_place)), tuple(dict.fromkeys(findings)), tuple(odd))


Block = list[Frame | None]
"""Slices along their normal; None for a lost one that its neighbours stand for."""


def _runs(gaps: NDArray[np.float64]) -> str:
    """Say distances in their order; those that follow one another and are the same, once."""
    runs = [(text, len(list(same))) for text, same in groupby(f"{gap:.1f}" for gap in gaps)]
    return ", ".join(text if n == 1 else f"{n} x {text}" for text, n in runs)


def _regular_blocks(stack: list[Frame]) -> tuple[list[Block], list[Finding], list[Frame]]:
    """Cut one stack wherever its grid breaks; bridge lost slices, and leave out odd ones."""
    ordered, positions, normal = placed(stack)
    whole: list[Block] = [list(ordered)]
    if len(ordered) < 3:
        return whole, [], []
    gaps = np.diff(positions, axis=0) @ normal
    usual = float(np.median(gaps))
    off = distances_from_grid(positions)
    if off.max() <= POSITION_TOLERANCE_MM:
        return whole, [], []
    said = f"slices must be evenly spaced within {POSITION_TOLERANCE_MM} mm, got gaps {_runs(gaps)} mm"
    lost = _lost_after(gaps, usual)
    if lost and abs(normal[0]) > max(abs(normal[1]), abs(normal[2])):
        bridged = _bridged(ordered, lost)
        if bridged is not None:
            wide = "; the canal is not measured there" if max(lost.values()) > 1 else ""
            text = f"{said}; {_missing(lost)}; bridged from the slices on both sides{wide}"
            return [bridged], [Finding(Weight.LOSS, text)], []
    odd = odd_ones(ordered)
    if odd:
        rest, found, more = _regular_blocks([frame for frame in ordered if frame not in odd])
        text = f"{said}; {len(odd)} of {len(ordered)} slices lie off the grid of the others and are left out"
        return rest, [Finding(Weight.LOSS, text), *found], [*odd, *more]
    jumps = np.linalg.norm(np.diff(positions, axis=0) - np.median(np.diff(positions, axis=0), axis=0), axis=1)
    n_jumps = int((jumps > POSITION_TOLERANCE_MM).sum())
    if not lost and off.max() <= min(JUMP_TOLERANCE * usual, usual / 2) and n_jumps == 1:
        text = f"{said}; kept as one volume, whose grid is off by up to {off.max():.1f} mm"
        return whole, [Finding(Weight.GRID, text)], []
    blocks = split(ordered)
    if not lost and len(ordered) > 3 and sum(len(one) for one in blocks if len(one) > 2) * 2 < len(ordered):
        raise IrregularSlicesError(said)
    what = f"; {_missing(lost)}" if lost else ""
    weight = Weight.LOSS if lost else Weight.GRID
    found = [Finding(weight, f"{said}{what}; split into {len(blocks)} volumes")]
    return [list(block) for block in blocks], found, []


def _lost_after(gaps: Array, usual: float) -> dict[int, int]:
    """Count the slices lost after a slice, by its place from 0; none where the gaps tell nothing."""
    ratios = gaps / usual
    whole = np.round(ratios)
    wide = (whole >= 2) & (np.abs(ratios - whole) <= MISSING_TOLERANCE)
    if wide.sum() * 2 > len(gaps):
        return {}
    return {int(place): int(whole[place]) - 1 for place in np.flatnonzero(wide)}


def _missing(lost: dict[int, int]) -> str:
    return " and ".join(
        f"a slice is missing after {place + 1}" if n == 1 else f"{n} slices are missing after {place + 1}"
        for place, n in lost.items()
    )


def _bridged(ordered: list[Frame], lost: dict[int, int]) -> Block | None:
    """Give the slices with a gap for each lost one; None where too many are lost, or the rest is uneven."""
    if max(lost.values()) > MAX_BRIDGED or sum(lost.values()) * 3 > len(ordered):
        return None
    block: Block = []
    for place, frame in enumerate(ordered):
        block += [frame, *[None] * lost.get(place, 0)]
    index = np.array([place for place, frame in enumerate(block) if frame is not None], np.float64)
    positions = np.array([frame.position_mm for frame in ordered])
    step, first = np.polynomial.polynomial.polyfit(index, positions, 1)[::-1]
    off = np.linalg.norm(positions - first - index[:, None] * step, axis=1)
    return block if off.max() <= POSITION_TOLERANCE_MM else None


@dataclass(frozen=True, eq=False)
class BridgedSource:
    """Decodes a stack with lost slices; a :class:`stenograde.study.SliceSource`."""

    source: FrameSource
    sides: tuple[tuple[tuple[int, float], ...], ...]
    """For each slice its place in ``source`` and the share 1; for a lost one those on both sides, with their shares."""

    @property
    def notes(self) -> list[str]:
        """What was found out of the pixels while decoding them."""
        return self.source.notes

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Instances that hold the slices that are there."""
        return self.source.instances

    def __call__(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """Return slices, shape (n, rows, columns), float32; a lost one is interpolated between those on both sides.

        Raises
        ------
        UnreadableInstanceError
            If a slice cannot be decoded.
        """
        wanted = sorted({place for index in indices for place, _ in self.sides[index]})
        decoded = dict(zip(wanted, self.source(wanted), strict=True))
        slices = [sum(share * decoded[place] for place, share in self.sides[index]) for index in indices]
        return np.stack(slices).astype(np.float32, copy=False)


def _beside(number: int, index: NDArray[np.int64]) -> tuple[tuple[int, float], ...]:
    """Return the slices on both sides of a lost one, by their place among those that are there, with their shares."""
    above = int(np.searchsorted(index, number))
    below = above - 1
    share = (number - index[below]) / (index[above] - index[below])
    return (below, float(1 - share)), (above, float(share))


def _volume(block: Block) -> tuple[Volume, list[Finding]]:
    """Make one volume of slices on a regular grid."""
    findings = []
    there = [frame for frame in block if frame is not None]
    positions = np.array([frame.position_mm for frame in there])
    index = np.array([place for place, frame in enumerate(block) if frame is not None])
    n = len(block)
    if len(there) > 1:
        centred = index - index.mean()
        step = (centred @ positions) / (centred @ centred)
        first = positions.mean(axis=0) - step * index.mean()
        if np.abs(positions[0] - first).max() < 1e-3:
            first, step = positions[0], (positions[-1] - positions[0]) / (n - 1)
    else:
        thickness = there[0].thickness_mm
        if thickness is None or thickness <= 0:
            findings.append(Finding(Weight.GRID, "a single slice has no thickness; 1 mm is assumed"))
            thickness = 1.0
        first, step = positions[0], np.asarray(normal_of(there[0].orientation)) * thickness
    references = {frame.instance.text("FrameOfReferenceUID") for frame in there}
    source = FrameSource(tuple(there))
    places = np.cumsum([frame is not None for frame in block]) - 1
    sides = tuple(
        ((int(place), 1.0),) if frame is not None else _beside(number, index)
        for number, (place, frame) in enumerate(zip(places, block, strict=True))
    )
    shown = [there[place] for place in places]  # beside a lost slice, the one before it stands for it
    volume = Volume(
        affine=geometry.affine_of(first, there[0].orientation, there[0].spacing_mm, step),
        shape=(n, *there[0].matrix),
        sop_instance_uids=tuple(frame.instance.sop_instance_uid for frame in shown),
        source=source if len(there) == n else BridgedSource(source, sides),
        frames=tuple(frame.index for frame in shown),
        frame_of_reference_uid=(references.pop() or None) if len(references) == 1 else None,
        bridged=tuple(place for place, frame in enumerate(block) if frame is None),
    )
    return volume, findings


def check_stored_locations(frames: Sequence[Frame]) -> list[str]:
    """Compare stored SliceLocations with n·p; some makers store it with the opposite sign.

    Returns
    -------
    problems : list of str
        Nothing when they agree.
    """
    frames = [frame for frame in frames if not frame.instance.has_functional_groups]
    stored = [
        (frame.stored_location_mm, frame.location_mm)
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
