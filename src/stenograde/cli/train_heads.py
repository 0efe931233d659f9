"""``stenograde train heads``: small heads on a frozen encoder, for some conditions of a bundle with a grader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.settings import SettingsFile
from stenograde.cli.training_options import OutBundle, Processes, Tested, read_scores


def heads(
    patients: Annotated[int, typer.Option("--patients", min=1, help="Number of phantoms.")],
    out: OutBundle,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed; the same one gives the same phantoms.")
    ] = 0,
    config: SettingsFile = None,
    base: Annotated[
        Path | None,
        typer.Option("--base", help="Bundle with a grader to take over; the shipped one if not given."),
    ] = None,
    processes: Processes = 0,
    tested: Tested = None,
) -> None:
    """Train small heads on a frozen ImageNet encoder, which answer for some conditions in the grader's place.

    Renders phantoms once into OUT/training and writes a bundle with the locator and the grader of another. Needs the
    extra 'weights', too.
    """
    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import build, read_toml
    from stenograde.predict.bundle import bundle_at

    with needs_extra("training needs"):
        from stenograde.train.grader.crops import Part, make_crops
        from stenograde.train.heads.bundle import train_heads
        from stenograde.train.heads.training import HeadsTraining
    settings = build(HeadsTraining, read_toml(config) if config else {})
    loaded = bundle_at(base)
    scores = [read_scores(path) for path in tested or ()]
    folder = out_folder(out)
    with progress_on_stderr() as progress:
        crops = make_crops(
            folder / "training" / "crops-heads",
            settings.data,
            part=Part.TRAIN,
            patients=patients,
            seed=seed,
            workers=processes,
            progress=progress,
        )
        train_heads(folder, settings, crops, seed=seed, base=loaded, progress=progress, tested=scores)
    print(f"bundle: {out}")
