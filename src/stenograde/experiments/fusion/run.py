"""Compare ways to fuse series, by patient; started again with the same folder, done folds are not repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stenograde.config import as_plain
from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.rsna_metric import CohortAnswers, rsna_differences, rsna_score
from stenograde.experiments.fusion.arms import (
    PATTERNS,
    Answers,
    FusionStudies,
    ScaledFold,
    answers_of_imputed,
    answers_of_vectors,
)
from stenograde.experiments.fusion.fit import SeriesSet
from stenograde.experiments.fusion.level_arms import GIVEN_ONE, OURS, answers_of_ours
from stenograde.experiments.fusion.recipe import FusionRecipe
from stenograde.experiments.grid.run import folds_of
from stenograde.experiments.vectors.embed import embed_cohort
from stenograde.files import keep_settings, whole_file, write_whole
from stenograde.predict.bundle import Bundle
from stenograde.terms import Role
from stenograde.train.grader.cohort_crops import crop_cohort
from stenograde.workers import Progress, within

if TYPE_CHECKING:
    from stenograde.nets.weights import Start

RECIPE = "recipe.json"


@dataclass(frozen=True, eq=False)
class FusionResult:
    """The comparison, scored."""

    recipe: FusionRecipe
    studies: int
    start: str
    """What the encoder of slices started from."""
    scores: Mapping[str, tuple[Interval, ...]]
    """The metric of RSNA 2024 of each way, for each of :data:`~stenograde.experiments.fusion.arms.PATTERNS`."""
    behind: Mapping[str, Interval]
    """How much worse than ours given all series the other ways given all are, and ours given a single one, on the same
    studies."""
    cosines: Mapping[str, tuple[float, ...]]
    """Cosine of imputed to true vectors, by way and pattern; NaN where nothing is missing."""
    notes: tuple[str, ...]
    """What was left out, and why."""


def read_cohort(
    recipe: FusionRecipe,
    data: Path,
    bundle: Bundle,
    *,
    out: Path,
    weights: Start | None = None,
    progress: Progress | None = None,
) -> FusionStudies:
    """Return vectors and crops of every labelled study of a cohort, each made once.

    Parameters
    ----------
    recipe : FusionRecipe
    data : Path
        Cohort in the layout of RSNA 2024.
    bundle : Bundle
        Its locator finds the levels.
    out : Path
        Gets vectors and crops.
    weights : Path or {"hub", "imagenet"}, optional
        What the encoder of slices starts from.
    progress : callable, optional

    Raises
    ------
    BundleError
        If the weights do not fit the encoder.
    ConfigError
        If ``out`` holds vectors or crops of other settings, data or weights.
    DatasetError
        If the cohort cannot be read.
    """
    embedded = embed_cohort(
        data, recipe.embed, out / "vectors", weights=weights, progress=within(progress, "vectors")
    )
    names = [study.name for study in embedded.studies]
    crops, notes = crop_cohort(data, names, bundle, recipe.crops, out / "crops", progress=progress)
    narrow = embedded.projected(min(recipe.width, embedded.width), seed=recipe.seed)
    return FusionStudies(SeriesSet.of(narrow), crops, embedded.start, (*embedded.notes, *notes))


def run_fusion(
    recipe: FusionRecipe, cohort: FusionStudies, *, out: Path, progress: Progress | None = None
) -> FusionResult:
    """Run the comparison; started again with the same ``out`` it resumes.

    Parameters
    ----------
    recipe : FusionRecipe
    cohort : FusionStudies
        By :func:`read_cohort`.
    out : Path
        Gets nets and answers.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If ``out`` holds another comparison.
    DatasetError
        If there are too few studies for the folds.
    """
    keep_settings(out / RECIPE, {**as_plain(recipe), "cohort_sha256": cohort.digest}, what="nets")
    labels = cohort.vectors.severities
    answers: dict[str, list[Answers]] = {}
    cosines: dict[str, list[list[float]]] = {}
    tested: list[int] = []
    for number, (train, test) in enumerate(folds_of(labels, recipe.folds, recipe.seed), start=1):
        of_fold, likeness = _fold(cohort, train, test, recipe, out / f"fold-{number}", progress)
        tested += test
        for name, said in of_fold.items():
            answers.setdefault(name, []).append(said)
        for name, each in likeness.items():
            cosines.setdefault(name, []).append(each)
    joined = {name: np.concatenate(said, axis=1) for name, said in answers.items()}
    truth = labels[tested]
    of_way = {
        name: [CohortAnswers(said[k], truth).weighted() for k in range(len(PATTERNS))]
        for name, said in joined.items()
    }
    others = {name: each[0] for name, each in of_way.items() if name != OURS}
    others |= {name: of_way[OURS][k] for name, k in GIVEN_ONE.items()}
    return FusionResult(
        recipe,
        len(labels),
        cohort.start,
        {name: tuple(rsna_score(one)["score"] for one in each) for name, each in of_way.items()},
        {name: rsna_differences(one, of_way[OURS][0])["score"] for name, one in others.items()},
        {name: tuple(np.mean(each, axis=0).tolist()) for name, each in cosines.items()},
        cohort.notes,
    )


def missing_one() -> Iterator[int]:
    """Give the places of the patterns that lack one series."""
    return (k for k, pattern in enumerate(PATTERNS) if len(pattern) == len(Role) - 1)


def _fold(
    cohort: FusionStudies,
    train: list[int],
    test: list[int],
    recipe: FusionRecipe,
    folder: Path,
    progress: Progress | None,
) -> tuple[dict[str, Answers], dict[str, list[float]]]:
    """Fit and ask every way in one fold, or read what they said."""
    stored, likeness = folder / "answers.npz", folder / "cosines.json"
    if stored.is_file() and likeness.is_file():
        with np.load(stored) as kept:
            return {name: kept[name] for name in kept.files}, json.loads(likeness.read_text(encoding="utf-8"))
    order = np.random.default_rng(recipe.seed).permutation(train).tolist()
    checked = max(1, round(recipe.validation_share * len(order)))
    learnt, chosen, tested = (cohort.chosen(places) for places in (order[checked:], order[:checked], test))
    told = within(progress, folder.name)
    fold = ScaledFold(
        learnt.scaled_by(learnt), chosen.scaled_by(learnt), tested.scaled_by(learnt), folder, told
    )
    imputed, of_vectors = answers_of_imputed(fold, recipe)
    ours, of_crops = answers_of_ours(fold, recipe)
    answers = answers_of_vectors(fold, recipe) | imputed | ours
    cosines = of_vectors | of_crops
    with whole_file(stored) as file:
        np.savez(file, **answers)  # type: ignore[arg-type]
    write_whole(likeness, json.dumps(cosines, indent=1))
    return answers, cosines
