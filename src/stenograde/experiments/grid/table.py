"""The grid as a table: sorted, with intervals, the published figures and the baselines beside it."""

from __future__ import annotations

from pathlib import Path

from stenograde.experiments.grid.recipe import GridRow
from stenograde.experiments.grid.run import SCORES, GridResult
from stenograde.experiments.score_tables import ScoreTable, shown, write_tables

HEAD = ("row", "accuracy", "macro F1", "macro AUC", "published accuracy, F1, AUC", "s")
"""Columns of the table."""


def write_grid(result: GridResult, out: Path) -> Path:
    """Write the grid as Markdown and as a page; gives the page's path."""
    recipe = result.recipe
    chips = (
        *(f"{name}, {start}" for name, start in sorted(result.starts.items())),
        f"{recipe.size} size",
        "protocol: patient",
        f"{result.studies} studies, {recipe.folds} folds",
    )
    return write_tables(out, recipe, [table_of(result)], finding=_finding(result), chips=chips)


def table_of(result: GridResult) -> ScoreTable:
    """Return the table, best macro F1 first, baselines among the rows."""
    names = {row.key: _words(row) for row in result.recipe.rows}
    every = sorted((*result.rows, *result.baselines), key=lambda one: -one.scores["macro_f1"][0])
    rows = tuple(
        (
            names.get(one.key, f"baseline: {one.key}"),
            tuple(one.scores[score] for score in SCORES),
            (
                ", ".join(f"{value:.3f}" for value in one.published) or "–",
                f"{one.seconds:.0f}" if one.seconds else "–",
            ),
        )
        for one in every
    )
    starts = "; ".join(f"{name}: {start}" for name, start in sorted(result.starts.items()))
    note = (
        f"{result.studies} studies, {result.recipe.folds} folds by patient, size {result.recipe.size}; scores over all "
        f"labelled cells; intervals are 95 %, 1000 draws of whole patients. Encoders: {starts}. The accuracy of the "
        "baseline 'majority' is the share of the most frequent severity: an accuracy near it shows no learning."
    )
    return ScoreTable("All rows, best macro F1 first", HEAD, rows, note)


def _finding(result: GridResult) -> str:
    best = result.rows[0]
    plain = max(result.baselines, key=lambda one: one.scores["macro_f1"][0])
    words = {row.key: _words(row) for row in result.recipe.rows}[best.key]
    return (
        f"Best macro F1 {shown(best.scores['macro_f1'])}: {words}. Best answer that needs no picture "
        f"({plain.key}): {shown(plain.scores['macro_f1'])}."
    )


def _words(row: GridRow) -> str:
    intensity = {"minmax": "grayscale", "equalise": "equalised"}.get(row.intensity, row.intensity)
    kept = f", {row.keep:.0%} of the commonest" if row.keep < 1 else ""
    return (
        f"{row.encoder} {row.width}, {intensity}, {row.pooling.value}; {row.head.replace('_', ' ')}; "
        f"{row.balance.value.replace('_', '-')}{kept}"
    )
