"""``stenograde train``: fit a network and write it as a bundle; needs the extra ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.cohort import rsna2024
from stenograde.cli.examples import epilog
from stenograde.cli.settings import (
    DeviceOption,
    Log,
    PrecisionOption,
    Settings,
    SettingsFile,
    changes_asked,
    read_settings,
    say_changed,
)
from stenograde.cli.train_discs import discs
from stenograde.cli.train_heads import heads
from stenograde.cli.train_rooms import foramina, recesses
from stenograde.cli.training_options import OutBundle, Processes, Tested, read_scores


def build() -> typer.Typer:
    """Return the group of training commands."""
    app = typer.Typer(rich_markup_mode=None)
    app.command("locator", epilog=epilog("train locator"))(locator)
    app.command("quantize", epilog=epilog("train quantize"))(quantize)
    app.command("grader", epilog=epilog("train grader"))(grader)
    app.command("heads", epilog=epilog("train heads"))(heads)
    app.command("rsna2024", epilog=epilog("train rsna2024"))(rsna2024)
    app.command("discs", epilog=epilog("train discs"))(discs)
    app.command("foramina", epilog=epilog("train foramina"))(foramina)
    app.command("recesses", epilog=epilog("train recesses"))(recesses)
    app.callback(no_args_is_help=True, epilog=epilog("train"))(_group)
    return app


def _group() -> None:
    """Fit a network and write it as a bundle; needs the extra 'train'."""


def locator(
    data: Annotated[
        Path, typer.Option("--data", help="Folder that holds spider_t2space_masks and its sister folders.")
    ],
    out: OutBundle,
    config: SettingsFile = None,
    processes: Processes = 0,
    settings: Settings = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    log: Log = None,
) -> None:
    """Train the network that finds vertebrae, discs and canal on sagittal slices.

    Real slices with masks are few and of one sequence, so phantoms are rendered as well, once, into OUT/training.
    Shows progress bars on a terminal, otherwise prints one line per epoch on standard error. The bundle's card gives
    the scores of the folds.
    """
    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import as_plain

    with needs_extra("training needs"):
        from stenograde.datasets.spider import read_spider
        from stenograde.train.locator.training import LocatorTraining, train_locator
        from stenograde.train.loop.tracking import tracked
    chosen, changed = read_settings(LocatorTraining, config, changes_asked(settings, device, precision))
    slices, folder = read_spider(data), out_folder(out)
    with progress_on_stderr() as shown, tracked(shown, log, as_plain(chosen), folder) as progress:
        train_locator(slices, folder, chosen, processes=processes, progress=progress)
    say_changed(changed)
    print(f"bundle: {out}")


def quantize(
    data: Annotated[
        Path,
        typer.Option(
            "--data", help="Folder that holds spider_t2space_masks and, if at hand, spider_midsagittal."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")],
    base: Annotated[
        Path | None, typer.Option("--base", help="Bundle to take over; the shipped one if not given.")
    ] = None,
) -> None:
    """Take over a bundle and let its locator calculate in 8 bits: two to three times as fast.

    Post-training static quantization, with scales from slices of SPIDER. What it finds on other slices is compared
    with what it found in 32 bits, printed, and told in the card; where too much is lost nothing is written.
    """
    from stenograde.cli.output import needs_extra, out_folder, print_table
    from stenograde.predict.bundle import bundle_at

    with needs_extra("quantization needs"):
        from stenograde.datasets.spider import read_spider
        from stenograde.train.locator.eight_bits import quantize_locator
    found = quantize_locator(read_spider(data), out_folder(out), base=bundle_at(base))
    print_table(("structure", "Dice in 32 bits", "in 8 bits", "of both"), found.rows)
    print(
        f"discs: {found.discs} found by both, {found.discs_lost} by one; centres of 95 % within {found.apart_mm:.1f} mm"
    )
    print(f"bundle: {out}")


def grader(
    patients: Annotated[int, typer.Option("--patients", min=1, help="Number of phantoms.")],
    out: OutBundle,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, help="Seed; the same one gives the same phantoms and first weights."),
    ] = 0,
    config: SettingsFile = None,
    base: Annotated[
        Path | None,
        typer.Option("--base", help="Bundle whose locator to take over; the shipped one if not given."),
    ] = None,
    processes: Processes = 0,
    settings: Settings = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    log: Log = None,
    tested: Tested = None,
) -> None:
    """Train the network that grades all 25 cells, on phantoms made for it.

    Renders phantoms once into OUT/training, fits, calibrates on further phantoms, and writes a bundle with the
    locator of another.
    """
    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import as_plain
    from stenograde.predict.bundle import bundle_at

    with needs_extra("training needs"):
        from stenograde.train.grader.training import GraderTraining, make_training_crops, train_grader
        from stenograde.train.loop.tracking import tracked
    chosen, changed = read_settings(GraderTraining, config, changes_asked(settings, device, precision))
    loaded = bundle_at(base)
    scores = [read_scores(path) for path in tested or ()]
    folder = out_folder(out)
    with progress_on_stderr() as shown, tracked(shown, log, as_plain(chosen), folder) as progress:
        crops = make_training_crops(
            folder, chosen, patients=patients, seed=seed, processes=processes, progress=progress
        )
        train_grader(folder, chosen, crops, seed=seed, base=loaded, progress=progress, tested=scores)
    say_changed(changed)
    print(f"bundle: {out}")
