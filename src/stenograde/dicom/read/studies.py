"""The door: reads a study from a folder, a zip, a DICOMDIR or a list of files.

What is read is a :class:`~stenograde.study.Study`; what is left out is listed in it with the reason, and what
was tolerated is said. No patient's name, number or birth date leaves this package.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stenograde.dicom.read.assemble import assemble_series, settle_axial
from stenograde.dicom.read.examination import examination_of
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.read.roles import Candidate, choose_roles
from stenograde.dicom.read.screening import reason_to_leave_out
from stenograde.errors import NoStudyError, SeveralStudiesError, UnreadableInstanceError
from stenograde.study import Study
from stenograde.terms import Role, Unused

StudyPath = str | Path | Sequence[str | Path]


@dataclass
class _Pile:
    """What was found for one StudyInstanceUID."""

    instances: list[Instance] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)


def read_study(
    path: StudyPath, *, study_uid: str | None = None, roles: Mapping[str, Role] | None = None
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
        Role by series key (see :func:`stenograde.dicom.read.series.read_roles`); always wins.

    Raises
    ------
    NoStudyError
        If nothing usable is found.
    SeveralStudiesError
        If more than one study is found and none is chosen, or two patients share a StudyInstanceUID.
    """
    piles, strays = _pile(find_files(path))
    usable = [uid for uid, pile in piles.items() if pile.instances]
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
        raise NoStudyError(_nothing_usable(path, piles, strays))
    chosen = study_uid or usable[0]
    others = [
        Unused(unused.what, f"of another study ({uid}): {unused.why}")
        for uid, pile in piles.items()
        if uid != chosen
        for unused in (*pile.unused, *(Unused(one.file.name, "not chosen") for one in pile.instances))
    ]
    return _study(chosen, piles[chosen], [*strays, *others], roles or {})


def read_studies(path: StudyPath, *, roles: Mapping[str, Role] | None = None) -> tuple[Study, ...]:
    """Read all studies that lie at a path, sorted by StudyInstanceUID.

    Files that belong to no study are listed in each.

    Raises
    ------
    NoStudyError
        If nothing usable is found.
    SeveralStudiesError
        If two patients share a StudyInstanceUID.
    """
    piles, strays = _pile(find_files(path))
    usable = sorted(uid for uid, pile in piles.items() if pile.instances)
    if not usable:
        raise NoStudyError(_nothing_usable(path, piles, strays))
    return tuple(_study(uid, piles[uid], strays, roles or {}) for uid in usable)


def _pile(files: Sequence[StudyFile]) -> tuple[dict[str, _Pile], list[Unused]]:
    """Read all headers; pile them up by study, and list what belongs to none."""
    piles: dict[str, _Pile] = {}
    strays: list[Unused] = []
    seen: dict[tuple[str, str, str], Instance] = {}
    for file in files:
        try:
            instance = read_instance(file)
        except UnreadableInstanceError as exc:
            strays.append(Unused(file.name, str(exc)))
            continue
        uids = (instance.study_uid, instance.series_uid, instance.sop_instance_uid)
        reason = reason_to_leave_out(instance)
        if not all(uids):
            missing = next(
                name for name, uid in zip(("Study", "Series", "SOP"), uids, strict=True) if not uid
            )
            strays.append(Unused(file.name, reason or f"has no {missing}InstanceUID"))
            continue
        pile = piles.setdefault(instance.study_uid, _Pile())
        if not reason and uids in seen:
            reason = _duplicate(instance, seen[uids])
        if reason:
            pile.unused.append(Unused(file.name, reason))
            continue
        seen[uids] = instance
        pile.instances.append(instance)
    return piles, strays


def _duplicate(instance: Instance, first: Instance) -> str:
    try:
        is_same = instance.file.whole() == first.file.whole()
    except UnreadableInstanceError:
        is_same = False
    if is_same:
        return f"duplicate of {first.file.name}"
    return f"duplicate: same SOPInstanceUID as {first.file.name}, but other content; the first is used"


def _study(uid: str, pile: _Pile, strays: Sequence[Unused], roles: Mapping[str, Role]) -> Study:
    patients = {instance.text("PatientID") for instance in pile.instances} - {""}
    if len(patients) > 1:
        msg = (
            f"one study must be of one patient, got {len(patients)} under StudyInstanceUID {uid}; "
            "put each patient's files into a folder of its own"
        )
        raise SeveralStudiesError(msg)
    by_series: dict[str, list[Instance]] = {}
    for instance in pile.instances:
        by_series.setdefault(instance.series_uid, []).append(instance)
    unused = [*strays, *pile.unused]
    candidates: list[Candidate] = []
    for series_uid, instances in by_series.items():
        found = assemble_series(series_uid, instances, roles)
        candidates += found.candidates
        unused += found.unused
    if not candidates:
        raise NoStudyError(_nothing_usable(f"study {uid}", {}, unused))
    return Study(
        uid,
        choose_roles(settle_axial(candidates)),
        tuple(unused),
        tuple(_warnings(by_series)),
        examination_of(pile.instances),
    )


def _warnings(by_series: Mapping[str, Sequence[Instance]]) -> list[str]:
    of_series = ({one.sop_instance_uid for one in instances} for instances in by_series.values())
    uses = Counter(uid for uids in of_series for uid in uids)
    n_reused = sum(1 for n in uses.values() if n > 1)
    if not n_reused:
        return []
    return [f"{n_reused} SOPInstanceUIDs are used in several series; instances are told apart by series, too"]


def _nothing_usable(path: StudyPath, piles: Mapping[str, _Pile], strays: Sequence[Unused]) -> str:
    """Say what was found instead of a study."""
    unused = [*strays, *(one for pile in piles.values() for one in pile.unused)]
    reasons = Counter(one.why.partition(" (")[0].partition(":")[0] for one in unused)
    found = ", ".join(f"{n} x {why}" for why, n in reasons.most_common(5))
    n = len(unused)
    return f"study must hold at least one MR series, got {n} files without any in {_shown(path)}: {found}"


def _shown(path: StudyPath) -> str:
    return str(path) if isinstance(path, str | Path) else f"the {len(path)} files given"
