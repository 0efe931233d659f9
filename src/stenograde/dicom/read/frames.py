"""One slice as acquired: where it lies in the patient, its contrast, and the frame that holds its pixels."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from stenograde import geometry
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.ranges import check_place, check_rescaling, rescaling_of
from stenograde.errors import UnreadableInstanceError


@dataclass(frozen=True, slots=True)
class Contrast:
    """What tells the contrast of one slice; None or empty where the header does not say."""

    image_type: tuple[str, ...] = ()
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    b_value: float | None = None
    """Diffusion weighting, s/mm²; 0 where it is said to be none."""
    temporal_position: int | None = None
    sequence: tuple[str, ...] = ()
    """SE, IR, GR, EP: ScanningSequence, else what EchoPulseSequence and its like say of Enhanced MR."""
    sequence_name: str = ""
    """The maker's name of the pulse sequence."""
    options: tuple[str, ...] = ()
    """ScanOptions; FS where Enhanced MR says that fat was suppressed."""
    said: tuple[str, ...] = ()
    """AcquisitionContrast, ComplexImageComponent and VolumeBasedCalculationTechnique, where they stand."""
    echo_train: int | None = None
    """Echoes per excitation."""
    dimensions: str = ""
    """MRAcquisitionType: 2D or 3D."""
    has_agent: bool = False
    """Whether a contrast agent was given."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One slice."""

    instance: Instance
    index: int
    """Frame within the instance, from 0."""
    position_mm: tuple[float, float, float]
    """ImagePositionPatient: centre of the first pixel, LPS, mm."""
    orientation: tuple[float, float, float, float, float, float]
    """ImageOrientationPatient."""
    spacing_mm: tuple[float, float]
    """Distance between rows, then between columns, mm."""
    thickness_mm: float | None
    """Distance to a neighbouring slice as the header gives it, else slice thickness, mm."""
    slope: float
    intercept: float
    contrast: Contrast
    stored_location_mm: float | None
    """SliceLocation; read only to be checked against n·p."""

    @property
    def number(self) -> int:
        """Place in the order of acquisition as the header gives it."""
        number = self.instance.number("InstanceNumber")
        # an IS lies below 2^31 (PS3.5 6.2)
        return (int(number) if number is not None and abs(number) < 1 << 31 else 0) * 100_000 + self.index

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns."""
        layout = self.instance.layout
        return (layout.rows, layout.columns) if layout is not None else (0, 0)

    @property
    def location_mm(self) -> float:
        """Slice location s = n·p, mm."""
        return sum(n * p for n, p in zip(normal_of(self.orientation), self.position_mm, strict=True))

    @property
    def place(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Position and orientation, rounded: what slices that repeat share."""
        return tuple(round(v, 2) for v in self.position_mm), tuple(round(v, 3) for v in self.orientation)


def in_order(frames: Iterable[Frame]) -> list[Frame]:
    """Sort frames by what their headers say, so that names and order of files change nothing."""
    return sorted(
        frames,
        key=lambda one: (
            one.matrix,
            one.orientation,
            one.location_mm,
            one.position_mm,
            one.number,
            one.instance.sop_instance_uid,
            one.instance.series_uid,
            one.contrast.echo_time_ms or 0.0,
        ),
    )


def single_frame(instance: Instance) -> Frame:
    """Return the one slice of an instance whose frames are not described one by one.

    Raises
    ------
    UnreadableInstanceError
        If it holds several frames, or its header lacks the geometry; the message is the reason as a phrase.
    """
    if instance.layout is not None and instance.layout.n_frames > 1:
        n = instance.layout.n_frames
        msg = f"{n} frames must each have a position, got none (no per-frame functional groups)"
        raise UnreadableInstanceError(msg)
    slope, intercept = rescaling_of(instance)
    return checked_frame(
        Frame(
            instance=instance,
            index=0,
            position_mm=instance.numbers("ImagePositionPatient"),  # type: ignore[arg-type]  # checked below
            orientation=instance.numbers("ImageOrientationPatient"),  # type: ignore[arg-type]
            spacing_mm=instance.numbers("PixelSpacing"),  # type: ignore[arg-type]
            thickness_mm=instance.number("SpacingBetweenSlices") or instance.number("SliceThickness"),
            slope=slope,
            intercept=intercept,
            contrast=contrast_of(instance),
            stored_location_mm=instance.number("SliceLocation"),
        )
    )


