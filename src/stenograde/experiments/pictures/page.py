"""A result as one HTML page that needs nothing else: figures and pictures lie within it; no script runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from stenograde.evaluate.metrics import LOWER_IS_BETTER
from stenograde.evaluate.predictions import Predictions, read_predictions
from stenograde.experiments.pages.environment import page_environment
from stenograde.experiments.pages.figure import Figure
from stenograde.experiments.pictures.figures import arm_figures, over_splits
from stenograde.experiments.pictures.result import PAGE, PREDICTIONS, Arm, Case, Result
from stenograde.experiments.pictures.table import SHOWN, claims_of, metrics_of
from stenograde.experiments.recipes.catalogue import PROTOCOLS
from stenograde.experiments.recipes.read import how_run
from stenograde.files import write_whole
from stenograde.nets.weights import NOT_PRETRAINED

_CASES = 12
"""Most cases that are shown."""


@dataclass(frozen=True)
class Block:
    """What the page says of one arm at length."""

    arm: Arm
    metrics: tuple[str, ...]
    claims: Mapping[str, float]
    figures: tuple[Figure, ...]


def write_page(result: Result, folder: Path) -> Path:
    """Write ``report.html`` of a result whose arms lie below a folder; gives its path."""
    return write_whole(folder / PAGE, as_page(result, folder))


def as_page(result: Result, folder: Path) -> str:
    """Return a result, whose arms lie below a folder, as a self-contained HTML page.

    Everything is inline and all text is escaped; a content security policy in the page forbids it any request.
    """
    first = [arm for arm in result.arms if arm.variant == result.main.variant]
    differences = result.against_first
    return (
        page_environment()
        .get_template("result.html")
        .render(
            result=result,
            recipe=result.recipe,
            how_run=how_run(result.recipe),
            finding=_finding(result),
            protocol_words=_protocol_words(result),
            untrained=result.main.pretrained == NOT_PRETRAINED,
            leak_words=_leak_words(result),
            blocks=[_block(result, arm, folder) for arm in first],
            box=over_splits(first),
            differences=differences,
            cases=_cases(first, folder),
            shown=SHOWN,
            shares=[name for name in SHOWN if name not in LOWER_IS_BETTER],
            settings=json.dumps(_settings(result.recipe), indent=1, ensure_ascii=False),
            version=metadata.version("stenograde"),
        )
    )


def _finding(result: Result) -> str:
    """Return the result in a few sentences: the score, the document's, and what needs no picture."""
    arm = result.main
    score = arm.scores["accuracy"]
    if not score.known:
        return "Nothing could be scored."
    claim = claims_of(result, arm).get("accuracy")
    text = f"Accuracy {score.value:.2f}" if arm.part is None else f"{arm.part}: accuracy {score.value:.2f}"
    if score.bounded:
        text += f" ({score.low:.2f} to {score.high:.2f})"
    if claim is not None:
        text += f", where the document says {claim:.2f}"
    said = [
        f"{baseline.name} {baseline.scores['accuracy'].value:.2f}"
        for baseline in arm.baselines
        if baseline.scores["accuracy"].known
    ]
    balanced = arm.scores["balanced_accuracy"]
    return f"{text}. Without any picture: {', '.join(said)}. Balanced accuracy {balanced.value:.2f}."


def _protocol_words(result: Result) -> str:
    how = result.recipe["protocols"][result.protocol]
    splits = len(result.main.splits)
    by = result.main.splits[0].by
    text = f"Protocol {result.protocol}: {PROTOCOLS[result.protocol]}. Split by {by}, {splits} "
    text += "training" if splits == 1 else "trainings"
    if by == "image":
        text += "; pictures of one patient may stand in training and in test, so these are no scores for new patients"
    if result.protocol == "published" and how["scored_on"] == "validation":
        text += "; scored on the pictures that chose the weights, as in the document"
    return text + "."


def _leak_words(result: Result) -> str:
    leak = result.main.leak
    if not leak.leaking:
        return "Nothing was found that test and training share."
    text = (
        f"{leak.leaking} of {leak.tested} test pictures have a patient, a look-alike or a twin in training."
    )
    on, off = leak.on_leaking.get("accuracy"), leak.on_clean.get("accuracy")
    if on and off and on.known and off.known:
        text += f" Accuracy is {on.value:.2f} on them and {off.value:.2f} on the others."
    elif not leak.on_clean:
        text += " No test picture is free of it, so only another split can tell how much of the score it explains."
    return text


def _block(result: Result, arm: Arm, folder: Path) -> Block:
    predictions = _predictions(folder, arm)
    return Block(arm, metrics_of(arm), claims_of(result, arm), arm_figures(arm, predictions))


def _predictions(folder: Path, arm: Arm) -> Predictions:
    return read_predictions(folder / "arms" / arm.key / PREDICTIONS)


def _cases(arms: list[Arm], folder: Path) -> list[Case]:
    """Return right cases, then wrong ones, as many of each as there is room for, with their pictures as data."""
    shown = []
    for arm in arms:
        for split in arm.splits:
            below = folder / "arms" / arm.key / f"split-{split.number:02d}"
            for case in split.cases:
                seen = None if case.straightened is None else _as_data(below / case.straightened)
                picture, heat = _as_data(below / case.picture), _as_data(below / case.heat)
                shown.append(replace(case, picture=picture, heat=heat, straightened=seen))
    right = [case for case in shown if case.said == case.truth][: _CASES // 2]
    wrong = [case for case in shown if case.said != case.truth][: _CASES // 2]
    return [*right, *wrong]


def _as_data(file: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def _settings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the result; the texts about it stand elsewhere on the page."""
    told = ("document", "data", "claim", "liberties", "traps", "shown_task", "title")
    return {name: value for name, value in recipe.items() if name not in told}
