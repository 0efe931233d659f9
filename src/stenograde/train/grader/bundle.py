"""Turn a trained level grader into a bundle: calibrate, set limits of the usual, export, write table and card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stenograde.evaluate.metrics import weighted_auc
from stenograde.evaluate.vector_scaling import VectorScaling, fit_vector_scaling
from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.levels.crop import SHOWN_BY, CropConfig, CropKind
from stenograde.levels.crop_noise import noise_of
from stenograde.nets.level_grader import N_SEVERITIES, GraderGraph, LevelGrader
from stenograde.predict import discs, foramina, recesses
from stenograde.predict.bundle import Bundle
from stenograde.predict.grader import CROPS, LOGITS, PRESENT, STRANGENESS, GraderEntry
from stenograde.report.markdown import section_of
from stenograde.terms import Condition, Severity, Side
from stenograde.train.grader.batches import CELLS_OF_CONDITIONS, LEFT_OUT
from stenograde.train.grader.card import card
from stenograde.train.grader.crops import CropSet, as_values
from stenograde.train.locator.eight_bits import EIGHT_BITS
from stenograde.train.loop.checkpoint import write_weights
from stenograde.train.weights.bundle_toml import weight_file, write_texts
from stenograde.train.weights.export import check_export, halve, load_locator, round_to_half, write_graph

POOLED = "pooled in equal parts with a network that has seen phantoms only"
"""What else is to be known of the canal's grades."""

YARDSTICKS = "## Yardsticks on real pictures"
"""Headline of what benchmarks measured on real pictures; written by hand, and taken over."""

BASE = "base-"
"""Prefix of the files that record how the locator was made."""

_AT_ONCE = 16
"""Levels that go through the net at once when it is calibrated."""


@dataclass(frozen=True)
class Calibrated:
    """What the calibration patients say of a grader."""

    scaling: Mapping[str, VectorScaling]
    """How logits become probabilities, by condition."""
    usual_below: Mapping[str, float]
    """Limit of strangeness, by kind of crop."""
    noise_below: Mapping[str, float]
    """Limit of noise, by kind of crop."""
    scores: Mapping[str, Mapping[str, float]]
    """Scores by condition, for the card: ``cells``, ``severe``, ``log_loss`` and ``auc_severe``."""


def calibrate(
    net: LevelGrader,
    usual: CropSet,
    calibration: CropSet,
    *,
    usual_share: float,
    added_noise: float,
    tempered: Mapping[str, float] | None = None,
    most: int = 2000,
) -> Calibrated:
    """Fit probabilities and limits, and set in the net what features are usual.

    Parameters
    ----------
    net : LevelGrader
        Its ``feature_mean`` and ``whitening`` are set.
    usual : CropSet
        Crops of phantoms that were trained on.
    calibration : CropSet
        Crops of other phantoms. Each level counts with all its series and with each series left out in turn, as
        far as its cells are still shown.
    usual_share : float
        Share of the calibration crops of a kind that count as usual.
    added_noise : float
        Most noise that training added to crops: the net tolerates that much more than the calibration crops have.
    tempered : mapping, optional
        How many times the temperature that fits the calibration crops each condition gets; 1 where it is not named.
    most : int
        Most training levels that are looked at.
    """
    net = net.to("cpu").eval()
    places = np.linspace(0, len(usual) - 1, min(most, len(usual))).astype(int)
    features, present, _ = _seen(net, usual, places.tolist())
    for kind in range(len(CropKind)):
        known = features[:, :, kind][torch.from_numpy(present[:, :, kind])]
        if len(known) > 1:
            net.set_usual(kind, known)
    features, present, severities = _seen(net, calibration, range(len(calibration)))
    with torch.inference_mode():
        strangeness = net.strangeness(features).numpy()
    limits = limits_of(strangeness, present, usual_share)
    noise = np.stack([noise_of(as_values(calibration.level(k)[0])) for k in range(len(calibration))])
    noise_limits = {
        kind: float(np.hypot(limit, added_noise))
        for kind, limit in limits_of(noise, present, usual_share).items()
    }
    scaling, scores = {}, {}
    for condition, cells in zip(Condition, CELLS_OF_CONDITIONS, strict=True):
        logits, truth = _evidenced(net, features, present, severities, condition, cells)
        fitted = fit_vector_scaling(logits, truth)
        times = (tempered or {}).get(condition.value, 1.0)
        if times != 1:
            fitted = fit_vector_scaling(logits, truth, temperature=fitted.temperature * times)
        scaling[condition.value] = fitted
        scores[condition.value] = _scores(fitted.probabilities(logits), truth)
    return Calibrated(scaling, limits, noise_limits, scores)


