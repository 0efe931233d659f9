"""Options that commands of ``stenograde train`` share, and the reading of scores for a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from stenograde.errors import ConfigError

OutBundle = Annotated[
    Path, typer.Option("--out", help="Folder of the bundle; training resumes where it stopped.")
]
Processes = Annotated[
    int, typer.Option("--processes", min=0, help="Processes that render phantoms; 0 renders in this one.")
]

Tested = Annotated[
    list[Path] | None,
    typer.Option(
        "--tested",
        help="Output of 'stenograde score --json' for this bundle, as a file, for its card; repeatable.",
    ),
]


def read_scores(path: Path) -> dict[str, Any]:
    """Return what 'stenograde score --json' printed into a file."""
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        msg = f"--tested must be a file of what 'stenograde score --json' printed, got {path} ({exc})"
        raise ConfigError(msg) from exc
    if not isinstance(scores, dict) or not any(
        isinstance(one, dict) and "score" in one for one in scores.values()
    ):
        msg = f"--tested must be a file of what 'stenograde score --json' printed, got other JSON in {path}"
        raise ConfigError(msg)
    return scores
