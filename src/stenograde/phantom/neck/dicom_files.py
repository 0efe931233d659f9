"""Writing of films of a neck phantom as DICOM (Computed Radiography Image Storage), with the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    PYDICOM_ROOT_UID,
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
)

from stenograde.phantom.files.dicom_files import StudyIds
from stenograde.phantom.neck.film import FULL_SCALE, FilmPlan

_DATE, _TIME = "20200101", "120000"
_IMPLEMENTATION_UID = PYDICOM_ROOT_UID + "20240001"

_ORIENTATION: Final = {
    "ap": ["L", "F"],
    "lateral": ["A", "F"],
    "rpo": ["LP", "F"],
    "lpo": ["LA", "F"],
    "rao": ["LA", "F"],
    "lao": ["LP", "F"],
}
"""Patient Orientation (PS3.3 C.7.6.1.1.1): anatomical direction of the rows and columns of the film."""


def write_film(path: Path, plan: FilmPlan, pixels: NDArray[np.uint16], *, ids: StudyIds, number: int) -> None:
    """Write one film.

    Parameters
    ----------
    path : Path
        File to write; its folder is created if absent.
    plan : FilmPlan
    pixels : ndarray of shape (rows, columns), uint16
        12 bits, bone bright.
    ids : StudyIds
    number : int
        Index in ``ids`` of the series of the film.
    """
    ds = _header(plan, ids, number)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = 16
    ds.BitsStored = FULL_SCALE.bit_length()
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = 0
    ds.WindowCenter = (FULL_SCALE + 1) // 2
    ds.WindowWidth = FULL_SCALE + 1
    ds.PixelData = pixels.astype("<u2").tobytes()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.ImplementationClassUID = UID(_IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "STENOGRADE"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def _header(plan: FilmPlan, ids: StudyIds, number: int) -> Dataset:
    """All attributes of a CR image except its pixels (PS3.3 A.2 and C.8.1)."""
    protocol = plan.protocol
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = ids.instance_uid(number, 1)
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = _DATE
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = _TIME
    ds.AccessionNumber = ""
    ds.Modality = "CR"
    ds.Manufacturer = "stenograde phantom"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Cervical phantom"
    ds.SeriesDescription = f"C-spine {plan.view.shown}"
    ds.PatientName = f"Phantom^{ids.study}"
    ds.PatientID = str(ids.study)
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.BodyPartExamined = "CSPINE"
    ds.KVP = f"{protocol.kilovolts:g}"
    ds.DistanceSourceToDetector = f"{protocol.source_mm:g}"
    ds.DistanceSourceToPatient = f"{protocol.source_mm - protocol.gap_mm:g}"
    ds.ImagerPixelSpacing = [f"{protocol.pixel_mm:g}"] * 2
    ds.ViewPosition = plan.view.shown
    ds.StudyInstanceUID = ids.study_uid
    ds.SeriesInstanceUID = ids.series_uid(number)
    ds.StudyID = "1"
    ds.SeriesNumber = number + 1
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = 1
    ds.PatientOrientation = _ORIENTATION[plan.view.value]
    ds.BurnedInAnnotation = "NO"
    return ds
