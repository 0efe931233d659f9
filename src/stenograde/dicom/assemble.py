"""Turns the instances of one series into candidates for a role: screened, told apart, stacked, classified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stenograde.dicom.frames import Frame, frames_of
from stenograde.dicom.instances import Instance
from stenograde.dicom.repeats import Part, separate
from stenograde.dicom.roles import Candidate
from stenograde.dicom.screening import reason_by_image_type, tolerated
from stenograde.dicom.series import (
    NotUsed,
    SeriesFacts,
    Verdict,
    classify,
    contradiction,
    gather,
    is_enhanced,
    needs_picture,
    plane_of,
    role_override,
)
from stenograde.dicom.volumes import Stacked, stack
from stenograde.errors import IrregularSlicesError, UnreadableInstanceError
from stenograde.images.contrast import FluidSignal, fluid_signal
from stenograde.study import Unused
from stenograde.terms import Role, Weighting

MAX_LOOKED_AT = 5
"""Slices that are decoded to judge the brightness of fluid where the header is silent."""


@dataclass(frozen=True, eq=False)
class Assembled:
    """What one series gave."""

    candidates: tuple[Candidate, ...]
    unused: tuple[Unused, ...]


def assemble_series(uid: str, instances: Sequence[Instance], roles: Mapping[str, Role]) -> Assembled:
    """Make candidates of one series; one per contrast that the series holds."""
    frames: list[Frame] = []
    unused: list[Unused] = []
    for instance in instances:
        try:
            found = frames_of(instance)
        except UnreadableInstanceError as exc:
            unused.append(Unused(instance.file.name, str(exc)))
            continue
        for frame in found:
            reason = reason_by_image_type(instance, frame.contrast.image_type)
            if reason:
                unused.append(Unused(f"{instance.file.name} frame {frame.index + 1}", reason))
            else:
                frames.append(frame)
    override = role_override(roles, uid, frozenset(instance.file.folder for instance in instances))
    problems = _counted(note for frame in frames if frame.index == 0 for note in tolerated(frame.instance))
    candidates = []
    parts = separate(frames) if frames else []
    if len(parts) > 1:
        names = "; ".join(part.name for part in parts)
        problems.append(f"slices repeat in place and are told apart as {len(parts)} parts: {names}")
    for part in parts:
        candidate = _candidate(uid, part, override, problems)
        if isinstance(candidate, Candidate):
            candidates.append(candidate)
        else:
            unused.append(candidate)
    return Assembled(tuple(candidates), tuple(unused))


def _candidate(uid: str, part: Part, override: Role | None, problems: Sequence[str]) -> Candidate | Unused:
    what = f"series {uid}" + (f" ({part.name})" if part.name else "")
    facts = gather(uid, part.frames)
    verdict = classify(facts) if override is None else _override_verdict(facts, override)
    if isinstance(verdict, NotUsed):
        return Unused(what, f"{verdict.why} ({len(part.frames)} slices)")
    try:
        stacked = stack(part.frames)
    except IrregularSlicesError as exc:
        return Unused(what, str(exc))
    found = [*problems, *stacked.problems]
    if override is None and needs_picture(facts):
        try:
            facts = replace(facts, fluid=look(stacked))
        except UnreadableInstanceError as exc:
            return Unused(what, str(exc))
        verdict = classify(facts)
        assert isinstance(verdict, Verdict)  # the picture decides the weighting only
    if override is None and (doubt := contradiction(facts, verdict)):
        found.append(doubt)
    return Candidate(
        uid=uid,
        facts=facts,
        verdict=verdict,
        part=part.name,
        volumes=stacked.volumes,
        override=override,
        is_enhanced=is_enhanced(facts),
        body_part=part.frames[0].instance.text("BodyPartExamined"),
        problems=tuple(found),
    )


def look(stacked: Stacked) -> FluidSignal:
    """Judge the brightness of fluid from a few slices in the middle of the largest volumes.

    Raises
    ------
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    largest = sorted(stacked.volumes, key=lambda volume: -volume.shape[0])[:MAX_LOOKED_AT]
    per_volume = max(MAX_LOOKED_AT // len(largest), 1)
    pictures = []
    for volume in largest:
        n, middle = min(per_volume, volume.shape[0]), volume.shape[0] // 2
        pictures += list(volume.slices(range(middle - n // 2, middle - n // 2 + n)))
    return fluid_signal(pictures)


def _counted(notes: Iterable[str]) -> list[str]:
    """Each note once, with how many slices it holds for."""
    return [note if n == 1 else f"{note} ({n} files)" for note, n in Counter(notes).items()]


def _override_verdict(facts: SeriesFacts, override: Role) -> Verdict:
    """Verdict where an override decides: geometry and times as they are, else what the role implies."""
    found = classify(facts)
    if isinstance(found, Verdict) and not needs_picture(facts):
        return found
    weighting = Weighting.T1 if override is Role.SAGITTAL_T1 else Weighting.T2
    plane = plane_of(facts)
    return Verdict(plane, weighting, f"{plane} by geometry; {weighting} by override")
