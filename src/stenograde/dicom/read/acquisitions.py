"""Gathers the slices that were acquired together, by matrix, times and geometry, whatever their SeriesInstanceUID.

De-identified data put two acquisitions under one SeriesInstanceUID, or give each file its own; a UID is one
hint among others here, and names and order of files are none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stenograde.dicom.read.findings import Finding, Weight
from stenograde.dicom.read.frames import Contrast, Frame, in_order, normal_of
from stenograde.dicom.read.grids import is_regular, n_blocks
from stenograde.dicom.read.repeats import repeats
from stenograde.terms import Plane, Unused

MIN_SLICES: Final = 3
"""Fewest slices with which a series can have a role."""

TIME_TOLERANCE: Final = 0.3
"""Times that differ by more than this share were not set for one acquisition; T1 and T2 differ fourfold."""

LONG_REPETITION_MS: Final = 1500.0
"""Repetition times from here on are alike: triggered blocks of one T2 series differ in theirs."""

SHORT_ECHO_MS: Final = 30.0
"""Echo times up to here are alike, ms."""

TURN_DEG: Final = 35.0
"""Stacks whose normals lie further apart are of different planes, degrees; discs follow one another by less."""

SCOUT_MOST_SLICES: Final = 7
"""Most slices of a plane in a localizer of several planes."""


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Slices that were acquired together; some of their places may repeat (echoes, Dixon images)."""

    uid: str
    """The SeriesInstanceUID that most of them have."""
    frames: tuple[Frame, ...]
    name: str
    """What tells it from others under the same UID; empty when there are none."""
    findings: tuple[Finding, ...]


def gather_acquisitions(frames: Sequence[Frame]) -> tuple[list[Acquisition], list[Unused]]:
    """Gather frames of a study into acquisitions.

    Parameters
    ----------
    frames : sequence of Frame
        All slices of a study, in any order.

    Returns
    -------
    acquisitions : list of Acquisition
    unused : list of Unused
        Localizers, and odd slices that belong to no acquisition though they share its UID.
    """
    groups: list[list[Frame]] = []
    unused: list[Unused] = []
    for alike in _by_times(in_order(frames)):
        planes, left_out = _by_plane(alike)
        unused += left_out
        for plane in planes:
            groups += _joined(plane)
    groups, left_out = _without_odd(groups)
    return _named(groups), [*unused, *left_out]


