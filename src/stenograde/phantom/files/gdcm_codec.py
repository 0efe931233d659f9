"""JPEG lossless encoding by gdcm; pydicom cannot encode it."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from stenograde.errors import MissingDependencyError

_KEPT = (
    "SOPInstanceUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
"""Attributes that gdcm receives; given more, it would change the SOP class of an image with rescaled values."""


def jpeg_lossless(ds: Dataset, path: Path) -> bytes:
    """Return the pixel data of an image as JPEG lossless, process 14, selection value 1 (PS3.5 A.4.1), encapsulated.

    Parameters
    ----------
    ds : Dataset
        Uncompressed, little endian.
    path : Path
        Temporary file to use.

    Raises
    ------
    MissingDependencyError
        If gdcm is not installed.
    OSError
        If gdcm cannot read, encode or write the image.
    """
    bare = Dataset()
    for keyword in _KEPT:
        bare[keyword] = ds[keyword]
    bare.SOPClassUID = MRImageStorage
    bare.ensure_file_meta()
    bare.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bare.save_as(path, enforce_file_format=True)
    _compress_by_gdcm(path)
    return bytes(dcmread(path).PixelData)


def _compress_by_gdcm(path: Path) -> None:
    """Rewrite a file as JPEG lossless, which pydicom cannot encode."""
    try:
        import gdcm  # noqa: PLC0415  needed for one transfer syntax only
    except ImportError as exc:
        msg = "JPEG lossless phantoms need python-gdcm, which is not installed; pip install python-gdcm"
        raise MissingDependencyError(msg) from exc
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    writer = gdcm.ImageWriter()
    if not reader.Read():
        msg = f"{path.name} must be readable to be compressed"
        raise OSError(msg)
    change.SetInput(reader.GetImage())
    if not change.Change():
        msg = f"{path.name} must be compressible as JPEG lossless"
        raise OSError(msg)
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    if not writer.Write():
        msg = f"{path.name} must be writable, got a failure of the encoder"
        raise OSError(msg)
