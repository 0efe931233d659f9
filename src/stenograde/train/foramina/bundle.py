"""A bundle with a second opinion on foramina: that of another, a net that outlines them, and what is usual in them."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch

from stenograde.config import as_plain
from stenograde.errors import ConfigError
from stenograde.levels.foramen_room import ForamenTissue, ForamenView
from stenograde.nets.u_net import UNet, stride_of
from stenograde.predict.bundle import BUNDLE_FILE, Bundle, load_bundle
from stenograde.predict.foramina import HEADLINE, MAPS, PICTURES, ForaminaEntry
from stenograde.predict.weight_files import WeightFile
from stenograde.report.markdown import markdown_table, with_section
from stenograde.terms import LUMBAR_MRI
from stenograde.train.foramina.slices import make_foramen_slices
from stenograde.train.foramina.training import ForaminaScores, ForaminaTraining, fit_net, scores_of
from stenograde.train.weights.bundle_toml import as_toml, weight_file
from stenograde.train.weights.export import halve, write_graph
from stenograde.workers import Progress

NET: Final = "foramina-net.onnx"
"""File of the net's graph."""

RECORD: Final = "foramina-training.json"
"""File of the settings, versions and scores of the training."""


def train_foramina(
    out: Path,
    config: ForaminaTraining,
    *,
    patients: int,
    seed: int,
    base: Bundle,
    workers: int = 0,
    progress: Progress | None = None,
) -> ForaminaScores:
    """Fit the net to phantoms and write a copy of a bundle with it; started again with the same ``out`` it resumes.

    Parameters
    ----------
    out : Path
        Becomes the bundle; views and checkpoints lie in ``out/training``.
    config : ForaminaTraining
    patients, seed : int
        Phantoms; those of a seed are always the same.
    base : Bundle
    workers : int
        Processes that render; 1 or fewer for this one.
    progress : callable, optional

    Returns
    -------
    scores : ForaminaScores
        On the phantoms that were not trained on.

    Raises
    ------
    ConfigError
        If ``out`` is the base itself, holds views or checkpoints of other settings, or the view is none for the net.
    """
    if out.resolve() == base.folder.resolve():
        msg = f"--out must be another folder than the base, got {out} for both"
        raise ConfigError(msg)
    if config.view.size_px % stride_of(config.widths):
        msg = f"view.size_px must be a multiple of {stride_of(config.widths)}, got {config.view.size_px}"
        raise ConfigError(msg)
    work = out / "training" / "foramina"
    work.mkdir(parents=True, exist_ok=True)
    slices = make_foramen_slices(
        work / "views", config.data, patients=patients, seed=seed, workers=workers, progress=progress
    )
    net = fit_net(slices, config, work / "net", progress)
    graph = write_net(net, out / NET, config.view)
    found = scores_of(net, slices, config)
    entry = ForaminaEntry(graph, found.usual, config.view, config.model)
    training = {"patients": patients, "phantom_seed": seed, **as_plain(config)}
    _write(out, base, entry, training, found)
    load_bundle(out)
    return found


def write_net(net: UNet, graph: Path, view: ForamenView) -> WeightFile:
    """Write the net's graph with kernels in 16 bits.

    Raises
    ------
    BundleError
        If the graph does not give what the net gives.
    """
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.ndim > 1:  # what is kept of them: the check must compare equal weights
                value.copy_(value.half())

    def fed(n: int) -> dict[str, torch.Tensor]:
        noise = torch.Generator().manual_seed(n)
        return {PICTURES: torch.randn(n, 1, view.size_px, view.size_px, generator=noise)}

    write_graph(net.eval(), graph, fed, outputs=(MAPS,))
    halve(graph)
    return weight_file(graph)


def _write(
    out: Path, base: Bundle, entry: ForaminaEntry, training: Mapping[str, object], found: ForaminaScores
) -> None:
    """Write the files of the base, the table and the card with what is new, and the record of the training."""
    ours = {BUNDLE_FILE, "card.md", NET, RECORD}
    for path in sorted(base.folder.iterdir()):
        if path.is_file() and path.name not in ours:
            shutil.copyfile(path, out / path.name)
    whole = replace(base.table, foramina=entry, version=version("stenograde"))
    (out / BUNDLE_FILE).write_text(as_toml(as_plain(asdict(whole))), encoding="utf-8")
    card = with_section(base.card, HEADLINE, section(training, entry, found))
    (out / "card.md").write_text(card, encoding="utf-8")
    versions = {name: version(name) for name in ("stenograde", "torch", "numpy", "scipy", "onnxruntime")}
    record = {
        "versions": {"python": platform.python_version(), **versions},
        "training": as_plain(training),
        "base": as_plain(base.stamp),
        "scores": as_plain(found),
    }
    (out / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def section(training: Mapping[str, object], entry: ForaminaEntry, found: ForaminaScores) -> str:
    """Return what the card says of the net."""
    usual = [
        (level.shown, f"{entry.usual[level.value].fat_mm2:.0f}", f"{entry.usual[level.value].root_mm2:.0f}")
        for level in LUMBAR_MRI.levels
    ]
    scales = [
        (name, f"{scale.moderate:.2f}", f"{scale.severe:.2f}", f"{scale.weight:g}", scale.source)
        for name, scale in (("fat", entry.model.fat_ratio), ("fat and root", entry.model.area_ratio))
    ]
    return _SECTION.format(
        patients=training["patients"],
        seed=training["phantom_seed"],
        tissues=", ".join(one.name.lower() for one in ForamenTissue),
        tested=found.patients,
        foramina=found.foramina,
        error=f"{found.area_error_mm2:.0f}",
        correlation=f"{found.area_correlation:.2f}",
        dice=", ".join(f"{name} {value:.2f}" for name, value in found.dice.items()),
        auc_any=f"{found.auc_any:.3f}",
        auc_severe=f"{found.auc_severe:.3f}",
        usual=markdown_table(("level", "fat, mm²", "root, mm²"), usual),
        scales=markdown_table(
            ("share of what is usual", "moderate below", "severe below", "weight", "source"), scales
        ),
    )


_SECTION = """
A small U-Net looks at each foramen on the two sagittal T1 slices beside it and tells {tissues} apart; the areas of fat,
and of fat and root, within 10 mm above and below and 6.5 mm before and behind the foramen's middle are its room, and
are drawn in the report. It learnt from {patients} phantoms (seed {seed}) whose tissues are known at every point, under
strongly changed contrast; it has seen no picture of a patient, so what it says is a draft like what it is pooled with.

On {foramina} foramina of {tested} phantoms that it was not fitted to, its middle 2 mm off: area of fat and root within
{error} mm² (correlation {correlation}); Dice {dice}; AUC of any narrowing {auc_any}, of severe {auc_severe}. Usual
areas, medians of those of them without narrowing:

{usual}

Each share of what is usual is put on a scale of narrowing, 0 at its moderate and 1 at its severe threshold;
P(at least moderate) and P(severe) are logistic curves through 0 and 1 of their weighted mean. The thresholds are
published, weights and steepness ours and fitted to no grade.

{scales}
"""
