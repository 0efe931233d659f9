"""Storage of a sample's picture: a plain picture file, a DICOM instance, or an array in memory."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.dicom.read.decode import stored_pixels
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.opening import read_instance
from stenograde.errors import DatasetError, UnreadableInstanceError
from stenograde.files import regular_bytes

PICTURE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")
"""File name endings of plain pictures, lower case."""

MAX_PIXELS: Final = 1 << 26
"""Most pixels of a plain picture that is decoded; films have up to 24 million."""

DICOM_SUFFIXES = (".dcm", ".ima")
"""File name endings of DICOM files, if names have one, lower case."""


def is_picture(path: Path) -> bool:
    """Return whether a file name is that of a plain picture."""
    return path.name.lower().endswith(PICTURE_SUFFIXES)


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the plain pictures directly in a folder, sorted by name; none if it is absent."""
    return tuple(sorted(path for path in folder.iterdir() if is_picture(path))) if folder.is_dir() else ()


def read_picture(path: Path) -> NDArray[np.float32]:
    """Read a picture as grey values.

    Returns
    -------
    picture : ndarray of shape (rows, columns), float32

    Raises
    ------
    UnreadableInstanceError
        If the file is missing or not a picture.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  only who reads plain pictures pays for it

    try:
        with Image.open(io.BytesIO(regular_bytes(path))) as image:
            if image.width * image.height > MAX_PIXELS:
                msg = f"picture must have at most {MAX_PIXELS} pixels, got {image.height} x {image.width} in {path}"
                raise UnreadableInstanceError(msg)
            # 16-bit and float pictures keep their depth; colours become luminance
            grey = image if image.mode in ("I", "I;16", "F", "L") else image.convert("L")
            return np.asarray(grey, dtype=np.float32)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        msg = f"picture must be a readable PNG, WebP or JPEG, got {path} ({reason_of(exc)})"
        raise UnreadableInstanceError(msg) from exc


def reason_of(error: BaseException) -> str:
    """Return in words why a file cannot be read: the system's reason, or the kind of error."""
    return error.strerror or "cannot be read" if isinstance(error, OSError) else type(error).__name__


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """Return a picture, shape (rows, columns) or (rows, columns, 3), as the content of a PNG file."""
    from PIL import Image  # noqa: PLC0415  as above

    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


@dataclass(frozen=True)
class PictureFile:
    """A plain picture on disk; a :class:`stenograde.datasets.samples.StoredPicture`."""

    path: Path

    @property
    def key(self) -> str:
        """Path, size and modification time.

        Raises
        ------
        DatasetError
            If the file is missing.
        """
        return _file_key(self.path)

    def read(self) -> NDArray[np.float32]:
        """Return the picture, shape (rows, columns), stored intensities.

        Raises
        ------
        DatasetError
            If it cannot be read.
        """
        try:
            return read_picture(self.path)
        except UnreadableInstanceError as exc:
            raise DatasetError(str(exc)) from exc


@dataclass(frozen=True)
class DicomPicture:
    """One slice of a DICOM file on disk; a :class:`stenograde.datasets.samples.StoredPicture`."""

    path: Path
    frame: int = 0
    """Frame within the instance, from 0."""

    @property
    def key(self) -> str:
        """Path, size, modification time and frame.

        Raises
        ------
        DatasetError
            If the file is missing.
        """
        return f"{_file_key(self.path)}#{self.frame}"

    def read(self) -> NDArray[np.float32]:
        """Return the slice, shape (rows, columns), stored intensities, with brighter pixels greater.

        No geometry is needed, so radiographs can be read, too.

        Raises
        ------
        DatasetError
            If it cannot be read or decoded, is not a grey picture, or has no such frame.
        """
        try:
            instance = read_instance(StudyFile(str(self.path), self.path.name))
            layout = instance.layout
            if layout is None or layout.samples != 1 or not 0 <= self.frame < layout.n_frames:
                held = "no pixels" if layout is None else f"{layout.n_frames} of {layout.samples} channels"
                msg = f"picture must be grey frame {self.frame} of {self.path}, got {held}"
                raise DatasetError(msg)
            stored = stored_pixels(instance, self.frame).astype(np.float32)
        except UnreadableInstanceError as exc:
            msg = f"picture must be a DICOM slice that can be decoded, got {self.path} ({exc})"
            raise DatasetError(msg) from exc
        # PS3.3 C.7.6.3.1.2: in MONOCHROME1 the lowest value is white
        return stored.max() - stored if layout.photometric == "MONOCHROME1" else stored


@dataclass(frozen=True, eq=False)
class ArrayPicture:
    """A picture in memory; a :class:`stenograde.datasets.samples.StoredPicture`."""

    array: NDArray[np.float32]
    """Shape (rows, columns)."""
    name: str
    """Source of the picture."""

    @property
    def key(self) -> str:
        """Name and digest of the content."""
        digest = hashlib.sha256(np.ascontiguousarray(self.array).tobytes()).hexdigest()[:16]
        return f"{self.name}|{'x'.join(map(str, self.array.shape))}|{digest}"

    def read(self) -> NDArray[np.float32]:
        """Return the picture, shape (rows, columns)."""
        return np.asarray(self.array, np.float32)


def _file_key(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError as exc:
        msg = f"picture must be a file that is there, got {path} ({exc.strerror})"
        raise DatasetError(msg) from exc
    return f"{path.absolute()}|{facts.st_size}|{facts.st_mtime_ns}"
