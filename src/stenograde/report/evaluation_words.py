"""Sentences and figures of an evaluation, made from the content of ``evaluation.json``; no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stenograde.terms import Condition, Severity

SCHEMA_ID: Final = "stenograde/evaluation/1"

PARTS: Final = {
    **{condition.value: condition.shown for condition in Condition},
    "any_severe_canal": "Any severe canal",
    "score": "Mean of the four",
}
"""Parts of the metric, as they are shown."""

SCORES: Final = {
    "auc_any": "AUC, moderate or severe",
    "auc_worst": "AUC, severe",
    "balanced_accuracy": "Balanced accuracy",
    "quadratic_kappa": "Weighted kappa",
    "accuracy": "Accuracy",
}
"""Scores of a condition, as they are shown."""

STATUSES: Final = {
    "graded": "graded",
    "draft": "draft",
    "abstained": "abstained",
    "not_imaged": "not imaged",
    "not_graded": "not graded by this bundle",
    "study_not_graded": "study not graded",
}
"""What becomes of a cell, as it is shown."""

KINDS: Final = {
    "level": "Level",
    "side": "Side",
    "field": "Field strength",
    "scanner": "Scanner",
    "series": "Series",
    "status": "What was said",
}
"""Kinds of groups, as they are shown."""

RESTS_ON: Final = {
    "measured": "published thresholds on anatomy outlined by a network trained on patients",
    "learnt": "a network that has learnt from patients",
    "phantoms only": "a network that has seen phantoms only",
}
"""What grades of a condition rest on, as it is shown."""

SEVERITIES: Final = {severity.value: severity.shown for severity in Severity}
"""Severities, as they are shown."""


def is_known(score: Mapping[str, Any] | None) -> bool:
    """Return whether a score has a value."""
    return score is not None and score["value"] is not None


def interval(score: Mapping[str, Any] | None, digits: int = 3, why: str = "") -> str:
    """Return a score with its interval; of one that is not known the reason.

    Examples
    --------
    >>> interval({"value": 0.5, "low": 0.4, "high": None}), interval({"value": 0.5, "low": 0.4, "high": 0.6}, 2)
    ('0.500', '0.50 (0.40 to 0.60)')
    >>> interval({"value": None}, why="none is severe")
    'absent: none is severe'
    """
    if score is None or score["value"] is None:
        return f"absent: {why}" if why else "–"
    text = figure(score["value"], digits)
    if score["low"] is None or score["high"] is None:
        return text
    return f"{text} ({figure(score['low'], digits)} to {figure(score['high'], digits)})"


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number with so many digits after the point; a dash where there is none.

    Examples
    --------
    >>> figure(0.12345), figure(None), figure(-0.00001), figure(-0.5, 1)
    ('0.123', '–', '0.000', '−0.5')
    """
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def percent(value: float | None) -> str:
    """Return a share in per cent; one above zero is never shown as zero.

    Examples
    --------
    >>> percent(0.5), percent(0.001), percent(0), percent(None)
    ('50 %', '< 1 %', '0 %', '–')
    """
    if value is None:
        return "–"
    return "< 1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %"


def counted(n: int, one: str, many: str = "") -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "study", "studies"), counted(3, "cell"), counted(12345, "cell")
    ('1 study', '3 cells', '12,345 cells')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def finding(numbers: Mapping[str, Any]) -> str:
    """Return the result in a few sentences: the metric, and whether it beats what looks at no picture."""
    parts = {part["name"]: part for part in numbers["parts"]}
    told = [parts["score"]] if is_known(parts["score"]["as_graded"]) else _known_conditions(parts)
    if not told:
        return "Nothing could be scored: no labelled cell."
    return " ".join(_sentence(part) for part in told)


def who(numbers: Mapping[str, Any]) -> str:
    """Return how many studies, or phantoms, were scored."""
    n = numbers["n_studies"]
    return counted(n, "phantom") if numbers["is_of_phantoms"] else counted(n, "study", "studies")


def _known_conditions(parts: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [parts[one.value] for one in Condition if is_known(parts[one.value]["as_graded"])]


def _sentence(part: Mapping[str, Any]) -> str:
    name = "" if part["name"] == "score" else f"{PARTS[part['name']]}: "
    loss = f"{name}weighted log loss {interval(part['as_graded'], 2)}"
    loss = loss[0].upper() + loss[1:]
    difference = part["difference"]
    if not is_known(difference):
        return f"{loss}."
    share = f"knowing only the level ({figure(part['level_share']['value'], 2)})"
    by = interval({one: _flipped(difference, one) for one in ("value", "low", "high")}, 2)
    if difference["high"] is not None and difference["high"] < 0:
        return f"{loss}, better than {share} by {by}."
    if difference["low"] is not None and difference["low"] > 0:
        return f"{loss}, worse than {share} by {interval(difference, 2)}."
    return f"{loss}; no difference from {share} is shown: {interval(difference, 2)}."


def _flipped(difference: Mapping[str, Any], bound: str) -> float | None:
    value = difference[{"value": "value", "low": "high", "high": "low"}[bound]]
    return None if value is None else -value


def unanswered(condition: Mapping[str, Any]) -> int:
    """Return how many labelled cells of a condition have no probabilities."""
    return condition["cells"] - condition["answered"]


def shift_signs(numbers: Mapping[str, Any]) -> Sequence[str]:
    """Return sentences on signs that the cohort is not what the bundle was trained on."""
    unlike, n, cells = numbers["unlike"], numbers["n_studies"], numbers["labelled_cells"]
    share = unlike["unlike_cells"] / cells if cells else 0.0
    return (
        f"The pictures of {unlike['unlike_cells']:,} of {counted(cells, 'labelled cell')} ({percent(share)}), in "
        f"{unlike['unlike_studies']} of {counted(n, 'study', 'studies')}, are unlike those the grader was trained on, "
        "or noisier.",
        f"The name of a level is in doubt in {unlike['names_doubted']} of {counted(n, 'study', 'studies')}.",
        f"A second opinion disagrees with the grader in {figure(unlike['flagged_per_study'], 1)} cells per study.",
    )
