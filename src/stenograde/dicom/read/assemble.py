"""Turns the instances of a study into candidates for a role: screened, gathered, told apart, stacked, classified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stenograde.dicom.read.acquisitions import (
    MIN_SLICES,
    Acquisition,
    file_of,
    gather_acquisitions,
    plane_of_frame,
    why_odd,
)
from stenograde.dicom.read.body_part import parts_of_series
from stenograde.dicom.read.findings import Finding, Weight
from stenograde.dicom.read.frames import Frame
from stenograde.dicom.read.given_roles import keys_of, role_of
from stenograde.dicom.read.grids import parallel_groups, stacks
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.looking import look_at_axial, look_at_sagittal
from stenograde.dicom.read.opening import frames_of
from stenograde.dicom.read.repeats import Subseries, separate
from stenograde.dicom.read.roles import Candidate
from stenograde.dicom.read.screening import reason_by_image_type, tolerated
from stenograde.dicom.read.series import (
    PLANE_OF,
    ROLE_OF,
    NotUsed,
    SeriesFacts,
    Verdict,
    classify,
    contradiction,
    gather,
    needs_picture,
    plane_of,
)
from stenograde.dicom.read.volumes import stack
from stenograde.errors import ConfigError, IrregularSlicesError, UnreadableInstanceError
from stenograde.terms import Plane, Role, Unused, Weighting

SIDE_BY_SIDE: Final = "slices form several stacks beside one another, each of which is taken by itself"
"""Found of stations and of repeats that lie beside each other."""


@dataclass(frozen=True)
class Lost:
    """A series that cannot be used, though it may have served."""

    what: str
    facts: SeriesFacts
    why: str


@dataclass(eq=False)
class Assembled:
    """What the instances of a study gave."""

    candidates: list[Candidate] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    damaged: dict[Instance, str] = field(default_factory=dict)
    """Instances of which it is not known where their slices lie, with the reason."""
    matched: set[str] = field(default_factory=set)
    """Keys of the table of roles that named a series."""
    misfits: dict[tuple[str, Role], Plane] = field(default_factory=dict)
    """Plane of slices under a UID whose given role is of another plane."""

    def lose(self, what: str, facts: SeriesFacts, why: str) -> None:
        """Note a series that cannot be used; it is listed with what is left out, too."""
        self.unused.append(Unused(what, why))
        self.lost.append(Lost(what, facts, why))


def assemble(study_uid: str, instances: Sequence[Instance], roles: Mapping[str, Role]) -> Assembled:
    """Make candidates of the instances of a study; one per contrast of each acquisition.

    Parameters
    ----------
    study_uid : str
    instances : sequence of Instance
        In any order.
    roles : mapping
        As :func:`stenograde.dicom.read.given_roles.read_roles` gives it.

    Raises
    ------
    ConfigError
        If a table of roles gives one series two roles, or a role of another plane.
    """
    found = Assembled()
    frames = _frames(instances, found)
    acquisitions, unused = gather_acquisitions(frames) if frames else ([], [])
    found.unused += unused
    weighted = {_place_and_times(frame) for frame in frames if frame.contrast.b_value}
    for acquisition in acquisitions:
        overrides = _overrides(study_uid, acquisition, roles, found.matched) if roles else set()
        if len(acquisition.frames) >= MIN_SLICES and len({frame.place for frame in acquisition.frames}) == 1:
            n, facts = len(acquisition.frames), gather(acquisition.uid, acquisition.frames)
            why = f"its {n} slices all state one ImagePositionPatient, so where they lie is not known"
            found.lose(f"series {acquisition.uid}", facts, why)
            continue
        parts, findings = _parts(acquisition, found.unused)
        for subseries in parts:
            beside = any(_place_and_times(frame) in weighted for frame in subseries.frames)
            facts = gather(acquisition.uid, subseries.frames, is_diffusion=beside)
            _add_candidate(found, subseries, facts, overrides, findings)
    _keep_overrides(found)
    return found


def _place_and_times(frame: Frame) -> Hashable:
    contrast = frame.contrast
    return frame.place, frame.matrix, contrast.echo_time_ms, contrast.repetition_time_ms


def _parts(acquisition: Acquisition, unused: list[Unused]) -> tuple[list[Subseries], list[Finding]]:
    """Take an acquisition apart into what holds each place once and is one stack; say what was found."""
    notes = (one for frame in acquisition.frames if frame.index == 0 for one in tolerated(frame.instance))
    findings = [*acquisition.findings, *_counted(notes)]
    separated, odd = separate(acquisition.frames), list[Subseries]()
    if len(separated) > 1:
        whole = max(separated, key=lambda subseries: len(subseries.frames)).frames
        odd = [subseries for subseries in separated if len(subseries.frames) < MIN_SLICES <= len(whole)]
        unused += [
            Unused(file_of(frame), why_odd(frame, whole)) for subseries in odd for frame in subseries.frames
        ]
        names = "; ".join(subseries.name for subseries in separated)
        text = f"slices repeat in place and are told apart as {len(separated)} parts: {names}"
        findings.append(Finding(Weight.GRID, text))
    parts = []
    for subseries in separated:
        if any(subseries is one for one in odd):
            continue
        found = _stacks_of(subseries)
        if len(found) > 1:
            findings.append(Finding(Weight.GRID, SIDE_BY_SIDE))
        parts += [
            Subseries(tuple(one), _named(acquisition.name, subseries.name, name)) for one, name in found
        ]
    return parts, findings


def _frames(instances: Iterable[Instance], found: Assembled) -> list[Frame]:
    """Return the slices of instances; what is none is listed."""
    frames = []
    for instance in instances:
        try:
            of_instance = frames_of(instance)
        except UnreadableInstanceError as exc:
            found.unused.append(Unused(instance.file.name, str(exc)))
            found.damaged[instance] = str(exc)
            continue
        for frame in of_instance:
            reason = reason_by_image_type(instance, frame.contrast.image_type)
            if reason:
                found.unused.append(Unused(f"{instance.file.name} frame {frame.index + 1}", reason))
            else:
                frames.append(frame)
    return frames


def _overrides(
    study_uid: str, acquisition: Acquisition, roles: Mapping[str, Role], matched: set[str]
) -> set[Role]:
    """Roles that a table gives to the series of an acquisition's slices."""
    found = set()
    folders: dict[str, set[str]] = {}
    for frame in acquisition.frames:
        folders.setdefault(frame.instance.series_uid, set()).add(frame.instance.file.folder)
    for uid, of_uid in folders.items():
        keys = [key for key in keys_of(study_uid, uid, of_uid) if key in roles]
        matched.update(keys)
        role = role_of(roles, keys)
        if role is not None:
            found.add(role)
    return found


