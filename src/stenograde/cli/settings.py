"""What commands that train share: options that change settings, and how the settings are read."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stenograde.config import Changes, Config, build_changed, read_toml


class SizeName(StrEnum):
    """How large to train."""

    QUICK = "quick"
    PUBLISHED = "published"


class Device(StrEnum):
    """Where nets are fitted."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """In what numbers nets are fitted."""

    FULL = "32"
    MIXED = "bf16"


class Logger(StrEnum):
    """Where losses and settings are logged besides the output folder."""

    MLFLOW = "mlflow"
    WANDB = "wandb"


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, such as fit.epochs=2; repeatable."),
]
DeviceOption = Annotated[
    Device | None,
    typer.Option("--device", help="Where nets are fitted; a GPU where there is one if neither is said."),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option("--precision", help="In what numbers nets are fitted; as the settings say if not given."),
]
Log = Annotated[
    Logger | None,
    typer.Option(
        "--log",
        help="Log losses and settings with MLflow or Weights & Biases (extra 'tracking'), too: into the output folder, "
        "unless MLFLOW_TRACKING_URI or WANDB_MODE=online say otherwise.",
    ),
]
SettingsFile = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")]


def changes_asked(
    settings: Sequence[str] | None, device: Device | None = None, precision: Precision | None = None
) -> Changes:
    """Return what the options ask for."""
    return Changes(tuple(settings or ()), device and device.value, precision and precision.value)


def read_settings(
    kind: type[Config], config: Path | None, changes: Changes
) -> tuple[Config, tuple[str, ...]]:
    """Return settings of a file, or the usual ones, with what is asked; and what differs from them.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a setting is unknown or wrong.
    """
    return build_changed(kind, read_toml(config) if config else {}, changes)


def say_changed(changed: Sequence[str]) -> None:
    """Print which settings are others than those of the file or the usual ones, if any."""
    if changed:
        print(f"changed: {', '.join(changed)}")
