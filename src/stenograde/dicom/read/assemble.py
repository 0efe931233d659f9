"""Turns the instances of one series into candidates for a role: screened, told apart, stacked, classified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stenograde.dicom.read.body_part import parts_of_series
from stenograde.dicom.read.frames import Frame
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.looking import look_at_axial, look_at_sagittal
from stenograde.dicom.read.opening import frames_of
from stenograde.dicom.read.repeats import Subseries, separate
from stenograde.dicom.read.roles import Candidate
from stenograde.dicom.read.screening import reason_by_image_type, tolerated
from stenograde.dicom.read.series import (
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
from stenograde.dicom.read.volumes import stack
from stenograde.errors import IrregularSlicesError, UnreadableInstanceError
from stenograde.terms import Plane, Role, Unused, Weighting


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
    folders = frozenset(instance.file.folder for instance in instances) if roles else frozenset()
    override = role_override(roles, uid, folders)
    problems = _counted(note for frame in frames if frame.index == 0 for note in tolerated(frame.instance))
    candidates = []
    separated = separate(frames) if frames else []
    if len(separated) > 1:
        names = "; ".join(subseries.name for subseries in separated)
        problems.append(f"slices repeat in place and are told apart as {len(separated)} parts: {names}")
    for subseries in separated:
        candidate = _candidate(uid, subseries, override, problems)
        if isinstance(candidate, Candidate):
            candidates.append(candidate)
        else:
            unused.append(candidate)
    return Assembled(tuple(candidates), tuple(unused))


def _candidate(
    uid: str, subseries: Subseries, override: Role | None, problems: Sequence[str]
) -> Candidate | Unused:
    what = f"series {uid}" + (f" ({subseries.name})" if subseries.name else "")
    facts = gather(uid, subseries.frames)
    verdict = classify(facts) if override is None else _override_verdict(facts, override)
    if isinstance(verdict, NotUsed):
        return Unused(what, f"{verdict.why} ({len(subseries.frames)} slices)")
    try:
        stacked = stack(subseries.frames)
    except IrregularSlicesError as exc:
        return Unused(what, str(exc))
    candidate = Candidate(
        uid=uid,
        facts=facts,
        verdict=verdict,
        subseries=subseries.name,
        volumes=stacked.volumes,
        override=override,
        is_enhanced=is_enhanced(facts),
        body_parts=parts_of_series(subseries.frames[0].instance),
        problems=(*problems, *stacked.problems),
    )
    if override is not None:
        return candidate
    if verdict.plane is Plane.SAGITTAL and needs_picture(facts):
        try:
            facts = replace(facts, fluid=look_at_sagittal(stacked.volumes))
        except UnreadableInstanceError as exc:
            return Unused(what, str(exc))
    return _judged(candidate, facts)


def settle_axial(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Judge axial candidates whose header is silent by sagittal ones whose weighting is known.

    Raises
    ------
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    sagittal = [one for one in candidates if one.verdict.plane is Plane.SAGITTAL]
    bright = [one for one in sagittal if one.verdict.weighting in {Weighting.T2, Weighting.STIR}]
    dark = [one for one in sagittal if one.verdict.weighting is Weighting.T1]
    if not bright or not dark:
        return list(candidates)
    references = [
        max((volume for one in ones for volume in one.volumes), key=lambda volume: volume.shape[0])
        for ones in (bright, dark)
    ]
    settled = []
    for one in candidates:
        if one.override is None and one.verdict.plane is Plane.AXIAL and needs_picture(one.facts):
            facts = replace(one.facts, fluid=look_at_axial(one.volumes, *references))
            settled.append(_judged(one, facts))
        else:
            settled.append(one)
    return settled


def _judged(candidate: Candidate, facts: SeriesFacts) -> Candidate:
    """Return the candidate with the verdict that its facts, the picture included, lead to."""
    verdict = classify(facts)
    assert isinstance(verdict, Verdict)  # the picture decides the weighting only
    doubt = contradiction(facts, verdict)
    problems = (*candidate.problems, doubt) if doubt else candidate.problems
    return replace(candidate, facts=facts, verdict=verdict, problems=problems)


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