def _stacks_of(subseries: Subseries) -> list[tuple[Sequence[Frame], str]]:
    """Take a sagittal subseries apart into stacks side by side: stations, or a repeat beside."""
    frames = subseries.frames
    groups = parallel_groups(frames)
    if plane_of_frame(frames[0]) is not Plane.SAGITTAL or len(groups) > 1:
        return [(frames, "")]
    found = stacks(frames)
    if len(found) == 1 or min(map(len, found)) < MIN_SLICES:
        return [(frames, "")]
    return [(one, f"stack {number}") for number, one in enumerate(found, start=1)]


def _add_candidate(
    found: Assembled,
    subseries: Subseries,
    facts: SeriesFacts,
    overrides: set[Role],
    findings: Sequence[Finding],
) -> None:
    what = f"series {facts.uid}" + (f" ({subseries.name})" if subseries.name else "")
    override = _override(facts, overrides)
    plane = plane_of(facts)
    if override is not None and plane is not PLANE_OF[override]:
        found.misfits[facts.uid, override] = plane
        override = None
    verdict = classify(facts) if override is None else _override_verdict(facts, override)
    if isinstance(verdict, NotUsed):
        found.unused.append(Unused(what, f"{verdict.why} ({len(subseries.frames)} slices)"))
        return
    try:
        stacked = stack(subseries.frames)
    except IrregularSlicesError as exc:
        found.lose(what, facts, str(exc))
        return
    found.unused += [
        Unused(
            frame.instance.file.name, f"lies off the grid of the {len(subseries.frames)} slices of its series"
        )
        for frame in stacked.odd
    ]
    candidate = Candidate(
        uid=facts.uid,
        facts=facts,
        verdict=verdict,
        subseries=subseries.name,
        volumes=stacked.volumes,
        override=override,
        body_parts=parts_of_series(subseries.frames[0].instance),
        findings=(*findings, *stacked.findings),
        order=_order(subseries.frames),
    )
    if override is not None:
        found.candidates.append(candidate)
        return
    if verdict.plane is Plane.SAGITTAL and needs_picture(facts):
        try:
            facts = replace(facts, fluid=look_at_sagittal(stacked.volumes))
        except UnreadableInstanceError as exc:
            found.lose(what, facts, str(exc))
            return
    found.candidates.append(_judged(candidate, facts))


