"""Finds the regular grids that parallel slices lie on; order and numbers of slices play no part.

References
----------
PS3.3 C.7.6.2.1.1; Natalia and Sudirman, section 3 (s = n·p, n = u × v).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.dicom.read.frames import Frame, normal_of

Array = NDArray[np.float64]

PARALLEL_TOLERANCE: Final = 1e-3
"""Largest difference between direction cosines of slices that count as parallel (0.2 mm at 200 mm)."""

POSITION_TOLERANCE_MM: Final = 0.1
"""Largest distance of a slice from the regular grid of its volume that goes without saying, mm."""

SIDEWAYS_MM: Final = 0.5
"""Two slices next to each other whose fields lie further apart than this, and than half their distance, are of
two stacks, mm: a sheared stack moves its field by less."""

MOST_STACKS: Final = 4
"""Most stacks that parallel slices of one field are taken apart into."""

MOSTLY: Final = 0.6
"""Share of the distances between slices from which their usual distance is that of a single grid."""


def parallel_groups(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames that share matrix, pixel spacing and orientation."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if frame.matrix == group[0].matrix and _is_parallel(frame, group[0]):
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


def placed(frames: Sequence[Frame]) -> tuple[list[Frame], Array, Array]:
    """Sort parallel frames along their normal.

    Returns
    -------
    ordered : list of Frame
    positions : ndarray of shape (n, 3), float64
        LPS, mm.
    normal : ndarray of shape (3,), float64
    """
    normal = np.asarray(normal_of(frames[0].orientation))
    ordered = sorted(frames, key=lambda one: (round(float(normal @ one.position_mm), 3), one.position_mm))
    return ordered, np.array([one.position_mm for one in ordered]), normal


def distances_from_grid(positions: Array) -> Array:
    """Distance of each slice from the straight, even line through the first and last, centred; mm."""
    n = len(positions)
    index = np.arange(n) - (n - 1) / 2
    step = (index @ positions) / (index @ index)
    grid = positions.mean(axis=0) + index[:, None] * step
    return np.linalg.norm(positions - grid, axis=1)


def stacks(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Take parallel frames apart into stacks: first by where their fields lie, then by interleaved grids.

    Returns
    -------
    stacks : list of list of Frame
        Each along the normal; one where all frames lie on one line, however uneven.
    """
    ordered, positions, _ = placed(frames)
    if len(ordered) < 3 or distances_from_grid(positions).max() <= POSITION_TOLERANCE_MM:
        return [ordered]
    return [grid for column in _columns(frames) for grid in _interleaved(column)]


def _columns(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames whose fields lie behind one another."""
    ordered, positions, normal = placed(frames)
    columns: list[list[int]] = []
    for place, position in enumerate(positions):
        best, least = None, np.inf
        for column in columns:
            along = float(normal @ (position - positions[column[-1]]))
            across = float(np.linalg.norm(position - positions[column[-1]] - along * normal))
            if along > 0.05 and across <= max(SIDEWAYS_MM, 0.5 * along) and across < least - 1e-3:
                best, least = column, across
        if best is None:
            columns.append([place])
        else:
            best.append(place)
    return [[ordered[place] for place in column] for column in columns]


def _interleaved(frames: list[Frame]) -> list[list[Frame]]:
    """Take apart grids of one step that lie between one another, such as a repeat a millimetre beside."""
    if len(frames) < 6:
        return [frames]
    _, positions, normal = placed(frames)
    at = (positions - positions[0]) @ normal
    gaps = np.diff(at)
    usual = float(np.median(gaps))
    off = np.abs(at - np.round(at / max(usual, 1e-6)) * usual)
    n_usual = (np.abs(gaps - usual) <= 2 * POSITION_TOLERANCE_MM).sum()
    if off.max() <= 2 * POSITION_TOLERANCE_MM and n_usual >= MOSTLY * len(gaps):
        return [frames]  # one grid, in which slices may be missing
    apart = [at[n:] - at[:-n] for n in range(1, min(MOST_STACKS, len(at) - 1) + 1)]
    common = Counter(round(float(one), 1) for one in np.concatenate(apart)).most_common(MOST_STACKS)
    for step, _ in common:
        chains = _chains(at, step) if step > 2 * POSITION_TOLERANCE_MM else []
        if 2 <= len(chains) <= MOST_STACKS and min(map(len, chains)) >= 3 and _overlap(at, chains):
            return [[frames[place] for place in chain] for chain in chains]
    return [frames]


def _chains(at: Array, step: float) -> list[list[int]]:
    """Places of slices, chained by a step."""
    left, chains = list(range(len(at))), []
    while left:
        chain = [left.pop(0)]
        while (
            follower := next(
                (one for one in left if abs(at[one] - at[chain[-1]] - step) <= 2 * POSITION_TOLERANCE_MM),
                None,
            )
        ) is not None:
            chain.append(follower)
            left.remove(follower)
        chains.append(chain)
    return chains


def _overlap(at: Array, chains: list[list[int]]) -> bool:
    """Whether chains lie between one another, rather than one behind the other."""
    spans = sorted((at[chain[0]], at[chain[-1]]) for chain in chains)
    return all(second[0] < first[1] for first, second in pairwise(spans))


def odd_ones(frames: Sequence[Frame]) -> list[Frame]:
    """Return the one or two slices that lie off a grid which all others of a stack lie on; none else."""
    if len(frames) < 6:
        return []
    ordered, positions, _ = placed(frames)
    most = max(1, len(frames) // 8) if len(frames) < 16 else 2
    best: NDArray[np.bool_] | None = None
    for first in range(len(ordered) - 1):
        for second in (first + 1, first + 2):
            if second >= len(ordered):
                continue
            step = positions[second] - positions[first]
            length = float(np.linalg.norm(step))
            if length < 0.5:
                continue
            index = np.round((positions - positions[first]) @ step / length**2)
            off = np.linalg.norm(positions - positions[first] - index[:, None] * step, axis=1)
            on = off <= 2 * POSITION_TOLERANCE_MM
            is_dense = len(np.unique(index[on])) == on.sum() and np.ptp(index[on]) + 1 <= on.sum() + 1
            if is_dense and (best is None or on.sum() > best.sum()):
                best = on
    if best is None or best.all() or (~best).sum() > most:
        return []
    return [frame for frame, on in zip(ordered, best, strict=True) if not on]


def runs(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Cut a stack wherever its step changes."""
    ordered, positions, _ = placed(frames)
    if len(ordered) < 3 or distances_from_grid(positions).max() <= POSITION_TOLERANCE_MM:
        return [ordered]
    return split(ordered)


def split(ordered: list[Frame]) -> list[list[Frame]]:
    """Cut an ordered list into the longest runs of equal steps."""
    steps = np.diff([frame.position_mm for frame in ordered], axis=0)
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


def n_blocks(frames: Sequence[Frame]) -> int:
    """Count the regular runs of slices in frames of any orientation; a place that repeats counts once."""
    unique = list({frame.place: frame for frame in frames}.values())
    return sum(len(runs(stack)) for group in parallel_groups(unique) for stack in stacks(group))


def is_regular(frames: Sequence[Frame]) -> bool:
    """Whether frames form stacks without a slice by itself."""
    return all(
        len(run) > 1 for group in parallel_groups(frames) for stack in stacks(group) for run in runs(stack)
    )
