"""``stenograde phantom``: write a cohort of simulated patients as DICOM."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stenograde.errors import ConfigError


class RegionName(StrEnum):
    """Part of the spine."""

    LUMBAR = "lumbar"
    CERVICAL = "cervical"


class Films(StrEnum):
    """Radiographs of each neck."""

    ALL = "all"
    OBLIQUES = "obliques"


def phantom(
    patients: Annotated[int, typer.Option("--patients", min=1, help="How many patients.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; made if it is not there.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same patients.")] = 0,
    region: Annotated[
        RegionName, typer.Option("--region", help="Lumbar MRI, or radiographs of the neck.")
    ] = RegionName.LUMBAR,
    films: Annotated[
        Films, typer.Option("--films", help="Of a neck: AP, lateral and both obliques, or the obliques.")
    ] = Films.ALL,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that write necks at the same time.")
    ] = 1,
) -> None:
    """Write simulated patients with known answers: lumbar MRI as RSNA 2024 lays it out, or films of the neck."""
    from stenograde.cli.output import out_folder

    folder = out_folder(out)
    for name in ("train_images",) if region is RegionName.LUMBAR else ("images", "regions"):
        held = folder / name
        if held.exists() and any(held.iterdir()):
            msg = f"--out must not hold a cohort already, got {held}; name another folder"
            raise ConfigError(msg)
    if region is RegionName.LUMBAR:
        _write_lumbar(folder, patients, seed)
    else:
        _write_cervical(folder, patients, seed, films=films, workers=workers)


def _write_lumbar(folder: Path, patients: int, seed: int) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.datasets.phantom import write_cohort

    with progress_on_stderr("writing patients", total=patients) as advance:
        write_cohort(folder, patients=patients, seed=seed, progress=advance)
    print(f"patients: {patients}")
    print(f"studies:  {folder / 'train_images'}")
    print(f"answers:  {folder / 'train.csv'}")


def _write_cervical(folder: Path, patients: int, seed: int, *, films: Films, workers: int) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.datasets.phantom.cervical import OBLIQUES, NeckCohort, write_necks

    config = NeckCohort(views=OBLIQUES) if films is Films.OBLIQUES else NeckCohort()
    with progress_on_stderr("writing patients", total=patients) as advance:
        write_necks(folder, patients=patients, seed=seed, progress=advance, workers=workers, config=config)
    print(f"patients: {patients}")
    print(f"films:    {folder / 'images'}")
    print(f"answers:  {folder / 'labels.csv'}")
    print(f"regions:  {folder / 'foramina.csv'}; for 'stenograde experiment s2 --data'")
