"""The grid as a table: sorted, with intervals, the published figures and the baselines beside it."""

from __future__ import annotations

from pathlib import Path

from stenograde.experiments.grid.figures import attention_figures
from stenograde.experiments.grid.recipe import GridRecipe, GridRow
from stenograde.experiments.grid.run import SCORES, GridResult
from stenograde.experiments.pages.score_tables import ScorePage, ScoreTable

HEAD = (
    "row",
    "accuracy",
    "majority",
    "published",
    "macro F1",
    "published",
    "macro AUC",
    "published",
    "seconds",
)
"""Columns of the table; published is what the document says of its own row."""


def page_of(result: GridResult, folder: Path) -> ScorePage:
    """Return the table of a grid, and figures of the attention weights that lie in its folder."""
    recipe = result.recipe
    chips = (
        *(f"{name}, {start}" for name, start in sorted(result.starts.items())),
        f"{recipe.size} size",
        "protocol: patient",
        f"{result.studies} studies, {recipe.folds} folds",
    )
    return ScorePage(recipe, (table_of(result),), _finding(result), chips, tuple(attention_figures(folder)))


def table_of(result: GridResult) -> ScoreTable:
    """Return the table, best macro F1 first, baselines among the rows."""
    names = {row.key: _words(row, result.recipe) for row in result.recipe.rows}
    every = sorted((*result.rows, *result.baselines), key=lambda one: -one.scores["macro_f1"].value)
    majority = next(one for one in result.baselines if one.key == "majority").scores["accuracy"].value
    rows = []
    for one in every:
        accuracy, f1, auc = (one.scores[score] for score in SCORES)
        published = tuple(f"{value:.3f}" for value in one.published) or ("–",) * len(SCORES)
        cells = (accuracy, f"{majority:.3f}", published[0], f1, published[1], auc, published[2])
        seconds = f"{one.seconds:.0f}" if one.seconds else "–"
        rows.append((names.get(one.key, f"baseline: {one.key}"), (*cells, seconds)))
    starts = "; ".join(f"{name}: {start}" for name, start in sorted(result.starts.items()))
    left_out = f" Left out: {'; '.join(result.notes)}." if result.notes else ""
    note = (
        f"{result.studies} studies, {result.recipe.folds} folds by patient, size {result.recipe.size}; scores over all "
        f"labelled cells; intervals are 95 %, 1000 draws of whole patients. Encoders: {starts}. Majority is the share "
        f"of the most frequent severity: an accuracy near it shows no learning.{left_out}"
    )
    return ScoreTable("All rows, best macro F1 first", HEAD, tuple(rows), note)


def _finding(result: GridResult) -> str:
    best = result.rows[0]
    plain = max(result.baselines, key=lambda one: one.scores["macro_f1"].value)
    words = {row.key: _words(row, result.recipe) for row in result.recipe.rows}[best.key]
    ranked = max(result.baselines, key=lambda one: one.scores["macro_auc"].value)
    above = sum(row.scores["macro_auc"].low > ranked.scores["macro_auc"].value for row in result.rows)
    return (
        f"Best macro F1 {best.scores['macro_f1'].shown()}: {words}. Best answer that needs no picture "
        f"({plain.key}): {plain.scores['macro_f1'].shown()}. By macro AUC, {above} of {len(result.rows)} rows have an "
        f"interval above what needs no picture ({ranked.key}): {ranked.scores['macro_auc'].shown()}."
    )


def _words(row: GridRow, recipe: GridRecipe) -> str:
    intensity = {"minmax": "grayscale", "equalise": "equalised"}.get(row.intensity, row.intensity)
    kept = f", {row.keep:.0%} of the commonest" if row.keep < 1 else ""
    how = recipe.embedding(row)
    encoder = how.encoder if how.encoder == row.encoder else f"{how.encoder} for {row.encoder}"
    ordinal = ", ordinal" if row.ordinal else ""
    return (
        f"{encoder} {row.width}, {how.size_px} px, {intensity}, {row.pooling.value}; {row.head.replace('_', ' ')}"
        f"{ordinal}; {row.balance.value.replace('_', '-')}{kept}"
    )
