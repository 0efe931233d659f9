"""Run a recipe under a protocol: train and test split by split, each kept when done, then score and write the page."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stenograde.config import as_plain
from stenograde.datasets.samples import SampleSet
from stenograde.errors import ConfigError
from stenograde.evaluate.predictions import Predictions, as_csv, read_predictions
from stenograde.experiments.pictures.cases import draw_cases
from stenograde.experiments.pictures.leaks import Audits
from stenograde.experiments.pictures.page import write_page
from stenograde.experiments.pictures.protocols import ArmPlan, Trial, plan_arms
from stenograde.experiments.pictures.recipe import Question, Recipe
from stenograde.experiments.pictures.result import (
    PREDICTIONS,
    Arm,
    DataRecord,
    Epoch,
    Protocol,
    Result,
    SplitRecord,
    as_stored,
    from_table,
    told,
    write_result,
)
from stenograde.experiments.pictures.scoring import compared, plain_scores, repeats_tested, summarised
from stenograde.experiments.pictures.stamp import commit_of, versions
from stenograde.experiments.pictures.training import Material, cut, fit_nets, predicted, prepare
from stenograde.files import write_whole
from stenograde.nets.weights import NOT_PRETRAINED, Start, WeightReport
from stenograde.workers import Progress, named

log = logging.getLogger(__name__)

_RECORD = "record.json"

_WEIGHTS = "weights.json"
"""Which tensors of the network the given weights filled."""

FITTED_BY = (
    "net",
    "starts",
    "beside",
    "head",
    "fit",
    "picture",
    "align",
    "mirrored",
    "batches",
    "loss",
    "question",
    "theta_penalty",
    "level_input",
)
"""Settings of a recipe that decide what a training gives; the others may change before a run is resumed."""

_SPLITS_WITH_CASES = 3
"""Number of splits of each arm of which pictures of right and wrong cases are kept."""


def run_experiment(
    recipe: Recipe,
    samples: SampleSet,
    protocol: Protocol,
    *,
    out: Path,
    layout: str = "samples in memory",
    weights: Start | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run a recipe; started again with the same ``out``, finished trainings are reused, not repeated.

    Parameters
    ----------
    recipe : Recipe
    samples : SampleSet
        Those without a label are left out.
    protocol : {"published", "patient"}
    out : Path
        Gets ``result.json``, ``predictions.csv`` (of the first arm), ``report.html``, and a folder per arm.
    layout : str
        How the data were read, for the report.
    weights : Path or "hub", optional
        What the network starts from; without, a random start, and the result says so.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If ``out`` holds another experiment, or settings do not fit together.
    DatasetError
        If the samples cannot be split as the protocol asks.
    """
    labelled = samples.labelled()
    plans = plan_arms(recipe, labelled, protocol)
    material_of = _prepared(plans, labelled, out / "pictures", weights)
    audits = Audits(labelled, material_of(plans[0]).pictures)
    arms, tested = [], {}
    for number, plan in enumerate(plans, start=1):
        folder, shown = out / "arms" / plan.key, f"{number}/{len(plans)} {plan.title}"
        arm, tested[plan.key] = _run_arm(plan, material_of(plan), audits, folder, shown, progress)
        arms.append(arm)
    result = _result(
        recipe, protocol, _data_record(samples, labelled, layout, recipe.question), tuple(arms), tested
    )
    write_whole(out / PREDICTIONS, as_csv(tested[plans[0].key]))
    for arm in arms:
        # each arm is a result of its own, so that two arms can be compared like two experiments
        alone = _result(recipe, protocol, result.data, (arm,), {arm.key: tested[arm.key]})
        write_result(alone, out / "arms" / arm.key)
    write_result(result, out)
    write_page(result, out)
    return result


def _run_arm(
    plan: ArmPlan, material: Material, audits: Audits, folder: Path, shown: str, progress: Progress | None
) -> tuple[Arm, Predictions]:
    """Train and test an arm split by split, and write its predictions."""
    done = []
    for trial in plan.trials:
        told = named(progress, f"{shown}, split {trial.number}/{len(plan.trials)}")
        below = folder / f"split-{trial.number:02d}"
        done.append(_tried(plan, trial, material, audits, folder=below, progress=told))
    arm, predictions = summarised(plan, tuple(done), material.samples)
    write_whole(folder / PREDICTIONS, as_csv(predictions))
    return arm, predictions


def _prepared(
    plans: tuple[ArmPlan, ...], samples: SampleSet, folder: Path, weights: Start | None
) -> Callable[[ArmPlan], Material]:
    """Return a function that gives the pictures of an arm; arms that prepare them alike share them."""
    made: dict[object, Material] = {}

    def of(plan: ArmPlan) -> Material:
        key = (plan.recipe.picture, plan.recipe.one_side)
        if key not in made:
            made[key] = prepare(plan.recipe, samples, folder, weights=weights)
        return made[key]

    # so that an unreadable picture is reported before anything is trained
    for plan in plans:
        of(plan)
    return of