@lru_cache(maxsize=256)
def normal_of(orientation: tuple[float, ...]) -> tuple[float, float, float]:
    """Return n = u × v; cached, since the slices of a volume share it.

    Raises
    ------
    ValueError
        If the cosines are not two orthogonal unit vectors.
    """
    x, y, z = geometry.slice_normal(orientation)
    return float(x), float(y), float(z)


def checked_frame(frame: Frame) -> Frame:
    """Return the frame when its geometry is complete and sound.

    Raises
    ------
    UnreadableInstanceError
        If it is not; the message is the reason as a phrase.
    """
    for keyword, values, n in (
        ("ImagePositionPatient", frame.position_mm, 3),
        ("ImageOrientationPatient", frame.orientation, 6),
        ("PixelSpacing", frame.spacing_mm, 2),
    ):
        if len(values) != n:
            msg = f"{keyword} must be {n} numbers, got {len(values) or 'none'}"
            raise UnreadableInstanceError(msg)
    try:
        normal_of(frame.orientation)
    except ValueError as exc:
        raise UnreadableInstanceError(str(exc)) from exc
    check_place(frame.position_mm, frame.spacing_mm, frame.instance)
    check_rescaling(frame.slope, frame.intercept)
    return frame


def contrast_of(instance: Instance) -> Contrast:
    """Return what tells the contrast of an instance whose frames are not described one by one."""
    temporal, echo_train = instance.number("TemporalPositionIdentifier"), instance.number("EchoTrainLength")
    names = ("AcquisitionContrast", "ComplexImageComponent")
    suppressed = instance.text("SpectrallySelectedSuppression")
    return Contrast(
        image_type=tuple(part.upper() for part in instance.texts("ImageType")),
        repetition_time_ms=instance.number("RepetitionTime"),
        echo_time_ms=instance.number("EchoTime"),
        inversion_time_ms=instance.number("InversionTime"),
        flip_angle_deg=instance.number("FlipAngle"),
        b_value=_b_value(instance),
        temporal_position=None if temporal is None else int(temporal),
        sequence=tuple(part.upper() for part in instance.texts("ScanningSequence"))
        or sequence_of(
            *map(instance.text, ("EchoPulseSequence", "InversionRecovery", "EchoPlanarPulseSequence"))
        ),
        sequence_name=instance.text("SequenceName") or instance.text("PulseSequenceName"),
        options=(*(part.upper() for part in instance.texts("ScanOptions")), *suppression(suppressed)),
        said=tuple(text.upper() for text in map(instance.text, names) if text),
        echo_train=None if echo_train is None else int(echo_train),
        dimensions=instance.text("MRAcquisitionType").upper(),
        has_agent=bool(instance.text("ContrastBolusAgent")),
    )


def sequence_of(pulse: str, inversion: str, planar: str) -> tuple[str, ...]:
    """Give the attributes of Enhanced MR (PS3.3 C.8.13.4) as values of ScanningSequence.

    Parameters
    ----------
    pulse : {"SPIN", "GRADIENT", "BOTH", ""}
        EchoPulseSequence.
    inversion, planar : {"YES", "NO", ""}
        InversionRecovery and EchoPlanarPulseSequence.
    """
    echoes = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}.get(pulse.upper(), ())
    return (*echoes, *("IR" for _ in "1" if inversion == "YES"), *("EP" for _ in "1" if planar == "YES"))


def suppression(selected: str) -> tuple[str, ...]:
    """Give SpectrallySelectedSuppression (PS3.3 C.8.13.5.7) as a value of ScanOptions."""
    return ("FS",) if "FAT" in selected.upper() else ()


def _b_value(instance: Instance) -> float | None:
    """Diffusion weighting of a single frame, s/mm²: the standard's element, else the makers' own."""
    maker = instance.text("Manufacturer").upper()
    standard = _floating(instance, "DiffusionBValue", "d")
    if standard is not None:
        return standard
    if "SIEMENS" in maker:
        return instance.number("SiemensBValue")
    if maker.startswith("GE") and (found := instance.number("GeBValue")) is not None:
        return found % 100_000  # newer releases add a flag of 1e9 to it
    return _floating(instance, "PhilipsBValue", "f") if "PHILIPS" in maker else None


def _floating(instance: Instance, keyword: str, code: str) -> float | None:
    """Value of VR FD or FL; a file that was read by pydicom may hold it as text."""
    raw = instance.values.get(keyword)
    if not raw:
        return None
    try:
        return float(raw)
    except ValueError:
        pass
    if len(raw) != struct.calcsize(code):
        return None
    value = float(struct.unpack((">" if instance.is_big_endian else "<") + code, raw)[0])
    return value if math.isfinite(value) and 0 <= value < 1e5 else None
