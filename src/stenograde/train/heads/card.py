"""The card of a bundle whose fixed heads answer for some conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stenograde.evidence import ConditionEvidence
from stenograde.report.markdown import markdown_table
from stenograde.terms import Condition
from stenograde.train.grader.card import evidence_table, tested_table


def card(
    training: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]],
    tested: Sequence[Mapping[str, Any]],
    evidence: Mapping[Condition, ConditionEvidence],
) -> str:
    """Return the text of the card.

    Parameters
    ----------
    training : mapping
        The resolved configuration, with ``patients`` and ``phantom_seed``.
    scores : mapping
        Scores out of fold on the phantoms, by condition.
    tested : sequence of mapping
        What ``stenograde score --json`` printed of each cohort.
    evidence : mapping
        What is known on patients, by condition.
    """
    told = "\n\n".join(tested_table(one) for one in tested) or (
        "Not tested yet: `stenograde score COHORT --bundle BUNDLE` says how good it is on a cohort."
    )
    answered = " and ".join(Condition(name).shown.lower() for name in scores)
    return _CARD.format(
        answered=answered, scores=_scores(scores), tested=told, evidence=evidence_table(evidence), **training
    )


def _scores(scores: Mapping[str, Mapping[str, float]]) -> str:
    names = ("log_loss", "level_share", "auc_any", "auc_severe")
    rows = (
        (Condition(name).shown, f"{one['cells']:.0f}", *(f"{one[part]:.3f}" for part in names))
        if one
        else (Condition(name).shown, *("–",) * (1 + len(names)))
        for name, one in scores.items()
    )
    return markdown_table(
        ("condition", "cells", "weighted log loss", "level's share", "AUC of any", "AUC of severe"), rows
    )


_CARD = """# lumbar-mri-25

Research software, not a medical device. It finds the lumbar spine on sagittal MR slices and grades the 25 cells of
RSNA 2024: spinal canal, left and right foramen, left and right subarticular zone at L1/L2 to L5/S1.

## What is in it

Small heads answer for {answered}: crops go through the first stages of a network that learnt from photographs
(ImageNet, `{encoder}`, Apache-2.0) and is never trained further; means of its middle maps, as far as they
are unlike those usual at the level, move the odds of the severities away from how common they are there, along one
direction for each condition.
The locator, the canal model and, for the other conditions, the level grader are those of the bundle it was made from
(`grader-card.md`, `base-card.md`). For the canal, the canal model, which measures, is pooled with what grades it in
equal parts and stays visible as a second opinion; where the two differ, the report says so or gives no grade. What nets
that outline the room of nerves say (sections below, where the bundle has them) is pooled in the same way.

## Trained on

The heads: {patients} phantoms (seed {phantom_seed}), rendered by `stenograde.phantom`, no picture of a patient. How
common each severity is at each level is that of the simulated population, which takes its shares from a table of the
1,974 labelled studies of RSNA 2024; no label or picture of a study is in it. The grader has seen phantoms only, too.
The locator was trained on patients of SPIDER (CC BY 4.0; `base-card.md` has sources and scores).
A score on phantoms is a score on phantoms.

## What is known on patients

{evidence}

Log loss weighted as in RSNA 2024, less is better; the level's share is that of an answer that looks at no picture and
knows only how common each severity is at each level. What rests on phantoms only is a draft, set apart in every report,
until it beats the level's share on at least 10 patients and 100 cells.

## On phantoms that the heads were not fitted to

Folds by patient, every patient worse than the population, as in training; the level's share is that of such patients.

{scores}

## Tested on

{tested}

## When it gives no grade

No series shows the cell (the series is absent or ends before it); the disc was not seen; the pictures are unlike those
of training (distance of their features, limit from the phantoms) or noisier than those; for the canal, the answers
differ by one and a half severities or more. What it would have said stays in `grades.json`.

## Limits

Adults; phantoms know no tumour, infection, fracture, implant or operated spine. Not meant for pregnancy or
contrast-enhanced studies. Transitional vertebrae are flagged where disc shapes suggest them.
"""
