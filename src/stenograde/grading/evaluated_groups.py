"""What grades are worth in parts of a cohort: levels, sides, field strengths, scanners, and what became of the cell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.rsna_metric import (
    UNKNOWN,
    CohortAnswers,
    absent_areas,
    answers_of,
    rsna_score,
    severe_auc,
)
from stenograde.grades import Status
from stenograde.grading.cohort import GradedStudy, level_alone, mean_of
from stenograde.grading.evaluated_conditions import of_several
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Role, Severity, Side

FEWEST: Final = 5
"""Studies that a scanner or a field strength must have to be scored apart: fewer tell nothing, and point at people."""

UNHEARD: Final = "the other studies lack a severity that is labelled, and give it no chance; give --shares"
"""Why the level's share of a small cohort is not scored: the metric would punish it beyond any bound."""

_CONDITIONS: Final = np.array([cell.condition.value for cell in LUMBAR_MRI.cells])
"""Of each cell."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class GroupScore:
    """Scores of one condition in one group."""

    kind: str
    """``level``, ``side``, ``field``, ``scanner``, ``series`` or ``status``."""
    name: str
    condition: str
    studies: int
    cells: int
    severe: int
    log_loss: Interval
    """Weighted, as the metric of RSNA 2024; a cell without an answer counts as even odds."""
    level_share: Interval
    """The same of an answer that knows only how common each severity is at each level."""
    auc_severe: Interval
    agreement: Interval
    """Share of cells whose most probable severity is the label's; without an answer it is wrong."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Why a value is NaN, by its name."""


def group_scores(
    graded: Sequence[GradedStudy],
    labels: Mapping[str, Mapping[Cell, Severity]] | None,
    *,
    draws: int,
    seed: int,
) -> tuple[GroupScore, ...]:
    """Score each group that has labelled cells, condition by condition; ``labels`` tell the level's share, if given."""
    answers = answers_of([one.said for one in graded], [one.severities for one in graded])
    alone = level_alone(graded, labels)
    never = None if alone is None else unheard(alone)
    right = np.array([[_is_right(one, cell) for cell in LUMBAR_MRI.cells] for one in graded])
    found = []
    for kind, name, mask in _groups(graded):
        kept = answers.known_only(mask)
        scores, areas = (of(kept, draws=draws, seed=seed) for of in (rsna_score, severe_auc))
        shares = rsna_score(alone.known_only(mask), draws=draws, seed=seed) if alone else {}
        why = absent_areas(kept)
        for condition in (one.value for one in Condition):
            cells = (kept.severities != UNKNOWN) & (condition == _CONDITIONS)
            n_studies = int(cells.any(axis=1).sum())
            if not n_studies:
                continue
            values = [tuple(row[own].tolist()) for row, own in zip(right, cells, strict=True)]
            agreement = mean_of(values, draws=draws, seed=seed)
            share, lacking = Interval(math.nan), "nothing tells how common severities are"
            if never is not None:
                share, lacking = (
                    (Interval(math.nan), UNHEARD) if never[cells].any() else (shares[condition], "")
                )
            told = {"auc_severe": why[condition]} if condition in why else {}
            loss, area = scores[condition], areas[condition]
            told |= {"level_share": lacking} if lacking else {}
            found.append(
                GroupScore(
                    kind,
                    name,
                    condition,
                    studies=n_studies,
                    cells=int(cells.sum()),
                    severe=int((kept.severities[cells] == Severity.SEVERE.rank).sum()),
                    log_loss=of_several(loss, n_studies),
                    level_share=of_several(share, n_studies),
                    auc_severe=of_several(area, n_studies),
                    agreement=of_several(agreement, n_studies),
                    absent=told,
                )
            )
    return tuple(found)


def small_groups(graded: Sequence[GradedStudy]) -> tuple[str, ...]:
    """Return the field strengths and scanners of so few studies that they are not scored apart, with their numbers."""
    return tuple(
        f"{name} ({n})"
        for of in (_field, _scanner)
        for name, n in Counter(map(of, graded)).most_common()
        if name and n < FEWEST
    )


def unheard(alone: CohortAnswers) -> Flags:
    """Return the labelled cells, shape (studies, cells), whose severity the level's share gives no chance at all."""
    ranks = np.maximum(alone.severities, 0)[..., None]
    chance = np.take_along_axis(alone.probabilities, ranks, axis=2)[..., 0]
    return (alone.severities != UNKNOWN) & (chance <= 0)


def unheard_conditions(alone: CohortAnswers) -> frozenset[str]:
    """Return the conditions with such cells."""
    return frozenset(_CONDITIONS[unheard(alone).any(axis=0)].tolist())


def _is_right(one: GradedStudy, cell: Cell) -> float:
    return float(cell in one.said and one.said[cell].severity is one.severities.get(cell))


def _groups(graded: Sequence[GradedStudy]) -> Iterator[tuple[str, str, Flags]]:
    """Give kind, name and cells, shape (studies, cells), of each group."""
    cells, n = LUMBAR_MRI.cells, len(graded)
    for level in LUMBAR_MRI.levels:
        yield "level", level.shown, np.tile([cell.level is level for cell in cells], (n, 1))
    for side in Side:
        yield "side", side.value, np.tile([cell.side is side for cell in cells], (n, 1))
    for kind, of in (("field", _field), ("scanner", _scanner)):
        told = [of(one) for one in graded]
        for name, count in Counter(told).most_common():
            if name and count >= FEWEST:
                yield kind, name, _of_studies([one == name for one in told])
    for role in Role:
        lacking = [role not in one.roles and not one.failure for one in graded]
        if any(lacking):
            yield "series", f"without {role.shown}", _of_studies(lacking)
    for status in (Status.GRADED, Status.DRAFT, Status.ABSTAINED):
        yield "status", status.value, _of_status(graded, status)


def _of_studies(chosen: Sequence[bool]) -> Flags:
    """All cells of the studies chosen."""
    return np.repeat(np.array(chosen)[:, None], len(LUMBAR_MRI.cells), axis=1)


def _of_status(graded: Sequence[GradedStudy], status: Status) -> Flags:
    became = [
        [None if one.failure else one.reasons.get(cell, (Status.GRADED, ""))[0] for cell in LUMBAR_MRI.cells]
        for one in graded
    ]
    return np.array([[told is status for told in row] for row in became])


def _field(one: GradedStudy) -> str:
    return f"{one.field_t:.3g} T" if one.field_t else ""


def _scanner(one: GradedStudy) -> str:
    return one.scanner
