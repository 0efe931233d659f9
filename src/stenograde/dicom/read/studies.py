"""The door: reads a study from a folder, a zip, a DICOMDIR or a list of files.

What is read is a :class:`~stenograde.study.Study`; what is left out is listed in it with the reason, and what
was tolerated is said. No patient's name, number or birth date leaves this package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stenograde.dicom.read.acquisitions import MIN_SLICES
from stenograde.dicom.read.assemble import assemble, settle_axial
from stenograde.dicom.read.body_part import parts_of_study
from stenograde.dicom.read.candidates import join_stations
from stenograde.dicom.read.examination import examination_of
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.given_roles import check_matched
from stenograde.dicom.read.instances import Instance, walk_header
from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.read.roles import choose_roles
from stenograde.dicom.read.said import lost_series, roles_lost, unread_text, warnings_of
from stenograde.dicom.read.screening import damage_of, reason_to_leave_out
from stenograde.errors import NoStudyError, SeveralStudiesError, StudyError, UnreadableInstanceError
from stenograde.files import MEMORY_LIMIT_BYTES, shown_bytes
from stenograde.study import Series, Study
from stenograde.terms import Role, Unused

StudyPath = str | Path | Sequence[str | Path]


@dataclass
class _Pile:
    """What was found for one StudyInstanceUID."""

    instances: list[Instance] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    damaged: dict[Instance, str] = field(default_factory=dict)
    """What only the header of can be read, with the reason."""


@dataclass
class _Piles:
    """What was found at a path."""

    by_study: dict[str, _Pile] = field(default_factory=dict)
    strays: list[Unused] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Why files that begin as DICOM does could not be read at all, or belong to no study or series."""

    @property
    def usable(self) -> list[str]:
        """UIDs of the studies with slices."""
        return sorted(uid for uid, pile in self.by_study.items() if pile.instances)


def read_study(
    path: StudyPath,
    *,
    study_uid: str | None = None,
    roles: Mapping[str, Role] | None = None,
    roles_of_others: bool = False,
    memory_limit: int = MEMORY_LIMIT_BYTES,
) -> Study:
    """Read the one study that lies at a path.

    Headers are read now; pixels are decoded when a volume is asked for them (and of a series whose header
    tells no weighting, a few slices now).

    Parameters
    ----------
    path : path or sequence of paths
        A folder (nested, any file names), a zip, a DICOMDIR, or DICOM files.
    study_uid : str, optional
        StudyInstanceUID of the study to read, where there are several.
    roles : mapping, optional
        Role by series key (see :func:`stenograde.dicom.read.given_roles.read_roles`); always wins.
    roles_of_others : bool
        Whether roles may all be those of other studies: of a cohort, say.
    memory_limit : int
        Most bytes that an archive may unpack to, and that a study may take while it is graded.

    Raises
    ------
    NoStudyError
        If nothing usable is found, or an archive is damaged or too large.
    SeveralStudiesError
        If more than one study is found and none is chosen, or two patients share a StudyInstanceUID.
    ConfigError
        If a role is given twice, fits no plane, or names no series.
    StudyError
        If the study would take more memory than is allowed.
    """
    piles = _pile(find_files(path, limit_bytes=memory_limit))
    usable = piles.usable
    if study_uid is not None:
        if study_uid not in usable:
            known = ", ".join(sorted(usable)) or "none"
            msg = f"study must be one of those found ({known}), got {study_uid}"
            raise NoStudyError(msg)
    elif len(usable) > 1:
        msg = (
            f"one study must lie at {_shown(path)}, got {len(usable)}: {', '.join(sorted(usable))}; "
            "choose one with --study UID, or grade all with --all"
        )
        raise SeveralStudiesError(msg)
    elif not usable:
        raise NoStudyError(_nothing_usable(path, piles.by_study, piles.strays))
    chosen = study_uid or usable[0]
    others = [
        Unused(unused.what, f"of another study ({uid}): {unused.why}")
        for uid, pile in piles.by_study.items()
        if uid != chosen
        for unused in (*pile.unused, *(Unused(one.file.name, "not chosen") for one in pile.instances))
    ]
    study, matched = _study(chosen, piles, roles or {})
    if not roles_of_others:
        check_matched(roles or {}, [chosen], matched)
    return _within(replace(study, unused=(*piles.strays, *others, *study.unused)), memory_limit)


