"""Scores with their intervals as tables, in HTML and in Markdown, for recipes that are no single network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from stenograde.experiments.pages.environment import page_environment
from stenograde.experiments.pages.figure import Figure
from stenograde.files import write_whole

PAGE = "report.html"
TABLE = "table.md"

Score = tuple[float, float, float]
"""Value and the bounds of its 95 % interval."""


@dataclass(frozen=True)
class ScoreTable:
    """One table."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Score | str, ...]], ...]
    """Name, and what stands beside it: scores or words."""
    note: str


def write_tables(
    out: Path,
    recipe: Any,
    tables: Sequence[ScoreTable],
    *,
    finding: str,
    chips: Sequence[str],
    figures: Sequence[Figure] = (),
) -> Path:
    """Write tables as Markdown and as a page; gives the page's path.

    Parameters
    ----------
    out : Path
    recipe : dataclass
        With name, title, document, liberties and traps.
    tables : sequence of ScoreTable
    finding : str
        What they show, in a sentence or two.
    chips : sequence of str
        What was run, in a few words each.
    figures : sequence of Figure
        On the page, below the tables.
    """
    write_whole(out / TABLE, as_markdown(tables))
    page = (
        page_environment()
        .get_template("tables.html")
        .render(
            recipe=recipe,
            tables=tables,
            finding=finding,
            chips=chips,
            figures=figures,
            version=metadata.version("stenograde"),
        )
    )
    return write_whole(out / PAGE, page)


def as_markdown(tables: Sequence[ScoreTable]) -> str:
    """Return tables in Markdown, one below the other."""
    parts = []
    for table in tables:
        parts += [f"{table.title}:", "", f"| {' | '.join(table.head)} |", "|---" * len(table.head) + "|"]
        parts += [
            f"| {name} | {' | '.join(one if isinstance(one, str) else shown(one) for one in cells)} |"
            for name, cells in table.rows
        ]
        parts += ["", table.note, ""]
    return "\n".join(parts)


def shown(score: Score) -> str:
    """Return a score with its interval as text; a dash where it cannot be told."""
    return "–" if math.isnan(score[0]) else "{:.3f} ({:.3f} to {:.3f})".format(*score)
