"""Writing of the slices of a phantom as DICOM files (MR Image Storage), with the same bytes every time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    PYDICOM_ROOT_UID,
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from stenograde.phantom.files.gdcm_codec import jpeg_lossless
from stenograde.phantom.files.habits import Habit, apply_habit, weighting
from stenograde.phantom.scanner.acquisition import SeriesPlan, SlicePlane
from stenograde.phantom.scanner.render import FULL_SCALE
from stenograde.terms import Plane, Role

_DATE, _TIME = "20200101", "120000"
_IMPLEMENTATION_UID = PYDICOM_ROOT_UID + "20240001"
_UID_LENGTH = 64
_PLANE = {
    Role.SAGITTAL_T1: Plane.SAGITTAL,
    Role.SAGITTAL_T2_STIR: Plane.SAGITTAL,
    Role.AXIAL_T2: Plane.AXIAL,
}
_RSNA_DROPS = (
    "Modality",
    "Manufacturer",
    "StudyDescription",
    "SequenceName",
    "InversionTime",
    "PixelBandwidth",
    "SeriesDate",
    "SeriesTime",
    "ImageType",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "RepetitionTime",
    "EchoTime",
    "EchoTrainLength",
    "MagneticFieldStrength",
    "FlipAngle",
    "BodyPartExamined",
    "ProtocolName",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesNumber",
    "AcquisitionNumber",
    "PositionReferenceIndicator",
)


class Codec(StrEnum):
    """Transfer syntax of the files."""

    EXPLICIT = "explicit"
    IMPLICIT = "implicit"
    DEFLATED = "deflated"
    RLE = "rle"
    JPEG_LOSSLESS = "jpeg_lossless"
    JPEG_LS = "jpeg_ls"
    JPEG_2000 = "jpeg_2000"


_SYNTAX = {
    Codec.EXPLICIT: ExplicitVRLittleEndian,
    Codec.IMPLICIT: ImplicitVRLittleEndian,
    Codec.DEFLATED: DeflatedExplicitVRLittleEndian,
    Codec.RLE: RLELossless,
    Codec.JPEG_LOSSLESS: JPEGLosslessSV1,
    Codec.JPEG_LS: JPEGLSLossless,
    Codec.JPEG_2000: JPEG2000Lossless,
}
_BY_PYDICOM = (Codec.RLE, Codec.JPEG_LS, Codec.JPEG_2000)


class SliceOrder(StrEnum):
    """Order in which instances are numbered."""

    PLANNED = "planned"
    """Sagittal slices from the patient's right, axial ones from the head."""
    REVERSED = "reversed"


@dataclass(frozen=True)
class FileOptions:
    """Options of the files."""

    codec: Codec = Codec.EXPLICIT
    """Transfer syntax."""
    habit: Habit = Habit.PLAIN
    order: SliceOrder = SliceOrder.PLANNED
    shuffled_names: bool = False
    """Whether files are named by a hash, so that their order means nothing, instead of by InstanceNumber."""
    stripped: bool = False
    """Whether headers are as in RSNA 2024: no modality, manufacturer or timing, and Enhanced MR as SOP class."""

    def instance_number(self, place: int, n_slices: int) -> int:
        """Return the InstanceNumber, from 1, of a slice given its index in the plan."""
        return place + 1 if self.order is SliceOrder.PLANNED else n_slices - place