def _tried(
    plan: ArmPlan,
    trial: Trial,
    material: Material,
    audits: Audits,
    *,
    folder: Path,
    progress: Progress | None,
) -> tuple[SplitRecord, Predictions]:
    """Return one training's record and predictions, kept from an earlier run or made now."""
    made_of = _fingerprint(plan.recipe, trial, material)
    kept = _kept(folder, made_of)
    if kept is not None:
        return kept
    start = time.perf_counter()
    recipe = plan.recipe
    material = cut(recipe, material, trial.fitted_on, folder / "pictures")
    fitted, starts = fit_nets(
        recipe, material, trial.fitted_on, trial.validation, folder=folder / "fit", progress=progress
    )
    nets = [one.net for one in fitted]
    predictions = predicted(recipe, material, nets, trial.test)
    drawn = trial.number <= _SPLITS_WITH_CASES
    cases = draw_cases(recipe, material, nets[0], trial.test, predictions, folder=folder) if drawn else ()
    record = SplitRecord(
        number=trial.number,
        train=len(trial.fitted_on),
        validation=len(trial.validation),
        test=len(trial.test),
        by=trial.by,
        best_epoch=fitted[0].best_epoch,
        seconds=time.perf_counter() - start,
        parameters=sum(weight.numel() for net in nets for weight in net.parameters()),
        pretrained=_started(starts),
        history=tuple(
            Epoch(
                e.epoch, told(e.loss), told(e.accuracy), told(e.validation_loss), told(e.validation_accuracy)
            )
            for e in fitted[0].history
        ),
        scores=plain_scores(predictions),
        leak=audits.leak(trial),
        cases=cases,
    )
    if given := [as_plain(start) for start in starts if start is not None]:
        write_whole(folder / _WEIGHTS, json.dumps(given[0] if len(starts) == 1 else given, indent=1) + "\n")
    write_whole(folder / PREDICTIONS, as_csv(predictions))
    table = {"made_of": made_of, **asdict(record, dict_factory=as_stored)}
    write_whole(folder / _RECORD, json.dumps(table, indent=1, allow_nan=False) + "\n")
    return record, predictions


def _started(starts: Sequence[WeightReport | None]) -> str:
    """Return what networks started from, in words; their number where they differ."""
    said = Counter(NOT_PRETRAINED if start is None else start.pretrained for start in starts)
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{count} of {len(starts)} networks {statement}" for statement, count in said.items())


def _kept(folder: Path, made_of: str) -> tuple[SplitRecord, Predictions] | None:
    file = folder / _RECORD
    if not file.is_file():
        return None
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        found = table.pop("made_of")
    except (OSError, ValueError, AttributeError, KeyError) as exc:
        msg = f"{file} must be a record of this program, got something else; remove {folder}"
        raise ConfigError(msg) from exc
    if found != made_of:
        msg = f"--out must be new or hold this very experiment, got another one in {folder}; name another folder"
        raise ConfigError(msg)
    log.info("reusing %s", folder)
    return SplitRecord(**from_table(SplitRecord, table, file)), read_predictions(folder / PREDICTIONS)


def _fingerprint(recipe: Recipe, trial: Trial, material: Material) -> str:
    settings = recipe.as_table()
    content = {
        "settings": {name: settings[name] for name in FITTED_BY},
        "samples": material.digest,
        "parts": [trial.fitted_on, trial.validation, trial.test],
        "weights": _weights_digest(material.weights),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _weights_digest(weights: Start | None) -> str | None:
    if isinstance(weights, Path):
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    return weights


def _result(
    recipe: Recipe,
    protocol: Protocol,
    data: DataRecord,
    arms: tuple[Arm, ...],
    tested: Mapping[str, Predictions],
) -> Result:
    return Result(
        recipe=recipe.as_table(),
        protocol=protocol,
        data=data,
        arms=arms,
        comparisons=compared(arms, tested, recipe.reference),
        repeats=repeats_tested(arms),
        versions=versions(),
        commit=commit_of(Path(__file__).parent),
        seconds=sum(arm.seconds for arm in arms),
    )


def _data_record(
    samples: SampleSet, labelled: SampleSet, layout: str, question: Question | None
) -> DataRecord:
    patients: Any = {sample.patient for sample in labelled.samples}
    notes = samples.notes
    if len(labelled) < len(samples):
        notes = (*notes, f"{len(samples) - len(labelled)} pictures without a label were left out")
    if question and not any(sample.facts.get(question.fact) for sample in samples.samples):
        notes = (*notes, f"no picture has the fact {question.fact!r}: the recipe's question was not asked")
    return DataRecord(
        name=samples.name,
        layout=layout,
        classes=samples.classes,
        images=len(labelled),
        patients=None if None in patients else len(patients),
        counts={name: int((labelled.codes == code).sum()) for code, name in enumerate(samples.classes)},
        licence=samples.licence,
        notes=notes,
    )
