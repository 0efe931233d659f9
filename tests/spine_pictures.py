"""Plain pictures of a made-up spine, and a bundle whose locator reads them without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from tests.plain_volumes import volume_of
from tests.spine_marks import GRID_MM, Spine

from stenograde.predict.bundle import Bundle, BundleTable, LocatorEntry
from stenograde.predict.weight_files import WeightFile
from stenograde.study import Volume
from stenograde.terms import Structure

STRIP_PX = 8
"""Rows at the top, and columns behind the spine, that are brighter than all else: each part of a picture that is looked
at has the same range."""

BEHIND_MM = 15.0
"""Where the bright columns begin, behind the spine, mm."""

_LEVELS = len(Structure) + 1
_SURE = 12.0


def pictures_of(spine: Spine) -> NDArray[np.float32]:
    """Pictures that show background, vertebrae, discs and canal as 0, 100, 200 and 300."""
    codes = np.argmax(spine.marked().probabilities, axis=1).astype(np.float32)
    pictures = codes * 100
    pictures[:, :STRIP_PX] = _LEVELS * 100
    behind = int(np.flatnonzero(codes.any(axis=(0, 1)))[-1] + BEHIND_MM / GRID_MM)
    pictures[:, :, behind : behind + STRIP_PX] = _LEVELS * 100
    return pictures


def volume_with(spine: Spine, affine: np.ndarray | None = None, root: str = "2.25.7") -> Volume:
    """A sagittal volume of a spine, on the grid that the plain locator works on."""
    return volume_of(pictures_of(spine), spine.affine() if affine is None else affine, root)


class PlainBundle(Bundle):
    """Bundle that reads the structures of plain pictures from their intensity."""

    def locate(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of shape (n, classes + 2, rows, columns); the lowest disc is the lumbosacral one."""
        low, high = slices.min(axis=(2, 3), keepdims=True), slices.max(axis=(2, 3), keepdims=True)
        codes = np.rint((slices - low) / np.maximum(high - low, 1e-6) * _LEVELS)[:, 0]
        codes[codes == _LEVELS] = 0
        logits = np.full((len(slices), _LEVELS + 2, *slices.shape[2:]), -_SURE, np.float32)
        for code in range(_LEVELS):
            logits[:, code][codes == code] = _SURE
        for one, maps in zip(codes, logits, strict=True):
            _add_heat(one == Structure.DISC.code, maps[_LEVELS:])
        return logits


def _add_heat(disc: NDArray[np.bool_], maps: NDArray[np.float32]) -> None:
    pieces, n = ndimage.label(disc)
    centres = np.array(ndimage.center_of_mass(disc, pieces, range(1, n + 1))).reshape(-1, 2)
    rows, columns = np.indices(disc.shape)
    for place, (row, column) in enumerate(sorted(centres.tolist())):
        heat = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) * GRID_MM**2 / (2 * 3.5**2)) * 0.9
        logit = np.log(np.clip(heat, 1e-5, None) / (1 - heat))
        maps[0] = np.maximum(maps[0], logit)
        if place == n - 1:
            maps[1] = np.maximum(maps[1], logit)


def plain_bundle(grid_mm: float = GRID_MM, stride: int = 32) -> PlainBundle:
    nothing = WeightFile("none", "0" * 64)
    entry = LocatorEntry(nothing, nothing, (1,), grid_mm, stride)
    return PlainBundle(BundleTable("plain", "0", "lumbar_mri", entry), Path(), "0" * 64)
