"""Grade a cohort in the layout of RSNA 2024 and score it: metric, AUC, level points, measurements; series left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from stenograde import geometry
from stenograde.datasets.rsna2024 import AnsweredStudy, read_answered_studies, read_labels
from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError, StudyError
from stenograde.evaluate.baselines import level_share
from stenograde.evaluate.intervals import Interval, interval_of, patient_weights
from stenograde.evaluate.rsna_metric import (
    CohortAnswers,
    absent_areas,
    absent_scores,
    answers_of,
    rsna_score,
    severe_auc,
)
from stenograde.grades import Probabilities, Status, StudyGrades
from stenograde.grading.study import NotGraded, attempt
from stenograde.predict.bundle import Bundle
from stenograde.predict.grade import grade_study
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Quantity, Role, Severity
from stenograde.workers import Progress, named

TRUTH = "truth.csv"
"""Table of a phantom cohort: for each study and level the centre of the dural sac, its depth and its area."""

MEASURED = {Quantity.CANAL_AP_DIAMETER: "sac_ap_mm", Quantity.DURAL_SAC_AREA: "sac_area_mm2"}
"""Column of :data:`TRUTH` that each of our measurements is compared with."""


@dataclass(frozen=True, eq=False)
class GradedStudy:
    """The grades of one study, beside the truth."""

    name: str
    severities: Mapping[Cell, Severity]
    left_out: Role | None = None
    failure: str = ""
    said: Mapping[Cell, Probabilities] = field(default_factory=dict)
    """Probabilities by cell, those of abstained cells too where there are any."""
    graded: frozenset[Cell] = frozenset()
    reasons: Mapping[Cell, tuple[Status, str]] = field(default_factory=dict)
    """What became of the cells that were not graded, and why; of a graded one what should be known, if anything."""
    point_errors_mm: Mapping[Level, float] = field(default_factory=dict)
    """Errors of the canal's centre at each level that both sides know."""
    errors: Mapping[Quantity, tuple[float, ...]] = field(default_factory=lambda: dict.fromkeys(MEASURED, ()))
    """Measured minus true."""
    n_flagged: int = 0
    """Cells whose second opinion disagrees."""
    is_phantom: bool = False
    n_drafts: int = 0
    """Cells that are drafts; they are scored by their probabilities and do not count as graded."""
    seconds: float = math.nan
    names_doubted: bool = False
    """Whether the name of a level is in doubt."""
    roles: tuple[Role, ...] = ()
    """Of the series that are there."""
    scanner: str = ""
    """Maker and model, where they are known."""
    field_t: float | None = None


@dataclass(frozen=True, eq=False)
class CohortScores:
    """Scores of a cohort."""

    n_studies: int
    is_of_phantoms: bool
    """Whether the cohort has a table of its phantoms' truth: its scores are no evidence on patients."""
    cells: Mapping[str, int]
    """Labelled cells by condition."""
    failures: tuple[str, ...]
    left_out: tuple[str, ...]
    """Studies that could not be read, and why; they are in no score."""
    score: Mapping[str, Interval]
    """The metric on all labelled cells, with the probabilities of the grades."""
    weighted: Mapping[str, Interval]
    """The metric with probabilities times its weights, as it rewards them."""
    graded_only: Mapping[str, Interval]
    """The metric on the cells that were graded."""
    level_share: Mapping[str, Interval]
    """The metric of knowing only how common each severity is at each level; empty where nothing tells that."""
    auc: Mapping[str, Interval]
    agreement: Mapping[str, Interval]
    """Share of labelled cells whose most probable severity is the label's, by condition; without one it is wrong."""
    coverage: Mapping[str, float]
    """Share of labelled cells that were graded, by condition."""
    absent: Mapping[str, Mapping[str, str]]
    """Why a value of ``score`` (and of ``weighted`` and ``level_share``), ``graded_only`` or ``auc`` is NaN."""
    errors: Mapping[str, Interval]
    """Mean level point error (``level_point_mm``) and mean absolute errors of measurements; NaN without truth."""
    flagged: float
    """Cells per study whose second opinion disagrees."""
    drafts: int
    """Cells that are drafts."""
    seconds: float
    """Median time to grade a study, s; NaN if none was graded."""


_CENTRE = ("canal_x_mm", "canal_y_mm", "canal_z_mm")
"""Columns of :data:`TRUTH` that hold the centre of the canal; marks in pictures lie on a slice beside it."""