def export_grader(
    net: LevelGrader, folder: Path, *, calibrated: Calibrated, crops: CropConfig
) -> GraderEntry:
    """Write a grader's weights and graph, and check that the graph gives what the net gives.

    Raises
    ------
    BundleError
        If they differ.
    """
    graph_net = GraderGraph(net.to("cpu")).eval()
    graph, weights = folder / "grader.onnx", folder / "grader.safetensors"
    round_to_half(graph_net)
    write_weights(net, weights, half=True)

    def fed(n: int) -> dict[str, Tensor]:
        noise = torch.Generator().manual_seed(n)
        views = (n, len(Side), len(CropKind))
        present = (torch.rand(views, generator=noise) < 0.7).float()
        return {CROPS: torch.randn(*views, *crops.shape, generator=noise), PRESENT: present}

    write_graph(graph_net, graph, fed, outputs=(LOGITS, STRANGENESS), folded=False)
    halve(graph)
    check_export(graph_net, graph, fed(3))
    return GraderEntry(
        onnx=weight_file(graph),
        weights=weight_file(weights),
        widths=net.config.widths,
        kept=net.config.kept,
        features=net.config.features,
        calibration=calibrated.scaling,
        usual_below=calibrated.usual_below,
        noise_below=calibrated.noise_below,
        crops=crops,
    )


