"""The last step: the folds' nets to one graph, and a bundle that ``stenograde grade`` uses, with its card."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from stenograde.config import as_plain
from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.levels.crop import CropKind
from stenograde.nets.level_transfer import TransferGraph
from stenograde.nets.point_finder import PointFinders
from stenograde.predict.bundle import Bundle
from stenograde.predict.grader import CROPS, LEVEL, LOGITS, PRESENT, STRANGENESS, GraderEntry
from stenograde.predict.point_finder import ASKED, N_ASKED, PLACES, PointFinderEntry
from stenograde.predict.point_finder import CROPS as VIEWS
from stenograde.terms import LUMBAR_MRI, Condition, Side
from stenograde.train.cohort.assess import Assessed
from stenograde.train.cohort.card import About, cohort_card
from stenograde.train.cohort.config import CohortTraining
from stenograde.train.cohort.cut import CohortCrops
from stenograde.train.cohort.find_points import CellPoints
from stenograde.train.cohort.folds import FoldNets
from stenograde.train.grader.bundle import carried_section, carry_base
from stenograde.train.loop.checkpoint import write_weights
from stenograde.train.weights.bundle_toml import weight_file, write_texts
from stenograde.train.weights.export import check_export, halve, round_to_half, write_graph

POOLED = "pooled in equal parts with what is measured"
"""What else is to be known of the canal's grades."""


def write_cohort_bundle(
    out: Path,
    base: Bundle,
    crops: CohortCrops,
    folds: FoldNets,
    assessed: Assessed,
    config: CohortTraining,
    *,
    about: About,
    points: CellPoints,
) -> None:
    """Write a bundle from the nets of all folds.

    Parameters
    ----------
    out : Path
    base : Bundle
        Whose locator and canal model are taken over.
    crops : CohortCrops
    folds : FoldNets
    assessed : Assessed
    config : CohortTraining
    about : About
    points : CellPoints
        How it was found where its crops were cut.

    Raises
    ------
    BundleError
        If the graph does not give what the nets give.
    """
    entry = replace(
        _exported(out, folds, assessed, config),
        caution=_caution(about),
        offsets=points.offsets,
        finder=_exported_finder(out, points, config) if points.nets else None,
    )
    carried, made_from = carry_base(out, base)
    evidence = _evidence(crops, assessed, about)
    table = {
        **carried,
        "grader": {name: value for name, value in asdict(entry).items() if value is not None},
        "evidence": {condition.value: asdict(one) for condition, one in evidence.items()},
    }
    card = cohort_card(carried["name"], crops, folds, assessed, config, evidence=evidence, about=about)
    made_by = {
        "base": made_from,
        "training": {"studies": len(crops.names), "start": folds.start, **as_plain(config)},
        "data": as_plain(about),
        "out_of_fold": as_plain(assessed.scores),
    }
    write_texts(out, table, card + carried_section(base), made_by)


def _caution(about: About) -> str:
    if about.is_of_phantoms:
        return "the grader was trained on phantoms in the layout of a cohort of patients; it is no evidence on patients"
    return f"the grader was trained on {about.name} ({about.licence})"


def _evidence(crops: CohortCrops, assessed: Assessed, about: About) -> dict[Condition, ConditionEvidence]:
    """Return what the folds show on patients; nothing where the patients are phantoms."""
    known = {}
    for condition in Condition:
        note = POOLED if condition is Condition.SPINAL_CANAL_STENOSIS else ""
        if about.is_of_phantoms:
            known[condition] = ConditionEvidence(RestsOn.PHANTOMS_ONLY, note=note)
            continue
        cells = [cell.condition is condition for cell in LUMBAR_MRI.cells]
        labelled = assessed.answers.severities[:, cells] >= 0
        if not labelled.any():
            # nothing was learnt of it
            known[condition] = ConditionEvidence(RestsOn.PHANTOMS_ONLY, note="without any label of a patient")
            continue
        known[condition] = ConditionEvidence(
            RestsOn.LEARNT,
            patients=int(labelled.any(axis=1).sum()),
            cells=int(labelled.sum()),
            score=assessed.scores["weighted"][condition.value].value,
            level_share=assessed.scores["level_share_weighted"][condition.value].value,
            difference_high=assessed.scores["less_than_share"][condition.value].high,
            command=about.command,
            note="; ".join(filter(None, (note, "out of fold"))),
        )
    return known


def _exported(out: Path, folds: FoldNets, assessed: Assessed, config: CohortTraining) -> GraderEntry:
    net = TransferGraph([one.to("cpu") for one in folds.nets]).eval()
    round_to_half(net)
    graph, weights = out / "grader.onnx", out / "grader.safetensors"

    def fed(n: int) -> dict[str, Tensor]:
        noise = torch.Generator().manual_seed(n)
        views, levels = (n, len(Side), len(CropKind)), len(LUMBAR_MRI.levels)
        return {
            CROPS: torch.randn(*views, *config.crops.shape, generator=noise).clamp(-4, 4),
            PRESENT: (torch.rand(views, generator=noise) < 0.7).float(),
            LEVEL: torch.eye(levels)[torch.arange(n) % levels],
        }

    write_graph(net, graph, fed, outputs=(LOGITS, STRANGENESS), folded=False)
    halve(graph)
    check_export(net, graph, fed(3))
    state = {
        name: (value.half() if value.ndim > 1 and value.is_floating_point() else value).contiguous()
        for name, value in net.state_dict().items()
        if not (net.is_shared and ".encoder." in name and not name.startswith("nets.0."))
    }
    save_file(state, weights)
    weights.chmod(0o644)
    return GraderEntry(
        onnx=weight_file(graph),
        weights=weight_file(weights),
        calibration=assessed.scaling,
        usual_below=assessed.usual_below,
        noise_below=assessed.noise_below,
        crops=config.crops,
        takes_level=True,
        sets=assessed.sets,
    )


def _exported_finder(out: Path, points: CellPoints, config: CohortTraining) -> PointFinderEntry:
    net, crops = PointFinders(points.nets).eval(), config.points.crops
    graph, weights = out / "points.onnx", out / "points.safetensors"

    def fed(n: int) -> dict[str, Tensor]:
        noise = torch.Generator().manual_seed(n)
        return {
            VIEWS: torch.randn(n, *crops.shape, generator=noise),
            ASKED: torch.rand(n, N_ASKED, generator=noise).round(),
        }

    write_graph(net, graph, fed, outputs=(PLACES,))
    write_weights(net, weights, half=True)
    return PointFinderEntry(
        onnx=weight_file(graph), weights=weight_file(weights), far_mm=points.far_mm, crops=crops
    )
