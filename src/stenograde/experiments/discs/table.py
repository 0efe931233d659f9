"""What was reached on discs, as tables and a figure."""

from __future__ import annotations

from stenograde.evaluate.plots import interval_plot
from stenograde.experiments.discs.run import LEVEL_PRIOR, SHOWN, DiscResult, DiscScores
from stenograde.experiments.pages.figure import Figure, drawn
from stenograde.experiments.pages.score_tables import ScorePage, ScoreTable

HEAD = ("test", *(f"AUC {question}" for question in SHOWN))


def page_of(result: DiscResult) -> ScorePage:
    """Return the table of the folds, and that of patients held out if there are any."""
    recipe, shown = result.recipe, result.tested
    tables = [_table(f"By patient, {recipe.folds} folds", shown)]
    if result.held_out is not None:
        shown = result.held_out
        tables.append(_table("Patients held out, mean of the folds' nets", shown))
    chips = (f"{recipe.size} size", "protocol: patient", f"{recipe.folds} folds", *result.notes)
    return ScorePage(recipe, tuple(tables), _finding(result), chips, (_drawn(shown),))


def _table(title: str, of: DiscScores) -> ScoreTable:
    rows = tuple(
        (
            f"baseline: {name}" if name == LEVEL_PRIOR else name,
            tuple(scores[q] for q in SHOWN),
        )
        for name, scores in of.scores.items()
    )
    shares = ", ".join(f"{question} {of.positives[question]}" for question in SHOWN)
    note = (
        f"{of.discs} discs of {of.patients} patients that T1 and T2 (or T2 SPACE) both show; with the finding: "
        f"{shares}. Intervals are 95 %, 1000 draws of whole patients."
    )
    return ScoreTable(title, HEAD, rows, note)


def _drawn(of: DiscScores) -> Figure:
    groups = {name: [scores[q] for q in SHOWN] for name, scores in of.scores.items()}
    return drawn(
        interval_plot(groups, [q.replace(" ", "\n", 1) for q in SHOWN], title="Each finding", y="AUC"),
        f"{of.patients} patients; bars are 95 % intervals over patients.",
    )


def _finding(result: DiscResult) -> str:
    scores = result.tested.scores
    said = [f"{one}: {scores['both fused'][one].shown()}" for one in ("narrowing", "herniation")]
    return f"AUC with both series fused; {'; '.join(said)}."
