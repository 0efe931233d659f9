"""The card of a bundle that grades all 25 cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from stenograde.evidence import ConditionEvidence
from stenograde.report.markdown import markdown_table
from stenograde.terms import Condition


def card(
    training: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
    tested: Sequence[Mapping[str, Any]] = (),
    evidence: Mapping[Condition, ConditionEvidence] = MappingProxyType({}),
) -> str:
    """Return the text of the card.

    Parameters
    ----------
    training : mapping
        The resolved configuration, with ``patients``, ``seed``, ``validation_patients``, ``calibration_patients``.
    scores : mapping
        Scores on the calibration patients, by condition.
    tested : sequence of mapping
        What ``stenograde score --json`` printed of each cohort.
    evidence : mapping
        What is known on patients, by condition.
    """
    told = "\n\n".join(tested_table(one) for one in tested) or (
        "Not tested yet: `stenograde score COHORT --bundle BUNDLE` says how good it is on a cohort."
    )
    shown = evidence_table(evidence)
    tempered = ", ".join(
        f"{times:g} times for {Condition(name).shown.lower()}"
        for name, times in training.get("tempered", {}).items()
    )
    told_of = {**training, "tempered": tempered or "no condition's is"}
    return _CARD.format(scores=_score_table(scores), tested=told, evidence=shown, **told_of)


def evidence_table(evidence: Mapping[Condition, ConditionEvidence]) -> str:
    """Return what is known on patients, a row for each condition."""
    rows = (
        (
            condition.shown,
            "; ".join(filter(None, (one.kind.value, one.note))),
            str(one.patients),
            str(one.cells),
            *("–" if score is None else f"{score:.3f}" for score in (one.score, one.level_share)),
            "draft" if one.is_draft else "graded",
        )
        for condition, one in evidence.items()
    )
    return markdown_table(
        ("condition", "rests on", "patients", "cells", "log loss", "level's share", "status"), rows
    )


def tested_table(tested: Mapping[str, Any]) -> str:
    """Return what ``stenograde score --json`` printed of a cohort, as a table."""
    passes = {name: one for name, one in tested.items() if isinstance(one, Mapping) and "score" in one}
    first = next(iter(passes.values()))
    rows = (
        (f"{name}{part.replace('_', ' ')}", *(_shown(one[table][part]) for one in passes.values()))
        for table, name in _SHOWN.items()
        for part in first[table]
    )
    cohort = PurePath(tested["data"]).name
    return (
        f"`stenograde score` on the cohort `{cohort}`: studies: {first['n_studies']}; 95 % intervals over studies.\n\n"
        f"{markdown_table(('score', *passes), rows)}"
    )


_SHOWN = {
    "weighted": "weighted log loss of probabilities times the metric's weights, ",
    "auc": "AUC of severe, ",
    "agreement": "graded as labelled, ",
    "errors": "mean absolute error, ",
}
"""Tables of a score that the card shows, and what its rows are called."""


def _shown(value: Mapping[str, float | None]) -> str:
    known = {name: number for name, number in value.items() if number is not None}
    if "value" not in known:
        return "–"
    if known.get("low") in {None, known["value"]}:
        return f"{known['value']:.3f}"  # a single study has no interval
    return "{value:.3f} ({low:.3f} to {high:.3f})".format(**known)


def _score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    rows = []
    for condition in Condition:
        one = scores[condition.value]
        shares = ", ".join(f"{one[name] * 100:.0f} %" for name in ("normal_mild", "moderate", "severe"))
        area = f"{one['auc_severe']:.3f}" if math.isfinite(one["auc_severe"]) else "no severe cell"
        rows.append((condition.shown, f"{one['cells']:.0f}", shares, f"{one['log_loss']:.3f}", area))
    head = ("condition", "cells", "Normal/Mild, Moderate, Severe", "log loss", "AUC of severe")
    return markdown_table(head, rows)


_CARD = """# lumbar-mri-25

Research software, not a medical device. It finds the lumbar spine on sagittal MR slices and grades the 25 cells of
RSNA 2024: spinal canal, left and right foramen, left and right subarticular zone at L1/L2 to L5/S1.

## What is in it

The locator and the canal model of the bundle it was made from (see `training.json`), and a level grader: crops of
the sagittal T2/STIR, sagittal T1 and axial T2 series around each level, seen from the left and from the right by one
set of weights, joined by an attention that leaves out what is absent. For the canal, the canal model, which measures,
is pooled with it in equal parts and stays visible as a second opinion; where the two differ, the report says so or
gives no grade, and where the grader's pictures are not to be relied on the measurements alone are the grade.

## Trained on

The grader: {patients} phantoms (seed {seed}), {validation_patients} more to choose the epoch and
{calibration_patients} more to calibrate, rendered by `stenograde.phantom`. The locator was trained on
patients of SPIDER (CC BY 4.0; `base-card.md` has sources and scores); the grader has seen no picture of any. Whether
the grades hold on real studies is not known from these numbers; a score on phantoms is a score on phantoms.

## What is known on patients

{evidence}

Log loss weighted as in RSNA 2024, less is better; the level's share is that of an answer that looks at no picture and
knows only how common each severity is at each level. What rests on phantoms only is a draft, set apart in every report,
until it beats the level's share on at least 10 patients and 100 cells.

## Calibrated on

One temperature and one shift per severity for each condition, so that probabilities mean what they say at the shares
of severities below. Where the shares differ, so does what a probability means. Each level counts four times: with all
series and with each series left out, as far as its cells are still shown. The scores are on the very patients that the
calibration was fitted on, three numbers per condition; they are no test. Temperatures are higher than those that fit
phantoms best: {tempered}. So many times its own is what a grader needed that was
trained on phantoms of another anatomy, and patients are no nearer.

{scores}

## Tested on

{tested}

## When it gives no grade

No series shows the cell (the series is absent or ends before it); the disc was not seen; the pictures are unlike those
of training (distance of their features, limit from the calibration patients) or noisier than those; for the canal,
grader and measurements differ by one and a half severities or more. What it would have said stays in `grades.json`.

## Limits

Adults; phantoms know no tumour, infection, fracture, implant or operated spine. Not meant for pregnancy or
contrast-enhanced studies. Transitional vertebrae are flagged where disc shapes suggest them.
"""
