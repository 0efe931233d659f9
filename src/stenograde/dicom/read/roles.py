"""Chooses one series for each role by contrast, then coverage, then resolution; says of each why it was or was not.

The ranks stand in a table in ``docs/conformance.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stenograde.dicom.read.acquisitions import MIN_SLICES
from stenograde.dicom.read.coverage import SIMILAR_COVERAGE, Coverage, coverages, extended_mm, stretches_mm
from stenograde.dicom.read.findings import Finding, worst_first
from stenograde.dicom.read.kinds import Phase
from stenograde.dicom.read.series import ROLE_OF, SeriesFacts, Verdict
from stenograde.study import Series, Volume
from stenograde.terms import BodyPart, Plane, Role, Weighting

ADDED_COVERAGE_MM: Final = 20.0
"""Coverage that a further axial series must add to be used beside the first, mm; half a level."""

COARSER: Final = 4.0
"""A further axial series whose voxels are so many times larger is no addition to slices through discs."""

SHEET_GAP_MM: Final = 5.5
"""Distance of axial slices from which they are a survey of the trunk beside slices through discs, mm."""

SHEET_PIXEL_MM: Final = 1.1
"""Pixel size from which axial slices are, mm."""

_LUMBAR: Final = frozenset({BodyPart.LUMBAR_SPINE, BodyPart.WHOLE_SPINE})


@dataclass(frozen=True, eq=False)
class Candidate:
    """One series (or one contrast of it) with all that its role depends on."""

    uid: str
    facts: SeriesFacts
    verdict: Verdict
    subseries: str
    """What tells it from others of the same series; empty when it is the whole."""
    volumes: tuple[Volume, ...]
    override: Role | None
    body_parts: tuple[BodyPart, ...]
    findings: tuple[Finding, ...]
    order: tuple[float, ...]
    """Numbers of series, time and acquisition, by which the later of two that are alike is known."""

    @property
    def n_slices(self) -> int:
        """Number of slices over all volumes."""
        return sum(volume.shape[0] for volume in self.volumes)

    @property
    def largest(self) -> Volume:
        """The volume of the most slices."""
        return max(self.volumes, key=lambda volume: volume.shape[0])

    @property
    def voxel_mm3(self) -> float:
        """Size of a voxel of the largest volume, mm³."""
        return float(np.prod(self.largest.spacing_mm))


def choose_roles(candidates: Sequence[Candidate]) -> tuple[tuple[Series, Candidate], ...]:
    """Give each role to the series that serves it best.

    A role that an override gives is chosen by the override alone. A further axial series that covers more
    than 20 mm which the chosen one does not has the role, too, unless it is a survey of the trunk.

    Returns
    -------
    series : tuple of tuple
        All candidates, as series and as they came; those with a role first, in the order of :class:`Role`, the
        best of a role first.
    """
    candidates = sorted(candidates, key=lambda one: (one.uid, one.subseries))
    axial = [one for one in candidates if one.verdict.plane is Plane.AXIAL and not _is_sheet(one)]
    chosen: dict[int, tuple[Role, str]] = {}
    passed_over: dict[int, str] = {}
    for role in Role:
        rivals = [place for place, one in enumerate(candidates) if _role_of(one) is role]
        overridden = [place for place, one in enumerate(candidates) if one.override is role]
        if overridden:
            cover = dict(
                zip(overridden, coverages(role, [candidates[p] for p in overridden], axial), strict=True)
            )
            chosen |= dict.fromkeys(_ranked(candidates, cover), (role, "by override"))
            why = f"{role.shown} is given to another series by override"
            passed_over |= dict.fromkeys(rivals, why)
            continue
        if rivals:
            cover = dict(zip(rivals, coverages(role, [candidates[p] for p in rivals], axial), strict=True))
            _choose(candidates, role, cover, chosen, passed_over)
    order_of = {role: order for order, role in enumerate(Role)}
    places = sorted(chosen, key=lambda place: (order_of[chosen[place][0]], list(chosen).index(place)))
    series = [(_series(candidates[place], *chosen[place]), candidates[place]) for place in places]
    rest = [
        (_series(one, None, passed_over.get(place, _why_none(one))), one)
        for place, one in enumerate(candidates)
        if place not in chosen
    ]
    return (*series, *rest)


def _choose(
    candidates: Sequence[Candidate],
    role: Role,
    cover: Mapping[int, Coverage],
    chosen: dict[int, tuple[Role, str]],
    passed_over: dict[int, str],
) -> None:
    """Give a role to the best of the candidates that are covered here; say of each why or why not."""
    ranking = _ranked(candidates, cover)
    first = ranking[0]
    best = candidates[first]
    why = "the only candidate"
    if len(ranking) > 1:
        why = f"best of {len(ranking)}: {_why_better(candidates, cover, (first, ranking[1]))}"
    chosen[first] = role, why
    served = [first]
    for place in ranking[1:]:
        added = _added_mm(candidates, served, place) if role is Role.AXIAL_T2 else 0.0
        if added >= ADDED_COVERAGE_MM:
            chosen[place] = role, f"covers {added:.0f} mm beside series {best.uid}"
            served.append(place)
        else:
            why = _why_better(candidates, cover, (first, place))
            passed_over[place] = f"{role.shown} is series {best.uid}: {why}"


def _role_of(candidate: Candidate) -> Role | None:
    verdict = candidate.verdict
    if candidate.override is not None or verdict.weighting is None or candidate.n_slices < MIN_SLICES:
        return None
    return ROLE_OF.get((verdict.plane, verdict.weighting))


@dataclass(frozen=True, order=True)
class _Preference:
    """What comes before coverage; the least is the best."""

    is_of_other_region: bool
    is_sheet: bool
    contrast: int
    has_agent: bool


def _preference(candidate: Candidate) -> _Preference:
    other_region = bool(candidate.body_parts) and _LUMBAR.isdisjoint(candidate.body_parts)
    contrast, _ = _contrast(candidate)
    return _Preference(other_region, _is_sheet(candidate), contrast, candidate.facts.kind.has_agent)


def _contrast(candidate: Candidate) -> tuple[int, str]:
    """Rank of a contrast among those that serve one role, and its name."""
    kind, weighting = candidate.facts.kind, candidate.verdict.weighting
    if kind.phase is Phase.OPPOSED:
        return 4, f"{weighting} in opposed phase"
    if weighting is Weighting.STIR:
        return 2, "STIR"
    if kind.is_fat_suppressed:
        return 3, f"fat-suppressed {weighting}"
    if kind.phase is Phase.IN_PHASE:
        return 1, f"{weighting} in phase"
    return 0, f"{weighting}"


def _is_sheet(candidate: Candidate) -> bool:
    """Whether a series is a localizer or survey rather than slices through discs."""
    if candidate.verdict.plane is not Plane.AXIAL:
        return candidate.facts.kind.is_sheet
    gap, *pixel = candidate.largest.spacing_mm
    coarse = max(pixel) >= SHEET_PIXEL_MM or (gap >= SHEET_GAP_MM and max(pixel) >= 0.8 * SHEET_PIXEL_MM)
    return coarse or candidate.facts.kind.is_sheet


def _ranked(candidates: Sequence[Candidate], cover: Mapping[int, Coverage]) -> list[int]:
    """Places of candidates, best first."""
    left, ranked = list(cover), []
    while left:
        first = min(_preference(candidates[place]) for place in left)
        pool = [place for place in left if _preference(candidates[place]) == first]
        most = max(cover[place].discs_mm for place in pool)
        pool = [place for place in pool if cover[place].discs_mm >= SIMILAR_COVERAGE * most]
        widest = max(cover[place].width_mm for place in pool)
        pool = [place for place in pool if cover[place].width_mm >= SIMILAR_COVERAGE * widest]
        finest = min(candidates[place].voxel_mm3 for place in pool)
        pool = [place for place in pool if candidates[place].voxel_mm3 <= finest * 1.0001]
        ranked.append(max(pool, key=lambda place: candidates[place].order))
        left.remove(ranked[-1])
    return ranked


def _why_better(
    candidates: Sequence[Candidate], cover: Mapping[int, Coverage], places: tuple[int, int]
) -> str:
    """Say what speaks for the first of two candidates."""
    best, other = (candidates[place] for place in places)
    ours, theirs = _preference(best), _preference(other)
    if ours.is_of_other_region != theirs.is_of_other_region:
        return "it is of the lumbar region"
    if ours.is_sheet != theirs.is_sheet:
        return "it is of slices through discs, not a survey"
    if ours.contrast != theirs.contrast:
        return f"it is {_contrast(best)[1]}, not {_contrast(other)[1]}"
    if ours.has_agent != theirs.has_agent:
        return "it is without contrast agent"
    covered, against = (cover[place] for place in places)
    if against.discs_mm < SIMILAR_COVERAGE * covered.discs_mm:
        of = "" if best.verdict.plane is Plane.AXIAL else " of where the lumbar discs lie"
        return f"it covers {covered.discs_mm:.0f} mm{of}, against {against.discs_mm:.0f} mm"
    if against.width_mm < SIMILAR_COVERAGE * covered.width_mm:
        return f"it covers {covered.width_mm:.0f} mm, against {against.width_mm:.0f} mm"
    if best.voxel_mm3 < other.voxel_mm3:
        return f"its voxels are {best.voxel_mm3:.2f} mm³, against {other.voxel_mm3:.2f} mm³"
    return "it is the same kind, and was acquired last" if best.order > other.order else "it is the same kind"


def _why_none(candidate: Candidate) -> str:
    verdict = candidate.verdict
    if verdict.weighting is None:
        return "not used: its weighting is not known"
    if candidate.n_slices < MIN_SLICES:
        return f"not used: {candidate.n_slices} slices, fewer than {MIN_SLICES}"
    return f"not used: {verdict.plane} {verdict.weighting} has no role"


def _added_mm(candidates: Sequence[Candidate], chosen: Sequence[int], place: int) -> float:
    """Coverage that an axial candidate adds to those already chosen, mm."""
    preference = _preference(candidates[place])
    finest = min(candidates[one].voxel_mm3 for one in chosen)
    is_coarse = candidates[place].voxel_mm3 > COARSER * finest
    if preference.is_of_other_region or preference.is_sheet or is_coarse:
        return 0.0
    there = [stretch for one in chosen for stretch in stretches_mm(candidates[one].volumes, Plane.AXIAL)]
    return extended_mm(there, stretches_mm(candidates[place].volumes, Plane.AXIAL))


def _series(candidate: Candidate, role: Role | None, why: str) -> Series:
    verdict = candidate.verdict
    description = candidate.facts.description
    return Series(
        uid=candidate.uid,
        plane=verdict.plane,
        weighting=verdict.weighting,
        role=role,
        why=f"{verdict.why}; {why}",
        volumes=candidate.volumes,
        description=f"{description} ({candidate.subseries})".strip() if candidate.subseries else description,
        problems=tuple(finding.text for finding in worst_first(candidate.findings)),
        body_parts=candidate.body_parts,
    )
