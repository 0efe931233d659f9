"""Scores of findings of discs, with intervals over patients, beside those of knowing the level alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.hypothesis_tests import paired_bootstrap
from stenograde.evaluate.intervals import Interval, patient_bootstrap
from stenograde.evaluate.metrics import Metric, auc_of, metric_named
from stenograde.evaluate.predictions import Predictions
from stenograde.grades import PFIRRMANN, PFIRRMANN_GRADES, DiscFinding, DiscScore
from stenograde.predict.bundle import Bundle
from stenograde.predict.disc_net import SERIES
from stenograde.predict.discs import ABOVE, SETS, DiscHeads, grades_of, pfirrmann_of
from stenograde.train.discs.features import QUESTIONS, DiscTable, read_disc_table
from stenograde.workers import Progress

FINDINGS: Final = (*(one.value for one in DiscFinding), PFIRRMANN)
"""What is scored."""

LEVEL_ALONE: Final = "level alone"
"""The answer that needs no picture."""

_ABOVE_PLACES: Final = [tuple(QUESTIONS).index(name) for name in ABOVE]
_DEGENERATE: Final = 4
"""Least Pfirrmann grade that is counted as degenerate."""


@dataclass(frozen=True, eq=False)
class Said:
    """Answers of one way of answering; NaN and 0 where it does not answer."""

    yes: NDArray[np.float64]
    """Probability of yes, shape (discs, questions)."""
    grades: NDArray[np.int64]
    """Pfirrmann grade told, shape (discs,)."""


@dataclass(frozen=True)
class Scored:
    """A finding by several ways of answering, on the same discs."""

    discs: int
    patients: int
    positives: int
    by_way: Mapping[str, Interval]
    log_loss: Mapping[str, float]
    """Mean logarithmic loss by way; empty for the Pfirrmann grade."""
    gain: Interval
    """Of all series over the level alone, paired."""

    @property
    def earned(self) -> bool:
        """Whether all series together are certainly better than the level alone."""
        return self.gain.low > 0


def nothing_said(n: int) -> dict[str, Said]:
    """Return no answer of any way of answering, for so many discs; see :func:`answer`."""
    ways = (*map("+".join, SETS), LEVEL_ALONE)
    return {way: Said(np.full((n, len(QUESTIONS)), np.nan), np.zeros(n, np.int64)) for way in ways}


def answer(
    said: Mapping[str, Said],
    table: DiscTable,
    places: Sequence[int],
    heads: DiscHeads,
    questions: Sequence[str] = tuple(QUESTIONS),
) -> None:
    """Fill in the answers for the discs at some places, from every set of series and by level alone.

    Parameters
    ----------
    said : mapping of str to Said
        By :func:`nothing_said`.
    table : DiscTable
    places : sequence of int
    heads : DiscHeads
    questions : sequence of str
        What the heads answer, in order.
    """
    at = np.asarray(places)
    asked = np.array([tuple(QUESTIONS).index(name) for name in questions])
    above = [tuple(questions).index(name) for name in ABOVE if name in questions]
    for series in SETS:
        shown = at[table.with_series(series)[at]]
        if not len(shown):
            continue
        of_set_at = np.ix_(shown, [SERIES.index(one) for one in series])
        crops = None if table.crops is None else table.crops[of_set_at]
        logits = heads.logits(table.features[of_set_at], table.levels[shown], series, crops)
        of_set = said["+".join(series)]
        of_set.yes[np.ix_(shown, asked)] = 1 / (1 + np.exp(-logits))
        if above:
            of_set.grades[shown] = grades_of(pfirrmann_of(logits[:, above]), heads.cuts[series])
    of_level = heads.shares[table.levels[at]]
    said[LEVEL_ALONE].yes[np.ix_(at, asked)] = of_level
    if above:
        # the mean grade of the level, as no cut could order levels otherwise
        grades = np.rint(1 + of_level[:, above].sum(axis=1))
        said[LEVEL_ALONE].grades[at] = grades.astype(np.int64)


def score_bundle(data: Path, bundle: Bundle, *, progress: Progress | None = None) -> dict[str, Scored]:
    """Score a bundle's findings of discs on graded patients in the layout of SPIDER.

    Raises
    ------
    BundleError
        If the bundle says nothing of discs.
    DatasetError
        If the data cannot be read.
    """
    heads, entry = bundle.disc_heads, bundle.table.discs
    assert entry is not None  # or there were no heads
    look = None if entry.net is None else entry.net.view
    table = read_disc_table(
        data, bundle, bundle.middle_maps, entry.views, entry.grid, look=look, progress=progress
    )
    said = nothing_said(len(table))
    answer(said, table, range(len(table)), heads, entry.questions)
    return scored(table, said)


def scored(table: DiscTable, said: Mapping[str, Said]) -> dict[str, Scored]:
    """Score every finding that was answered, on the discs that all series show."""
    answered = set(np.flatnonzero(np.isfinite(said[LEVEL_ALONE].yes).any(axis=0)))
    places = {finding: _places(finding) for finding in FINDINGS}
    return {
        finding: _scored(table, said, finding) for finding, at in places.items() if answered.issuperset(at)
    }


def as_scores(found: Mapping[str, Scored]) -> tuple[DiscScore, ...]:
    """Return the scores of those findings that are certainly better answered than by the level alone."""
    every = "+".join(SETS[0])
    return tuple(
        DiscScore(
            finding,
            round(one.by_way[every].value, 3),
            round(one.by_way[every].low, 3),
            round(one.by_way[every].high, 3),
            round(one.by_way[LEVEL_ALONE].value, 3),
            one.discs,
            one.patients,
            one.positives,
        )
        for finding, one in found.items()
        if one.earned
    )


def _scored(table: DiscTable, said: Mapping[str, Said], finding: str) -> Scored:
    is_grade = finding == PFIRRMANN
    places = _places(finding)
    known = table.there.all(axis=1) & ~np.isnan(table.answers[:, places]).any(axis=1)
    at = np.flatnonzero(known)
    truth = table.answers[at][:, places].sum(axis=1).astype(np.int64)
    metric: Metric = metric_named("quadratic_kappa") if is_grade else auc_of(1)
    by_way = {}
    for way, answers in said.items():
        shares = (
            np.eye(len(PFIRRMANN_GRADES))[answers.grades[at] - 1]
            if is_grade
            else _of(answers.yes[at][:, places])
        )
        by_way[way] = Predictions(
            classes=tuple(map(str, PFIRRMANN_GRADES)) if is_grade else ("no", "yes"),
            names=tuple(table.names[k] for k in at),
            patients=tuple(table.patients[k] for k in at),
            labels=truth,
            probabilities=shares,
        )
    every = by_way["+".join(SETS[0])]
    return Scored(
        discs=len(at),
        patients=len({table.patients[k] for k in at}),
        positives=int((truth >= (_DEGENERATE - 1 if is_grade else 1)).sum()),
        by_way={way: patient_bootstrap(one, metric) for way, one in by_way.items()},
        log_loss={} if is_grade else {way: metric_named("log_loss")(one) for way, one in by_way.items()},
        gain=paired_bootstrap(every, by_way[LEVEL_ALONE], metric).difference,
    )


def _places(finding: str) -> list[int]:
    return _ABOVE_PLACES if finding == PFIRRMANN else [tuple(QUESTIONS).index(finding)]


def _of(yes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([1 - yes, yes], axis=1)


def as_rows(found: Mapping[str, Scored]) -> Sequence[tuple[str, ...]]:
    """Return the scores as rows of words, the first of them headings."""
    ways = (*map("+".join, SETS), LEVEL_ALONE)
    rows = [("finding", "score", "discs with it", *ways, "told")]
    for finding, one in found.items():
        measure = "quadratic kappa" if finding == PFIRRMANN else "AUC"
        shown = [one.by_way[way].shown() for way in ways]
        name = "pfirrmann grade (4, 5)" if finding == PFIRRMANN else finding.replace("_", " ")
        rows.append((name, measure, f"{one.positives} of {one.discs}", *shown, "yes" if one.earned else "no"))
    return rows
