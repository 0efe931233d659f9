"""``stenograde train foramina``: a net that outlines what lies in foramina, into a copy of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.settings import SettingsFile
from stenograde.cli.training_options import OutBundle, Processes


def foramina(
    patients: Annotated[int, typer.Option("--patients", min=20, help="Number of phantoms.")],
    out: OutBundle,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed; the same one gives the same phantoms.")
    ] = 0,
    base: Annotated[
        Path | None,
        typer.Option("--base", help="Bundle to add the net to; the shipped one if not given."),
    ] = None,
    config: SettingsFile = None,
    processes: Processes = 0,
) -> None:
    """Train a small net that outlines the fat and the root in foramina on T1, and add it to a bundle.

    Their areas are a second opinion on foraminal narrowing, by published thresholds. Renders phantoms once into
    OUT/training, then fits for some minutes on a CPU; a run that was cut short resumes.
    """
    from stenograde.cli.output import needs_extra, out_folder, print_table
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import build, read_toml
    from stenograde.predict.bundle import bundle_at

    with needs_extra("training needs"):
        from stenograde.train.foramina.bundle import train_foramina
        from stenograde.train.foramina.training import ForaminaTraining
    settings = build(ForaminaTraining, read_toml(config) if config else {})
    loaded, folder = bundle_at(base), out_folder(out)
    with progress_on_stderr() as progress:
        found = train_foramina(
            folder, settings, patients=patients, seed=seed, base=loaded, workers=processes, progress=progress
        )
    rows = [
        ("mean absolute error of the area, mm2", f"{found.area_error_mm2:.1f}"),
        ("correlation of the area", f"{found.area_correlation:.3f}"),
        *((f"Dice, {name}", f"{value:.3f}") for name, value in found.dice.items()),
        ("AUC of any narrowing", f"{found.auc_any:.3f}"),
        ("AUC of severe", f"{found.auc_severe:.3f}"),
    ]
    print_table(("on phantoms not trained on", f"{found.foramina} foramina"), rows)
    print(f"bundle: {out}")