@dataclass(frozen=True)
class StudyIds:
    """Numbers and UIDs of a study; the numbers are the last components of the UIDs."""

    study: int
    series: tuple[int, ...]

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID."""
        digest = int.from_bytes(hashlib.sha256(str(self.study).encode()).digest()[:4], "big")
        return f"{PYDICOM_ROOT_UID}{digest}.{self.study}"

    def series_uid(self, number: int) -> str:
        """Return the SeriesInstanceUID of a series given its index."""
        return f"{self.study_uid}.{self.series[number]}"

    def instance_uid(self, number: int, instance: int) -> str:
        """Return the SOPInstanceUID of an instance, numbered from 1.

        Raises
        ------
        ValueError
            If the UID would be longer than DICOM allows (PS3.5 9.1).
        """
        uid = f"{self.series_uid(number)}.{instance}"
        if len(uid) > _UID_LENGTH:
            msg = f"a UID must have at most {_UID_LENGTH} characters, got {len(uid)}"
            raise ValueError(msg)
        return uid


def write_series(
    folder: Path,
    plan: SeriesPlan,
    pixels: NDArray[np.uint16],
    *,
    ids: StudyIds,
    number: int,
    options: FileOptions,
) -> None:
    """Write one series as ``folder/1.dcm``, ``folder/2.dcm`` and so on, by InstanceNumber.

    Parameters
    ----------
    folder : Path
        Created if absent.
    plan : SeriesPlan
    pixels : ndarray of shape (slices, rows, columns), uint16
    ids : StudyIds
    number : int
        Index of the series in ``ids``.
    options : FileOptions
    """
    folder.mkdir(parents=True, exist_ok=True)
    top = float(np.percentile(pixels[:, ::4, ::4], 99.5))
    for k, (plane, picture) in enumerate(zip(plan.planes, pixels, strict=True)):
        instance = options.instance_number(k, len(plan.planes))
        ds = _header(plan, ids, number, instance)
        _place(ds, plane)
        _pixels(ds, picture, top)
        apply_habit(ds, plan, options.habit)
        if options.stripped:
            _strip(ds, ids)
        name = hashlib.sha256(ds.SOPInstanceUID.encode()).hexdigest()[:12]
        _write(ds, folder / f"{name if options.shuffled_names else instance}.dcm", options.codec)


def _header(plan: SeriesPlan, ids: StudyIds, number: int, instance: int) -> Dataset:
    """All attributes of an MR image except position and pixels (PS3.3 A.4 and C.8.3.1)."""
    echo = plan.echo
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.SOPClassUID = MRImageStorage
    ds.SOPInstanceUID = ids.instance_uid(number, instance)
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = _DATE
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = _TIME
    ds.AccessionNumber = ""
    ds.Modality = "MR"
    ds.Manufacturer = "stenograde phantom"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Lumbar phantom"
    ds.SeriesDescription = f"{_PLANE[plan.role].value.capitalize()} {weighting(plan)}"
    ds.SeriesDescription += "" if echo.inversion_ms else " TSE"
    ds.PatientName = f"Phantom^{ids.study}"
    ds.PatientID = str(ids.study)
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.BodyPartExamined = "LSPINE"
    ds.ScanningSequence = ["SE", "IR"] if echo.inversion_ms else "SE"
    ds.SequenceVariant = "SK"
    ds.ScanOptions = ""
    ds.MRAcquisitionType = "2D"
    ds.SliceThickness = plan.planes[0].thickness_mm
    if len(plan.planes) > 1:
        step = abs(float((plan.planes[1].position - plan.planes[0].position) @ plan.planes[0].normal))
        ds.SpacingBetweenSlices = _decimals(np.array([step]))[0]
    ds.RepetitionTime = echo.repetition_ms
    ds.EchoTime = round(echo.echo_ms, 3)
    if echo.inversion_ms:
        ds.InversionTime = echo.inversion_ms
    ds.EchoTrainLength = echo.train
    ds.MagneticFieldStrength = echo.field_t
    if plan.artefacts.bandwidth_hz:
        ds.PixelBandwidth = round(plan.artefacts.bandwidth_hz)
    ds.FlipAngle = 90
    ds.ProtocolName = ds.SeriesDescription
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = ids.study_uid
    ds.SeriesInstanceUID = ids.series_uid(number)
    ds.StudyID = "1"
    ds.SeriesNumber = number + 1
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = instance
    ds.FrameOfReferenceUID = f"{ids.study_uid}.1"
    ds.PositionReferenceIndicator = ""
    return ds


def _decimals(values: NDArray[np.float64]) -> list[str]:
    """Decimal strings of at most 16 characters (PS3.5 6.2)."""
    return [f"{value + 0.0:.9f}"[:16] for value in values]


def _place(ds: Dataset, plane: SlicePlane) -> None:
    ds.ImagePositionPatient = _decimals(plane.position)
    ds.ImageOrientationPatient = _decimals(plane.orientation)
    ds.SliceLocation = _decimals(np.array([plane.position @ plane.normal]))[0]
    ds.PixelSpacing = _decimals(np.array([plane.pixel_mm, plane.pixel_mm]))
    ds.Rows = ds.Columns = plane.matrix


def _pixels(ds: Dataset, picture: NDArray[np.uint16], top: float) -> None:
    """Set the pixels, and a window from 0 to a value that nearly all of its series lie below."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.BitsStored = FULL_SCALE.bit_length()
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = 0
    ds.WindowCenter = round(top / 2)
    ds.WindowWidth = max(round(top), 1)
    ds.PixelData = picture.astype("<u2").tobytes()


def _strip(ds: Dataset, ids: StudyIds) -> None:
    for keyword in _RSNA_DROPS:
        if keyword in ds:
            delattr(ds, keyword)
    ds.PatientID = str(ids.study)
    ds.SOPClassUID = EnhancedMRImageStorage


def _write(ds: Dataset, path: Path, codec: Codec) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "STENOGRADE"
    meta.TransferSyntaxUID = _SYNTAX[codec]
    ds.file_meta = meta
    if codec in _BY_PYDICOM:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(_SYNTAX[codec], generate_instance_uid=False)
    if codec is Codec.JPEG_LOSSLESS:
        ds.PixelData = jpeg_lossless(ds, path)
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.save_as(path, enforce_file_format=True)