def score_passes(
    data: Path,
    bundle: Bundle,
    *,
    leave_one_out: bool,
    draws: int,
    seed: int,
    shares: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, CohortScores]:
    """Return scores of a cohort by pass: studies whole and, if asked for, with one series of each left out.

    See :func:`grade_cohort` and :func:`score_cohort`; what is left out is drawn from ``seed``, too. ``shares`` is a
    table of labels that tell how common severities are, in place of the cohort's own.
    """
    labels = None if shares is None else read_labels(shares)
    passes = {"whole studies": None} | ({"one series left out": seed} if leave_one_out else {})
    scores = {}
    for name, left_out in passes.items():
        told = named(progress, f"grading {name}")
        notes: list[str] = []
        graded = grade_cohort(data, bundle, leave_one_out=left_out, notes=notes, progress=told)
        scores[name] = score_cohort(graded, draws=draws, seed=seed, labels=labels, left_out=notes)
    return scores


def grade_cohort(
    data: Path,
    bundle: Bundle,
    *,
    leave_one_out: int | None = None,
    notes: list[str] | None = None,
    progress: Progress | None = None,
) -> tuple[GradedStudy, ...]:
    """Grade every labelled study of a cohort, as ``stenograde phantom`` writes it, or RSNA 2024.

    With ``leave_one_out``, one series role of each study is left out, drawn from this seed. ``notes`` receives a line
    for each study that could not be read.

    Raises
    ------
    DatasetError
        If a table or the pictures are missing, or no study has labels.
    """
    notes = [] if notes is None else notes
    truths = read_truths(data / TRUTH)
    graded = []
    for number, one in enumerate(read_answered_studies(data, notes=notes, progress=progress)):
        study, left_out = one.study, None
        if leave_one_out is not None:
            study, left_out = without_one(one.study, np.random.default_rng([leave_one_out, number]))
        graded.append(graded_study(one, study, bundle, truths.get(one.name, {}), left_out))
    if not graded:
        msg = f"{data} must hold studies with labels, got none" + "".join(f"; {note}" for note in notes[:3])
        raise DatasetError(msg)
    return tuple(graded)


def without_one(study: Study, rng: np.random.Generator) -> tuple[Study, Role | None]:
    """Return a study without the series of one role, drawn at random; whole where it has one role or none."""
    roles = [role for role in Role if study.by_role(role) is not None]
    if len(roles) < 2:
        return study, None
    role = roles[int(rng.integers(len(roles)))]
    return replace(study, series=tuple(one for one in study.series if one.role is not role)), role


def score_cohort(
    graded: tuple[GradedStudy, ...],
    *,
    draws: int = 1000,
    seed: int = 0,
    labels: Mapping[str, Mapping[Cell, Severity]] | None = None,
    left_out: Sequence[str] = (),
) -> CohortScores:
    """Score graded studies; a study that failed, and a cell without probabilities, count as even odds.

    The level's share is taken from ``labels``, severities by study; from the cohort's other studies if not given.
    """
    answers = answers_of([one.said for one in graded], [one.severities for one in graded])
    alone = level_alone(graded, labels)
    keep = np.array([[cell in one.graded for cell in LUMBAR_MRI.cells] for one in graded])
    errors = {
        "level_point_mm": [tuple(one.point_errors_mm.values()) for one in graded],
        **{quantity.value: [tuple(np.abs(one.errors[quantity])) for one in graded] for quantity in MEASURED},
    }
    return CohortScores(
        n_studies=len(graded),
        is_of_phantoms=any(one.is_phantom for one in graded),
        cells={
            condition.value: sum(cell.condition is condition for one in graded for cell in one.severities)
            for condition in Condition
        },
        failures=tuple(f"{one.name}: {one.failure}" for one in graded if one.failure),
        left_out=tuple(left_out),
        score=rsna_score(answers, draws=draws, seed=seed),
        weighted=rsna_score(answers.weighted(), draws=draws, seed=seed),
        graded_only=rsna_score(answers.known_only(keep), draws=draws, seed=seed),
        level_share={} if alone is None else rsna_score(alone, draws=draws, seed=seed),
        auc=severe_auc(answers, draws=draws, seed=seed),
        agreement={
            condition.value: mean_of([_agreeing(one, condition) for one in graded], draws=draws, seed=seed)
            for condition in Condition
        },
        coverage={condition.value: _coverage(graded, condition) for condition in Condition},
        absent={
            "score": absent_scores(answers),
            "graded_only": absent_scores(answers.known_only(keep), nothing="no labelled cell was graded"),
            "auc": absent_areas(answers),
        },
        errors={name: mean_of(values, draws=draws, seed=seed) for name, values in errors.items()},
        flagged=float(np.mean([one.n_flagged for one in graded])),
        drafts=sum(one.n_drafts for one in graded),
        seconds=float(np.median([one.seconds for one in graded if not one.failure] or [math.nan])),
    )


