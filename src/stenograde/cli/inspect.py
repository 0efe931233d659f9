"""``stenograde inspect``: what is in a study, which role each series has and why; no grading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.output import MemoryLimit, RolesFile, StudyUid, bytes_asked, print_table

if TYPE_CHECKING:
    from stenograde.study import Series, Study, Volume


def inspect(
    study: Annotated[Path, typer.Argument(help="Folder, zip or DICOMDIR.")],
    uid: StudyUid = None,
    every: Annotated[bool, typer.Option("--all", help="Show all studies found.")] = False,
    roles: RolesFile = None,
    memory_limit: MemoryLimit = None,
    names: Annotated[
        bool,
        typer.Option(
            "--names", help="Show only which file each number stands for; a name can be that of a patient."
        ),
    ] = False,
) -> None:
    """Show a study's series, their roles and why, their geometry, and what was left out.

    Files are called by their numbers, in every command; --names tells their names.
    """
    from stenograde.dicom.read.given_roles import read_roles
    from stenograde.dicom.read.opening import find_files
    from stenograde.dicom.read.pixels import check_pixels
    from stenograde.dicom.read.studies import read_studies, read_study

    limit = bytes_asked(memory_limit)
    if names:
        for file in find_files(study, limit_bytes=limit):
            print(f"{file.name}: {file.relative}")
        return
    role_of = read_roles(roles) if roles else None
    found = (
        read_studies(study, roles=role_of, memory_limit=limit)
        if every
        else (read_study(study, study_uid=uid, roles=role_of, memory_limit=limit),)
    )
    for one in found:
        _print_study(check_pixels(one))


def _print_study(study: Study) -> None:
    headings = ("series", "plane", "weighting", "role", "why", "volumes", "problems")
    print_table(headings, map(_row, study.series), title=f"study {study.uid}", lines=True)
    for warning in study.warnings:
        print(f"warning: {warning}")
    if study.unused:
        print_table(("left out", "why"), [(one.what, one.why) for one in study.unused], title="not used")


def _row(series: Series) -> tuple[str, ...]:
    return (
        series.uid,
        series.plane.value,
        series.weighting.value if series.weighting else "unknown",
        series.role.shown if series.role else "none",
        series.why,
        "\n".join(_geometry(volume) for volume in series.volumes),
        "\n".join(series.problems),
    )


def _geometry(volume: Volume) -> str:
    """Slices x rows x columns and spacing of a volume, such as ``18 x 462 x 448, 4.4 x 0.56 x 0.56 mm``."""
    size = " x ".join(str(n) for n in volume.shape)
    return f"{size}, {' x '.join(f'{spacing:.3g}' for spacing in volume.spacing_mm)} mm"
