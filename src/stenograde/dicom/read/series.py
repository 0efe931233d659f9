"""Decides what a series is for: header facts are gathered once, one pure function turns them into a verdict.

Geometry decides the plane; echo, repetition and inversion time decide the weighting; where the header does
not tell, the picture does (fluid bright or dark); the description only breaks ties; an override always wins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from stenograde.dicom.read.frames import Contrast, Frame, contrast_of, in_order, normal_of
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.kinds import Kind, kind_of
from stenograde.images.contrast import FluidSignal
from stenograde.terms import Plane, Role, Weighting

T2_MIN_ECHO_TIME_MS: Final = 60.0
"""Echo time from which a spin echo is T2-weighted, ms. The 200 T2 series of SPIDER (10.5281/zenodo.10159290,
overview.csv) have 80 ms or more; its 155 T1 series at most 14 ms."""

SHORT_ECHO_TIME_MS: Final = 30.0
"""Echo time up to which a spin echo is not T2-weighted, ms (same source)."""

T1_MAX_REPETITION_TIME_MS: Final = 1200.0
"""Repetition time up to which a spin echo of short echo time is T1-weighted, ms. SPIDER's T1 series have at
most 743 ms; 1200 leaves room for 3 T."""

PD_MIN_REPETITION_TIME_MS: Final = 1800.0
"""Repetition time from which a spin echo of short echo time is weighted to proton density, ms."""

STIR_INVERSION_TIMES_MS: Final = (80.0, 300.0)
"""Inversion times that null fat at 0.5 to 3 T, ms."""

T1_INVERSION_TIMES_MS: Final = (400.0, 1400.0)
"""Inversion times of T1-weighted inversion recovery (T1 FLAIR), ms."""

ROLE_OF: Final = {
    (Plane.SAGITTAL, Weighting.T1): Role.SAGITTAL_T1,
    (Plane.SAGITTAL, Weighting.T2): Role.SAGITTAL_T2_STIR,
    (Plane.SAGITTAL, Weighting.STIR): Role.SAGITTAL_T2_STIR,
    (Plane.AXIAL, Weighting.T2): Role.AXIAL_T2,
}
"""What a series of a plane and weighting is used for."""

PLANE_OF: Final = {role: plane for (plane, _), role in ROLE_OF.items()}
"""Plane of the series that has a role."""

_PLANE_WORDS: Final = {
    Plane.SAGITTAL: re.compile(r"SAG", re.IGNORECASE),
    Plane.CORONAL: re.compile(r"(?<![A-Z])[CK]OR(?![A-Z])|[CK]ORONA", re.IGNORECASE),
    Plane.AXIAL: re.compile(
        r"(?<![A-Z])(?:AX|TRA)(?![A-Z])|(?<![A-Z])AXT\d|AXIAL|TRANSV|TRASTACK", re.IGNORECASE
    ),
}

_WORDS: Final = {
    Weighting.STIR: re.compile(r"STIR|TIRM|\bTIR\b", re.IGNORECASE),
    Weighting.PD: re.compile(r"(?<![A-Z])PDW?(?![A-Z])|PROTON", re.IGNORECASE),
    Weighting.T1: re.compile(r"(?<![A-Z0-9])T1(?!\d)", re.IGNORECASE),
    Weighting.T2: re.compile(r"(?<![A-Z0-9])T2(?!\d)", re.IGNORECASE),
}


@dataclass(frozen=True)
class SeriesFacts:
    """What the headers of one series (and one contrast of it) say, and where they are silent, the picture."""

    uid: str
    normals: tuple[tuple[float, float, float], ...]
    """Normal of each volume, their number of slices in :attr:`n_slices`; none where the header tells no plane."""
    n_slices: tuple[int, ...]
    description: str = ""
    """SeriesDescription, else ProtocolName, else SequenceName."""
    contrast: Contrast = field(default_factory=Contrast)
    is_diffusion: bool = False
    """Whether it lies beside diffusion-weighted images of one acquisition, as b = 0 does."""
    fluid: FluidSignal | None = None
    """Whether the picture shows fluid bright; None while nobody has looked."""

    @cached_property
    def kind(self) -> Kind:
        """What kind of image it is, beside plane and weighting."""
        return kind_of(self.contrast, self.description)


@dataclass(frozen=True)
class Verdict:
    """What a series shows."""

    plane: Plane
    weighting: Weighting | None
    why: str


@dataclass(frozen=True)
class NotUsed:
    """Why a series is left out."""

    why: str


def gather(
    uid: str, frames: Sequence[Frame], fluid: FluidSignal | None = None, *, is_diffusion: bool = False
) -> SeriesFacts:
    """Gather the facts of a series once, from the frames of one contrast of it."""
    frames = in_order(frames)
    middle = frames[len(frames) // 2]
    orientations: dict[tuple[float, ...], int] = {}
    for frame in frames:
        orientations[frame.orientation] = orientations.get(frame.orientation, 0) + 1
    return SeriesFacts(
        uid=uid,
        normals=tuple(map(normal_of, orientations)),
        n_slices=tuple(orientations.values()),
        description=_described(middle.instance),
        contrast=middle.contrast,
        is_diffusion=is_diffusion,
        fluid=fluid,
    )


def n_frames(instance: Instance) -> int:
    """Return how many slices an instance says to hold; one at least."""
    return max(1, int(instance.number("NumberOfFrames") or 1))


def gather_unplaced(uid: str, instances: Sequence[Instance]) -> SeriesFacts:
    """Gather what the headers of a series tell whose slices cannot be placed."""
    orientations: Counter[tuple[float, float, float]] = Counter()
    for instance in instances:
        cosines = instance.numbers("ImageOrientationPatient")
        try:
            orientations[normal_of(cosines)] += n_frames(instance)
        except ValueError:
            continue
    first = min(instances, key=lambda one: (one.number("InstanceNumber") or 0.0, one.sop_instance_uid))
    n_slices = sum(map(n_frames, instances))
    return SeriesFacts(
        uid=uid,
        normals=tuple(orientations),
        n_slices=tuple(orientations.values()) or (n_slices,),
        description=_described(first),
        contrast=contrast_of(first),
    )


_NAMES = ("SeriesDescription", "ProtocolName", "SequenceName")


def _described(instance: Instance) -> str:
    return next(filter(None, map(instance.text, _NAMES)), "")


def _known(value: float | None) -> float | None:
    """None for the zero that stripped or converted headers hold."""
    return value if value is not None and value > 0 else None


def needs_picture(facts: SeriesFacts) -> bool:
    """Say whether the header leaves the weighting open, so that the picture must decide."""
    return (
        facts.fluid is None
        and not isinstance(classify(facts), NotUsed)
        and plane_of(facts) is not Plane.CORONAL
        and _by_times(facts) is None
    )


def classify(facts: SeriesFacts) -> Verdict | NotUsed:
    """Turn the facts of a series into its plane and weighting, or the reason why it is not used.

    Examples
    --------
    >>> times = Contrast(echo_time_ms=100.0, repetition_time_ms=3500)
    >>> classify(SeriesFacts("1.2", ((-1.0, 0.0, 0.0),), (15,), contrast=times)).why
    'sagittal by geometry; T2: TE 100 ms, TR 3500 ms'
    """
    if len(facts.normals) > 1 and _spread_deg(facts) > 60:
        return NotUsed(f"localizer: slices up to {_spread_deg(facts):.0f} degrees apart in one series")
    never = "diffusion or echo planar series" if facts.is_diffusion else facts.kind.never
    if never:
        return NotUsed(f"{never}, which serves for no role")
    plane = plane_of(facts)
    for judge in (_by_times, _by_picture, _by_description):
        found = judge(facts)
        if found is not None:
            weighting, why = found
            return Verdict(plane, weighting, f"{plane} by geometry; {why}")
    return Verdict(
        plane, None, f"{plane} by geometry; neither header, picture nor description tells the weighting"
    )


def possible_roles(facts: SeriesFacts) -> tuple[Role, ...]:
    """Return the roles that a series may serve in, as far as its headers tell; T2 before T1.

    Examples
    --------
    >>> possible_roles(SeriesFacts("1.2", (), (15,), description="T2 TSE SAG"))
    (<Role.SAGITTAL_T2_STIR: 'sagittal_t2_stir'>,)
    """
    if facts.normals:
        verdict = classify(facts)
        if isinstance(verdict, NotUsed):
            return ()
        plane: Plane | None = verdict.plane
        weighting = verdict.weighting
    elif facts.is_diffusion or facts.kind.never:
        return ()
    else:
        plane = described_plane(facts.description)
        told = _by_times(facts) or _by_description(facts)
        if plane is None and told is None:  # then only what a study is refused without must be thought of
            return (Role.SAGITTAL_T2_STIR,)
        weighting = told[0] if told else None
    found = {
        role
        for (of_plane, of_weighting), role in ROLE_OF.items()
        if plane in {None, of_plane} and weighting in {None, of_weighting}
    }
    return tuple(role for role in (Role.SAGITTAL_T2_STIR, Role.SAGITTAL_T1, Role.AXIAL_T2) if role in found)


def plane_of(facts: SeriesFacts) -> Plane:
    """Plane nearest to the mean normal, weighed by slices."""
    normals = np.asarray(facts.normals)
    normals = normals * np.sign(normals @ normals[int(np.argmax(facts.n_slices))])[:, None]
    mean = np.asarray(facts.n_slices) @ normals
    return (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[int(np.argmax(np.abs(mean)))]


def _spread_deg(facts: SeriesFacts) -> float:
    cosines = np.abs(np.asarray(facts.normals) @ np.asarray(facts.normals).T)
    return float(np.degrees(np.arccos(np.clip(cosines.min(), 0, 1))))


def _by_times(facts: SeriesFacts) -> tuple[Weighting, str] | None:
    """Weighting by inversion, echo and repetition time."""
    contrast = facts.contrast
    times = contrast.echo_time_ms, contrast.repetition_time_ms, contrast.inversion_time_ms
    echo, repetition, inversion = map(_known, times)
    if inversion is not None and (not contrast.sequence or "IR" in contrast.sequence):
        if STIR_INVERSION_TIMES_MS[0] <= inversion <= STIR_INVERSION_TIMES_MS[1]:
            return Weighting.STIR, f"STIR: TI {inversion:g} ms"
        if T1_INVERSION_TIMES_MS[0] <= inversion <= T1_INVERSION_TIMES_MS[1]:
            return Weighting.T1, f"T1: TI {inversion:g} ms"
    if echo is None or repetition is None:
        return None
    shown = f"TE {echo:g} ms, TR {repetition:g} ms"
    if echo >= T2_MIN_ECHO_TIME_MS:
        return Weighting.T2, f"T2: {shown}"
    if echo <= SHORT_ECHO_TIME_MS and repetition <= T1_MAX_REPETITION_TIME_MS:
        return Weighting.T1, f"T1: {shown}"
    if repetition >= PD_MIN_REPETITION_TIME_MS:
        return Weighting.PD, f"PD: {shown}"
    return None


def _by_picture(facts: SeriesFacts) -> tuple[Weighting, str] | None:
    """Weighting by the brightness of fluid, where the header is silent."""
    if facts.fluid is None or facts.fluid.is_bright is None:
        return None
    said = described_weighting(facts.description)
    sure = f"P {max(facts.fluid.p_bright, 1 - facts.fluid.p_bright):.2f}"
    if facts.fluid.is_bright:
        weighting = Weighting.STIR if said is Weighting.STIR else Weighting.T2
        return (
            weighting,
            f"{weighting}: fluid is bright {facts.fluid.how} ({sure}); the header tells no times",
        )
    return Weighting.T1, f"T1: fluid is dark {facts.fluid.how} ({sure}); the header tells no times"


def _by_description(facts: SeriesFacts) -> tuple[Weighting, str] | None:
    weighting = described_weighting(facts.description)
    if weighting is None:
        return None
    return weighting, f"{weighting}: by its description alone, header and picture being undecided"


def described_weighting(description: str) -> Weighting | None:
    """Weighting that a description names; None when it names none, or several.

    Examples
    --------
    >>> described_weighting("t2_tse_sag_384")
    <Weighting.T2: 'T2'>
    >>> described_weighting("SAG T2 STIR")
    <Weighting.STIR: 'STIR'>
    >>> described_weighting("survey")
    """
    named = [weighting for weighting, word in _WORDS.items() if word.search(description)]
    if named and named[0] is Weighting.STIR:
        return Weighting.STIR
    return named[0] if len(named) == 1 else None


def described_plane(description: str) -> Plane | None:
    """Plane that a description names; None when it names none, or several.

    Examples
    --------
    >>> described_plane("t2_tse_sag_384"), described_plane("T2 TRA"), described_plane("survey")
    (<Plane.SAGITTAL: 'sagittal'>, <Plane.AXIAL: 'axial'>, None)
    """
    named = [plane for plane, word in _PLANE_WORDS.items() if word.search(description)]
    return named[0] if len(named) == 1 else None


def contradiction(facts: SeriesFacts, verdict: Verdict) -> str:
    """Say that the description names another weighting than was found; empty when it does not."""
    said = described_weighting(facts.description)
    if said is None or verdict.weighting is None or said is verdict.weighting:
        return ""
    if {said, verdict.weighting} == {Weighting.T2, Weighting.STIR}:
        return ""
    return f"the description names {said}, but it is taken as {verdict.weighting}"
