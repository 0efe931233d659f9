"""A bundle evaluated on a labelled cohort: grade each study once, then numbers, one HTML page and a model card."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from stenograde.config import as_plain
from stenograde.datasets.rsna2024 import read_labels
from stenograde.errors import BundleError
from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.rsna_metric import ANY_SEVERE, PARTS, answers_of, rsna_differences
from stenograde.files import write_together
from stenograde.grading.cohort import CohortScores, GradedStudy, level_alone, mean_of, score_cohort
from stenograde.grading.evaluated_conditions import ConditionScores, of_several, score_condition
from stenograde.grading.evaluated_groups import (
    UNHEARD,
    GroupScore,
    group_scores,
    small_groups,
    unheard_conditions,
)
from stenograde.grading.kept_grades import GradedCohort, grade_and_keep
from stenograde.predict.bundle import DEFAULT, Bundle, default_bundle, load_bundle
from stenograde.report.evaluation_html import SCHEMA_ID, as_evaluation_html
from stenograde.report.model_card import as_model_card
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Role, Severity
from stenograde.workers import Progress

NUMBERS, PAGE, CARD = "evaluation.json", "evaluation.html", "model-card.md"
"""Files of an evaluation."""

UNLIKE: Final = (
    "unlike those the grader was trained on",
    "noisier than any the grader was calibrated on",
    "unlike those that the heads were fitted to",
    "noisier than any that the heads were fitted to",
)
"""What grader and heads say of pictures that are not those they know (:mod:`stenograde.predict.grader`,
:mod:`stenograde.predict.fixed_heads`)."""

FAR_MM: Final = 10.0
"""A level point farther off than this may lie at another disc: lumbar discs are 30 to 40 mm apart."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What an evaluation is made with."""

    labels: Path | None = None
    """Column ``study_id`` and one for each labelled cell; ``train.csv`` of the cohort if not given."""
    shares: Path | None = None
    """Labels, laid out as ``train.csv``, that tell how common severities are at each level; the cohort's other studies
    if not given."""
    draws: int = 1000
    """Of studies, for the intervals."""
    seed: int = 0


@dataclass(frozen=True)
class Part:
    """One part of the metric of RSNA 2024, or their mean; less is better."""

    name: str
    studies: int
    """With a label that counts for it."""
    as_graded: Interval
    """A labelled cell without an answer counts as even odds."""
    weighted: Interval
    """With probabilities times the metric's weights, as it rewards them."""
    graded_only: Interval
    level_share: Interval
    difference: Interval
    """As graded minus the level's share, on the same draws of studies."""
    absent: Mapping[str, str]
    """Why a value is NaN, by its name."""


@dataclass(frozen=True)
class Spread:
    """Mean and spread of what was measured in studies."""

    n: int
    mean: Interval
    median: float = math.nan
    p95: float = math.nan


@dataclass(frozen=True)
class Unlike:
    """Signs that the cohort is not what the bundle was trained on."""

    unlike_cells: int
    """Labelled cells whose pictures the grader calls unlike those of training, or noisier."""
    unlike_studies: int
    names_doubted: int
    """Studies in which the name of a level is in doubt."""
    flagged_per_study: float
    """Cells whose second opinion disagrees."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that is told of a bundle on a cohort."""

    n_studies: int
    is_of_phantoms: bool
    labelled_cells: int
    parts: tuple[Part, ...]
    conditions: tuple[ConditionScores, ...]
    groups: tuple[GroupScore, ...]
    small_groups: tuple[str, ...]
    points_mm: Spread
    far_points: int
    """Level points more than :data:`FAR_MM` off."""
    points_by_level: Mapping[str, Spread]
    measurements: Mapping[str, Interval]
    """Mean absolute errors; known of phantoms only."""
    seconds: Spread
    unlike: Unlike
    series: Mapping[str, int]
    """Studies with each series."""
    fields: Mapping[str, int]
    """Studies by field strength; empty text where it is unknown."""
    failures: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())