def read_studies(
    path: StudyPath, *, roles: Mapping[str, Role] | None = None, memory_limit: int = MEMORY_LIMIT_BYTES
) -> tuple[Study, ...]:
    """Read all studies that lie at a path, sorted by StudyInstanceUID; settings as for :func:`read_study`.

    Files that belong to no study are listed in each.

    Raises
    ------
    NoStudyError
        If nothing usable is found.
    SeveralStudiesError
        If two patients share a StudyInstanceUID.
    ConfigError
        If a role is given twice, fits no plane, or names no series.
    StudyError
        If a study would take more memory than is allowed.
    """
    piles = _pile(find_files(path, limit_bytes=memory_limit))
    if not piles.usable:
        raise NoStudyError(_nothing_usable(path, piles.by_study, piles.strays))
    found = [_study(uid, piles, roles or {}) for uid in piles.usable]
    check_matched(roles or {}, piles.usable, {key for _, matched in found for key in matched})
    return tuple(
        _within(replace(study, unused=(*piles.strays, *study.unused)), memory_limit) for study, _ in found
    )


def _within(study: Study, memory_limit: int) -> Study:
    """Return the study if there is room for it; its slices are not decoded yet."""
    if study.n_bytes > memory_limit:
        n_slices = sum(series.n_slices for series in study.series if series.role is not None)
        msg = (
            f"study must take at most {shown_bytes(memory_limit)} while it is graded, got "
            f"{shown_bytes(study.n_bytes)} for {n_slices} slices; raise --memory-limit if the study is sound"
        )
        raise StudyError(msg)
    return study


def _pile(files: Sequence[StudyFile]) -> _Piles:
    """Read all headers; pile them up by study, and list what belongs to none."""
    piles = _Piles()
    seen: dict[tuple[str, str, str], list[Instance]] = {}
    for file in files:
        try:
            instance = read_instance(file)
        except UnreadableInstanceError as exc:
            _pile_unreadable(file, str(exc), piles)
            continue
        uids = (instance.study_uid, instance.series_uid, instance.sop_instance_uid)
        reason = reason_to_leave_out(instance)
        if not all(uids[:2]):
            missing = f"has no {'Series' if uids[0] else 'Study'}InstanceUID"
            piles.strays.append(Unused(file.name, reason or missing))
            if not reason:
                piles.unread.append(missing)
            continue
        pile = piles.by_study.setdefault(instance.study_uid, _Pile())
        if not reason:
            reason = next((_duplicate(one) for one in seen.get(uids, []) if _is_same(instance, one)), "")
        if reason:
            pile.unused.append(Unused(file.name, reason))
            continue
        if damage := damage_of(instance):
            pile.unused.append(Unused(file.name, damage))
            pile.damaged[instance] = damage
            continue
        seen.setdefault(uids, []).append(instance)
        pile.instances.append(instance)
    return piles


def _pile_unreadable(file: StudyFile, reason: str, piles: _Piles) -> None:
    """List a file that cannot be used, with its study where the header tells it."""
    instance = walk_header(file)
    if instance is None or not instance.study_uid:
        piles.strays.append(Unused(file.name, reason))
        try:
            if file.head(132)[0][128:132] == b"DICM":
                piles.unread.append(reason)
        except UnreadableInstanceError:
            pass
        return
    pile = piles.by_study.setdefault(instance.study_uid, _Pile())
    pile.unused.append(Unused(file.name, reason))
    if not reason_to_leave_out(instance):
        pile.damaged[instance] = reason


def _is_same(instance: Instance, first: Instance) -> bool:
    try:
        return instance.file.whole() == first.file.whole()
    except UnreadableInstanceError:
        return False


