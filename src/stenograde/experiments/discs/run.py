"""Fit and test the findings of discs by patient: single series, all of them, and all with one missing at test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stenograde.config import as_plain
from stenograde.datasets.spider_discs import LEVELS, SERIES
from stenograde.datasets.split import folds_by_patient
from stenograde.errors import DatasetError
from stenograde.evaluate.intervals import Interval, patient_bootstrap
from stenograde.evaluate.metrics import auc_of
from stenograde.evaluate.predictions import Predictions, as_csv
from stenograde.experiments.discs.crops import QUESTIONS, DiscSet
from stenograde.experiments.discs.recipe import DiscRecipe
from stenograde.experiments.discs.store import DIGEST, RECIPE, WEIGHTS
from stenograde.files import keep_settings, write_whole
from stenograde.nets.disc_fusion import DiscFusion, EverySubset
from stenograde.nets.weights import Start
from stenograde.terms import Level
from stenograde.train.discs.net import as_input, disc_batches, yes_or_no_loss
from stenograde.train.loop.fit import fit
from stenograde.workers import Progress

T2: Final = ("t2", "t2_space")

TRAINED_ON: Final = {"t1": ("t1",), "t2": T2, "all": SERIES}
"""Series that each net is fitted with."""

TESTS: Final = {
    "T1 only": ("t1", ("t1",)),
    "T2 only": ("t2", T2),
    "both fused": ("all", SERIES),
    "both fused, T1 missing at test": ("all", T2),
    "both fused, T2 missing at test": ("all", ("t1",)),
}
"""What is tested: a net of :data:`TRAINED_ON`, and the series that it is given."""

LEVEL_PRIOR: Final = "level prior"
"""The answer that needs no picture."""

SHOWN: Final = ("narrowing", "herniation", "bulging", "Pfirrmann 4 or more")
"""Questions of the table."""

CLASSES: Final = ("no", "yes")


@dataclass(frozen=True, eq=False)
class DiscScores:
    """What was reached on one set of patients."""

    patients: int
    discs: int
    """Discs that both T1 and T2 show: those that all tests are compared on."""
    positives: dict[str, int]
    scores: dict[str, dict[str, Interval]]
    """AUC with its 95 % interval over patients, by test and by question."""


@dataclass(frozen=True, eq=False)
class DiscResult:
    """The experiment, scored."""

    recipe: DiscRecipe
    tested: DiscScores
    """On the folds' test patients, each tested once."""
    held_out: DiscScores | None
    """On further patients, by the mean of the folds' nets."""
    notes: tuple[str, ...]


def run_discs(
    recipe: DiscRecipe,
    discs: DiscSet,
    *,
    out: Path,
    held_out: DiscSet | None = None,
    weights: Start | None = None,
    progress: Progress | None = None,
) -> DiscResult:
    """Run the experiment; started again with the same ``out`` it resumes.

    Parameters
    ----------
    recipe : DiscRecipe
    discs : DiscSet
        By :func:`stenograde.experiments.discs.store.cut_once`.
    out : Path
        Gets nets and predictions.
    held_out : DiscSet, optional
        Discs of patients that nothing is fitted on.
    weights : Path or {"hub", "imagenet"}, optional
        What the frozen encoder starts from; without, random weights.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If ``out`` holds nets of other settings.
    DatasetError
        If there are too few patients, or one that is held out is among the others.
    """
    further = held_out
    if further is not None and (shared := set(further.patients) & set(discs.patients)):
        msg = f"patients that are held out must not be among the others, got {len(shared)} that are in both"
        raise DatasetError(msg)
    start = {} if weights is None else {WEIGHTS: str(weights)}
    keep_settings(out / RECIPE, {**as_plain(recipe), DIGEST: discs.digest, **start}, what="nets")
    folds = folds_by_patient(discs.patients, folds=recipe.folds, seed=recipe.seed)
    said = {test: np.full(discs.answers.shape, np.nan) for test in (*TESTS, LEVEL_PRIOR)}
    of_further: dict[str, list[NDArray[np.float64]]] = {test: [] for test in said}
    for number, (train, test) in enumerate(folds, start=1):
        nets = {
            name: _fitted(discs, train, series, recipe, out / "nets" / f"{name}-{number}", weights, progress)
            for name, series in TRAINED_ON.items()
        }
        for name, (net, series) in TESTS.items():
            said[name][test] = answers_of(nets[net], discs, test, series)
            if further is not None:
                of_further[name].append(answers_of(nets[net], further, range(len(further)), series))
        said[LEVEL_PRIOR][test] = _level_shares(discs, train, [discs.levels[k] for k in test])
        if further is not None:
            of_further[LEVEL_PRIOR].append(_level_shares(discs, train, further.levels))
    tested = _scored(discs, said, out / "predictions")
    beyond = None
    if further is not None:
        means = {name: np.mean(each, axis=0) for name, each in of_further.items()}
        beyond = _scored(further, means, out / "held-out" / "predictions")
    notes = (*_start(recipe, weights), *discs.notes, *(further.notes if further is not None else ()))
    return DiscResult(recipe, tested, beyond, notes)


