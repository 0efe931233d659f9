"""Says which objects are not de-identified at all, and which only with their burned-in text blanked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset, uid
from pydicom.uid import UID

from stenograde.dicom.deidentify.values import parts_of
from stenograde.errors import ConfigError, UnreadableInstanceError

IMAGES: Final = frozenset(
    {
        *(uid.MRImageStorage, uid.EnhancedMRImageStorage, uid.LegacyConvertedEnhancedMRImageStorage),
        *(uid.CTImageStorage, uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage),
        *(uid.ComputedRadiographyImageStorage, uid.DigitalXRayImageStorageForPresentation),
        uid.DigitalXRayImageStorageForProcessing,
    }
)
"""Objects that are pictures of a scanner and carry no text of a reader."""

SHOWN: Final = frozenset(
    {
        *(uid.SecondaryCaptureImageStorage, uid.MultiFrameSingleBitSecondaryCaptureImageStorage),
        *(
            uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
            uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
        ),
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
        *(uid.UltrasoundImageStorage, uid.UltrasoundMultiFrameImageStorage),
    }
)
"""Objects whose pixels usually show text."""

_SCREENS: Final = frozenset(
    {"SCREEN SAVE", "SCREENSAVE", "SCREEN", "CAPTURE", "SECONDARY CAPTURE", "REPORT", "CSA REPORT"}
)
"""Values of ImageType of pictures of a screen."""

_NATIVE: Final = frozenset(
    {uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian}
    | {uid.DeflatedExplicitVRLittleEndian}
)
_AREA = re.compile(r"(\d{1,5})-(\d{1,5})x(\d{1,5})-(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of pixels, in every frame; first and last row and column, counted from 0, ends included."""

    rows: tuple[int, int]
    columns: tuple[int, int]


def area_of(text: str) -> Area:
    """Return a rectangle from ``ROWSxCOLUMNS``.

    Raises
    ------
    ConfigError
        If it is none.

    Examples
    --------
    >>> area_of("0-40x0-511")
    Area(rows=(0, 40), columns=(0, 511))
    """
    found = _AREA.fullmatch(text)
    numbers = [int(number) for number in found.groups()] if found else []
    if not numbers or numbers[0] > numbers[1] or numbers[2] > numbers[3]:
        msg = f"--blank must be first-last row x first-last column, such as 0-40x0-511, got {text!r}"
        raise ConfigError(msg)
    return Area((numbers[0], numbers[1]), (numbers[2], numbers[3]))


def why_refused(ds: Dataset) -> str:
    """Return why an object is not de-identified, whatever is asked for; empty where it can be."""
    sop_class = UID(str(ds.get("SOPClassUID", "")))
    if not sop_class:
        return "has no SOPClassUID, so that nobody knows what it is"
    if sop_class not in IMAGES | SHOWN:
        name = sop_class.name if sop_class.name != str(sop_class) else "an object of a private SOP class"
        return f"is {name}, which is no image, so that its text cannot be told from the patient's"
    if any(not str(ds.get(name, "")) for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")):
        return "has no StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID"
    if "PixelData" not in ds:
        return "holds no pixel data"
    if _is_native(ds):
        expected = _n_pixel_bytes(ds)
        if len(ds.PixelData) not in {expected, expected + expected % 2}:
            there = len(ds.PixelData)
            return (
                f"holds {there} bytes of pixels, where its header asks for {expected}; the rest may be text"
            )
    return ""


def why_text_is_feared(ds: Dataset) -> str:
    """Return why an image may show the patient's data in its pixels; empty where nothing says so."""
    if str(ds.get("BurnedInAnnotation", "")).strip().upper() == "YES":
        return "says that annotations are burned into its pixels"
    if str(ds.SOPClassUID) in SHOWN:
        return f"is {UID(str(ds.SOPClassUID)).name}, whose pixels may show the patient's data"
    if {str(part).strip().upper() for part in parts_of(ds.get("ImageType"))} & _SCREENS:
        return "is a picture of a screen, whose pixels may show the patient's data"
    return ""


def blank(ds: Dataset, areas: tuple[Area, ...]) -> None:
    """Set rectangles of an uncompressed image to zero, in place.

    Raises
    ------
    UnreadableInstanceError
        If the image is compressed, or of pixels that are not whole bytes in one plane; the message is the reason as a
        phrase.
    """
    if (
        not _is_native(ds)
        or int(ds.get("BitsAllocated", 0)) % 8
        or int(ds.get("PlanarConfiguration", 0) or 0)
    ):
        msg = "shows text, and --blank needs uncompressed pixels of whole bytes, color by pixel; decompress it first"
        raise UnreadableInstanceError(msg)
    rows, columns = int(ds.Rows), int(ds.Columns)
    n_bytes = int(ds.BitsAllocated) // 8 * int(ds.get("SamplesPerPixel", 1))
    pixels = bytearray(ds.PixelData)
    for frame in range(int(ds.get("NumberOfFrames", 1) or 1)):
        for area in areas:
            left, right = area.columns[0], min(area.columns[1] + 1, columns)
            for row in range(area.rows[0], min(area.rows[1] + 1, rows)):
                start = ((frame * rows + row) * columns + left) * n_bytes
                width = max(right - left, 0) * n_bytes
                pixels[start : start + width] = bytes(width)
    ds.PixelData = bytes(pixels)
    ds.BurnedInAnnotation = "NO"


def _is_native(ds: Dataset) -> bool:
    return ds.file_meta.TransferSyntaxUID in _NATIVE


def _n_pixel_bytes(ds: Dataset) -> int:
    n_frames = int(ds.get("NumberOfFrames", 1) or 1)
    n_samples = int(ds.Rows) * int(ds.Columns) * int(ds.get("SamplesPerPixel", 1)) * n_frames
    return (n_samples * int(ds.BitsAllocated) + 7) // 8
