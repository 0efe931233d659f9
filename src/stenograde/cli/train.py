"""``stenograde train``: fit a network and write it as a bundle; needs the extra ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def build() -> typer.Typer:
    """Return the group of training commands."""
    app = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Fit a network; needs stenograde[train]."
    )
    app.command("locator")(locator)
    app.callback(no_args_is_help=True)(_group)
    return app


def _group() -> None:
    """Fit a network and write it as a bundle; needs stenograde[train]."""


def locator(
    data: Annotated[
        Path, typer.Option("--data", help="Folder that holds spider_t2space_masks and its like.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the bundle to write; resumed if it is there.")
    ],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")] = None,
) -> None:
    """Train the network that finds vertebrae, discs and canal on sagittal slices."""
    from stenograde.cli.output import out_folder
    from stenograde.config import build as build_config
    from stenograde.config import read_toml
    from stenograde.train.locator import LocatorTraining, train_locator

    settings = build_config(LocatorTraining, read_toml(config) if config else {})
    train_locator(data, out_folder(out), settings)
    print(f"bundle: {out}")
