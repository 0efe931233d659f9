"""Write the bundle of a trained locator: ``bundle.toml`` and the card with its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.levels.canal_model import CanalModel
from stenograde.predict.bundle import LocatorEntry
from stenograde.report.markdown import markdown_table
from stenograde.terms import LUMBAR_MRI, Condition, Structure
from stenograde.train.weights.bundle_toml import write_texts

Scores = Mapping[str, Mapping[str, float]]
"""Slice name to Dice by structure."""


def write_bundle(
    out: Path, entry: LocatorEntry, training: Mapping[str, Any], folds: Sequence[Scores]
) -> None:
    """Write ``bundle.toml``, ``card.md`` and ``training.json`` beside the weights, with the scores of the folds."""
    table = {
        "name": "lumbar-mri",
        "version": version("stenograde"),
        "scheme": LUMBAR_MRI.name,
        "locator": asdict(entry),
        "canal": asdict(CanalModel()),
        # every fold and the shipped network are fitted on slices of patients
        "evidence": {Condition.SPINAL_CANAL_STENOSIS.value: asdict(ConditionEvidence(RestsOn.MEASURED))},
    }
    write_texts(out, table, card(folds, training), {"training": training, "folds": folds})


def card(folds: Sequence[Scores], training: Mapping[str, Any]) -> str:
    """Return the text of the card, from the scores of the folds, if any, and the resolved configuration."""
    return _CARD.format(
        scores=_score_table(folds), model=_model_table(), phantoms=_phantom_words(training["virtual"])
    )


def _phantom_words(phantoms: Mapping[str, Any]) -> str:
    patients = phantoms["patients"]
    if not patients:
        return "No phantom was trained on."
    return (
        f"And {2 * phantoms['slices'] * patients} sagittal T1 and T2 or STIR slices of {patients} phantoms\n"
        "(`stenograde.phantom`) with their true masks: first alone, then some in each epoch."
    )


def _score_table(folds: Sequence[Scores]) -> str:
    if not folds:
        return "No folds were fitted, so nothing is known of how well this locator does."
    rows = []
    by_patient: dict[str, list[list[float]]] = {}
    for number, scores in enumerate(folds, start=1):
        patients = {name.split("_")[0] for name in scores}
        means = [np.mean([one[s] for one in scores.values()]) for s in Structure]
        rows.append((str(number), str(len(patients)), str(len(scores)), *(f"{m:.3f}" for m in means)))
        for name, one in scores.items():
            by_patient.setdefault(name.split("_")[0], []).append([one[s] for s in Structure])
    values = np.array([np.mean(of_patient, axis=0) for of_patient in by_patient.values()])
    draws = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), (2.5, 97.5), axis=0)
    shown = (
        f"**{m:.3f}** ({a:.3f} to {b:.3f})" for m, a, b in zip(values.mean(axis=0), low, high, strict=True)
    )
    n_slices = sum(len(scores) for scores in folds)
    rows.append(("mean over patients (95 % interval)", str(len(values)), str(n_slices), *shown))
    return markdown_table(("fold", "patients", "slices", *Structure), rows)


def _model_table() -> str:
    rows = (
        (name, f"{scale.moderate:.3g}", f"{scale.severe:.3g}", f"{scale.weight:g}", scale.source)
        for name, scale in CanalModel().scales.items()
    )
    return markdown_table(("measurement", "moderate below", "severe below", "weight", "source"), rows)


_CARD = """# lumbar-mri

Research software, not a medical device. It finds the lumbar spine on sagittal MR slices and grades spinal canal
stenosis at L1/L2 to L5/S1 from measurements. It does not grade the neural foramina or the subarticular zones.

## What is in it

A locator (a small U-Net on single sagittal slices: vertebra, disc, canal, and heat maps of disc centres and of the
lumbosacral disc) and an ordinal model of canal stenosis whose thresholds come from the literature.

## Trained on

SPIDER lumbar MRI data set (van der Graaf et al., Scientific Data 2024, doi:10.1038/s41597-024-03090-w), CC BY 4.0:

- 190 sagittal T2 SPACE slices of 38 patients with masks of vertebra, disc and spinal canal;
- 32 sagittal T1 and T2 slices of 13 patients with coloured vertebrae (vertebra against the rest only);
- 317 mid-sagittal T1 and T2 slices of 167 patients without masks, marked by the network so far (self-training).

{phantoms}

Contrast is changed strongly in training, because only T2 SPACE slices of patients carry whole masks. The sacrum is
background, as in SPIDER. No RSNA 2024 study was trained on. Train it again with
`stenograde train locator --data DIR --out BUNDLE`.

## Tested on

Dice overlap on the slices' own grid, patient-disjoint folds of the T2 SPACE slices. The network of a fold saw none of
its test patients, neither their masks nor their unmarked slices; the coloured slices, whose patients are unknown, were
left out of the folds. What they start from has seen phantoms at most. The shipped network is fitted on all
slices by the same recipe.

{scores}

## How canal stenosis is graded

Each measurement is put on a scale of narrowing, 0 at its moderate and 1 at its severe threshold; P(at least moderate)
and P(severe) are logistic curves through 0 and 1 of their weighted mean.

{model}

The thresholds are published; weights and steepness are ours and not fitted to any grades. The probabilities are
therefore not calibrated: read them as an ordering. No score of the grades on a labelled cohort is known yet.

## Limits

Adults; whole masks were at hand for one scanner vendor and sequence only. Not meant for pregnancy, contrast-enhanced
or post-operative studies, tumour, infection or fracture. Marked scoliosis makes the mid-sagittal surface less sure.
Transitional vertebrae are flagged where disc shapes suggest them; levels cannot be counted from C2 on a lumbar study.
"""
