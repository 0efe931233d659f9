"""``stenograde locate``: what the locator sees, as a mask, named points and a picture; no grading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.errors import ConfigError


def locate(
    path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Study, NIfTI volume, or PNG/WebP/JPEG.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write into; made if it is not there.")],
    spacing_mm: Annotated[
        tuple[float, float] | None,
        typer.Option("--spacing-mm", metavar="R C", help="Distance of rows and columns of a picture, mm."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Bundle whose locator is used.")] = None,
) -> None:
    """Find vertebrae, discs and canal; write the mask, levels.json and overlay.png."""
    msg = "locate must wait for the locator, which is not in this version yet"
    raise ConfigError(msg)
