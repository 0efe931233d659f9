"""``stenograde locate``: what the locator sees, as a mask, named points and a picture; no grading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.output import (
    BundleFolder,
    MemoryLimit,
    OutFolder,
    RolesFile,
    StudyUid,
    bytes_asked,
    out_folder,
)
from stenograde.errors import ConfigError

if TYPE_CHECKING:
    from stenograde.grading.located import LocatedFiles


def locate(
    path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Study, NIfTI volume, or PNG, WebP or JPEG picture.")
    ],
    out: OutFolder,
    spacing_mm: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--spacing-mm",
            metavar="R C",
            help="Distance between the rows, and between the columns, of a picture in mm.",
        ),
    ] = None,
    study: StudyUid = None,
    roles: RolesFile = None,
    bundle: BundleFolder = None,
    memory_limit: MemoryLimit = None,
) -> None:
    """Find vertebrae, discs and canal; write the mask, levels.json and overlay.png.

    The mask lies on the grid of the input: 0 background, 1 vertebra, 2 disc, 3 canal.
    """
    from stenograde.datasets.nifti import is_nifti
    from stenograde.datasets.picture_files import is_picture
    from stenograde.dicom.read.given_roles import read_roles
    from stenograde.dicom.read.studies import read_study
    from stenograde.grading.located import locate_in_nifti, locate_in_picture, locate_in_study
    from stenograde.predict.bundle import bundle_at

    folder = out_folder(out)
    loaded = bundle_at(bundle)
    if is_picture(path):
        located = locate_in_picture(path, _asked_spacing(spacing_mm), loaded)
    elif is_nifti(path):
        located = locate_in_nifti(path, loaded)
    else:
        role_of = read_roles(roles) if roles else None
        limit = bytes_asked(memory_limit)
        located = locate_in_study(
            read_study(path, study_uid=study, roles=role_of, memory_limit=limit), loaded
        )
    located.write(folder)
    _print(located, folder)


def _asked_spacing(spacing_mm: tuple[float, float] | None) -> tuple[float, float]:
    from stenograde.study import PIXEL_MM

    least, most = PIXEL_MM
    # written so that NaN is refused
    if spacing_mm is None or not all(least <= one <= most for one in spacing_mm):
        msg = (
            f"--spacing-mm must be two positive distances for a picture, got {spacing_mm or 'none'}; give the distance "
            f"of its rows and of its columns, {least:g} to {most:g} mm, such as --spacing-mm 0.6 0.6"
        )
        raise ConfigError(msg)
    return spacing_mm


def _print(located: LocatedFiles, folder: Path) -> None:
    names = [level["name"] for level in located.levels["levels"] if level.get("imaged", True)]
    print(f"levels:  {', '.join(names) or 'none'}")
    for doubt in located.levels["doubts"]:
        print(f"doubt:   {doubt}")
    print(f"points:  {folder / 'levels.json'}")
    print(f"mask:    {folder / located.mask_name}")
    print(f"overlay: {folder / 'overlay.png'}")
    print("research use only: not a medical device")
