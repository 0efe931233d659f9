"""Two results on the same pictures, side by side: every score, its difference with interval, and the tests."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from stenograde.errors import DatasetError
from stenograde.evaluate.hypothesis_tests import (
    DeLongTest,
    McNemarTest,
    PairedDifference,
    delong,
    mcnemar,
    paired_bootstrap,
)
from stenograde.evaluate.metrics import LOWER_IS_BETTER, METRICS, QUESTIONS
from stenograde.evaluate.predictions import Predictions, matched, read_predictions
from stenograde.files import regular_bytes


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same pictures; all differences are a minus b."""

    pictures: int
    patients: int
    """Units that were drawn; a picture of an unknown patient is a unit of its own."""
    unknown_patients: int
    """Pictures whose patient is unknown."""
    scores: dict[str, PairedDifference]
    delong: dict[str, DeLongTest]
    """Tests by the name of the score, where its question has pictures of both answers."""
    mcnemar: McNemarTest


def compare_predictions(a: Predictions, b: Predictions, *, draws: int = 1000, seed: int = 0) -> Comparison:
    """Compare two methods on the same pictures.

    Raises
    ------
    DatasetError
        If classes, pictures, patients or labels differ; the message names the difference.
    ValueError
        If there are no draws.
    """
    other = matched(a, b)
    answered = [
        name for name, ask in QUESTIONS.items() if (positive := ask(a)[1]).any() and not positive.all()
    ]
    return Comparison(
        pictures=len(a),
        patients=int(a.units.max()) + 1,
        unknown_patients=sum(patient is None for patient in a.patients),
        scores={name: paired_bootstrap(a, other, name, draws=draws, seed=seed) for name in METRICS},
        delong={name: delong(a, other, question=name) for name in answered},
        mcnemar=mcnemar(a, other),
    )


def read_result(folder: Path) -> Predictions:
    """Read the predictions of a result, from the file that its ``result.json`` names under ``predictions``.

    Parameters
    ----------
    folder : Path
        The result, or a table of predictions (``.csv``) itself: a row of a grid, a question of discs.

    Raises
    ------
    DatasetError
        If the folder is no result, or its files cannot be read.
    """
    if folder.suffix == ".csv" and folder.is_file():
        try:
            return read_predictions(folder)
        except DatasetError as exc:
            exc.add_note(
                "tables of predictions are compared with --labels where they are submissions to RSNA 2024"
            )
            raise
    path = folder / "result.json"
    try:
        result = json.loads(regular_bytes(path).decode("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        msg = f"a result must be a folder with a readable result.json, or a .csv, got {folder} ({reason})"
        raise DatasetError(msg) from exc
    name = result.get("predictions") if isinstance(result, dict) else None
    if not isinstance(name, str) or Path(name).name != name:
        msg = f"{path} must name a file beside it under 'predictions', got {name!r}"
        raise DatasetError(msg)
    return read_predictions(folder / name)


def as_table(comparison: Comparison) -> tuple[tuple[str, ...], ...]:
    """Return the comparison as rows of words, the first of them headings."""
    rows = [("score", "A", "B", "A - B (95 % interval)", "p", "effect size")]
    for name, pair in comparison.scores.items():
        shown = f"{name} (less is better)" if name in LOWER_IS_BETTER else name
        p, effect = _tested(comparison, name)
        rows.append((shown, _number(pair.a), _number(pair.b), pair.difference.shown(), p, effect))
    return tuple(rows)


def _tested(comparison: Comparison, name: str) -> tuple[str, str]:
    """p-values and effect sizes of a score, in words; empty where it has no test of its own."""
    if name == "accuracy":
        test = comparison.mcnemar
        return (
            f"McNemar {_p(test.p)}, by patient {_p(test.p_patients)}",
            f"h {test.cohens_h:+.2f}, g {test.cohens_g:+.2f}, odds ratio {_number(test.odds_ratio)} "
            f"({test.only_a} against {test.only_b})",
        )
    if name in comparison.delong:
        area = comparison.delong[name]
        return f"DeLong {_p(area.p_rows)}, by patient {_p(area.p)}", f"d {area.effect:+.2f}"
    return "", ""


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
