"""Slices of the SPIDER lumbar MRI data set (van der Graaf et al., doi:10.1038/s41597-024-03090-w, CC BY 4.0).

Three folders of one data directory are read; all but the first are optional:

``spider_t2space_masks/``
    Sagittal T2 SPACE slices with masks: 29 disc, 76 vertebra, 150 spinal canal.
``spider_level_masks/``
    Sagittal T1 and T2 slices with vertebrae coloured by level, without discs or canal.
``spider_midsagittal/``
    Mid-sagittal T1 and T2 slices without masks, with the DICOM facts of each series in ``overview.csv``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from stenograde.datasets.marked_slice import NOT_VERTEBRA, UNKNOWN, MarkedSlice
from stenograde.datasets.picture_files import PictureFile
from stenograde.errors import DatasetError
from stenograde.terms import Level, Structure

SPACE_SPACING_MM = 0.46875
"""Pixel spacing of every T2 SPACE series of the set, mm (its ``overview.csv``)."""

VERTEBRA_PITCH_MM = 36.0
"""Usual distance between centres of neighbouring lumbar bodies, mm: body about 27 mm and disc about 9 mm high
(Zhou et al., doi:10.1007/s005860000140); gives the unknown pixel spacing of the coloured slices."""

_SPACE_CODES = {29: Structure.DISC.code, 76: Structure.VERTEBRA.code, 150: Structure.CANAL.code}

_LEVEL_COLOURS = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (255, 0, 255),
    (0, 255, 255),
    (128, 128, 128),
)
"""L5, L4, L3, L2, L1, T12, T11."""

LEVEL_OF_LABEL: Final[Mapping[str, Level]] = {
    "1": Level.L5_S1,
    "2": Level.L4_L5,
    "3": Level.L3_L4,
    "4": Level.L2_L3,
    "5": Level.L1_L2,
}
"""Level by IVD label of ``radiological_gradings.csv``: counted upwards from the lowest disc."""


@dataclass(frozen=True, eq=False)
class SpiderSlices:
    """The slices of the three folders."""

    space: tuple[MarkedSlice, ...]
    coloured: tuple[MarkedSlice, ...]
    midsagittal: tuple[MarkedSlice, ...]


def read_spider(data: Path) -> SpiderSlices:
    """Read the slices of all folders.

    Parameters
    ----------
    data : Path
        Folder with ``spider_t2space_masks`` and optionally ``spider_level_masks`` and ``spider_midsagittal``.

    Raises
    ------
    DatasetError
        If the layout of the data is not as expected.
    """
    return SpiderSlices(read_space_slices(data), read_level_slices(data), read_midsagittal_slices(data))


def read_space_slices(data: Path) -> tuple[MarkedSlice, ...]:
    """Read the T2 SPACE slices with masks.

    Parameters
    ----------
    data : Path
        Folder with ``spider_t2space_masks``.

    Raises
    ------
    DatasetError
        If the folder is absent or empty, or a mask is absent or differs in size from its image.
    """
    folder = data / "spider_t2space_masks"
    slices = []
    for image in _pictures(folder / "images"):
        picture = PictureFile(image).read()
        stored = _stored_mask(folder / "masks" / f"{image.stem}.png", picture.shape)
        mask = np.zeros(picture.shape, np.uint8)
        for value, code in _SPACE_CODES.items():
            mask[stored == value] = code
        spacing = (SPACE_SPACING_MM, SPACE_SPACING_MM)
        slices.append(MarkedSlice(image.stem, image.stem.split("_")[0], picture, mask, spacing))
    return tuple(slices)


def read_level_slices(data: Path) -> tuple[MarkedSlice, ...]:
    """Read the T1 and T2 slices with coloured vertebrae; none if the folder is absent.

    Rows above the highest and below the lowest coloured vertebra are :data:`UNKNOWN`, as the set colours no
    vertebra above T11. Pixel spacing is unknown and estimated from the distance between neighbouring bodies.
    Patients have their own numbering; nothing says which patients of the other folders they are.

    Raises
    ------
    DatasetError
        If a mask is absent or differs in size from its image.
    """
    folder = data / "spider_level_masks"
    if not folder.is_dir():
        return ()
    slices = []
    pitches: dict[tuple[str, tuple[int, ...]], list[float]] = {}
    for image in _pictures(folder / "images"):
        picture = PictureFile(image).read()
        colours = _stored_mask(folder / "masks" / f"{image.stem}.png", picture.shape)
        levels = np.stack([(colours == colour).all(axis=-1) for colour in _LEVEL_COLOURS])
        mask = np.full(picture.shape, NOT_VERTEBRA, np.uint8)
        mask[levels.any(axis=0)] = Structure.VERTEBRA.code
        rows = np.flatnonzero(levels.any(axis=(0, 2)))
        if rows.size:  # otherwise a slice beside the spine, without any vertebra
            mask[: rows[0]], mask[rows[-1] + 1 :] = UNKNOWN, UNKNOWN
        patient = f"coloured-{image.stem.split('_')[0]}"
        pitch = _body_pitch_px(levels)
        if pitch is not None:
            pitches.setdefault((patient, picture.shape), []).append(pitch)
        slices.append((image.stem, patient, picture, mask))
    every = [pitch * shape[0] ** -1 for (_, shape), found in pitches.items() for pitch in found]
    return tuple(
        MarkedSlice(name, patient, picture, mask, (spacing, spacing))
        for name, patient, picture, mask in slices
        for spacing in [
            VERTEBRA_PITCH_MM
            / float(np.median(pitches.get((patient, picture.shape), [np.median(every) * picture.shape[0]])))
        ]
    )


def read_midsagittal_slices(data: Path) -> tuple[MarkedSlice, ...]:
    """Read the mid-sagittal T1 and T2 slices, without masks; none if the folder is absent.

    Raises
    ------
    DatasetError
        If a slice is not listed in ``overview.csv``.
    """
    folder = data / "spider_midsagittal"
    if not folder.is_dir():
        return ()
    with (folder / "overview.csv").open(newline="") as file:
        spacings = {row["new_file_name"]: row["PixelSpacing"] for row in csv.DictReader(file)}
    slices = []
    for image in _pictures(folder / "images"):
        numbers = re.findall(r"[\d.]+", spacings.get(image.stem, ""))
        if len(numbers) != 2:
            msg = f"overview.csv must give the PixelSpacing of {image.stem}, got {spacings.get(image.stem)!r}"
            raise DatasetError(msg)
        spacing = (float(numbers[0]), float(numbers[1]))
        slices.append(
            MarkedSlice(image.stem, image.stem.split("_")[0], PictureFile(image).read(), None, spacing)
        )
    return tuple(slices)


def _pictures(folder: Path) -> Iterator[Path]:
    found = sorted(p for p in folder.glob("*") if p.suffix in {".webp", ".png"}) if folder.is_dir() else []
    if not found:
        msg = f"{folder.parent.name}/{folder.name} must hold WebP or PNG pictures, got none in {folder.parent.parent}"
        raise DatasetError(msg)
    return iter(found)


def _stored_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if not path.is_file():
        msg = f"{path.name} must lie in {path.parent.parent.name}/masks, got nothing there"
        raise DatasetError(msg)
    with Image.open(path) as image:
        mask = np.asarray(image)
    if mask.shape[:2] != shape:
        msg = f"{path.name} must have the size of its image {shape}, got {mask.shape[:2]}"
        raise DatasetError(msg)
    return mask


def _body_pitch_px(levels: NDArray[np.bool_]) -> float | None:
    """Return the median distance between neighbouring bodies (largest components), px; None if unclear."""
    centres: list[NDArray[np.float64] | None] = []
    areas = []
    for level in levels:
        labels, n = ndimage.label(level)
        sizes = ndimage.sum_labels(level, labels, range(1, n + 1)) if n else np.zeros(1)
        areas.append(float(np.max(sizes)))
        centre = ndimage.center_of_mass(labels == int(np.argmax(sizes)) + 1) if n else None
        centres.append(None if centre is None else np.asarray(centre))
    typical = float(np.median([area for area in areas if area > 0] or [0.0]))
    steps = [
        float(np.linalg.norm(a - b))
        for a, b, area_a, area_b in zip(centres, centres[1:], areas, areas[1:], strict=False)
        if a is not None and b is not None and min(area_a, area_b) > 0.6 * typical
    ]
    return float(np.median(steps)) if len(steps) >= 3 else None