def _start(recipe: DiscRecipe, weights: Start | None) -> tuple[str, ...]:
    """Return what a frozen encoder started from, in words."""
    start = "random weights" if weights is None else str(weights)
    return (f"frozen {recipe.net.frozen}: {start}",) if recipe.net.frozen else ()


def answers_of(
    net: DiscFusion, discs: DiscSet, places: Sequence[int], series: Sequence[str]
) -> NDArray[np.float64]:
    """Return probabilities of yes, shape (places, questions), from some of the series; NaN where none is there."""
    there = discs.there & _keep(series)
    at = np.asarray(places)
    with torch.inference_mode():
        logits = torch.cat(
            [
                net(as_input(discs.crops[part]), _extra(there[part], [discs.levels[k] for k in part]))
                for part in np.array_split(at, 1 + len(at) // 64)
                if len(part)
            ]
        )
    said = torch.sigmoid(logits.double()).numpy()
    return np.asarray(np.where(there[at].any(axis=1)[:, None], said, np.nan))


def _fitted(
    discs: DiscSet,
    train: Sequence[int],
    series: Sequence[str],
    recipe: DiscRecipe,
    folder: Path,
    weights: Start | None,
    progress: Progress | None,
) -> DiscFusion:
    there = discs.there & _keep(series)
    seen = [k for k in train if there[k].any()]
    torch.manual_seed(recipe.fit.seed)
    extra = _extra(there, discs.levels)
    batches = disc_batches(discs.crops, extra, discs.answers, seen, recipe.fit, recipe.augment)
    fusion = DiscFusion(recipe.net)
    if weights is not None:
        fusion.start_from(weights)
    net = EverySubset(fusion, _keep(series).tolist())
    fitted = fit(net, batches, recipe.fit, loss_of=yes_or_no_loss, folder=folder, progress=progress).net
    assert isinstance(fitted, EverySubset)
    return fitted.net.to("cpu").eval()


def _extra(there: NDArray[np.bool_], levels: Sequence[Level]) -> Tensor:
    level = np.eye(len(LEVELS), dtype=np.float32)[[LEVELS.index(one) for one in levels]]
    return torch.from_numpy(np.concatenate([there.astype(np.float32), level], axis=1))


def _keep(series: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([one in series for one in SERIES])


def _level_shares(discs: DiscSet, train: Sequence[int], levels: Sequence[Level]) -> NDArray[np.float64]:
    """Share of yes at each level among the discs that train, shape (levels, questions)."""
    of_level = {
        level: np.nanmean(discs.answers[[k for k in train if discs.levels[k] is level]], axis=0)
        for level in set(levels)
    }
    return np.stack([of_level[level] for level in levels]).astype(np.float64)


def _scored(discs: DiscSet, said: dict[str, NDArray[np.float64]], folder: Path) -> DiscScores:
    """Score every test on the discs that T1 and T2 both show, and write the answers for all discs."""
    both = discs.there[:, SERIES.index("t1")] & (discs.there & _keep(T2)).any(axis=1)
    scores: dict[str, dict[str, Interval]] = {}
    for name, shares in said.items():
        of_test = {}
        for k, question in enumerate(QUESTIONS):
            known = ~np.isnan(discs.answers[:, k]) & ~np.isnan(shares[:, k])
            every = _predictions(discs, np.flatnonzero(known), k, shares[:, k])
            slug = name.replace(",", "").replace(" ", "-")
            write_whole(folder / f"{slug}-{question.replace(' ', '-')}.csv", as_csv(every))
            compared = _predictions(discs, np.flatnonzero(known & both), k, shares[:, k])
            of_test[question] = patient_bootstrap(compared, auc_of(1))
        scores[name] = of_test
    positives = {name: int(np.nansum(discs.answers[both, k])) for k, name in enumerate(QUESTIONS)}
    of_both = {patient for patient, is_both in zip(discs.patients, both, strict=True) if is_both}
    return DiscScores(len(of_both), int(both.sum()), positives, scores)


def _predictions(
    discs: DiscSet, places: NDArray[np.int64], question: int, shares: NDArray[np.float64]
) -> Predictions:
    yes = shares[places]
    names = discs.names
    return Predictions(
        classes=CLASSES,
        names=tuple(names[k] for k in places),
        patients=tuple(discs.patients[k] for k in places),
        labels=discs.answers[places, question].astype(np.int64),
        probabilities=np.stack([1 - yes, yes], axis=1),
        groups=tuple(discs.levels[k].value for k in places),
    )