def _order(frames: Sequence[Frame]) -> tuple[float, ...]:
    """When a subseries was acquired, as far as its header tells: the last of its slices counts."""
    instances = [frame.instance for frame in frames]
    series = max(one.number("SeriesNumber") or 0.0 for one in instances)
    time = max(one.number("AcquisitionTime") or 0.0 for one in instances)
    acquisition = max(one.number("AcquisitionNumber") or 0.0 for one in instances)
    return series, time, acquisition, float(max(frame.number for frame in frames))


def settle_axial(found: Assembled) -> None:
    """Judge axial candidates whose header is silent by sagittal ones whose weighting is known."""
    sagittal = [one for one in found.candidates if one.verdict.plane is Plane.SAGITTAL]
    bright = [one for one in sagittal if one.verdict.weighting in {Weighting.T2, Weighting.STIR}]
    dark = [one for one in sagittal if one.verdict.weighting is Weighting.T1]
    if not bright or not dark:
        return
    references = [
        max((volume for one in ones for volume in one.volumes), key=lambda volume: volume.shape[0])
        for ones in (bright, dark)
    ]
    settled = []
    for one in found.candidates:
        if one.override is None and one.verdict.plane is Plane.AXIAL and needs_picture(one.facts):
            try:
                facts = replace(one.facts, fluid=look_at_axial(one.volumes, *references))
            except UnreadableInstanceError as exc:
                found.lose(f"series {one.uid}", one.facts, str(exc))
                continue
            settled.append(_judged(one, facts))
        else:
            settled.append(one)
    found.candidates = settled


def _judged(candidate: Candidate, facts: SeriesFacts) -> Candidate:
    """Return the candidate with the verdict that its facts, the picture included, lead to."""
    verdict = classify(facts)
    assert isinstance(verdict, Verdict)  # the picture decides the weighting only
    doubt = contradiction(facts, verdict)
    findings = (*candidate.findings, Finding(Weight.GRID, doubt)) if doubt else candidate.findings
    return replace(candidate, facts=facts, verdict=verdict, findings=findings)


def _counted(findings: Iterable[Finding]) -> list[Finding]:
    """Each finding once, with how many files it holds for."""
    counts = Counter(findings)
    return [one if n == 1 else replace(one, text=f"{one.text} ({n} files)") for one, n in counts.items()]


def _override(facts: SeriesFacts, overrides: set[Role]) -> Role | None:
    """Return which of the roles given for a UID this contrast of it can have."""
    if len(overrides) < 2:
        return next(iter(overrides), None)
    found = classify(facts)
    role = (
        ROLE_OF.get((found.plane, found.weighting))
        if isinstance(found, Verdict) and found.weighting
        else None
    )
    return role if role in overrides else None


def _override_verdict(facts: SeriesFacts, override: Role) -> Verdict:
    """Verdict where an override decides: geometry and times as they are, else what the role implies."""
    found = classify(facts)
    if isinstance(found, Verdict) and not needs_picture(facts):
        return found
    plane = plane_of(facts)
    weighting = Weighting.T1 if override is Role.SAGITTAL_T1 else Weighting.T2
    return Verdict(plane, weighting, f"{plane} by geometry; {weighting} by override")


def _keep_overrides(found: Assembled) -> None:
    """Where one UID with an override holds several contrasts, leave it to those that fit the role, if any do.

    Raises
    ------
    ConfigError
        If a role is of another plane than all slices of its series.
    """
    given = {(one.uid, one.override) for one in found.candidates}
    for (uid, role), plane in found.misfits.items():
        if (uid, role) not in given:
            msg = (
                f"a role must fit the plane of its series, got {role.shown} for series {uid}, whose slices are "
                f"{plane}; mend the table of roles"
            )
            raise ConfigError(msg)
    for place, one in enumerate(found.candidates):
        if one.override is None:
            continue
        same = [
            other for other in found.candidates if other.uid == one.uid and other.override is one.override
        ]
        fitting = [other for other in same if _natural_role(other) is one.override]
        if fitting and not any(one is other for other in fitting):
            found.candidates[place] = _judged(replace(one, override=None), one.facts)


def _natural_role(candidate: Candidate) -> Role | None:
    found = classify(candidate.facts)
    if not isinstance(found, Verdict) or found.weighting is None:
        return None
    return ROLE_OF.get((found.plane, found.weighting))


def _named(*names: str) -> str:
    return ", ".join(filter(None, names))
