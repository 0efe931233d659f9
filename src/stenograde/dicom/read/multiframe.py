"""Reads the frames of Enhanced multi-frame instances from their functional groups (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydicom import Dataset

from stenograde.dicom.read.frames import Contrast, Frame, checked_frame, sequence_of, suppression
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.tolerant import read_dataset, recorded_warnings
from stenograde.errors import UnreadableInstanceError

Lookup = Callable[[str, str], Any]
"""Gives an attribute from a functional group macro (sequence keyword, attribute keyword), or None."""


def frames_of_groups(instance: Instance) -> tuple[Frame, ...]:
    """Return the slices of a multi-frame instance; none when it describes no frame.

    Raises
    ------
    UnreadableInstanceError
        If the functional groups cannot be parsed, are fewer than the frames, or lack the geometry; the
        message is the reason as a phrase.
    """
    ds, _ = read_dataset(instance.file.whole(), stop_before_pixels=True)
    with recorded_warnings():
        try:
            shared = (ds.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
            per_frame = list(ds.get("PerFrameFunctionalGroupsSequence") or ())
            if not per_frame:
                return ()
            frames = [
                _frame(instance, index, ds, _lookup(groups, shared)) for index, groups in enumerate(per_frame)
            ]
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as exc:
            msg = f"functional groups cannot be parsed ({type(exc).__name__})"
            raise UnreadableInstanceError(msg) from exc
    n_frames = instance.layout.n_frames if instance.layout is not None else 0
    if len(frames) != n_frames:
        msg = f"functional groups must describe {n_frames} frames, got {len(frames)}"
        raise UnreadableInstanceError(msg)
    return tuple(checked_frame(frame) for frame in frames)


def _lookup(groups: Dataset, shared: Dataset) -> Lookup:
    """Look in the frame's own groups first, then in the shared ones."""

    def value(macro: str, keyword: str) -> Any:
        for source in (groups, shared):
            items = source.get(macro)
            if items and items[0].get(keyword) is not None:
                return items[0].get(keyword)
        return None

    return value


def _frame(instance: Instance, index: int, ds: Dataset, value: Lookup) -> Frame:
    slope = value("PixelValueTransformationSequence", "RescaleSlope")
    spacing_between = value("PixelMeasuresSequence", "SpacingBetweenSlices") or ds.get("SpacingBetweenSlices")
    return Frame(
        instance=instance,
        index=index,
        position_mm=_numbers(value("PlanePositionSequence", "ImagePositionPatient")),
        orientation=_numbers(value("PlaneOrientationSequence", "ImageOrientationPatient")),
        spacing_mm=_numbers(value("PixelMeasuresSequence", "PixelSpacing")),
        thickness_mm=_number(spacing_between or value("PixelMeasuresSequence", "SliceThickness")),
        slope=1.0 if slope is None else float(slope),
        intercept=_number(value("PixelValueTransformationSequence", "RescaleIntercept")) or 0.0,
        contrast=_contrast(ds, value),
        stored_location_mm=None,
    )


def _contrast(ds: Dataset, value: Lookup) -> Contrast:
    image_type = value("MRImageFrameTypeSequence", "FrameType") or ds.get("ImageType") or ()
    temporal = value("FrameContentSequence", "TemporalPositionIndex")
    echo_train = value("MRTimingAndRelatedParametersSequence", "EchoTrainLength")

    def said(keyword: str, macro: str = "MRImageFrameTypeSequence") -> str:
        return str(value(macro, keyword) or ds.get(keyword) or "").strip().upper()

    # what tells the pulse sequence stands once for all frames (PS3.3 C.8.13.4)
    pulse, inversion, planar, name, dimensions = (
        str(ds.get(keyword) or "").strip().upper()
        for keyword in (
            "EchoPulseSequence",
            "InversionRecovery",
            "EchoPlanarPulseSequence",
            "PulseSequenceName",
            "MRAcquisitionType",
        )
    )
    names = ("AcquisitionContrast", "ComplexImageComponent", "VolumeBasedCalculationTechnique")
    return Contrast(
        image_type=tuple(
            str(part).strip().upper()
            for part in ([image_type] if isinstance(image_type, str) else image_type)
        ),
        repetition_time_ms=_number(value("MRTimingAndRelatedParametersSequence", "RepetitionTime")),
        echo_time_ms=_number(value("MREchoSequence", "EffectiveEchoTime")),
        inversion_time_ms=_number(value("MRModifierSequence", "InversionTimes")),
        flip_angle_deg=_number(value("MRTimingAndRelatedParametersSequence", "FlipAngle")),
        b_value=_number(value("MRDiffusionSequence", "DiffusionBValue")),
        temporal_position=None if temporal is None else int(temporal),
        sequence=sequence_of(pulse, inversion, planar)
        or tuple(part.upper() for part in _texts(ds, "ScanningSequence")),
        sequence_name=name,
        options=(
            *(part.upper() for part in _texts(ds, "ScanOptions")),
            *suppression(said("SpectrallySelectedSuppression", "MRModifierSequence")),
        ),
        said=tuple(text for text in map(said, names) if text),
        echo_train=None if echo_train is None else int(echo_train),
        dimensions=dimensions,
        has_agent=bool(ds.get("ContrastBolusAgentSequence") or ds.get("ContrastBolusAgent")),
    )


def _texts(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """Values of an attribute of the instance itself, as texts; none when absent."""
    found = ds.get(keyword)
    return () if not found else (str(found),) if isinstance(found, str) else tuple(map(str, found))


def _numbers(value: Any) -> Any:
    """Decimal numbers as floats; none when absent."""
    return () if value is None else tuple(float(part) for part in value)


def _number(value: Any) -> float | None:
    """First decimal number; None when absent."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, int | float | str) else value[0])
