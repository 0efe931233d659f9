"""What was reached on discs, as tables."""

from __future__ import annotations

from pathlib import Path

from stenograde.evaluate.plots import interval_plot
from stenograde.experiments.discs.run import LEVEL_PRIOR, SHOWN, DiscResult, DiscScores
from stenograde.experiments.pages.figure import Figure, drawn
from stenograde.experiments.pages.score_tables import ScoreTable, shown, write_tables

HEAD = ("test", *(f"AUC {question}" for question in SHOWN))


def write_discs(result: DiscResult, out: Path) -> Path:
    """Write tables as Markdown and as a page; gives the page's path."""
    recipe = result.recipe
    chips = (f"{recipe.size} size", "protocol: patient", f"{recipe.folds} folds", *result.notes)
    return write_tables(
        out,
        recipe,
        tables_of(result),
        finding=_finding(result),
        chips=chips,
        figures=[_drawn(result.tested if result.held_out is None else result.held_out)],
    )


def tables_of(result: DiscResult) -> list[ScoreTable]:
    """Return the table of the folds, and that of patients held out if there are any."""
    tables = [_table(f"By patient, {result.recipe.folds} folds", result.tested)]
    if result.held_out is not None:
        tables.append(_table("Patients held out, mean of the folds' nets", result.held_out))
    return tables


def _table(title: str, of: DiscScores) -> ScoreTable:
    rows = tuple(
        (
            f"baseline: {name}" if name == LEVEL_PRIOR else name,
            tuple((scores[q].value, scores[q].low, scores[q].high) for q in SHOWN),
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
    groups = {
        name: [(scores[q].value, scores[q].low, scores[q].high) for q in SHOWN]
        for name, scores in of.scores.items()
    }
    return drawn(
        interval_plot(groups, [q.replace(" ", "\n", 1) for q in SHOWN], title="Each finding", y="AUC"),
        f"{of.patients} patients; bars are 95 % intervals over patients.",
    )


def _finding(result: DiscResult) -> str:
    scores = result.tested.scores
    said = [
        f"{question}: {shown((one.value, one.low, one.high))}"
        for question in ("narrowing", "herniation")
        for one in [scores["both fused"][question]]
    ]
    return f"AUC with both series fused; {'; '.join(said)}."
