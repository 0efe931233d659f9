"""``stenograde train discs``: findings of discs learnt from graded patients, into a copy of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def discs(
    data: Annotated[
        Path,
        typer.Option(
            "--data", help="Folder that holds spider_midsagittal and, if at hand, spider_t2space_masks."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")],
    base: Annotated[
        Path | None,
        typer.Option("--base", help="Bundle to add them to; the shipped one if not given."),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")] = None,
) -> None:
    """Learn findings of discs from SPIDER's gradings and add them to a bundle.

    Heads on the frozen middle maps of ImageNet, averaged with a small net that is fitted here, in a quarter of an hour
    on a CPU; a run that was cut short resumes. Prints scores out of fold by patient, which the bundle's card gives,
    too. Needs the extras 'train', 'weights' and 'tabular'.
    """
    from stenograde.cli.output import needs_extra, out_folder, print_table
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import build, read_toml
    from stenograde.predict.bundle import bundle_at

    with needs_extra("training heads needs", extra="tabular"):
        from stenograde.train.discs.bundle import DiscTraining, train_discs
        from stenograde.train.discs.scoring import as_rows
    settings = build(DiscTraining, read_toml(config) if config else {})
    loaded, folder = bundle_at(base), out_folder(out)
    with progress_on_stderr() as progress, needs_extra("the frozen encoder needs"):
        found = train_discs(data, folder, settings, base=loaded, progress=progress)
    head, *rows = as_rows(found)
    print_table(head, rows)
    print(f"bundle: {out}")
