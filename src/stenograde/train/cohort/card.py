"""The card of a bundle that was trained on a cohort of patients: what a reviewer asks, from what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.rsna_metric import ANY_SEVERE
from stenograde.evidence import ConditionEvidence
from stenograde.report.markdown import markdown_table
from stenograde.terms import Condition, Severity
from stenograde.train.cohort.assess import Assessed
from stenograde.train.cohort.config import CohortTraining
from stenograde.train.cohort.cut import CohortCrops
from stenograde.train.cohort.folds import FoldNets
from stenograde.train.grader.card import evidence_table


@dataclass(frozen=True)
class About:
    """What a card tells of the data and of how it was asked for."""

    name: str
    licence: str
    is_of_phantoms: bool
    size: str
    """Name of the settings."""
    changed: tuple[str, ...]
    """Settings that differ from those of that name."""
    findings: tuple[tuple[str, int, int], ...]
    """Kinds of what was found while reading, with studies and findings."""
    places: tuple[tuple[str, str], ...]
    """Where the levels were found."""
    left_out: int = 0
    """Labels that were not trained on, as an audit doubted them; they are scored all the same."""
    command: str = "stenograde train rsna2024"


def cohort_card(
    name: str,
    crops: CohortCrops,
    folds: FoldNets,
    assessed: Assessed,
    config: CohortTraining,
    *,
    evidence: Mapping[Condition, ConditionEvidence],
    about: About,
) -> str:
    """Return the text of the card."""
    scored = "a score on phantoms" if about.is_of_phantoms else "out of fold, by patient"
    return _CARD.format(
        name=name,
        data=about.name,
        left_out=about.left_out,
        licence=about.licence,
        bound=""
        if about.is_of_phantoms
        else "Weights that were trained on such data must not be used otherwise, nor be passed on to others who would.",
        studies=len(crops.names),
        findings=markdown_table(
            ("finding", "studies", "findings"), [tuple(map(str, r)) for r in about.findings]
        )
        if about.findings
        else "Nothing odd was found.",
        places=markdown_table(("what", "how much"), [tuple(r) for r in about.places]),
        absent=markdown_table(("why", "crops"), [(why, str(n)) for why, n in crops.reasons.items()])
        if crops.reasons
        else "None is absent.",
        start=folds.start,
        size=about.size + (f", changed: {', '.join(about.changed)}" if about.changed else ""),
        nets=len(folds.nets),
        folds=config.folds,
        looks=f", over {len(config.net.looks)} looks" if config.net.look_px else "",
        scored=scored,
        scores=_scores(assessed),
        groups=_groups(assessed),
        calibration=_calibration(assessed),
        coverage=_coverage(assessed, config),
        evidence=evidence_table(evidence),
        nominal=f"{100 * config.coverage:.3g}",
        command=about.command,
    )


def _scores(assessed: Assessed) -> str:
    parts = [*(one.value for one in Condition), ANY_SEVERE, "score"]
    rows = []
    for part in parts:
        area = assessed.scores["auc"].get(part if part != "score" else "macro")
        rows.append(
            (
                part.replace("_", " "),
                *(
                    _shown(assessed.scores[kind][part])
                    for kind in ("score", "weighted", "level_share_weighted")
                ),
                "–" if area is None else _shown(area),
            )
        )
    return markdown_table(("part", *_SHOWN.values(), "AUC of severe"), rows)


_SHOWN = {
    "score": "calibrated",
    "weighted": "weighted as the metric weighs",
    "level_share_weighted": "level's share, weighted",
    "less_than_share": "difference of the two",
}


def _groups(assessed: Assessed) -> str:
    rows = [
        (
            one.condition.shown,
            one.name,
            f"{one.cells}",
            f"{one.severe}",
            f"{one.log_loss:.3f}",
            f"{one.level_share:.3f}",
            f"{one.auc_severe:.3f}" if math.isfinite(one.auc_severe) else "–",
        )
        for one in assessed.groups
    ]
    head = ("condition", "of", "cells", "severe", "weighted log loss", "level's share", "AUC of severe")
    return markdown_table(head, rows)


def _calibration(assessed: Assessed) -> str:
    rows = [
        (
            condition.shown,
            f"{assessed.scaling[condition.value].temperature:.2f}",
            ", ".join(f"{shift:+.2f}" for shift in assessed.scaling[condition.value].shifts),
        )
        for condition in Condition
    ]
    return markdown_table(("condition", "temperature", "shifts of Normal/Mild, Moderate, Severe"), rows)


def _coverage(assessed: Assessed, config: CohortTraining) -> str:
    rows = []
    for condition in Condition:
        held, sets = assessed.coverage.get(condition.value, ()), assessed.sets[condition.value]
        for severity, one in zip(Severity, held, strict=False):
            always = "in every set: too few patients to say" if severity.rank in sets.always else ""
            rows.append(
                (
                    condition.shown,
                    severity.shown,
                    f"{one.cells}",
                    f"{one.patients}",
                    f"{100 * one.per_cell:.1f} %" if math.isfinite(one.per_cell) else "–",
                    always,
                )
            )
    head = ("condition", "true severity", "cells", "patients", f"covered (asked: {config.coverage:.0%})", "")
    return markdown_table(head, rows)


def _shown(value: Interval) -> str:
    return value.shown() if math.isfinite(value.value) else "–"


_CARD = """# {name}

