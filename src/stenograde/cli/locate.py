"""``stenograde locate``: what the locator sees, as a mask, named points and a picture; no grading."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stenograde.cli.output import out_folder
from stenograde.errors import ConfigError
from stenograde.files import write_whole
from stenograde.terms import LUMBAR_MRI, Side

if TYPE_CHECKING:
    from stenograde.levels.points import LevelPoint, LevelPoints
    from stenograde.predict.bundle import Bundle
    from stenograde.predict.locate import MarkedStack
    from stenograde.study import Volume

SCHEMA_ID = "stenograde/levels/1"
"""Name and version of the form of levels.json."""


@dataclass(frozen=True)
class _Located:
    """The three files of one input."""

    mask_name: str
    mask: bytes
    levels: dict[str, Any]
    overlay: bytes


def locate(
    path: Annotated[Path, typer.Argument(metavar="INPUT", help="Study, NIfTI volume, or PNG/WebP/JPEG.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; made if it is not there.")],
    spacing_mm: Annotated[
        tuple[float, float] | None,
        typer.Option("--spacing-mm", metavar="R C", help="Distance of rows and columns of a picture, mm."),
    ] = None,
    study: Annotated[str | None, typer.Option("--study", help="StudyInstanceUID to pick.")] = None,
    roles: Annotated[
        Path | None, typer.Option("--roles", help="CSV of series roles; it always wins.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Bundle whose locator is used.")] = None,
) -> None:
    """Find vertebrae, discs and canal; write the mask, levels.json and overlay.png.

    The mask has the grid of the input: 0 background, 1 vertebra, 2 disc, 3 canal.
    """
    from stenograde.cli.picture_files import is_nifti
    from stenograde.datasets.picture_files import is_picture
    from stenograde.predict.bundle import bundle_at

    folder = out_folder(out)
    loaded = bundle_at(bundle)
    if is_picture(path):
        located = _in_picture(path, spacing_mm, loaded)
    elif is_nifti(path):
        located = _in_nifti(path, loaded)
    else:
        located = _in_study(path, study, roles, loaded)
    for name, content in (
        (located.mask_name, located.mask),
        ("levels.json", json.dumps(located.levels, indent=2, allow_nan=False) + "\n"),
        ("overlay.png", located.overlay),
    ):
        write_whole(folder / name, content)
    _print(located, folder)


def _in_picture(path: Path, spacing_mm: tuple[float, float] | None, bundle: Bundle) -> _Located:
    from stenograde.cli.picture_files import png_bytes
    from stenograde.datasets.picture_files import read_picture
    from stenograde.predict.locate import mark_picture
    from stenograde.report.overlay import overlay_png

    if spacing_mm is None or min(spacing_mm) <= 0:
        msg = (
            f"--spacing-mm must be two positive distances for a picture, got {spacing_mm or 'none'}; "
            "give the distance of its rows and of its columns, such as --spacing-mm 0.6 0.6"
        )
        raise ConfigError(msg)
    picture = read_picture(path)
    marked = mark_picture(picture, spacing_mm, bundle)
    levels = [
        {"name": name, "certain": not marked.doubts, "row": round(row, 2), "column": round(column, 2)}
        for name, row, column in reversed(marked.points)
    ]
    points = [(row, column, name) for name, row, column in marked.points]
    return _Located(
        "mask.png",
        png_bytes(marked.mask),
        {"schema": SCHEMA_ID, "space": "row_column_px", "levels": levels, "doubts": list(marked.doubts)},
        overlay_png(picture, marked.mask, points, spacing_mm=spacing_mm),
    )


def _in_nifti(path: Path, bundle: Bundle) -> _Located:
    from stenograde.cli.picture_files import nifti_bytes, read_nifti
    from stenograde.predict.locate import mark_volume

    nifti = read_nifti(path)
    stack = mark_volume(nifti.volume, bundle)
    mask = nifti_bytes(nifti.to_own_grid(stack.masks()), nifti.own_affine)
    return _of_volume(nifti.volume, stack, mask)


def _in_study(path: Path, study_uid: str | None, roles: Path | None, bundle: Bundle) -> _Located:
    from stenograde.cli.picture_files import nifti_bytes
    from stenograde.dicom.read.series import read_roles
    from stenograde.dicom.read.studies import read_study
    from stenograde.geometry import to_ras
    from stenograde.predict.locate import locating_series, mark_volume

    study = read_study(path, study_uid=study_uid, roles=read_roles(roles) if roles else None)
    series = locating_series(study)
    volume = max(series.volumes, key=lambda one: one.shape[0])
    stack = mark_volume(volume, bundle)
    mask = nifti_bytes(stack.masks(), to_ras(volume.affine))
    return _of_volume(volume, stack, mask)


def _of_volume(volume: Volume, stack: MarkedStack, mask: bytes) -> _Located:
    from stenograde.levels.points import find_levels

    points = find_levels(stack.marked)
    return _Located("mask.nii.gz", mask, _levels(points), _overlay(volume, stack, points))


def _levels(points: LevelPoints | None) -> dict[str, Any]:
    """Return the content of levels.json: any disc seen above the lumbar levels, then these five."""
    import numpy as np

    by_level = points.levels if points else {}
    levels = [
        _level(by_level[level], certain=points.chain.certain)
        if points and level in by_level
        else {"name": level.shown, "imaged": False, "certain": False}
        for level in LUMBAR_MRI.levels
    ]
    if points is None:
        doubts = ["neither canal nor discs were found"]
        return {"schema": SCHEMA_ID, "space": "lps_mm", "levels": levels, "doubts": doubts}
    lumbar = {level.shown for level in LUMBAR_MRI.levels}
    above = [
        {
            "name": disc.name,
            "imaged": True,
            "certain": points.chain.certain,
            "disc_centre_lps_mm": _rounded(points.surface.to_patient(np.array(disc.centre))[0]),
        }
        for disc in points.chain.discs
        if disc.name not in lumbar
    ]
    return {
        "schema": SCHEMA_ID,
        "space": "lps_mm",
        "levels": [*reversed(above), *levels],
        "doubts": list(points.doubts),
    }


def _level(point: LevelPoint, *, certain: bool) -> dict[str, Any]:
    sided = {
        f"{side.value}_{name}_lps_mm": _rounded(found[side])
        for name, found in (("foramen", point.foramina), ("subarticular", point.recesses))
        for side in Side
    }
    return {
        "name": point.level.shown,
        "imaged": True,
        "certain": certain,
        "point_lps_mm": _rounded(point.canal_centre),
        "disc_centre_lps_mm": _rounded(point.disc_centre),
        "canal_centre_lps_mm": _rounded(point.canal_centre),
    } | sided


def _rounded(xyz: Any) -> list[float]:
    return [round(float(value), 3) for value in xyz]


def _overlay(volume: Volume, stack: MarkedStack, points: LevelPoints | None) -> bytes:
    """Return the slice that most of the mid-sagittal surface lies on, with what was found there."""
    import numpy as np

    from stenograde.geometry import spacing_mm, to_index
    from stenograde.report.overlay import overlay_png

    slices, rows, columns = volume.shape
    middle = round(float(np.median(points.surface.slice_of_row))) if points else slices // 2
    affine = stack.turn.affine(volume.affine, (rows, columns))
    discs = points.chain.discs if points else ()
    named = []
    if points and discs:
        centres = points.surface.to_patient(np.array([disc.centre for disc in discs]))
        named = [
            (float(row), float(column), disc.name)
            for disc, (_, row, column) in zip(discs, to_index(affine, centres), strict=True)
        ]
    _, rows_mm, columns_mm = spacing_mm(affine)
    return overlay_png(
        stack.turn.apply(volume.slices([middle]))[0],
        stack.marks.masks()[middle],
        named,
        spacing_mm=(rows_mm, columns_mm),
    )


def _print(located: _Located, folder: Path) -> None:
    names = [level["name"] for level in located.levels["levels"] if level.get("imaged", True)]
    print(f"levels:  {', '.join(names) or 'none'}")
    for doubt in located.levels["doubts"]:
        print(f"doubt:   {doubt}")
    print(f"points:  {folder / 'levels.json'}")
    print(f"mask:    {folder / located.mask_name}")
    print(f"overlay: {folder / 'overlay.png'}")
    print("research use only: not a medical device")
