"""``stenograde phantom``: write a cohort of phantoms as DICOM."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.output import OutFolder, out_folder
from stenograde.errors import ConfigError
from stenograde.terms import LUMBAR_MRI, Cell, Severity
from stenograde.workers import n_cores

MAX_PATIENTS = 100_000
"""Most patients of one cohort; they would fill 2 TB."""


class RegionName(StrEnum):
    """Region of the spine."""

    LUMBAR = "lumbar"
    CERVICAL = "cervical"


class Films(StrEnum):
    """Radiographs of each neck."""

    ALL = "all"
    OBLIQUES = "obliques"


Cells = Annotated[
    list[str] | None,
    typer.Option(
        "--cell",
        help="CELL=SEVERITY, such as left_neural_foraminal_narrowing_l5_s1=severe; repeatable.",
    ),
]
Bones = Annotated[
    Path | None,
    typer.Option("--bones", help="Folder with surfaces of real vertebrae, used in place of measured arches."),
]
Quirks = Annotated[
    bool,
    typer.Option(
        "--quirks",
        help="Put in what is odd about RSNA 2024: empty and repeated files, missing rows, wrong marks.",
    ),
]


def phantom(
    patients: Annotated[int, typer.Option("--patients", min=1, max=MAX_PATIENTS, help="Number of phantoms.")],
    out: OutFolder,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed; the same one gives the same patients.")
    ] = 0,
    cell: Cells = None,
    contrast: Annotated[
        str | None,
        typer.Option(
            "--contrast",
            help="Kind of protocols, drawn for each patient: clinical, randomised or 3t_long_te.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="TOML file: how patients differ ([population]) and are imaged ([mix], such as missing_share).",
        ),
    ] = None,
    bones: Bones = None,
    region: Annotated[
        RegionName, typer.Option("--region", help="Lumbar MRI, or radiographs of the neck.")
    ] = RegionName.LUMBAR,
    films: Annotated[
        Films,
        typer.Option(
            "--films", help="Films of each neck: AP, lateral and both obliques, or the obliques alone."
        ),
    ] = Films.ALL,
    quirks: Quirks = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Number of processes; one per core if not given.")
    ] = None,
) -> None:
    """Write phantoms (simulated patients with known answers): lumbar MRI as RSNA 2024 lays it out, or neck films."""
    folder = out_folder(out)
    _refuse_held(folder, region)
    processes = min(patients, workers or n_cores())
    if region is RegionName.LUMBAR:
        cells = dict(_chosen(one) for one in cell or [])
        _write_lumbar(
            folder,
            patients,
            seed,
            cells=cells,
            contrast=contrast,
            config=config,
            bones=bones,
            workers=processes,
        )
        if quirks:
            _put_quirks(folder, seed)
        return
    if cell or contrast or config or quirks or bones:
        msg = "--cell, --contrast, --config, --bones and --quirks must go with lumbar MRI, got --region cervical"
        raise ConfigError(msg)
    _write_cervical(folder, patients, seed, films=films, workers=processes)


def _refuse_held(folder: Path, region: RegionName) -> None:
    for name in ("train_images",) if region is RegionName.LUMBAR else ("images", "regions"):
        held = folder / name
        if held.exists() and any(held.iterdir()):
            msg = f"--out must not hold a cohort already, got {held}; name another folder"
            raise ConfigError(msg)


def _chosen(text: str) -> tuple[Cell, Severity]:
    name, _, grade = text.partition("=")
    cell = next((cell for cell in LUMBAR_MRI.cells if cell.name == name.strip()), None)
    severity = next((severity for severity in Severity if severity.value == grade.strip()), None)
    if cell is None or severity is None:
        msg = (
            f"--cell must be CELL=SEVERITY with a column of train.csv (such as {LUMBAR_MRI.cells[0].name}) and one of "
            f"{', '.join(Severity)}, got {text!r}"
        )
        raise ConfigError(msg)
    return cell, severity


def _write_lumbar(
    folder: Path,
    patients: int,
    seed: int,
    *,
    cells: dict[Cell, Severity],
    contrast: str | None,
    config: Path | None,
    bones: Path | None,
    workers: int,
) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import build, read_toml
    from stenograde.phantom import CohortConfig, ContrastMode, ProtocolMix, write_cohort
    from stenograde.phantom.body.surfaces import read_surfaces

    if contrast is not None and contrast not in tuple(ContrastMode):
        msg = f"--contrast must be one of {', '.join(ContrastMode)}, got {contrast}"
        raise ConfigError(msg)
    settings = build(CohortConfig, read_toml(config)) if config else CohortConfig()
    mix = settings.mix
    if contrast is not None:
        mix = replace(mix or ProtocolMix(), contrast=ContrastMode(contrast))
    population = settings.population
    if bones is not None:
        read_surfaces(bones)  # (what is wrong with them is told before anything is written)
        population = replace(population, bones=bones)
    with progress_on_stderr(lines=False) as progress:
        write_cohort(
            folder,
            patients=patients,
            seed=seed,
            cells=cells,
            progress=progress,
            population=population,
            protocol=mix,
            workers=workers,
        )
    print(f"patients: {patients}")
    print(f"studies:  {folder / 'train_images'}")
    print(f"answers:  {folder / 'train.csv'}, in mm: truth.csv")


def _put_quirks(folder: Path, seed: int) -> None:
    from stenograde.phantom.files.quirks import QUIRKS, put_quirks

    try:
        put = put_quirks(folder, seed=seed)
    except ValueError as exc:
        msg = f"--quirks: {exc}; ask for more --patients"
        raise ConfigError(msg) from exc
    print(f"quirks:   {len(put)}, in {folder / QUIRKS}")


def _write_cervical(folder: Path, patients: int, seed: int, *, films: Films, workers: int) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.phantom.neck import OBLIQUES, NeckCohort, write_necks

    config = NeckCohort(views=OBLIQUES) if films is Films.OBLIQUES else NeckCohort()
    with progress_on_stderr(lines=False) as progress:
        write_necks(folder, patients=patients, seed=seed, progress=progress, workers=workers, config=config)
    print(f"patients: {patients}")
    print(f"films:    {folder / 'images'}")
    print(f"answers:  {folder / 'labels.csv'}")
    print(f"regions:  {folder / 'foramina.csv'}; for 'stenograde experiment s2 --data'")