def plane_of_frame(frame: Frame) -> Plane:
    """Plane nearest to a slice's normal."""
    normal = np.abs(normal_of(frame.orientation))
    return (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[int(np.argmax(normal))]


def _by_times(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames of one matrix, pixel size and set of times; without times, those of one UID go along."""
    shaped: dict[object, list[Frame]] = {}
    for frame in frames:
        shaped.setdefault((frame.matrix, *(float(f"{mm:.3g}") for mm in frame.spacing_mm)), []).append(frame)
    groups: list[list[Frame]] = []
    for alike in shaped.values():
        timed: list[list[Frame]] = []
        for frame in alike:
            group = next((one for one in timed if _goes_with(frame, one)), None)
            if group is None:
                timed.append([frame])
            else:
                group.append(frame)
        groups += _with_untimed(timed)
    return groups


def _goes_with(frame: Frame, group: Sequence[Frame]) -> bool:
    """Whether a frame, next in order, is of a group by its times; further echoes of one place are."""
    return _same_times(frame.contrast, group[0].contrast) and (
        _same_echo(frame.contrast, group[0].contrast) or frame.place == group[-1].place
    )


def _with_untimed(timed: list[list[Frame]]) -> list[list[Frame]]:
    """Add frames without any times to the one group that has times and shares their UID, if there is one."""
    silent = next((one for one in timed if not _times(one[0].contrast)), None)
    if silent is None or len(timed) == 1:
        return timed
    rest: list[Frame] = []
    others = [one for one in timed if one is not silent]
    for frame in silent:
        homes = [one for one in others if frame.instance.series_uid in _uids(one)]
        (homes[0] if len(homes) == 1 else rest).append(frame)
    return [*others, rest] if rest else others


def _times(contrast: Contrast) -> tuple[float, ...]:
    found = contrast.echo_time_ms, contrast.repetition_time_ms, contrast.inversion_time_ms
    return tuple(time for time in found if time)


def _same_times(one: Contrast, other: Contrast) -> bool:
    """Whether two contrasts can be of one acquisition by their sequence and times, echo time apart."""
    repetitions = one.repetition_time_ms, other.repetition_time_ms
    inversions = one.inversion_time_ms, other.inversion_time_ms
    if any(bool(a) != bool(b) for a, b in (repetitions, inversions)) or one.sequence != other.sequence:
        return False
    return all(
        not a or not b or abs(a - b) <= TIME_TOLERANCE * max(a, b) or min(a, b) >= LONG_REPETITION_MS
        for a, b in (repetitions, inversions)
    )


def _same_echo(one: Contrast, other: Contrast) -> bool:
    """Whether echo times are alike; all short ones are."""
    a, b = one.echo_time_ms, other.echo_time_ms
    return bool(a) == bool(b) and (not a or not b or abs(a - b) <= TIME_TOLERANCE * max(a, b, SHORT_ECHO_MS))


def _by_plane(frames: Sequence[Frame]) -> tuple[list[list[Frame]], list[Unused]]:
    """Group frames by plane; leave out localizers, and an odd slice of another plane."""
    groups: list[list[Frame]] = []
    for frame in frames:
        near = [
            one for one in groups if any(_turn_deg(frame, other) <= TURN_DEG for other in _directions(one))
        ]
        groups = [one for one in groups if not any(one is other for other in near)]
        groups.append([frame, *(other for one in near for other in one)])
    if len(groups) == 1:
        return [in_order(groups[0])], []
    groups = sorted(map(in_order, groups), key=len, reverse=True)
    largest = groups[0]
    if _is_scout(groups):
        turn = max(_turn_deg(largest[0], frame) for group in groups for frame in group)
        why = f"localizer: slices up to {turn:.0f} degrees apart in one series"
        return [], _series_left_out([frame for group in groups for frame in group], why)
    kept, unused = [largest], []
    for group in groups[1:]:
        if len(group) >= MIN_SLICES or not _uids(group) & _uids(largest):
            kept.append(group)
            continue
        plane, other = plane_of_frame(group[0]), plane_of_frame(largest[0])
        why = f"a {plane} slice within a {other} series of {len(largest)} slices; left out"
        unused += [Unused(file_of(frame), why) for frame in group]
    return kept, unused


def _is_scout(groups: Sequence[Sequence[Frame]]) -> bool:
    """Whether groups of different planes are one localizer: few slices each, and no T2 spin echo."""
    largest = groups[0]
    shares_uid = any(_uids(largest) & _uids(group) for group in groups[1:])
    if len(largest) < MIN_SLICES:
        return shares_uid
    if len(largest) > SCOUT_MOST_SLICES or len(groups[1]) < MIN_SLICES:
        return False
    contrast = largest[0].contrast
    is_spine = (contrast.repetition_time_ms or 0) >= 2000 and "GR" not in contrast.sequence
    return (shares_uid or len(groups) > 2) and not is_spine


def _directions(group: Sequence[Frame]) -> list[Frame]:
    """One frame of each orientation."""
    return list({frame.orientation: frame for frame in group}.values())


def _turn_deg(one: Frame, other: Frame) -> float:
    cosine = abs(float(np.dot(normal_of(one.orientation), normal_of(other.orientation))))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def _joined(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group frames of one plane, matrix and set of times by UID, and join what only together is regular."""
    by_uid: dict[str, list[Frame]] = {}
    for frame in frames:
        by_uid.setdefault(frame.instance.series_uid, []).append(frame)
    groups = list(by_uid.values())
    if len(groups) == 1:
        return groups
    if not repeats(frames) and n_blocks(frames) < sum(map(n_blocks, groups)):
        return [list(frames)]
    sound = [group for group in groups if _is_sound(group)]
    parts = [group for group in groups if not any(group is one for one in sound)]
    if len(parts) > 1:
        pooled = [frame for group in parts for frame in group]
        parts = [in_order(pooled)] if n_blocks(pooled) <= sum(map(n_blocks, parts)) else parts
    left = []
    for part in parts:
        home = next((one for one in sound if _completes(part, one)), None)
        if home is None:
            left.append(part)
        else:
            home += part
    return [in_order(group) for group in (*sound, *left)]


def _is_sound(group: Sequence[Frame]) -> bool:
    return len(group) >= MIN_SLICES and not repeats(group) and is_regular(group)


def _completes(part: Sequence[Frame], whole: Sequence[Frame]) -> bool:
    """Whether a few slices lie on the grid of a series and nowhere where it has one already."""
    together = [*whole, *part]
    return not repeats(together) and n_blocks(together) <= n_blocks(whole)


def _without_odd(groups: list[list[Frame]]) -> tuple[list[list[Frame]], list[Unused]]:
    """Leave out one or two slices that share the UID of a series, but neither its matrix nor its times."""
    kept, unused = [], []
    for group in groups:
        hosts = [
            one for one in groups if one is not group and len(one) >= MIN_SLICES and _uids(one) & _uids(group)
        ]
        if len(group) >= MIN_SLICES or not hosts:
            kept.append(group)
            continue
        host = max(hosts, key=len)
        for frame in group:
            unused.append(Unused(file_of(frame), why_odd(frame, host)))
    return kept, unused


def why_odd(frame: Frame, host: Sequence[Frame]) -> str:
    """Say why a slice is left out of the series that it is stored with."""
    instance, first = frame.instance, host[0]
    same = next(
        (one.instance for one in host if one.instance.sop_instance_uid == instance.sop_instance_uid), None
    )
    if same is not None:
        return f"duplicate: same SOPInstanceUID as {same.file.name}, but other content; that one is used"
    if any(frame.place == one.place for one in host):
        return f"repeats the place of a slice within a series of {len(host)} slices; that one is used"
    if frame.matrix != first.matrix:
        what = "matrix", *map(_shown_matrix, (frame, first))
    elif frame.spacing_mm != first.spacing_mm:
        what = "pixel size", *(f"{one.spacing_mm[0]:g} mm" for one in (frame, first))
    else:
        what = "times", *(_shown_times(one.contrast) for one in (frame, first))
    return f"an odd slice within a series of {len(host)} slices: its {what[0]} is {what[1]}, theirs {what[2]}"


def _shown_times(contrast: Contrast) -> str:
    times = (
        ("TE", contrast.echo_time_ms),
        ("TR", contrast.repetition_time_ms),
        ("TI", contrast.inversion_time_ms),
    )
    return ", ".join(f"{name} {value:g} ms" for name, value in times if value) or "not given"


def _named(groups: list[list[Frame]]) -> list[Acquisition]:
    """Name the acquisitions, and say what a UID holds beside."""
    main = [Counter(frame.instance.series_uid for frame in group).most_common() for group in groups]
    uids = [min(uid for uid, n in counted if n == counted[0][1]) for counted in main]
    acquisitions = []
    for group, uid in zip(groups, uids, strict=True):
        findings = []
        beside = [one for one, other in zip(groups, uids, strict=True) if other == uid and one is not group]
        if beside:
            text = f"its SeriesInstanceUID holds {len(beside) + 1} acquisitions, told apart by matrix, times and plane"
            findings.append(Finding(Weight.GRID, text))
        n_uids = len(_uids(group))
        if n_uids > 1:
            text = f"slices of {n_uids} SeriesInstanceUIDs are one acquisition by matrix, times and geometry"
            findings.append(Finding(Weight.GRID, text))
        name = _told_by(group, beside) if beside else ""
        acquisitions.append(Acquisition(uid, tuple(group), name, tuple(findings)))
    order = {id(one): place for place, one in enumerate(sorted(acquisitions, key=_rank))}
    return sorted(acquisitions, key=lambda one: order[id(one)])


def _rank(one: Acquisition) -> tuple[object, ...]:
    first = one.frames[0]
    return (
        one.uid,
        first.matrix,
        first.orientation,
        _times(first.contrast),
        first.position_mm,
        len(one.frames),
    )


def _told_by(group: Sequence[Frame], beside: Sequence[Sequence[Frame]]) -> str:
    ways: tuple[Callable[[Frame], str], ...] = (
        _shown_matrix,
        lambda one: _shown_times(one.contrast),
        lambda one: str(plane_of_frame(one)),
    )
    ours, *theirs = ([way(one[0]) for way in ways] for one in (group, *beside))
    return ", ".join(own for own, *others in zip(ours, *theirs, strict=True) if set(others) - {own})


def _shown_matrix(frame: Frame) -> str:
    return " x ".join(map(str, frame.matrix))


def _series_left_out(frames: Sequence[Frame], why: str) -> list[Unused]:
    counts = Counter(frame.instance.series_uid for frame in frames)
    return [Unused(f"series {uid}", f"{why} ({n} slices)") for uid, n in sorted(counts.items())]


def _uids(frames: Sequence[Frame]) -> set[str]:
    return {frame.instance.series_uid for frame in frames}


def file_of(frame: Frame) -> str:
    """Name the file of a slice, and the frame where it holds several."""
    layout = frame.instance.layout
    several = layout is not None and layout.n_frames > 1
    return frame.instance.file.name + (f" frame {frame.index + 1}" if several else "")
