"""One slice as acquired: where it lies in the patient, its contrast, and the frame that holds its pixels."""

from __future__ import annotations

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
    temporal_position: int | None = None


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
        return (int(number) if number is not None else 0) * 100_000 + self.index


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
            contrast=_contrast(instance),
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


def _contrast(instance: Instance) -> Contrast:
    temporal = instance.number("TemporalPositionIdentifier")
    return Contrast(
        image_type=tuple(part.upper() for part in instance.texts("ImageType")),
        repetition_time_ms=instance.number("RepetitionTime"),
        echo_time_ms=instance.number("EchoTime"),
        inversion_time_ms=instance.number("InversionTime"),
        flip_angle_deg=instance.number("FlipAngle"),
        temporal_position=None if temporal is None else int(temporal),
    )
