"""NIfTI volumes as arrays on our axes, and masks as the content of NIfTI files."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.picture_files import reason_of
from stenograde.errors import UnreadableInstanceError
from stenograde.files import MEMORY_LIMIT_BYTES, kind_of_file, shown_bytes
from stenograde.study import Volume

NIFTI_SUFFIXES = (".nii", ".nii.gz")
"""Endings of NIfTI volumes, lower case."""


def is_nifti(path: Path) -> bool:
    """Say whether a file's name is that of a NIfTI volume."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


@dataclass(frozen=True, eq=False)
class NiftiVolume:
    """A NIfTI file as one sagittal volume, with the way back to its own grid."""

    volume: Volume
    to_own_grid: Callable[[NDArray[Any]], NDArray[Any]]
    """Takes an array of shape (slices, rows, columns) to the file's axes."""
    own_affine: NDArray[np.float64]
    """The file's affine: its axes to RAS mm."""


def read_nifti(path: Path) -> NiftiVolume:
    """Read a NIfTI volume and order its axes (slice, row, column), slices running from side to side.

    Raises
    ------
    UnreadableInstanceError
        If the file is missing, no NIfTI, not three-dimensional, without a usable affine, or if it does not say which
        side is which.
    """
    try:
        data, own, codes = _decoded(path)
    except UnreadableInstanceError:
        raise
    except Exception as exc:
        # nibabel lets errors of gzip, zlib, numpy and its own pass; all of them mean: no readable volume
        msg = f"volume must be a readable NIfTI file, got {path} ({reason_of(exc)})"
        raise UnreadableInstanceError(msg) from exc
    if not any(codes):
        # nibabel then makes up an affine, in which any axis may be the one from side to side
        msg = (
            "volume must say how it lies in the patient, got sform_code 0 and qform_code 0, so left and right are "
            f"unknown ({path}); convert it again from DICOM, or set the form that it is known to have"
        )
        raise UnreadableInstanceError(msg)
    data = data.reshape(data.shape[:3]) if data.ndim > 3 and set(data.shape[3:]) == {1} else data
    if data.ndim != 3 or not np.isfinite(own).all() or abs(np.linalg.det(own[:3, :3])) < 1e-9:
        msg = f"volume must have three axes and an invertible affine, got shape {data.shape} ({path})"
        raise UnreadableInstanceError(msg)
    if not np.isfinite(data).any():
        msg = f"volume must hold finite values, got none in {path}"
        raise UnreadableInstanceError(msg)
    # NaN stands for what was not imaged; what is infinite is refused by the volume
    return _as_sagittal(np.nan_to_num(data), own)


def _decoded(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64], list[int]]:
    """Return the voxels of a file, its affine, and sform_code and qform_code, if there is room for them."""
    import nibabel  # noqa: PLC0415  only who reads NIfTI pays for it

    kind = kind_of_file(path.stat().st_mode)
    if kind:
        msg = f"volume must be a NIfTI file, got {path}, which is {kind}"
        raise UnreadableInstanceError(msg)
    image: Any = nibabel.load(path)
    n_bytes = 4 * math.prod(map(int, image.shape))
    if n_bytes > MEMORY_LIMIT_BYTES:
        msg = f"volume must decode to at most {shown_bytes(MEMORY_LIMIT_BYTES)}, got {shown_bytes(n_bytes)} ({path})"
        raise UnreadableInstanceError(msg)
    codes = [int(image.header[name]) for name in ("sform_code", "qform_code")]
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64), codes


def _as_sagittal(data: NDArray[np.float32], own: NDArray[np.float64]) -> NiftiVolume:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ own
    steps = lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0)
    slices = int(np.argmax(abs(steps[0])))
    rows, columns = (axis for axis in range(3) if axis != slices)
    order = (slices, rows, columns)
    affine = np.eye(4)
    affine[:3, :3] = lps[:3, order]
    affine[:3, 3] = lps[:3, 3]
    # slices grow along n = u x v, as everywhere in this package; u steps along a row, v along a column
    is_reversed = float(np.cross(affine[:3, 2], affine[:3, 1]) @ affine[:3, 0]) < 0
    ordered = data.transpose(order)
    if is_reversed:
        ordered = ordered[::-1]
        affine[:3, 3] += affine[:3, 0] * (data.shape[slices] - 1)
        affine[:3, 0] *= -1

    def decoded(indices: Sequence[int]) -> NDArray[np.float32]:
        return ordered[list(indices)]

    def to_own_grid(array: NDArray[Any]) -> NDArray[Any]:
        return (array[::-1] if is_reversed else array).transpose(np.argsort(order))

    n_slices, n_rows, n_columns = ordered.shape
    names = tuple(f"slice {index}" for index in range(n_slices))
    return NiftiVolume(Volume(affine, (n_slices, n_rows, n_columns), names, decoded), to_own_grid, own)


def nifti_bytes(mask: NDArray[np.uint8], affine: NDArray[np.float64]) -> bytes:
    """Return a mask as the content of a compressed NIfTI file; ``affine`` takes its axes to RAS mm."""
    import nibabel  # noqa: PLC0415  only who writes NIfTI pays for it

    image: Any = nibabel.nifti1.Nifti1Image
    return gzip.compress(image(np.ascontiguousarray(mask), affine).to_bytes(), mtime=0)
