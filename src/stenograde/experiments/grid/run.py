"""Run the grid row by row, each kept when done: started again with the same folder, done rows are not repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stenograde.config import as_plain
from stenograde.datasets.split import Fold, folds_by_patient
from stenograde.errors import DatasetError
from stenograde.evaluate.baselines import group_prior, majority
from stenograde.evaluate.intervals import Interval, bootstrap_scores
from stenograde.evaluate.metrics import METRICS
from stenograde.evaluate.predictions import Predictions, as_csv, joined
from stenograde.evaluate.rsna_metric import UNKNOWN
from stenograde.experiments.grid.features import CELLS_OF, Features, labels_of
from stenograde.experiments.grid.figures import ATTENTION
from stenograde.experiments.grid.network import network_scores
from stenograde.experiments.grid.recipe import NETWORK, GridRecipe, GridRow
from stenograde.experiments.vectors.embed import CohortVectors, embed_cohort
from stenograde.files import keep_settings, whole_file, write_whole
from stenograde.nets.series_fusion import Pooling
from stenograde.tabular.balance import Balance
from stenograde.tabular.heads import CellHeads
from stenograde.terms import LUMBAR_MRI, Severity
from stenograde.workers import Progress, Step, within

if TYPE_CHECKING:
    from stenograde.nets.weights import Start

SCORES = ("accuracy", "macro_f1", "macro_auc")
"""Scores of each row, in the order of the document's table."""

CLASSES = tuple(severity.value for severity in Severity)

BASELINES = ("random", "majority", "level prior")
"""Answers that need no picture."""


@dataclass(frozen=True)
class RowResult:
    """What a row scored, by patient."""

    key: str
    scores: dict[str, Interval]
    """Scores by name, with 95 % intervals over patients."""
    published: tuple[float, ...]
    seconds: float
    """Time to fit and test all folds. The first row of those that share vectors also pools them."""


@dataclass(frozen=True, eq=False)
class GridResult:
    """The grid, scored."""

    recipe: GridRecipe
    studies: int
    rows: tuple[RowResult, ...]
    """Rows of the recipe, best macro F1 first."""
    baselines: tuple[RowResult, ...]
    starts: dict[str, str]
    """What each encoder that was run started from."""
    notes: tuple[str, ...]
    """Which studies were left out, and why."""


