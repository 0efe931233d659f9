"""What the locator sees in a study, a volume or a picture, as files: a mask, levels.json and a picture of both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from stenograde import geometry
from stenograde.datasets.nifti import nifti_bytes, read_nifti
from stenograde.datasets.picture_files import png_bytes, read_picture
from stenograde.files import write_whole
from stenograde.grades import Point
from stenograde.levels.points import LevelPoint, LevelPoints
from stenograde.levels.region import not_lumbar
from stenograde.predict.bundle import Bundle
from stenograde.predict.cell_points import found_points
from stenograde.predict.locate import MarkedStack, levels_in, locate_study, mark_picture, mark_volume
from stenograde.report.as_levels_json import NamedLevel, as_levels_json, as_picture_levels_json
from stenograde.report.overlay import overlay_png
from stenograde.study import Study, Volume
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Side


@dataclass(frozen=True)
class LocatedFiles:
    """The content of the three files of one input."""

    mask_name: str
    mask: bytes
    """On the grid of the input: 0 background, else the :attr:`~stenograde.terms.Structure.code` of a structure."""
    levels: dict[str, Any]
    """As :mod:`stenograde.report.as_levels_json` makes it."""
    overlay: bytes
    """PNG."""

    def write(self, folder: Path) -> None:
        """Write the files into a folder; see :func:`stenograde.files.write_whole`."""
        write_whole(folder / self.mask_name, self.mask)
        write_whole(folder / "levels.json", json.dumps(self.levels, indent=2, allow_nan=False) + "\n")
        write_whole(folder / "overlay.png", self.overlay)


def locate_in_study(study: Study, bundle: Bundle) -> LocatedFiles:
    """Locate the levels of a study as grading does.

    Raises
    ------
    StudyError
        See :func:`stenograde.predict.locate.locate_study`.
    """
    located = locate_study(study, bundle)
    mask = nifti_bytes(located.stack.masks(), geometry.to_ras(located.volume.affine))
    where = found_points(study, located, bundle)
    levels = as_levels_json(_levels(located.points, where), (*located.points.doubts, *located.notes))
    return LocatedFiles("mask.nii.gz", mask, levels, _overlay(located.volume, located.stack, located.points))


def locate_in_nifti(path: Path, bundle: Bundle) -> LocatedFiles:
    """Locate the levels of a NIfTI volume; one without a spine has a mask and a doubt.

    Raises
    ------
    UnreadableInstanceError
        If the file cannot be read.
    """
    nifti = read_nifti(path)
    stack = mark_volume(nifti.volume, bundle)
    points = levels_in(stack)
    if points is not None and (seen := not_lumbar(points)):
        points = points.doubted([f"this may be no lumbar spine: {seen}"])
    mask = nifti_bytes(nifti.to_own_grid(stack.masks()), nifti.own_affine)
    doubts = points.doubts if points else ("neither canal nor discs were found",)
    levels = as_levels_json(_levels(points), doubts)
    return LocatedFiles("mask.nii.gz", mask, levels, _overlay(nifti.volume, stack, points))


def locate_in_picture(path: Path, spacing_mm: tuple[float, float], bundle: Bundle) -> LocatedFiles:
    """Locate the discs of a sagittal picture, head up, front to the left, with the distances of its rows and columns.

    Raises
    ------
    UnreadableInstanceError
        If the file cannot be read.
    """
    picture = read_picture(path)
    marked = mark_picture(picture, spacing_mm, bundle)
    named = [(row, column, name) for name, row, column in marked.points]
    overlay = overlay_png(picture, marked.mask, named, spacing_mm=spacing_mm)
    levels = as_picture_levels_json(reversed(marked.points), marked.doubts)
    return LocatedFiles("mask.png", png_bytes(marked.mask), levels, overlay)


def _levels(
    points: LevelPoints | None, where: Mapping[Cell, Point] = MappingProxyType({})
) -> Iterator[NamedLevel]:
    """Give any disc that was seen above the lumbar levels, then these five, from the head down."""
    lumbar = {level.shown for level in LUMBAR_MRI.levels}
    for disc in reversed(points.chain.discs) if points else ():
        if points and disc.name not in lumbar:
            centre = geometry.as_point(points.surface.to_patient(np.array(disc.centre))[0])
            yield NamedLevel(disc.name, points.chain.certain, {"disc_centre": centre})
    for level in LUMBAR_MRI.levels:
        if points and level in points.levels:
            yield NamedLevel(level.shown, points.chain.certain, _places(points.levels[level], where))
        else:
            yield NamedLevel(level.shown)


def _places(point: LevelPoint, where: Mapping[Cell, Point]) -> dict[str, Point]:
    foramina = {
        side: where.get(Cell(Condition.NEURAL_FORAMINAL_NARROWING, point.level, side), middle)
        for side, middle in point.foramen_middles.items()
    }
    return {
        "point": point.canal_centre,
        "disc_centre": point.disc_centre,
        "canal_centre": point.canal_centre,
        **{f"{side.value}_foramen": foramina[side] for side in Side},
        **{f"{side.value}_subarticular": point.recesses[side] for side in Side},
    }


def _overlay(volume: Volume, stack: MarkedStack, points: LevelPoints | None) -> bytes:
    """Return the slice that most of the mid-sagittal surface lies on, with what was found there."""
    middle = round(float(np.median(points.surface.slice_of_row))) if points else volume.shape[0] // 2
    affine = stack.turn.affine(volume.affine, volume.shape[1:])
    _, rows_mm, columns_mm = geometry.spacing_mm(affine)
    return overlay_png(
        stack.turn.apply(volume.slices([middle]))[0],
        stack.marks.masks()[middle],
        _named_discs(points, affine) if points else (),
        spacing_mm=(rows_mm, columns_mm),
    )


def _named_discs(points: LevelPoints, affine: np.ndarray) -> Sequence[tuple[float, float, str]]:
    centres = points.surface.to_patient(np.array([disc.centre for disc in points.chain.discs]))
    return [
        (float(row), float(column), disc.name)
        for disc, (_, row, column) in zip(points.chain.discs, geometry.to_index(affine, centres), strict=True)
    ]