def write_bundle(
    out: Path,
    base: Bundle,
    entry: GraderEntry,
    *,
    training: Mapping[str, Any],
    calibrated: Calibrated,
    tested: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write ``bundle.toml``, ``card.md`` and ``training.json`` beside the grader's files, and those of the base.

    Parameters
    ----------
    out : Path
    base : Bundle
        Bundle whose locator and canal model are taken over.
    entry : GraderEntry
    training : mapping
        The resolved configuration of the training.
    calibrated : Calibrated
    tested : sequence of mapping
        Scores on cohorts, for the card; those on patients are the evidence of the bundle.
    """
    evidence = evidence_of(base, tested)
    carried, made_from = carry_base(out, base)
    table = {
        **carried,
        "grader": asdict(entry),
        "evidence": {condition.value: asdict(one) for condition, one in evidence.items()},
    }
    made_by = {"base": made_from, "training": training, "calibration": calibrated.scores}
    text = card(training, calibrated.scores, tested, evidence) + carried_section(base)
    write_texts(out, table, text, made_by)


def carry_base(out: Path, base: Bundle) -> tuple[dict[str, Any], dict[str, Any]]:
    """Copy what a bundle with a new grader takes over from another: all parts but its grader and heads.

    Returns
    -------
    table : dict
        What ``bundle.toml`` says of it.
    made_from : dict
        Name, version and hash of the bundle that the locator was made in.
    """
    locator = base.table.locator
    # written anew, as bundles from before the grader kept them in 32 bits
    weights = write_weights(load_locator(locator, base.folder), out / locator.weights.file, half=True)
    locator = replace(locator, weights=weight_file(weights))
    # a base that has a grader passes on the files of its own base
    has_grader = base.table.grader is not None
    for name in ("card.md", "training.json"):
        shutil.copyfile(base.folder / (f"{BASE}{name}" if has_grader else name), out / f"{BASE}{name}")
    base_made_by = json.loads((base.folder / "training.json").read_text(encoding="utf-8"))
    carried = replace(
        base.table,
        name=f"{base.table.name.removesuffix('-25')}-25",
        version=version("stenograde"),
        locator=locator,
        grader=None,
        fixed=None,
        evidence={},
    )
    copied = [base.folder / one.file for one in carried.weight_files if one != locator.weights]
    for path in (*copied, *records_of_parts(base)):
        if not path.name.startswith(BASE):
            shutil.copyfile(path, out / path.name)
    return asdict(carried), base_made_by["base"] if has_grader else asdict(base.stamp)


def records_of_parts(base: Bundle) -> list[Path]:
    """Return the files that record how the parts of a bundle that another takes over were made."""
    return [
        path
        for start in ("base", "discs", "foramina", "recesses", "eight-bits")
        for path in sorted(base.folder.glob(f"{start}*"))
        if path.suffix in {".md", ".json"}
    ]


def carried_section(base: Bundle) -> str:
    """Return what a bundle's card says of parts that another takes over, and of real pictures."""
    parts = (
        (base.table.foramina, foramina.HEADLINE),
        (base.table.recesses, recesses.HEADLINE),
        (base, YARDSTICKS),
        (base, EIGHT_BITS),
        (base.table.discs, discs.HEADLINE),
    )
    return "".join(section_of(base.card, headline) for part, headline in parts if part is not None)


def evidence_of(base: Bundle, tested: Sequence[Mapping[str, Any]]) -> dict[Condition, ConditionEvidence]:
    """Return what is known on patients of a grader that was trained on phantoms, by condition.

    Parameters
    ----------
    base : Bundle
        Whose locator and canal model the canal is measured by.
    tested : sequence of mapping
        What ``stenograde score --json`` printed; the cohort with most patients counts, and none of phantoms.
    """
    cohorts = []
    for one in tested:
        whole = next(scores for scores in one.values() if isinstance(scores, Mapping) and "score" in scores)
        if whole.get("level_share") and not whole["is_of_phantoms"]:
            cohorts.append((PurePath(one["data"]).name, whole))
    name, scores = max(cohorts, key=lambda cohort: cohort[1]["n_studies"], default=("", {}))
    measured = base.evidence.get(Condition.SPINAL_CANAL_STENOSIS, ConditionEvidence(RestsOn.MEASURED)).kind
    known = {}
    for condition in Condition:
        is_canal = condition is Condition.SPINAL_CANAL_STENOSIS
        evidence = (
            ConditionEvidence(measured, note=POOLED) if is_canal else ConditionEvidence(RestsOn.PHANTOMS_ONLY)
        )
        if scores and scores["cells"][condition]:
            evidence = replace(
                evidence,
                patients=scores["n_studies"],
                cells=scores["cells"][condition],
                score=scores["score"][condition]["value"],
                level_share=scores["level_share"][condition]["value"],
                command=f"stenograde score {name}",
            )
        known[condition] = evidence
    return known


def _seen(
    net: LevelGrader, crops: CropSet, places: Sequence[int]
) -> tuple[Tensor, NDArray[np.bool_], NDArray[np.int64]]:
    """Features (n, sides, kinds, features), presence and severities of the levels at some places."""
    levels = [crops.level(place) for place in places]
    features = []
    for start in range(0, len(levels), _AT_ONCE):
        values = as_values(np.stack([level[0] for level in levels[start : start + _AT_ONCE]]))
        with torch.inference_mode():
            features.append(net.features(torch.from_numpy(values)))
    return (
        torch.cat(features),
        np.stack([level[1] for level in levels]),
        np.stack([level[2] for level in levels]),
    )


def _evidenced(
    net: LevelGrader,
    features: Tensor,
    present: NDArray[np.bool_],
    severities: NDArray[np.int64],
    condition: Condition,
    cells: slice,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits and severities of the cells of a condition that a crop shows, in every pattern of presence."""
    kinds = [tuple(CropKind).index(kind) for kind in SHOWN_BY[condition]]
    logits, truth = [], []
    for kept in LEFT_OUT:
        pattern = present & kept
        with torch.inference_mode():
            said = net.answer(features, torch.from_numpy(pattern.astype(np.float32))).numpy()
        by_side = pattern[:, :, kinds].any(axis=2)
        shown = np.any(by_side, axis=1)[:, None] if cells.stop - cells.start == 1 else by_side
        logits.append(said[:, cells][shown])
        truth.append(severities[:, cells][shown])
    return np.concatenate(logits).astype(np.float64), np.concatenate(truth)


def _scores(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, float]:
    shares = probabilities[np.arange(len(truth)), truth]
    severe = truth == N_SEVERITIES - 1
    area = weighted_auc(probabilities[:, -1], severe, np.ones((1, len(truth))))[0]
    return {
        "cells": float(len(truth)),
        **{one.value: float((truth == one.rank).mean()) for one in Severity},
        "log_loss": float(-np.log(np.maximum(shares, 1e-15)).mean()),
        "auc_severe": float(area),
    }


def limits_of(
    values: NDArray[np.floating[Any]], present: NDArray[np.bool_], share: float
) -> dict[str, float]:
    """Return what a share of the crops of each kind stays below; 0 for a kind without crops.

    Parameters
    ----------
    values : ndarray of shape (..., kinds)
    present : ndarray of the same shape, bool
    share : float
    """
    return {
        kind.value: float(np.quantile(found, share))
        if (found := values[..., k][present[..., k]]).size
        else 0.0
        for k, kind in enumerate(CropKind)
    }
