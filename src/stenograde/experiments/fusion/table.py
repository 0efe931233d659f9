"""The comparison as tables: all series, every pattern of series, and how like imputed vectors are to true ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.plots import interval_plot
from stenograde.experiments.fusion.arms import IMPUTED, MASKED, PATTERNS, PUBLISHED
from stenograde.experiments.fusion.level_arms import GIVEN_ONE, OURS, OURS_IMPUTED
from stenograde.experiments.fusion.pseudo_modality import Imputation
from stenograde.experiments.fusion.run import FusionResult, missing_one
from stenograde.experiments.pages.figure import Figure, drawn
from stenograde.experiments.pages.score_tables import ScorePage, ScoreTable
from stenograde.terms import Role

SHORT = {Role.SAGITTAL_T1: "T1", Role.SAGITTAL_T2_STIR: "T2", Role.AXIAL_T2: "axial"}
"""Series in the head of a column."""


_DRAWN = (Imputation.MEAN, Imputation.RIDGE)
"""Imputations in the figure: the least that can be done, and the best."""

_ON_COMPLETE = {
    name: f"{name.split(',')[0]}, fitted on complete studies" for name in (*OURS_IMPUTED, *IMPUTED)
}
"""Names where all series are there: nothing is imputed then, so all imputations before one net are one way."""


def page_of(result: FusionResult) -> ScorePage:
    """Return the three tables of a comparison and its figure."""
    recipe = result.recipe
    chips = (
        f"{recipe.size} size",
        "protocol: patient",
        f"{result.studies} studies, {recipe.folds} folds",
        f"{recipe.embed.encoder}, {result.start}",
        *result.notes,
    )
    tables = (_all_series(result), _patterns(result), _cosines(result))
    return ScorePage(recipe, tables, _finding(result), chips, (_patterns_drawn(result),))


def lost_with_one_missing(result: FusionResult, name: str) -> float:
    """Return by how much the metric of a way worsens on average when one series is missing."""
    scores = result.scores[name]
    places = list(missing_one())
    return sum(scores[k].value - scores[0].value for k in places) / len(places)


def _all_series(result: FusionResult) -> ScoreTable:
    scores = _told_once({name: each[0] for name, each in result.scores.items()})
    scores |= {name: result.scores[OURS][k] for name, k in GIVEN_ONE.items()}
    behind = _told_once(result.behind)
    rows = tuple(
        (name, (scores[name], "–" if name == OURS else behind[name]))
        for name in sorted(scores, key=lambda name: scores[name].value)
    )
    note = (
        "Weighted logarithmic loss of RSNA 2024, the mean of its four parts: lower is better. The last column is how "
        "much worse than ours a way is on the same draws of studies. Intervals are 95 %, 1000 draws of studies."
    )
    return ScoreTable("All series there", ("way", "metric", "worse than ours by"), rows, note)


def _patterns(result: FusionResult) -> ScoreTable:
    ways = [OURS, *OURS_IMPUTED, *PUBLISHED, MASKED, *IMPUTED]
    head = (
        "way",
        *(" + ".join(SHORT[role] for role in pattern) for pattern in PATTERNS),
        "lost by one missing",
    )
    rows: list[tuple[str, tuple[Interval | str, ...]]] = []
    for name in ways:
        rows.append((name, (*result.scores[name], f"{lost_with_one_missing(result, name):+z.3f}")))
    note = "The same metric with only these series there; the last column is the mean over the three ways to lack one."
    return ScoreTable("Every pattern of series", head, tuple(rows), note)


def _patterns_drawn(result: FusionResult) -> Figure:
    ways = (OURS, *(name for name, how in OURS_IMPUTED.items() if how in _DRAWN), *PUBLISHED)
    ticks = ["\n".join(SHORT[role] for role in pattern) for pattern in PATTERNS]
    groups = {name: result.scores[name] for name in ways}
    return drawn(
        interval_plot(groups, ticks, title="With the series named", y="metric of RSNA 2024"),
        "Less is better; bars are 95 % intervals over studies.",
    )


def _cosines(result: FusionResult) -> ScoreTable:
    lacking = [k for k, pattern in enumerate(PATTERNS) if len(pattern) < len(Role)]
    head = ("way", *(" + ".join(SHORT[role] for role in PATTERNS[k]) for k in lacking))
    rows = tuple(
        (name, tuple("–" if math.isnan(each[k]) else f"{each[k]:.3f}" for k in lacking))
        for name, each in result.cosines.items()
    )
    note = (
        "Cosine of what was taken away to what was imputed from the series named, both standardised: for mean vectors "
        "of series, and for the tokens of level crops."
    )
    return ScoreTable("How like imputed vectors are to true ones", head, rows, note)


def _finding(result: FusionResult) -> str:
    ours = result.scores[OURS][0]
    behind = _told_once(result.behind)
    beaten = [name for name, one in behind.items() if one.low > 0]
    masked, *imputed = (lost_with_one_missing(result, name) for name in (OURS, *OURS_IMPUTED))
    told = ", ".join(
        f"{how.value} {lost:+.3f}" for how, lost in zip(OURS_IMPUTED.values(), imputed, strict=True)
    )
    return (
        f"Ours with all series: {ours}; better than {len(beaten)} of {len(behind)} other ways by an interval "
        f"above zero. With one series missing it loses {masked:+.3f} by masking; by imputation: {told}."
    )


def _told_once(of_ways: Mapping[str, Interval]) -> dict[str, Interval]:
    """Return what was reached with all series there, once for each net."""
    return {_ON_COMPLETE.get(name, name): one for name, one in of_ways.items()}
