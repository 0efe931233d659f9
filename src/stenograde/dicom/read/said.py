"""Says to the reader of a report what reading found out: what was lost, what is odd, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from stenograde.dicom.read.acquisitions import MIN_SLICES
from stenograde.dicom.read.assemble import Lost
from stenograde.dicom.read.findings import Finding, Weight, worst_first
from stenograde.dicom.read.frames import single_frame
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.series import gather, gather_unplaced, n_frames, possible_roles
from stenograde.errors import UnreadableInstanceError
from stenograde.study import Series
from stenograde.terms import Role


def lost_series(damaged: Mapping[Instance, str]) -> list[Lost]:
    """Return the series whose files cannot be used, though their headers tell what they were.

    Parameters
    ----------
    damaged : mapping
        Instance without usable pixels or place to the reason.
    """
    by_uid: dict[str, list[Instance]] = {}
    for instance in damaged:
        by_uid.setdefault(instance.series_uid, []).append(instance)
    lost = []
    for uid, instances in sorted(by_uid.items()):
        frames = []
        for instance in instances:
            try:
                frames.append(single_frame(instance))
            except UnreadableInstanceError:
                continue
        facts = gather(uid, frames) if frames else gather_unplaced(uid, instances)
        per_file = max(map(n_frames, instances))
        if frames and per_file > 1:
            facts = replace(facts, n_slices=tuple(per_file * n for n in facts.n_slices))
        why = f"{len(instances)} of its files cannot be read: {_commonest(damaged[one] for one in instances)}"
        lost.append(Lost(f"series {uid}", facts, why))
    return lost


def roles_lost(lost: Iterable[Lost], series: Sequence[Series]) -> tuple[tuple[Role, str], ...]:
    """Return the roles that no series has though one was there that could not be read, with the reason.

    A sagittal series whose header does not tell its weighting counts as what the study lacks, T2 first.
    """
    has = {one.role for one in series}
    found: dict[Role, str] = {}
    for one in lost:
        if sum(one.facts.n_slices) < MIN_SLICES:
            continue
        role = next((role for role in possible_roles(one.facts) if role not in has), None)
        if role is not None:
            found.setdefault(role, f"{one.what} could not be used: {one.why}")
    return tuple((role, found[role]) for role in Role if role in found)


def warnings_of(
    chosen: Sequence[tuple[Series, Sequence[Finding]]],
    lost: Iterable[Lost],
    roles: Sequence[tuple[Role, str]],
    unread: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return what a reader must know, the worst first.

    Parameters
    ----------
    chosen : sequence of tuple
        Each series with what was found of it.
    lost : iterable of Lost
        Series that could not be used.
    roles : sequence of tuple
        Of :func:`roles_lost`.
    unread : sequence of str
        Why files could not be read at all, so that it is not known what they held.
    """
    said = [f"there is no {role.shown} to grade from: {why}" for role, why in roles]
    roles_of = {series.uid: series.role for series, _ in chosen if series.role is not None}
    found = []
    for one in lost:
        text = f"{one.what} could not be used: {one.why}"
        role = roles_of.get(one.facts.uid)
        if any(text in already for already in said) or not possible_roles(one.facts):
            continue
        found.append(Finding(Weight.LOSS, text if role is None else f"{role.shown}: {one.why}"))
    if unread and not any(unread_text(unread) in already for already in said):
        found.append(Finding(Weight.LOSS, unread_text(unread)))
    for series, findings in chosen:
        if series.role is not None:
            found += [
                Finding(one.weight, f"{series.role.shown}: {one.text}")
                for one in findings
                if one.weight < Weight.NOTE
            ]
    return (*said, *(one.text for one in worst_first(found)))


def unread_text(unread: Sequence[str]) -> str:
    """Say how many files could not be read at all, and mostly why."""
    files = "DICOM file" if len(unread) == 1 else "DICOM files"
    return f"{len(unread)} {files} cannot be read: {_commonest(unread)}"


def _commonest(reasons: Iterable[str]) -> str:
    return min(Counter(reasons).most_common(), key=lambda pair: (-pair[1], pair[0]))[0]