def _duplicate(first: Instance) -> str:
    return f"duplicate of {first.file.name}"


def _study(uid: str, piles: _Piles, roles: Mapping[str, Role]) -> tuple[Study, set[str]]:
    """Make a study of its pile; also return the keys of roles that named a series of it."""
    pile = piles.by_study[uid]
    patients = {instance.text("PatientID") for instance in pile.instances} - {""}
    if len(patients) > 1:
        msg = (
            f"one study must be of one patient, got {len(patients)} under StudyInstanceUID {uid}; "
            "put each patient's files into a folder of its own"
        )
        raise SeveralStudiesError(msg)
    found = assemble(uid, pile.instances, roles)
    found.candidates, apart = join_stations(found.candidates)
    settle_axial(found)
    unused = [*pile.unused, *found.unused]
    if not found.candidates:
        raise NoStudyError(_nothing_usable(f"study {uid}", {}, [*piles.strays, *unused]))
    chosen = choose_roles(found.candidates)
    series = tuple(one for one, _ in chosen)
    read = set(map(_key, pile.instances)) - set(map(_key, found.damaged))
    damaged = {
        one: why
        for one, why in (pile.damaged | found.damaged).items()
        if _key(one) not in read  # (a sound copy stands for it)
    }
    lost = [*found.lost, *lost_series(damaged)]
    missing = roles_lost(lost, series)
    missing = _with_unread(missing, series, piles)
    said = warnings_of([(one, candidate.findings) for one, candidate in chosen], lost, missing, piles.unread)
    sagittal = (Role.SAGITTAL_T2_STIR, Role.SAGITTAL_T1)  # the levels are found in the first there is
    located = next((found for role in sagittal for one, found in chosen if one.role is role), None)
    doubts = (apart[id(located)],) if id(located) in apart else ()
    study = Study(
        uid,
        series,
        tuple(unused),
        (*said, *_warnings(pile.instances)),
        lost=missing,
        name_doubts=doubts,
        body_parts=parts_of_study(pile.instances),
        examination=examination_of(pile.instances),
    )
    return study, found.matched


def _key(instance: Instance) -> tuple[str, str]:
    return instance.series_uid, instance.sop_instance_uid


def _with_unread(
    missing: tuple[tuple[Role, str], ...], series: Sequence[Series], piles: _Piles
) -> tuple[tuple[Role, str], ...]:
    """Add the sagittal T2 where none is left and files were met that cannot be read, whatever they held."""
    role = Role.SAGITTAL_T2_STIR
    is_there = any(one.role is role for one in series) or any(one is role for one, _ in missing)
    if is_there or len(piles.unread) < MIN_SLICES or len(piles.usable) > 1:
        return missing
    return ((role, unread_text(piles.unread)), *missing)


def _warnings(instances: Sequence[Instance]) -> list[str]:
    by_series: dict[str, list[Instance]] = {}
    for instance in instances:
        by_series.setdefault(instance.series_uid, []).append(instance)
    of_series = ({one.sop_instance_uid for one in instances} for instances in by_series.values())
    uses = Counter(uid for uids in of_series for uid in sorted(uids))
    n_reused = sum(1 for n in uses.values() if n > 1)
    if not n_reused:
        return []
    return [
        f"{n_reused} SOPInstanceUIDs are used in several series; an instance is known by its series as well"
    ]


def _nothing_usable(path: StudyPath, piles: Mapping[str, _Pile], strays: Sequence[Unused]) -> str:
    """Say what was found instead of a study."""
    unused = [*strays, *(one for pile in piles.values() for one in pile.unused)]
    reasons = Counter(one.why.partition(" (")[0].partition(":")[0] for one in unused)
    found = ", ".join(f"{n} x {why}" for why, n in reasons.most_common(5))
    n = len(unused)
    return f"study must hold at least one MR series, got {n} files without any in {_shown(path)}: {found}"


def _shown(path: StudyPath) -> str:
    return str(path) if isinstance(path, str | Path) else f"the {len(path)} files given"
