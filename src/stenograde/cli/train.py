"""``stenograde train``: fit a network and write it as a bundle; needs the extra ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def build() -> typer.Typer:
    """Return the group of training commands."""
    app = typer.Typer(rich_markup_mode=None)
    app.command("locator")(locator)
    # a callback keeps the group's name in the command even while it has one member only
    app.callback(no_args_is_help=True)(_group)
    return app


def _group() -> None:
    """Fit a network and write it as a bundle; needs the extra 'train'."""


def locator(
    data: Annotated[
        Path, typer.Option("--data", help="Folder that holds spider_t2space_masks and its like.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; training goes on where it was.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")] = None,
) -> None:
    """Train the network that finds vertebrae, discs and canal on sagittal slices.

    Shows progress bars on a terminal, otherwise prints one line per epoch on standard error. Fold scores end up
    in the bundle's card.
    """
    from stenograde.cli.output import needs_training, out_folder
    from stenograde.cli.progress import fits_on_stderr
    from stenograde.config import build as build_config
    from stenograde.config import read_toml

    with needs_training("training needs"):
        from stenograde.train.locator import LocatorTraining, train_locator
    settings = build_config(LocatorTraining, read_toml(config) if config else {})
    with fits_on_stderr() as report:
        train_locator(data, out_folder(out), settings, report=report)
    print(f"bundle: {out}")
