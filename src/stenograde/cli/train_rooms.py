"""``stenograde train foramina`` and ``train recesses``: nets that outline the room of nerves, for a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.settings import SettingsFile
from stenograde.cli.training_options import OutBundle, Processes

Patients = Annotated[int, typer.Option("--patients", min=20, help="Number of phantoms.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed; the same one gives the same phantoms.")]
Base = Annotated[
    Path | None,
    typer.Option("--base", help="Bundle to add the net to; the shipped one if not given."),
]


def foramina(
    patients: Patients,
    out: OutBundle,
    seed: Seed = 0,
    base: Base = None,
    config: SettingsFile = None,
    processes: Processes = 0,
) -> None:
    """Train a small net that outlines the fat and the root in foramina on T1, and add it to a bundle.

    Their areas are a second opinion on foraminal narrowing, by published thresholds. Renders phantoms once into
    OUT/training, then fits for some minutes on a CPU; a run that was cut short resumes.
    """
    _train("foramina", patients, out, seed, base, config, processes)


def recesses(
    patients: Patients,
    out: OutBundle,
    seed: Seed = 0,
    base: Base = None,
    config: SettingsFile = None,
    processes: Processes = 0,
) -> None:
    """Train a small net that outlines the recesses beside the dural sac on axial slices, and add it to a bundle.

    The heights of the recesses are a second opinion on subarticular stenosis, by published thresholds. Renders phantoms
    once into OUT/training, then fits for half an hour on two cores; a run that was cut short resumes.
    """
    _train("recesses", patients, out, seed, base, config, processes)


def _train(
    what: str, patients: int, out: Path, seed: int, base: Path | None, config: Path | None, processes: int
) -> None:
    from stenograde.cli.output import needs_extra, out_folder, print_table
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import build, read_toml
    from stenograde.predict.bundle import bundle_at

    with needs_extra("training needs"):
        from stenograde.train.rooms.bundle import train_rooms
        from stenograde.train.rooms.foramina import ForaminaTraining
        from stenograde.train.rooms.recesses import RecessesTraining
    asked = read_toml(config) if config else {}
    settings = build(ForaminaTraining, asked) if what == "foramina" else build(RecessesTraining, asked)
    loaded, folder = bundle_at(base), out_folder(out)
    with progress_on_stderr() as progress:
        found = train_rooms(
            folder, settings, patients=patients, seed=seed, base=loaded, workers=processes, progress=progress
        )
    print_table(("score", "value"), found.rows)
    print(f"bundle: {out}")
