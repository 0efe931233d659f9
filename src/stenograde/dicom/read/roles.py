"""Chooses one series for each role, by coverage and resolution, and says of each why it was chosen or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stenograde import geometry
from stenograde.dicom.read.series import MIN_SLICES, ROLE_OF, SeriesFacts, Verdict
from stenograde.study import Series, Volume
from stenograde.terms import BodyPart, Plane, Role, Weighting

SIMILAR_COVERAGE: Final = 0.9
"""Share of the widest coverage from which candidates count as equal, so that resolution decides."""

ADDED_COVERAGE_MM: Final = 20.0
"""Coverage that a further axial series must add to be used beside the first, mm; half a level."""

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
    is_enhanced: bool
    body_parts: tuple[BodyPart, ...]
    problems: tuple[str, ...]

    @property
    def n_slices(self) -> int:
        """Number of slices over all volumes."""
        return sum(volume.shape[0] for volume in self.volumes)

    @property
    def stretches_mm(self) -> tuple[tuple[float, float], ...]:
        """Stretches that the slices cover across their plane: head to feet for axial ones, mm."""
        axis = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL).index(self.verdict.plane)
        return tuple(_stretch(volume, axis) for volume in self.volumes)

    @property
    def coverage_mm(self) -> float:
        """Length of :attr:`stretches_mm`, overlaps counted once, mm."""
        return _union_mm(self.stretches_mm)

    @property
    def voxel_mm3(self) -> float:
        """Size of a voxel of the largest volume, mm³."""
        largest = max(self.volumes, key=lambda volume: volume.shape[0])
        return float(np.prod(largest.spacing_mm))


def choose_roles(candidates: Sequence[Candidate]) -> tuple[Series, ...]:
    """Give each role to the series that serves it best.

    A role that an override gives is chosen by the override alone. A further axial series that covers more
    than 20 mm which the chosen one does not has the role, too.

    Returns
    -------
    series : tuple of Series
        All candidates; those with a role first, in the order of :class:`Role`, the best of a role first.
    """
    chosen: dict[int, tuple[Role, str]] = {}
    passed_over: dict[int, str] = {}
    for role in Role:
        overridden = [place for place, one in enumerate(candidates) if one.override is role]
        if overridden:
            overridden.sort(key=lambda place: -candidates[place].coverage_mm)
            for place in overridden:
                chosen[place] = role, "by override"
            _pass_over(candidates, role, f"{role.shown} is given to another series by override", passed_over)
            continue
        ranked = _ranked([(place, one) for place, one in enumerate(candidates) if _role_of(one) is role])
        for order, place in enumerate(ranked):
            best = candidates[ranked[0]]
            if order == 0:
                chosen[place] = role, _why_first(candidates, ranked)
            elif (
                added := _added_mm(candidates, chosen, role, place)
            ) >= ADDED_COVERAGE_MM and role is Role.AXIAL_T2:
                chosen[place] = role, f"covers {added:.0f} mm beside series {best.uid}"
            else:
                passed_over[place] = (
                    f"{role.shown} is series {best.uid}: {_why_better(best, candidates[place])}"
                )
    order_of = {role: order for order, role in enumerate(Role)}
    places = sorted(chosen, key=lambda place: (order_of[chosen[place][0]], list(chosen).index(place)))
    series = [_series(candidates[place], *chosen[place]) for place in places]
    rest = [
        _series(one, None, passed_over.get(place, _why_none(one)))
        for place, one in enumerate(candidates)
        if place not in chosen
    ]
    return (*series, *rest)


def _role_of(candidate: Candidate) -> Role | None:
    verdict = candidate.verdict
    if candidate.override is not None or verdict.weighting is None or candidate.n_slices < MIN_SLICES:
        return None
    return ROLE_OF.get((verdict.plane, verdict.weighting))


def _pass_over(candidates: Sequence[Candidate], role: Role, why: str, passed_over: dict[int, str]) -> None:
    for place, one in enumerate(candidates):
        if _role_of(one) is role:
            passed_over[place] = why


def _preference(candidate: Candidate) -> tuple[int, int, int]:
    """Rank by what comes before coverage: region, plain T2 before STIR, no contrast agent; least is best."""
    other_region = bool(candidate.body_parts) and _LUMBAR.isdisjoint(candidate.body_parts)
    return int(other_region), int(candidate.verdict.weighting is Weighting.STIR), int(candidate.is_enhanced)


def _ranked(candidates: list[tuple[int, Candidate]]) -> list[int]:
    """Places of candidates, best first."""
    ranked: list[int] = []
    left = list(candidates)
    while left:
        preferred = min(_preference(one) for _, one in left)
        pool = [(place, one) for place, one in left if _preference(one) == preferred]
        widest = max(one.coverage_mm for _, one in pool)
        similar = [(place, one) for place, one in pool if one.coverage_mm >= SIMILAR_COVERAGE * widest]
        place, best = min(similar, key=lambda pair: (pair[1].voxel_mm3, -pair[1].coverage_mm))
        ranked.append(place)
        left = [pair for pair in left if pair[1] is not best]
    return ranked


def _why_first(candidates: Sequence[Candidate], ranked: list[int]) -> str:
    if len(ranked) == 1:
        return "the only candidate"
    return f"best of {len(ranked)}: {_why_better(candidates[ranked[0]], candidates[ranked[1]])}"


def _why_better(best: Candidate, other: Candidate) -> str:
    names = ("it is of the lumbar region", "it is T2, not STIR", "it is without contrast agent")
    for name, ours, theirs in zip(names, _preference(best), _preference(other), strict=True):
        if ours < theirs:
            return name
    if other.coverage_mm < SIMILAR_COVERAGE * best.coverage_mm:
        return f"it covers {best.coverage_mm:.0f} mm, against {other.coverage_mm:.0f} mm"
    if best.voxel_mm3 < other.voxel_mm3:
        return f"its voxels are {best.voxel_mm3:.2f} mm³, against {other.voxel_mm3:.2f} mm³"
    return "it is the same kind, and came first"


def _why_none(candidate: Candidate) -> str:
    verdict = candidate.verdict
    if verdict.weighting is None:
        return "not used: its weighting is not known"
    if candidate.n_slices < MIN_SLICES:
        return f"not used: {candidate.n_slices} slices, fewer than {MIN_SLICES}"
    return f"not used: {verdict.plane} {verdict.weighting} has no role"


def _added_mm(
    candidates: Sequence[Candidate], chosen: dict[int, tuple[Role, str]], role: Role, place: int
) -> float:
    """Coverage that a candidate adds to those already chosen for a role, mm."""
    there = [stretch for one in chosen if chosen[one][0] is role for stretch in candidates[one].stretches_mm]
    if _preference(candidates[place])[0] > 0:
        return 0.0
    return _union_mm([*there, *candidates[place].stretches_mm]) - _union_mm(there)


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
        problems=candidate.problems,
        body_parts=candidate.body_parts,
    )


def _stretch(volume: Volume, axis: int) -> tuple[float, float]:
    """Where the centres of a volume's slices lie along a patient axis, and half a gap beyond, mm."""
    n, rows, columns = volume.shape
    centres = geometry.to_patient(
        volume.affine,
        [[-0.5, (rows - 1) / 2, (columns - 1) / 2], [n - 0.5, (rows - 1) / 2, (columns - 1) / 2]],
    )[:, axis]
    return float(centres.min()), float(centres.max())


def _union_mm(stretches: Sequence[tuple[float, float]]) -> float:
    total, end = 0.0, -np.inf
    for low, high in sorted(stretches):
        total += max(high - max(low, end), 0.0)
        end = max(end, high)
    return float(total)
