"""Key pictures as Secondary Captures: what every viewer shows, whatever it makes of reports and segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage

from stenograde.dicom.read.instances import Instance
from stenograde.dicom.write.kinds import ResultKind
from stenograde.dicom.write.pdf import without_frame_of_reference
from stenograde.dicom.write.references import instance_of, reference_to, referenced_series
from stenograde.dicom.write.series import Edition, finished, plain
from stenograde.dicom.write.sources import Sources

_COMMENT: Final = 10240
"""Most characters of ImageComments (VR LT)."""


class SourceFrame(Protocol):
    """A frame of an instance that a picture was made of."""

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID."""

    @property
    def sop_instance_uid(self) -> str:
        """SOPInstanceUID."""

    @property
    def frame(self) -> int:
        """Frame, from 0."""


class KeyPicture(Protocol):
    """A picture to be captured; see :class:`stenograde.report.key_pictures.KeyPicture`."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Shape (rows, columns, 3): red, green, blue."""

    @property
    def title(self) -> str:
        """What it shows, as a phrase."""

    @property
    def sources(self) -> Sequence[SourceFrame]:
        """What it was made of."""


def secondary_captures(
    pictures: Sequence[KeyPicture], *, sources: Sources, edition: Edition
) -> tuple[Dataset, ...]:
    """Return pictures as Secondary Capture images (PS3.3 A.8.1), one series in their order, each naming its sources.

    Raises
    ------
    ValueError
        If a picture is not of 8-bit red, green and blue.
    UnreadableInstanceError
        If a picture's source is none of ``sources``, or the header of the source cannot be copied.
    """
    return tuple(
        _capture(picture, number, sources, edition) for number, picture in enumerate(pictures, start=1)
    )


def _capture(picture: KeyPicture, number: int, sources: Sources, edition: Edition) -> Dataset:
    pixels = picture.pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        msg = f"a key picture must be uint8 of shape (rows, columns, 3), got {pixels.dtype} of {pixels.shape}"
        raise ValueError(msg)
    ds = Dataset()
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.ConversionType = "WSD"  # (a workstation's)
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.DerivationDescription = plain(picture.title, 1024)
    ds.ImageComments = plain(f"{picture.title}. Research use only: not a medical device.", _COMMENT)
    ds.BurnedInAnnotation = "NO"
    ds.RecognizableVisualFeatures = "NO"
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionMethod = "ISO_10918_1"  # (slices pass through the report's JPEG)
    ds.PatientOrientation = ds.Laterality = None
    _refer(ds, picture, sources)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    content = np.ascontiguousarray(pixels).tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OB"
    return without_frame_of_reference(finished(ds, sources, edition, ResultKind.SC, number))


def _refer(ds: Dataset, picture: KeyPicture, sources: Sources) -> None:
    """Name the instances and frames that a picture was made of (PS3.3 C.7.6.1.1.4, C.12.2)."""
    frames: dict[Instance, dict[int, None]] = {}
    for one in picture.sources:
        instance = instance_of(sources, one.sop_instance_uid, one.series_uid)
        frames.setdefault(instance, {})[one.frame] = None
    if not frames:
        return
    items = []
    for instance, used in frames.items():
        item = reference_to(instance, sorted(used))
        item.PurposeOfReferenceCodeSequence = [_coded(codes.DCM.SourceImageForImageProcessingOperation)]
        items.append(item)
    ds.SourceImageSequence = items
    ds.ReferencedSeriesSequence = referenced_series(frames)


def _coded(code: Code) -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return ds