def evaluate_into(
    bundle: Bundle, data: Path, out: Path, config: EvaluationConfig, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Grade a labelled cohort and write :data:`NUMBERS`, :data:`PAGE` and :data:`CARD`; gives the numbers.

    What was graded into ``out`` before is not graded again; see :func:`~stenograde.grading.kept_grades.grade_and_keep`.

    Raises
    ------
    DatasetError, ConfigError
        See :func:`~stenograde.grading.kept_grades.grade_and_keep`; or a file cannot be written.
    """
    shares = None if config.shares is None else read_labels(config.shares)
    cohort = grade_and_keep(data, bundle, out, labels=config.labels, progress=progress)
    grader = bundle.table.grader
    by_heads = () if bundle.table.fixed is None else tuple(bundle.table.fixed.reads)
    sets = {} if grader is None else {name: one for name, one in grader.sets.items() if name not in by_heads}
    evaluation = evaluate_graded(cohort, sets, shares, draws=config.draws, seed=config.seed)
    numbers = {
        "schema": SCHEMA_ID,
        "version": metadata.version("stenograde"),
        "made_on": date.today().isoformat(),
        "bundle": as_plain(bundle.stamp),
        "evidence": as_plain({condition.value: one for condition, one in bundle.evidence.items()}),
        "data": data.resolve().name,
        "labels": (config.labels or data / "train.csv").name,
        "shares": None if config.shares is None else config.shares.name,
        "draws": config.draws,
        "seed": config.seed,
        **as_plain(evaluation),
    }
    card = bundle.card if (bundle.folder / "card.md").is_file() else ""
    write_together(
        {
            out / NUMBERS: json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            out / PAGE: as_evaluation_html(numbers),
            out / CARD: as_model_card(numbers, bundle_card=card),
        }
    )
    return numbers


def named_bundle(name: Path) -> Bundle:
    """Load a bundle from its folder, or the one that ships by its name.

    Raises
    ------
    BundleError
        If there is no such bundle; see :func:`~stenograde.predict.bundle.load_bundle`.
    """
    if not name.is_dir() and str(name) == DEFAULT:
        return default_bundle()
    try:
        return load_bundle(name)
    except BundleError as exc:
        exc.add_note(f"the bundle that ships is called {DEFAULT}")
        raise


def evaluate_graded(
    cohort: GradedCohort,
    sets: Mapping[str, Any],
    shares: Mapping[str, Mapping[Cell, Severity]] | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Return what the grades of a cohort are worth.

    Parameters
    ----------
    cohort : GradedCohort
    sets : mapping
        The bundle's conformal sets (:class:`~stenograde.grading.evaluated_conditions.Sets`) by condition; may be empty.
    shares : mapping, optional
        Labels by study that tell how common severities are at each level; the cohort's own if not given.
    draws, seed : int
        Of the bootstrap over studies.
    """
    graded = cohort.studies
    scores = score_cohort(graded, draws=draws, seed=seed, labels=shares)
    off = [tuple(one.point_errors_mm.values()) for one in graded]
    seconds = [(one.seconds,) for one in graded if math.isfinite(one.seconds)]
    n_far = sum(value > FAR_MM for values in off for value in values)
    return Evaluation(
        n_studies=len(graded),
        is_of_phantoms=scores.is_of_phantoms,
        labelled_cells=sum(scores.cells.values()),
        parts=_parts(graded, scores, shares, draws=draws, seed=seed),
        conditions=tuple(
            score_condition(graded, one, sets.get(one.value), draws=draws, seed=seed) for one in Condition
        ),
        groups=group_scores(graded, shares, draws=draws, seed=seed),
        small_groups=small_groups(graded),
        points_mm=_spread(off, draws=draws, seed=seed),
        far_points=n_far,
        points_by_level={
            level.shown: _spread(_of_level(graded, level), draws=draws, seed=seed)
            for level in LUMBAR_MRI.levels
        },
        measurements={
            name: of_several(one, len(graded))
            for name, one in scores.errors.items()
            if name != "level_point_mm"
        },
        seconds=_spread(seconds, draws=draws, seed=seed),
        unlike=_unlike(graded, scores.flagged),
        series={role.shown: sum(role in one.roles for one in graded) for role in Role},
        fields=dict(Counter(f"{one.field_t:.3g} T" if one.field_t else "" for one in graded).most_common()),
        failures=tuple(
            f"{_shown(one.name, place, len(graded))}: {one.failure}"
            for place, one in enumerate(graded, start=1)
            if one.failure
        ),
        notes=cohort.notes,
    )


def _parts(
    graded: Sequence[GradedStudy],
    scores: CohortScores,
    shares: Mapping[str, Mapping[Cell, Severity]] | None,
    *,
    draws: int,
    seed: int,
) -> tuple[Part, ...]:
    alone, unknown = level_alone(graded, shares), Interval(math.nan)
    level_share, differences = dict(scores.level_share), {}
    never = frozenset[str]()
    if alone is not None:
        answers = answers_of([one.said for one in graded], [one.severities for one in graded])
        differences = rsna_differences(answers, alone, draws=draws, seed=seed)
        never = unheard_conditions(alone)
        never |= {ANY_SEVERE} if Condition.SPINAL_CANAL_STENOSIS.value in never else set()
        never |= {"score"} if never else set()
    studies = {
        one.value: sum(any(cell.condition is one for cell in study.severities) for study in graded)
        for one in Condition
    }
    studies[ANY_SEVERE] = studies[Condition.SPINAL_CANAL_STENOSIS.value]
    studies["score"] = min(studies.values())
    parts = []
    for name in (*PARTS, "score"):
        why = scores.absent["score"].get(name)
        absent = dict.fromkeys(("as_graded", "weighted", "level_share", "difference"), why) if why else {}
        if alone is None:
            nothing = "a study alone has no others beside it; give --shares"
            absent |= dict.fromkeys(("level_share", "difference"), nothing)
        elif name in never and not why:
            level_share[name] = differences[name] = unknown
            absent |= dict.fromkeys(("level_share", "difference"), UNHEARD)
        if name in scores.absent["graded_only"]:
            absent["graded_only"] = scores.absent["graded_only"][name]
        parts.append(
            Part(
                name,
                studies[name],
                as_graded=of_several(scores.score[name], studies[name]),
                weighted=of_several(scores.weighted[name], studies[name]),
                graded_only=of_several(scores.graded_only[name], studies[name]),
                level_share=of_several(level_share.get(name, unknown), studies[name]),
                difference=of_several(differences.get(name, unknown), studies[name]),
                absent=absent,
            )
        )
    return tuple(parts)


def _of_level(graded: Sequence[GradedStudy], level: Level) -> list[tuple[float, ...]]:
    return [(one.point_errors_mm[level],) if level in one.point_errors_mm else () for one in graded]


def _spread(values: Sequence[tuple[float, ...]], *, draws: int, seed: int) -> Spread:
    """Mean, with its interval over studies, and quantiles of the values of studies."""
    every = [value for of_study in values for value in of_study]
    if not every:
        return Spread(0, Interval(math.nan))
    n_studies = sum(bool(of_study) for of_study in values)
    mean = of_several(mean_of(values, draws=draws, seed=seed), n_studies)
    return Spread(len(every), mean, *map(float, np.percentile(every, (50, 95))))


def _unlike(graded: Sequence[GradedStudy], flagged: float) -> Unlike:
    counts = [
        sum(
            any(words in one.reasons[cell][1] for words in UNLIKE)
            for cell in one.severities
            if cell in one.reasons
        )
        for one in graded
    ]
    return Unlike(
        unlike_cells=sum(counts),
        unlike_studies=sum(count > 0 for count in counts),
        names_doubted=sum(one.names_doubted for one in graded),
        flagged_per_study=flagged,
    )


def _shown(name: str, place: int, n: int) -> str:
    """Return what a study is called; the name of a folder that is no number may be a patient's."""
    return name if set(name) <= set("0123456789.") else f"study {place} of {n}"
