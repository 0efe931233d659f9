"""Joins candidates that are stations of one sagittal examination, or says that they were not joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stenograde.dicom.read.assemble import SIDE_BY_SIDE
from stenograde.dicom.read.findings import Finding, Weight
from stenograde.dicom.read.roles import Candidate
from stenograde.dicom.read.series import ROLE_OF
from stenograde.dicom.read.stations import TALL_ENOUGH_MM, follow_one_another, height_mm, join
from stenograde.study import Volume
from stenograde.terms import Plane, Role


def join_stations(candidates: Sequence[Candidate]) -> tuple[list[Candidate], dict[int, str]]:
    """Join the stations of each contrast from the feet upwards, until the lumbar spine fits into the field.

    A station that is tall enough by itself stays as it is: what lies above it is another part of the spine.

    Parameters
    ----------
    candidates : sequence of Candidate

    Returns
    -------
    candidates : list of Candidate
        A joined one in place of its stations.
    apart : dict
        By ``id`` of a candidate: that it is one of several stations that could not be joined, in words.
    """
    left = list(candidates)
    for group in _alike(left):
        lowest, *others = sorted(group, key=lambda one: height_mm(one.largest)[0])
        for other in others:
            low, high = height_mm(lowest.largest)
            if high - low >= TALL_ENOUGH_MM:
                break
            joined = _joined(lowest, other)
            if joined is not None:
                left = [one for one in left if one is not lowest and one is not other] + [joined]
                lowest = joined
    apart: dict[int, str] = {}
    for place, one in enumerate(left):
        stations = [other for other in left if _role(other) is _role(one) and _follows(one, other)]
        if not stations or _role(one) is None:
            continue
        fields = ", ".join(f"series {other.uid}{_part(other)}" for other in stations)
        text = f"one of {len(stations) + 1} stations that were not joined; not looked at: {fields}"
        found = replace(one, findings=(*one.findings, Finding(Weight.LOSS, text)))
        left[place] = found
        low, high = height_mm(one.largest)
        if high - low < TALL_ENOUGH_MM:
            apart[id(found)] = f"{_role(one).shown} is {text}"  # type: ignore[union-attr]  # it has a role
    return left, apart


def _alike(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Group sagittal candidates of one contrast that are stations of one another."""
    groups: list[list[Candidate]] = []
    for one in candidates:
        if _role(one) is None or len(one.volumes) > 1:
            continue
        group = next((each for each in groups if all(_is_station_of(one, other) for other in each)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return [group for group in groups if len(group) > 1]


def _is_station_of(one: Candidate, other: Candidate) -> bool:
    return (
        _role(one) is _role(other)
        and one.facts.kind == other.facts.kind
        and one.verdict.weighting is other.verdict.weighting
        and one.override is other.override
        and _follows(one, other)
    )


def _follows(one: Candidate, other: Candidate) -> bool:
    return one is not other and follow_one_another(one.largest, other.largest)


def _role(one: Candidate) -> Role | None:
    """Role that a sagittal candidate may have."""
    if one.verdict.plane is not Plane.SAGITTAL or one.verdict.weighting is None:
        return None
    return one.override or ROLE_OF.get((one.verdict.plane, one.verdict.weighting))


def _joined(lower: Candidate, upper: Candidate) -> Candidate | None:
    found: tuple[Volume, str] | None = join(upper.largest, lower.largest)
    if found is None:
        return None
    volume, how = found
    text = how if upper.uid == lower.uid else f"{how}; the upper one is series {upper.uid}"
    found_before = (one for one in (*lower.findings, *upper.findings) if one.text != SIDE_BY_SIDE)
    findings = tuple(dict.fromkeys((*found_before, Finding(Weight.GRID, text))))
    return replace(lower, volumes=(volume,), subseries="joined", findings=findings)


def _part(one: Candidate) -> str:
    return f" ({one.subseries})" if one.subseries else ""