def level_alone(
    graded: Sequence[GradedStudy], labels: Mapping[str, Mapping[Cell, Severity]] | None = None
) -> CohortAnswers | None:
    """Return the answers that know only how common severities are at each level; None where nothing tells that.

    The shares are those of ``labels``, severities by study; those of the cohort's other studies if not given.
    """
    names = [one.name for one in graded]
    known = {one.name: one.severities for one in graded} if labels is None else labels
    if any(not set(known) - {name} for name in names):
        return None  # a study without others beside it
    return answers_of(level_share(names, known), [one.severities for one in graded])


Truths = Mapping[Level, Mapping[str, float]]
"""What is true of a phantom: values of the columns of :data:`TRUTH` by level."""


def read_truths(path: Path) -> dict[str, dict[Level, Mapping[str, float]]]:
    """Return the truth by study and level; empty without a table."""
    truths: dict[str, dict[Level, Mapping[str, float]]] = {}
    for row in read_rows(path, ("study_id", "level", *_CENTRE, *MEASURED.values())) if path.is_file() else ():
        values = {column: float(row[column]) for column in (*_CENTRE, *MEASURED.values())}
        truths.setdefault(row["study_id"], {})[Level.parse(row["level"])] = values
    return truths


def graded_study(
    one: AnsweredStudy, study: Study, bundle: Bundle, truths: Truths, left_out: Role | None = None
) -> GradedStudy:
    """Grade a study and set its grades beside the truth; ``study`` is what is left of it without ``left_out``."""
    # a fault of ours must stop the scoring, not lower the score
    grades = attempt(one.name, partial(grade_study, study, bundle), stopped_by=StudyError)
    if isinstance(grades, NotGraded):
        return GradedStudy(one.name, one.severities, left_out, grades.line, is_phantom=bool(truths))
    found = {position.level: position.point for position in grades.levels if position.point}
    true = dict(one.points) | {
        level: (row["canal_x_mm"], row["canal_y_mm"], row["canal_z_mm"]) for level, row in truths.items()
    }
    return GradedStudy(
        name=one.name,
        said={grade.cell: grade.probabilities for grade in grades.cells if grade.probabilities},
        graded=frozenset(grade.cell for grade in grades.cells if grade.status is Status.GRADED),
        severities=one.severities,
        reasons={grade.cell: (grade.status, grade.reason) for grade in grades.cells if grade.reason},
        point_errors_mm={
            level: geometry.distance_mm(found[level], point)
            for level, point in true.items()
            if level in found
        },
        errors={quantity: tuple(_errors(quantity, grades, truths)) for quantity in MEASURED},
        n_flagged=sum(
            grade.second_opinion is not None and grade.second_opinion.disagrees for grade in grades.cells
        ),
        is_phantom=bool(truths),
        n_drafts=sum(grade.status is Status.DRAFT for grade in grades.cells),
        seconds=grades.seconds,
        left_out=left_out,
        names_doubted=any(position.imaged and not position.certain for position in grades.levels),
        roles=tuple(role for role in Role if study.by_role(role) is not None),
        scanner=study.examination.scanner,
        field_t=study.examination.field_t,
    )


def _errors(quantity: Quantity, grades: StudyGrades, truths: Truths) -> Iterator[float]:
    for item in grades.measurements:
        if item.quantity is quantity and item.level is not None and item.level in truths:
            yield item.value - truths[item.level][MEASURED[quantity]]


def _agreeing(one: GradedStudy, condition: Condition) -> tuple[float, ...]:
    """For each labelled cell of a condition, 1 where the most probable severity is the label's."""
    return tuple(
        float(cell in one.said and one.said[cell].severity is severity)
        for cell, severity in one.severities.items()
        if cell.condition is condition
    )


def _coverage(graded: tuple[GradedStudy, ...], condition: Condition) -> float:
    shown = [cell in one.graded for one in graded for cell in one.severities if cell.condition is condition]
    return float(np.mean(shown)) if shown else math.nan


def mean_of(values: Sequence[tuple[float, ...]], *, draws: int, seed: int) -> Interval:
    """Return the mean over all values of all studies, with its interval over studies."""
    sums = np.array([float(np.sum(of_study)) for of_study in values])
    counts = np.array([float(len(of_study)) for of_study in values])
    if not counts.sum():
        return interval_of(float("nan"), np.array([np.nan]))
    drawn = []
    for weights in patient_weights(np.arange(len(values)), draws=draws, seed=seed):
        n = weights @ counts
        drawn.append(np.divide(weights @ sums, n, out=np.full(n.shape, np.nan), where=n > 0))
    return interval_of(float(sums.sum() / counts.sum()), np.concatenate(drawn))