def run_grid(
    recipe: GridRecipe,
    data: Path,
    *,
    out: Path,
    weights: dict[str, Start] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> GridResult:
    """Run every row of a grid on a cohort.

    Parameters
    ----------
    recipe : GridRecipe
    data : Path
        Cohort in the layout of RSNA 2024.
    out : Path
        Gets vectors, a folder of rows, and what :mod:`~stenograde.experiments.grid.table` writes.
    weights : dict, optional
        What encoders start from, by their name in the recipe.
    jobs : int
        Cells that are fitted at once.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If ``out`` holds another grid.
    DatasetError
        If the cohort cannot be read, or has too few studies for the folds.
    """
    settings = {**as_plain(recipe), "data": str(data.resolve())}
    keep_settings(out / "grid.json", settings, what="rows")
    done, starts = [], {}
    rows = sorted(recipe.rows, key=lambda row: tuple(map(str, row.vectors)))
    current: Features | None = None
    cohort: CohortVectors | None = None
    for number, (before, row) in enumerate(zip((None, *rows), rows, strict=False), start=1):
        if cohort is None or before is None or before.cohort != row.cohort:
            cohort = _embedded(
                recipe, row, data, out, (weights or {}).get(row.encoder), progress, like=cohort
            )
            current = None
        starts[recipe.embedding(row).encoder] = cohort.start
        kept = _kept(out, row.key)
        if kept is None:
            if current is None or current.row.vectors != row.vectors:
                current = Features(cohort, row, recipe)
            kept = _run_row(current, row, recipe, out, jobs)
        done.append(kept)
        if progress:
            progress(Step("rows", number, len(rows)))
    assert cohort is not None
    baselines = _baselines(cohort, recipe)
    ranked = sorted(done, key=lambda one: -one.scores["macro_f1"].value)
    return GridResult(recipe, len(cohort.studies), tuple(ranked), baselines, starts, cohort.notes)


def folds_of(labels: NDArray[np.int64], folds: int, seed: int) -> tuple[Fold, ...]:
    """Return folds of studies, each of which stands for a patient.

    Studies with many severe cells, with some and with none are spread evenly.

    Raises
    ------
    DatasetError
        If there are too few studies.
    """
    severe = (labels == len(Severity) - 1).sum(axis=1)
    strata = np.digitize(severe, [1, 4])
    # a stratum smaller than the folds cannot be spread
    for stratum in np.unique(strata):
        if (strata == stratum).sum() < folds:
            strata[strata == stratum] = 0
    studies = [str(place) for place in range(len(labels))]
    return folds_by_patient(studies, folds=folds, seed=seed, strata=strata.tolist(), what="studies")


def _embedded(
    recipe: GridRecipe,
    row: GridRow,
    data: Path,
    out: Path,
    weights: Start | None,
    progress: Progress | None,
    *,
    like: CohortVectors | None,
) -> CohortVectors:
    """Return the vectors of a row, of the same studies as those of the rows before."""
    how = recipe.embedding(row)
    folder = out / "vectors" / f"{row.encoder}-{row.intensity}"
    told = within(progress, f"vectors of {how.encoder}, {how.intensity}")
    found = embed_cohort(data, how, folder, weights=weights, progress=told)
    if like is not None and [one.name for one in like.studies] != [one.name for one in found.studies]:
        msg = (
            f"all rows must rest on the same studies, got others in {folder}; delete it, and it is made again"
        )
        raise DatasetError(msg)
    return found


def _run_row(features: Features, row: GridRow, recipe: GridRecipe, out: Path, jobs: int) -> RowResult:
    start = time.perf_counter()
    labels = features.labels
    parts = []
    for train, test in folds_of(labels, recipe.folds, recipe.seed):
        scores = np.zeros((len(test), labels.shape[1], len(Severity)))
        for condition, table in features.of(train).items():
            cells = CELLS_OF[condition]
            fold = _Fold(table, labels[:, cells], train, test)
            scores[:, cells] = _scores(fold, row, recipe, jobs)
        parts.append(_predictions(features.cohort, test, labels, as_probabilities(scores, row.head)))
    if row.pooling is Pooling.ATTENTION:
        _keep_attention(features, out / ATTENTION / f"{'-'.join(map(str, row.vectors))}.npz")
    predictions = joined(parts)
    result = RowResult(row.key, _scored(predictions), row.published, time.perf_counter() - start)
    write_whole(out / "rows" / f"{row.key}.csv", as_csv(predictions))
    stored = {name: (one.value, one.low, one.high) for name, one in result.scores.items()}
    content = json.dumps({**asdict(result), "scores": stored}, indent=1)
    write_whole(out / "rows" / f"{row.key}.json", content)
    return result


@dataclass(frozen=True, eq=False)
class _Fold:
    """What one condition is fitted on in one fold."""

    table: NDArray[np.float32]
    labels: NDArray[np.int64]
    train: list[int]
    test: list[int]


def _scores(fold: _Fold, row: GridRow, recipe: GridRecipe, jobs: int) -> NDArray[np.float64]:
    if row.head == NETWORK:
        weighted = row.balance is Balance.WEIGHTS
        return network_scores(
            fold.table,
            fold.labels,
            fold.train,
            fold.test,
            recipe.network,
            weighted=weighted,
            seed=recipe.seed,
        )
    heads = CellHeads(recipe.head(row), classes=len(Severity), jobs=jobs)
    return heads.fit(fold.table[fold.train], fold.labels[fold.train]).scores(fold.table[fold.test])


def _keep_attention(features: Features, path: Path) -> None:
    """Write how much each slice counted, once for rows that share their vectors."""
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        names = np.array([study.name for study in features.cohort.studies])
        with whole_file(path) as file:
            np.savez_compressed(file, studies=names, **features.attention)  # type: ignore[arg-type]


def as_probabilities(scores: NDArray[np.float64], head: str) -> NDArray[np.float64]:
    """Return shares that sum to one: margins of SVC through a soft-max, others divided by their sum."""
    if head == "svc":
        odds = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return odds / odds.sum(axis=-1, keepdims=True)
    positive = np.maximum(scores, 1e-12)
    return positive / positive.sum(axis=-1, keepdims=True)


def _predictions(
    cohort: CohortVectors,
    test: Sequence[int],
    labels: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> Predictions:
    """Return the labelled cells of the tested studies as pictures, the study standing for the patient."""
    at = [
        (k, place, cell) for k, place in enumerate(test) for cell in np.flatnonzero(labels[place] != UNKNOWN)
    ]
    studies = [cohort.studies[place].name for _, place, _ in at]
    cells = [LUMBAR_MRI.cells[cell] for _, _, cell in at]
    return Predictions(
        classes=CLASSES,
        names=tuple(f"{study}:{cell.name}" for study, cell in zip(studies, cells, strict=True)),
        patients=tuple(studies),
        labels=np.array([labels[place, cell] for _, place, cell in at]),
        probabilities=np.array([shares[k, cell] for k, _, cell in at]),
        groups=tuple(f"{cell.condition.value}:{cell.level.value}" for cell in cells),
    )


def _scored(predictions: Predictions) -> dict[str, Interval]:
    return bootstrap_scores(predictions, {name: METRICS[name] for name in SCORES})


def _baselines(cohort: CohortVectors, recipe: GridRecipe) -> tuple[RowResult, ...]:
    labels = labels_of(cohort)
    parts: dict[str, list[Predictions]] = {name: [] for name in BASELINES}
    rng = np.random.default_rng(recipe.seed)
    for train, test in folds_of(labels, recipe.folds, recipe.seed):
        shares = rng.dirichlet(np.ones(len(Severity)), (len(test), labels.shape[1]))
        tested = _predictions(cohort, test, labels, shares)
        learnt = _predictions(
            cohort, train, labels, np.full((len(train), *shares.shape[1:]), 1 / len(Severity))
        )
        parts["random"].append(tested)
        parts["majority"].append(majority(learnt.labels, tested))
        parts["level prior"].append(group_prior(learnt.labels, tested, train_groups=learnt.groups or ()))
    return tuple(RowResult(name, _scored(joined(of)), (), 0.0) for name, of in parts.items())


def _kept(out: Path, key: str) -> RowResult | None:
    path = out / "rows" / f"{key}.json"
    if not path.is_file():
        return None
    table = json.loads(path.read_text(encoding="utf-8"))
    scores = {name: Interval(*values) for name, values in table["scores"].items()}
    return RowResult(table["key"], scores, tuple(table["published"]), table["seconds"])
