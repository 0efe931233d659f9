"""The sixth step, from what the folds' nets said: probabilities, sets of severities, limits, and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.submission import as_submission_csv
from stenograde.evaluate.baselines import level_share
from stenograde.evaluate.conformal import (
    NO_LIMIT,
    ClassCoverage,
    ConformalSets,
    coverage_by_class,
    fit_conformal,
)
from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.rsna_metric import (
    UNKNOWN,
    CohortAnswers,
    answers_of,
    rsna_differences,
    rsna_score,
    severe_auc,
)
from stenograde.evaluate.vector_scaling import VectorScaling, fit_vector_scaling
from stenograde.files import write_whole
from stenograde.grades import Probabilities
from stenograde.levels.crop import SHOWN_BY, CropKind
from stenograde.levels.crop_noise import noise_of
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Severity, Side
from stenograde.train.cohort.config import CohortTraining
from stenograde.train.cohort.cut import CohortCrops
from stenograde.train.cohort.folds import FoldNets
from stenograde.train.grader.bundle import limits_of
from stenograde.train.grader.cohort_crops import CELLS_OF_LEVEL
from stenograde.train.grader.crops import as_values

DRAWS = 1000
"""Draws of studies for the intervals."""


@dataclass(frozen=True, eq=False)
class Assessed:
    """What the folds say of the bundle that is made of their nets."""

    scaling: Mapping[str, VectorScaling]
    sets: Mapping[str, ConformalSets]
    usual_below: Mapping[str, float]
    noise_below: Mapping[str, float]
    answers: CohortAnswers
    """Out of fold; calibrated for each fold on the others."""
    scores: Mapping[str, Mapping[str, Interval]]
    """By kind and part: ``score``, ``weighted``, ``level_share``, ``level_share_weighted``, ``less_than_share`` (the
    weighted score less the level's share) and ``auc``."""
    coverage: Mapping[str, tuple[ClassCoverage, ...]]
    """By condition, of each severity; sets of each fold are fitted on the others."""
    groups: tuple[Group, ...]
    """Scores of parts of the cohort."""


@dataclass(frozen=True)
class Group:
    """Scores of some of the cells of a condition."""

    condition: Condition
    name: str
    """Such as ``L4/L5``, ``left``, ``1.5 T`` or a scanner's."""
    cells: int
    severe: int
    log_loss: float
    """Weighted."""
    level_share: float
    auc_severe: float


def assess(
    crops: CohortCrops, folds: FoldNets, config: CohortTraining, records: Mapping[str, Mapping[str, Any]]
) -> Assessed:
    """Return what the folds' nets say of patients that they never saw.

    Parameters
    ----------
    crops : CohortCrops
    folds : FoldNets
    config : CohortTraining
    records : mapping
        What reading found, by study; see :func:`stenograde.train.cohort.ingest.read_once`.
    """
    logits, ranks = in_order(folds.logits), in_order(crops.set.severities)
    shown = _shown(crops.set.present)
    fitted = {one: _scaling(one, logits, ranks, shown, np.ones(len(ranks), bool)) for one in Condition}
    said, coverage = _crossed(logits, ranks, shown, folds.fold, config, crops.names)
    answers = CohortAnswers(said, ranks)
    by_cell = [
        {
            cell: tuple(Severity)[int(rank)]
            for cell, rank in zip(LUMBAR_MRI.cells, row, strict=True)
            if rank >= 0
        }
        for row in ranks
    ]
    known = dict(zip(crops.names, by_cell, strict=True))
    prior = answers_of(level_share(crops.names, known), by_cell)
    scores = {
        "score": rsna_score(answers, draws=DRAWS),
        "weighted": rsna_score(answers.weighted(), draws=DRAWS),
        "level_share": rsna_score(prior, draws=DRAWS),
        "level_share_weighted": rsna_score(prior.weighted(), draws=DRAWS),
        "less_than_share": rsna_differences(answers.weighted(), prior.weighted(), draws=DRAWS),
        "auc": severe_auc(answers, draws=DRAWS),
    }
    sets = {}
    for one in Condition:
        p, truth, whose = _cells_of(one, fitted[one].probabilities(logits), ranks, shown, crops.names)
        sets[one.value] = (
            fit_conformal(p, truth, whose, coverage=config.coverage) if len(truth) else _no_sets(config)
        )
    return Assessed(
        {one.value: scaling for one, scaling in fitted.items()},
        sets,
        limits_of(folds.strangeness, crops.set.present, config.usual_share),
        _noise_limits(crops, config),
        answers,
        scores,
        coverage,
        tuple(_groups(answers, prior, crops.names, records)),
    )


def _no_sets(config: CohortTraining) -> ConformalSets:
    """Return the sets of a condition of which no cell was labelled and shown: none excludes anything."""
    n = len(Severity)
    return ConformalSets(config.coverage, ((NO_LIMIT, NO_LIMIT),) * n, (0,) * n, (0,) * n)


def in_order(values: NDArray[Any]) -> NDArray[Any]:
    """Return values by level and cell (studies, levels, cells of a level, ...) in the order of the scheme's cells."""
    out = np.empty((len(values), len(LUMBAR_MRI.cells), *values.shape[3:]), values.dtype)
    for level, places in enumerate(CELLS_OF_LEVEL):
        out[:, list(places)] = values[:, level]
    return out


def write_predictions(path: Path, names: tuple[str, ...], answers: CohortAnswers) -> None:
    """Write probabilities in the form of the competition's submissions."""
    said = {
        name: dict(zip(LUMBAR_MRI.cells, map(Probabilities, of_study), strict=True))
        for name, of_study in zip(names, answers.probabilities.tolist(), strict=True)
    }
    write_whole(path, as_submission_csv(said))


def _shown(present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether a crop shows each cell, shape (studies, cells)."""
    out = np.zeros((len(present), len(LUMBAR_MRI.cells)), bool)
    for place, cell in enumerate(LUMBAR_MRI.cells):
        kinds = [tuple(CropKind).index(kind) for kind in SHOWN_BY[cell.condition]]
        sides = range(len(Side)) if cell.side is None else [tuple(Side).index(cell.side)]
        level = LUMBAR_MRI.levels.index(cell.level)
        out[:, place] = present[:, level][:, list(sides)][:, :, kinds].any(axis=(1, 2))
    return out


_CONDITIONS = np.array([cell.condition.value for cell in LUMBAR_MRI.cells])
"""Of each cell."""


def _cells_of(
    condition: Condition,
    values: NDArray[np.float64],
    ranks: NDArray[np.int64],
    shown: NDArray[np.bool_],
    names: tuple[str, ...],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.str_]]:
    """Return values, ranks and studies of the labelled cells of a condition that a crop shows."""
    chosen = (ranks != UNKNOWN) & shown & (condition.value == _CONDITIONS)
    whose = np.broadcast_to(np.array(names)[:, None], ranks.shape)[chosen]
    return values[chosen], ranks[chosen], whose


def _scaling(
    condition: Condition,
    logits: NDArray[np.float64],
    ranks: NDArray[np.int64],
    shown: NDArray[np.bool_],
    studies: NDArray[np.bool_],
) -> VectorScaling:
    names = tuple("" for _ in range(int(studies.sum())))
    values, truth, _ = _cells_of(condition, logits[studies], ranks[studies], shown[studies], names)
    return fit_vector_scaling(values, truth) if len(truth) else VectorScaling()


def _crossed(
    logits: NDArray[np.float64],
    ranks: NDArray[np.int64],
    shown: NDArray[np.bool_],
    fold: NDArray[np.int64],
    config: CohortTraining,
    names: tuple[str, ...],
) -> tuple[NDArray[np.float64], dict[str, tuple[ClassCoverage, ...]]]:
    """Return probabilities, and how sets cover, of each fold by what is fitted on the others."""
    said = np.empty_like(logits)
    held: dict[str, list[tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.str_]]]] = {}
    all_names = np.array(names)
    for number in np.unique(fold):
        test = fold == number
        for condition in Condition:
            scaling = _scaling(condition, logits, ranks, shown, ~test)
            places = np.flatnonzero(condition.value == _CONDITIONS)
            own = np.ix_(np.flatnonzero(test), places)
            said[own] = scaling.probabilities(logits[own])
            of_others = scaling.probabilities(logits[~test])
            p, truth, whose = _cells_of(
                condition, of_others, ranks[~test], shown[~test], tuple(all_names[~test])
            )
            if not len(truth):
                continue
            sets = fit_conformal(p, truth, whose, coverage=config.coverage)
            p, truth, whose = _cells_of(
                condition, said[test], ranks[test], shown[test], tuple(all_names[test])
            )
            if len(truth):
                held.setdefault(condition.value, []).append((sets.sets(p), truth, whose))
    coverage = {
        condition: coverage_by_class(*(np.concatenate(parts) for parts in zip(*of_folds, strict=True)))
        for condition, of_folds in held.items()
    }
    return said, coverage


def _noise_limits(crops: CohortCrops, config: CohortTraining) -> dict[str, float]:
    noise = np.stack([noise_of(as_values(one)) for one in crops.set.crops])
    limits = limits_of(noise, crops.set.present, config.usual_share)
    return {kind: float(np.hypot(limit, config.augment.noise)) for kind, limit in limits.items()}


def _groups(
    answers: CohortAnswers,
    prior: CohortAnswers,
    names: tuple[str, ...],
    records: Mapping[str, Mapping[str, Any]],
) -> list[Group]:
    every = np.ones(len(names), bool)
    of_cells: list[tuple[str, Callable[[Cell], bool]]] = [
        *((level.shown, lambda cell, level=level: cell.level is level) for level in LUMBAR_MRI.levels),
        *((side.value, lambda cell, side=side: cell.side is side) for side in Side),
    ]
    masks = [
        (name, np.outer(every, np.array([chosen(cell) for cell in LUMBAR_MRI.cells])))
        for name, chosen in of_cells
    ]
    for fact, unit in (("field_t", " T"), ("scanner", "")):
        told = np.array([str(records.get(name, {}).get(fact) or "") for name in names])
        found = sorted({one for one in told.tolist() if one})
        masks += [
            (f"{one}{unit}", np.outer(told == one, np.ones(len(LUMBAR_MRI.cells), bool))) for one in found
        ]
    groups = []
    for name, mask in masks:
        of_group = _scored(answers, mask), _scored(prior, mask)
        for condition in Condition:
            cells = mask & (answers.severities != UNKNOWN) & (condition.value == _CONDITIONS)
            if not cells.any():
                continue
            severe = int((answers.severities[cells] == Severity.SEVERE.rank).sum())
            loss, share = (one[0][condition.value] for one in of_group)
            area = of_group[0][1][condition.value] if severe else float("nan")
            groups.append(Group(condition, name, int(cells.sum()), severe, loss, share, area))
    return groups


def _scored(answers: CohortAnswers, mask: NDArray[np.bool_]) -> tuple[dict[str, float], dict[str, float]]:
    kept = answers.known_only(mask)
    loss = {name: one.value for name, one in rsna_score(kept.weighted(), draws=1).items()}
    return loss, {name: one.value for name, one in severe_auc(kept, draws=1).items()}
