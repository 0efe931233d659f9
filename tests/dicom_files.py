"""Writes small synthetic DICOM files for tests; no patient, no phantom."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from stenograde.dicom.read.opening import find_files
from stenograde.study import Study
from stenograde.terms import Role

ROOT = "1.2.826.0.1.3680043.8.498"
STUDY = f"{ROOT}.1"
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
T1 = {"RepetitionTime": 600, "EchoTime": 11, "ScanningSequence": "SE"}
T2 = {"RepetitionTime": 3500, "EchoTime": 100, "ScanningSequence": "SE"}

NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
LOSSLESS = (RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless)
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit)

Edit = Callable[[Dataset, int], None]


def picture(rows: int = 20, columns: int = 16, seed: int = 0, top: int = 4095) -> np.ndarray:
    """Smooth noise, so that codecs have something to do."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-200, 201, (rows, columns)).cumsum(0).cumsum(1)
    low, high = steps.min(), steps.max()
    return ((steps - low) * (top / max(high - low, 1))).astype(np.uint16)


def mr_dataset(pixels: np.ndarray, *, series: int = 1, number: int = 1, **attributes: object) -> Dataset:
    """One MR instance with explicit little endian pixels; an attribute of None is left out."""
    ds = Dataset()
    ds.SOPClassUID = MRImageStorage
    ds.SOPInstanceUID = f"{STUDY}.{series}.{number}"
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = f"{STUDY}.{series}"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.Modality = "MR"
    ds.Manufacturer = "Synthetic"
    ds.PatientID = "phantom"
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [0.0, 0.0, 0.0]
    ds.ImageOrientationPatient = list(SAGITTAL)
    ds.PixelSpacing = [0.5, 0.75]
    ds.SliceThickness = 4
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    ds.BitsStored = 12 if pixels.dtype.itemsize == 2 else 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in attributes.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def encoded(pixels: np.ndarray, syntax: str, bits_stored: int) -> bytes:
    """Encode one frame as its transfer syntax wants it."""
    if syntax == RLELossless:
        from pydicom.pixels import get_encoder

        return get_encoder(RLELossless).encode(
            pixels,
            rows=pixels.shape[0],
            columns=pixels.shape[1],
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=pixels.dtype.itemsize * 8,
            bits_stored=bits_stored,
            pixel_representation=int(pixels.dtype.kind == "i"),
            photometric_interpretation="MONOCHROME2",
        )
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    if syntax in {JPEGLossless, JPEGLosslessSV1}:
        predictor = 4 if syntax == JPEGLossless else 1
        return imagecodecs.jpeg8_encode(
            unsigned, lossless=True, bitspersample=pixels.dtype.itemsize * 8, predictor=predictor
        )
    if syntax == JPEGLSLossless:
        return imagecodecs.jpegls_encode(unsigned)
    if syntax == JPEG2000Lossless:
        return imagecodecs.jpeg2k_encode(
            unsigned, codecformat="j2k", reversible=True, bitspersample=bits_stored, level=0
        )
    if syntax == HTJ2KLossless:
        return imagecodecs.htj2k_encode(unsigned)
    if syntax == JPEGBaseline8Bit:
        return imagecodecs.jpeg8_encode(unsigned, level=90)
    if syntax == JPEGExtended12Bit:
        return imagecodecs.jpeg8_encode(unsigned, level=95, bitspersample=12)
    raise AssertionError(syntax)


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write an instance in a transfer syntax."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", MRImageStorage)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", f"{ROOT}.9")
    if syntax not in NATIVE:
        n = int(ds.get("NumberOfFrames", 1))
        dtype = f"<{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}"
        frames = np.frombuffer(ds.PixelData, dtype).reshape(n, ds.Rows, ds.Columns)
        ds.PixelData = encapsulate([encoded(frame, syntax, ds.BitsStored) for frame in frames])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    elif syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").byteswap().tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    *,
    series: int = 1,
    n: int = 5,
    orientation: Sequence[float] = SAGITTAL,
    gap_mm: float = 4.0,
    syntax: str = ExplicitVRLittleEndian,
    shape: tuple[int, int] = (20, 16),
    edit: Edit | None = None,
    **attributes: object,
) -> list[Path]:
    """Write a regular series; ``edit`` changes each data set before it is saved (index from 0)."""
    cosines = np.asarray(orientation, float)
    normal = np.cross(cosines[:3], cosines[3:])
    paths = []
    for index in range(n):
        ds = mr_dataset(picture(*shape, seed=series * 100 + index), series=series, number=index + 1)
        ds.ImageOrientationPatient = [float(one) for one in cosines]
        ds.ImagePositionPatient = [round(float(one), 6) for one in normal * gap_mm * index]
        ds.SliceLocation = round(gap_mm * index, 6)
        for keyword, value in attributes.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        if edit is not None:
            edit(ds, index)
        paths.append(save(ds, folder / f"{index + 1}.dcm", syntax))
    return paths


def write_study(folder: Path) -> Path:
    """Write the three series of a lumbar study with full headers."""
    write_series(folder / "t1", series=1, SeriesDescription="T1 sag", **T1)
    write_series(folder / "t2", series=2, SeriesDescription="T2 sag", **T2)
    write_series(folder / "ax", series=3, orientation=AXIAL, SeriesDescription="T2 ax", **T2)
    return folder


EXPECTED_ROLES = {"1": Role.SAGITTAL_T1, "2": Role.SAGITTAL_T2_STIR, "3": Role.AXIAL_T2}
"""Roles of the series of :func:`write_study`, by the last part of their UIDs."""


def reasons(study: Study) -> dict[str, str]:
    """What was left out of a study, with the reason; each ``file 3 of 9`` by the name that it has on disk."""
    source = study.series[0].volumes[0].source
    file = getattr(source, "source", source).frames[0].instance.file
    root = file.path if file.member is not None else file.path[: -len(file.relative)]
    names = {found.name: found.relative for found in find_files(root)}

    def named(text: str) -> str:
        return re.sub(r"file \d+ of \d+", lambda match: names.get(match[0], match[0]), text)

    return {named(unused.what): named(unused.why) for unused in study.unused}


def roles_of(study: Study) -> dict[str, Role | None]:
    """Role of each series, by the last part of its UID."""
    return {series.uid.rpartition(".")[2]: series.role for series in study.series}
