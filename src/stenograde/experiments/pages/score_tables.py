"""The scores of an experiment with several series, as tables in Markdown and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from stenograde.evaluate.intervals import Interval
from stenograde.experiments.pages.environment import page_environment
from stenograde.experiments.pages.figure import Figure
from stenograde.experiments.recipes.read import how_run
from stenograde.files import write_whole
from stenograde.report.markdown import markdown_table

PAGE = "report.html"
TABLE = "table.md"


@dataclass(frozen=True)
class ScoreTable:
    """One table."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Interval | str, ...]], ...]
    """Name, and what stands beside it: scores or words."""
    note: str


@dataclass(frozen=True)
class ScorePage:
    """What a page shows of an experiment."""

    recipe: Any
    """With name, title, document, size, changed, liberties and traps."""
    tables: tuple[ScoreTable, ...]
    finding: str
    """What they show, in a sentence or two."""
    chips: tuple[str, ...]
    """What was run, in a few words each."""
    figures: tuple[Figure, ...] = ()
    """Below the tables."""


def write_tables(page: ScorePage, out: Path) -> Path:
    """Write the tables of an experiment as Markdown and as a page; gives the page's path."""
    write_whole(out / TABLE, as_markdown(page))
    template = page_environment().get_template("tables.html")
    how = how_run(vars(page.recipe))
    content = template.render(**vars(page), how_run=how, version=metadata.version("stenograde"))
    return write_whole(out / PAGE, content)


def as_markdown(page: ScorePage) -> str:
    """Return tables in Markdown, one below the other; above them, which settings were changed, if any."""
    parts = [f"**{how_run(vars(page.recipe))}**", ""] if page.recipe.changed else []
    for table in page.tables:
        rows = ((name, *(_text(cell) for cell in cells)) for name, cells in table.rows)
        parts += [f"{table.title}:", "", markdown_table(table.head, rows), "", table.note, ""]
    return "\n".join(parts)


def _text(cell: Interval | str) -> str:
    return cell if isinstance(cell, str) else cell.shown()