Research software, not a medical device. It finds the lumbar spine on sagittal MR slices and grades the 25 cells of
RSNA 2024. This bundle was made by `{command}`.

**Licence of the training data: {licence}.** {bound}

## Trained on

{studies} studies of {data}. Settings: {size}. The grader's encoder, {start}.

{nets} nets, of {folds} folds by patient, are averaged{looks}. Each was fitted in two steps: the whole net with every
cell alike, then what judges alone, with the weights of the metric and the term for any severe canal. The locator and
the canal model are those of the bundle it was made from (`base-card.md`).

What was found while reading, and what was done without:

{findings}

Labels left out of training because an audit doubted them, and scored all the same: {left_out}.

Where the levels were found:

{places}

Crops that are absent, and why:

{absent}

## What is known on patients

{evidence}

What was learnt from patients is graded where its score beats the level's share by more than chance (95 % interval over
50 patients or more); otherwise, and on phantoms always, its cells are drafts.

## Scores of the folds

Metric of RSNA 2024, {scored}: each study is answered by nets that never saw it, with a calibration fitted on
the other folds; 95 % intervals over studies; less is better, AUC apart. The level's share looks at no picture and
knows only how common each severity is at each level among the other studies. The bundle itself averages the nets of
all folds; it has no test of its own.

{scores}

By level, side, field and scanner, where known (weighted):

{groups}

## Calibration

One temperature and one shift for each severity, on the logits of all folds:

{calibration}

## Sets of severities

Each cell has the severities that cannot be excluded, neighbours on the scale; how far they reach is learnt by true
severity and by patient (`stenograde.evaluate.conformal`). Asked for is {nominal} % of the cells of each severity. Sets
of each fold were fitted on the others:

{coverage}

## When it gives no grade

No series shows the cell; the disc was not seen; the pictures are unlike those of training (distance of their
features), or noisier; no severity can be excluded; for the canal, grader and measurements differ by one and a half
severities or more. What it would have said stays in `grades.json`.

## Limits

Labels are those of the training data, with its readers' errors; levels and sides are theirs. Studies of other
regions, of children, of operated spines, of tumour, infection or fracture were not looked for and not scored apart.

## To pass this bundle on

Leave out `training/`, `suspicious.png` and `oof.csv`: they hold pictures and names of studies.

## Only a person can fill in

Intended use and users: …. Ethics and consent of the training data: …. Demographics of the cohort: …. External
validation: …. Who answers for the use of this bundle: ….
"""
