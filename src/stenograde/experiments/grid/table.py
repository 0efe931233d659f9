"""The grid as a table: sorted, with intervals, the published figures and the baselines beside it; Markdown and HTML."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from stenograde.experiments.grid.recipe import GridRow
from stenograde.experiments.grid.run import SCORES, GridResult
from stenograde.experiments.page import page_environment
from stenograde.files import write_whole

PAGE = "report.html"
TABLE = "table.md"

HEAD = ("row", "accuracy", "macro F1", "macro AUC", "published accuracy, F1, AUC", "s")
"""Columns of the table."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    name: str
    scores: tuple[tuple[float, float, float], ...]
    """Value and bounds, in the order of :data:`SCORES`."""
    published: str
    seconds: str


def write_tables(result: GridResult, out: Path) -> Path:
    """Write the table as Markdown and as a page; gives the page's path."""
    write_whole(out / TABLE, as_markdown(result))
    page = (
        page_environment()
        .get_template("grid/grid.html")
        .render(
            result=result,
            recipe=result.recipe,
            head=HEAD,
            rows=lines_of(result),
            finding=_finding(result),
            version=metadata.version("stenograde"),
        )
    )
    return write_whole(out / PAGE, page)


def as_markdown(result: GridResult) -> str:
    """Return the grid as a Markdown table, best macro F1 first, baselines among the rows."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    lines += [
        f"| {line.name} | {' | '.join(map(_shown, line.scores))} | {line.published} | {line.seconds} |"
        for line in lines_of(result)
    ]
    starts = "; ".join(f"{name}: {start}" for name, start in sorted(result.starts.items()))
    said = (
        f"{result.studies} studies, {result.recipe.folds} folds by patient, size {result.recipe.size}; intervals are "
        f"95 % over patients. Encoders: {starts}."
    )
    return "\n".join([*lines, "", said, ""])


def lines_of(result: GridResult) -> list[Line]:
    """Return the lines of the table, best macro F1 first."""
    shown = {row.key: _words(row) for row in result.recipe.rows}
    every = sorted((*result.rows, *result.baselines), key=lambda one: -one.scores["macro_f1"][0])
    return [
        Line(
            shown.get(one.key, f"baseline: {one.key}"),
            tuple(one.scores[score] for score in SCORES),
            ", ".join(f"{value:.3f}" for value in one.published) or "–",
            f"{one.seconds:.0f}" if one.seconds else "–",
        )
        for one in every
    ]


def _shown(score: tuple[float, float, float]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*score)


def _finding(result: GridResult) -> str:
    best = result.rows[0]
    plain = max(result.baselines, key=lambda one: one.scores["macro_f1"][0])
    words = {row.key: _words(row) for row in result.recipe.rows}[best.key]
    return (
        f"Best macro F1 {_shown(best.scores['macro_f1'])}: {words}. Best answer that needs no picture "
        f"({plain.key}): {_shown(plain.scores['macro_f1'])}."
    )


def _words(row: GridRow) -> str:
    intensity = {"minmax": "grayscale", "equalise": "equalised"}.get(row.intensity, row.intensity)
    kept = f", {row.keep:.0%} of the commonest" if row.keep < 1 else ""
    return (
        f"{row.encoder} {row.width}, {intensity}, {row.pooling.value}; {row.head.replace('_', ' ')}; "
        f"{row.balance.value.replace('_', '-')}{kept}"
    )
