"""What the grades of one condition are worth, on the labelled cells of a cohort."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stenograde.evaluate.calibration import class_reliability, top_reliability
from stenograde.evaluate.intervals import Interval, bootstrap_scores
from stenograde.evaluate.metrics import METRICS, confusion
from stenograde.evaluate.predictions import Predictions
from stenograde.evaluate.selective import risk_coverage
from stenograde.grades import Status
from stenograde.grading.cohort import GradedStudy, mean_of
from stenograde.terms import Condition, Level, Severity

SCORES: Final = ("auc_any", "auc_worst", "balanced_accuracy", "quadratic_kappa", "accuracy")
"""Names in :data:`~stenograde.evaluate.metrics.METRICS`, as they are reported."""

ANSWERED: Final = (1.0, 0.9, 0.8, 0.7, 0.5)
"""Shares of the labelled cells at which the risk is told."""

FAILED: Final = "study_not_graded"
"""What became of the cells of a study that could not be read or graded."""

_MOST_POINTS: Final = 200
"""Most points of a curve that are kept."""

_LEVEL: Final = "|".join(level.shown for level in Level)


class Sets(Protocol):
    """Which severities cannot be excluded, as a bundle's conformal sets say it."""

    @property
    def coverage(self) -> float:
        """Share of the cells of each severity whose set is to hold it."""
        ...

    def sets(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Return which severities cannot be excluded, shape (n, severities)."""
        ...


@dataclass(frozen=True)
class Reason:
    """Why cells were not graded, or what should be known of their grades."""

    status: str
    reason: str
    """Without levels and numbers, so that like reasons are counted together."""
    cells: int


@dataclass(frozen=True)
class Reliability:
    """Stated probabilities of one severity against how often it was true, by bin."""

    said: tuple[float, ...]
    seen: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class SetsScore:
    """How often the sets of a condition hold the true severity."""

    asked: float
    covered: Mapping[str, Interval]
    """Share of the cells of each severity."""
    mean_size: float
    """Severities in a set, on average."""
    single: float
    """Share of the sets with one severity."""
    whole: float
    """Share of the sets that exclude nothing."""


@dataclass(frozen=True)
class ConditionScores:
    """Scores of one condition; of what cannot be scored, ``absent`` says why, by the name of the score or the table."""

    condition: str
    cells: int
    """Labelled."""
    studies: int
    """With a labelled cell."""
    severities: Mapping[str, int]
    """Labelled cells by severity."""
    answered: int
    """Labelled cells with probabilities, those of drafts and abstained cells, too; all that follows is of these."""
    statuses: Mapping[str, int]
    """Labelled cells by what became of them."""
    reasons: tuple[Reason, ...]
    """Commonest first."""
    scores: Mapping[str, Interval] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    """Rows are labels, columns the most probable severity."""
    calibration_error: float = math.nan
    """Expected calibration error of the most probable severity, ten bins."""
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    """By severity."""
    risk: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """``coverage`` and ``risk``: the share of wrong answers among the surest."""
    risk_at: Mapping[str, float] = field(default_factory=dict)
    """Share of wrong answers where so large a share of the labelled cells is answered, the surest first."""
    sets: SetsScore | None = None
    absent: Mapping[str, str] = field(default_factory=dict)


def score_condition(
    graded: Sequence[GradedStudy], condition: Condition, sets: Sets | None, *, draws: int, seed: int
) -> ConditionScores:
    """Score the grades of one condition; ``sets`` are the bundle's, if it has any."""
    labels = [s for one in graded for cell, s in one.severities.items() if cell.condition is condition]
    statuses, reasons = _became(graded, condition)
    found = ConditionScores(
        condition=condition.value,
        cells=len(labels),
        studies=sum(any(cell.condition is condition for cell in one.severities) for one in graded),
        severities={severity.value: labels.count(severity) for severity in Severity},
        answered=0,
        statuses=statuses,
        reasons=reasons,
    )
    said = answered_cells(graded, condition)
    if said is None:
        why = "no labelled cell has an answer" if labels else "no labelled cell"
        nothing = dict.fromkeys((*SCORES, "confusion", "calibration_error", "risk", "sets"), why)
        return replace(found, scores=dict.fromkeys(SCORES, Interval(math.nan)), absent=nothing)
    scores = bootstrap_scores(said, {name: METRICS[name] for name in SCORES}, draws=draws, seed=seed)
    curve = risk_coverage(said.probabilities.max(1), said.predicted != said.labels, n=len(labels))
    places = np.unique(np.linspace(0, curve.risk.size - 1, _MOST_POINTS).round().astype(int))
    return replace(
        found,
        answered=len(said),
        scores={name: of_several(one, int(said.units.max()) + 1) for name, one in scores.items()},
        confusion=tuple(tuple(row) for row in confusion(said).tolist()),
        calibration_error=top_reliability(said).error,
        reliability={severity.value: _reliability(said, severity) for severity in Severity},
        risk={
            "coverage": tuple(curve.coverage[places].tolist()),
            "risk": tuple(curve.risk[places].tolist()),
        },
        risk_at={f"{share:.0%}": curve.at(share) for share in ANSWERED},
        sets=None if sets is None else _sets(said, sets, draws=draws, seed=seed),
        absent=_absent(said, scores) | ({} if sets else {"sets": "the bundle has none"}),
    )


def answered_cells(graded: Sequence[GradedStudy], condition: Condition) -> Predictions | None:
    """Return the labelled cells of a condition that have probabilities; None without any."""
    rows = [
        (one.name, cell, severity.rank, one.said[cell])
        for one in graded
        for cell, severity in one.severities.items()
        if cell.condition is condition and cell in one.said
    ]
    if not rows:
        return None
    shares = np.array([row[3] for row in rows], np.float64)
    return Predictions(
        classes=tuple(severity.value for severity in Severity),
        names=tuple(f"{name}/{cell.name}" for name, cell, _, _ in rows),
        patients=tuple(row[0] for row in rows),
        labels=np.array([row[2] for row in rows], np.int64),
        probabilities=shares / shares.sum(axis=1, keepdims=True),
    )


def of_several(score: Interval, n_studies: int) -> Interval:
    """Return a score with its interval, without one where a single study was scored: nothing can be drawn then."""
    return score if n_studies > 1 else Interval(score.value)


def reason_kind(reason: str) -> str:
    """Return a reason without levels, numbers and what stands in brackets.

    Examples
    --------
    >>> reason_kind("the Axial T2 pictures at L4/L5 are noisier than any (noise 0.41, limit 0.31)")
    'the Axial T2 pictures are noisier than any'
    >>> reason_kind("L1/L2 lies outside the imaged field"), reason_kind("they are 1.7 severities apart")
    ('the level lies outside the imaged field', 'they are … severities apart')
    """
    short = re.sub(r"\s*\([^()]*\)", "", reason)
    short = re.sub(rf" at ({_LEVEL})", "", short)
    short = re.sub(_LEVEL, "the level", short)
    return re.sub(r"(?<![A-Za-z0-9])\d+(\.\d+)?(?![A-Za-z0-9])", "…", short)


def _became(graded: Sequence[GradedStudy], condition: Condition) -> tuple[dict[str, int], tuple[Reason, ...]]:
    """Labelled cells by what became of them, and by the reasons."""
    statuses: Counter[str] = Counter({status.value: 0 for status in Status} | {FAILED: 0})
    reasons: Counter[tuple[str, str]] = Counter()
    for one in graded:
        for cell in (cell for cell in one.severities if cell.condition is condition):
            told, reason = one.reasons.get(cell, (Status.GRADED, ""))
            status = FAILED if one.failure else told.value
            statuses[status] += 1
            if reason:
                reasons[status, reason_kind(reason)] += 1
    return dict(statuses), tuple(Reason(*key, cells) for key, cells in reasons.most_common())


def _reliability(said: Predictions, severity: Severity) -> Reliability:
    curve = class_reliability(said, severity.rank)
    return Reliability(
        tuple(curve.said.tolist()), tuple(curve.seen.tolist()), tuple(map(int, curve.counts.tolist()))
    )


def _sets(said: Predictions, sets: Sets, *, draws: int, seed: int) -> SetsScore:
    held = sets.sets(said.probabilities)
    sizes = held.sum(axis=1)
    covered = {}
    for severity in Severity:
        of_study: dict[int, list[float]] = {}
        for place in np.flatnonzero(said.labels == severity.rank):
            of_study.setdefault(int(said.units[place]), []).append(float(held[place, severity.rank]))
        values = [tuple(one) for one in of_study.values()]
        covered[severity.value] = of_several(mean_of(values, draws=draws, seed=seed), len(values))
    whole = float((sizes == len(Severity)).mean())
    return SetsScore(sets.coverage, covered, float(sizes.mean()), float((sizes == 1).mean()), whole)


def _absent(said: Predictions, scores: Mapping[str, Interval]) -> dict[str, str]:
    """Why a score is NaN, by its name."""
    mild, severe = said.labels == 0, said.labels == len(Severity) - 1
    told = {
        "auc_any": "all are normal/mild" if mild.all() else "none is normal/mild",
        "auc_worst": "all are severe" if severe.all() else "none is severe",
        "quadratic_kappa": "labels and answers are all of one severity",
    }
    return {name: told.get(name, "it is not defined here") for name, one in scores.items() if not one.known}
