"""A bundle with a second opinion on foramina or recesses: that of another with a net that was trained for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from stenograde.config import as_plain
from stenograde.errors import ConfigError
from stenograde.levels.rooms import RoomView
from stenograde.nets.u_net import UNet, stride_of
from stenograde.predict import foramina as predicted_foramina
from stenograde.predict import recesses as predicted_recesses
from stenograde.predict.bundle import BUNDLE_FILE, Bundle, load_bundle
from stenograde.predict.room_net import MAPS, PICTURES
from stenograde.predict.weight_files import WeightFile
from stenograde.report.markdown import with_section
from stenograde.train.rooms import foramina, recesses
from stenograde.train.rooms.foramina import ForaminaScores, ForaminaTraining
from stenograde.train.rooms.recesses import RecessesScores, RecessesTraining
from stenograde.train.rooms.slices import RoomKind, RoomSlices, make_room_slices
from stenograde.train.rooms.training import RoomTraining, fit_net
from stenograde.train.weights.bundle_toml import as_toml, copy_with, versions, weight_file
from stenograde.train.weights.export import halve, round_to_half, write_graph
from stenograde.workers import Progress


def train_rooms(
    out: Path,
    config: ForaminaTraining | RecessesTraining,
    *,
    patients: int,
    seed: int,
    base: Bundle,
    workers: int = 0,
    progress: Progress | None = None,
) -> ForaminaScores | RecessesScores:
    """Fit a net to phantoms and write a copy of a bundle with it; started again with the same ``out`` it resumes.

    Parameters
    ----------
    out : Path
        Becomes the bundle; views and checkpoints lie in ``out/training``.
    config : ForaminaTraining or RecessesTraining
        What the net is for.
    patients, seed : int
        Phantoms; those of a seed are always the same.
    base : Bundle
    workers : int
        Processes that render; 1 or fewer for this one.
    progress : callable, optional

    Returns
    -------
    scores : ForaminaScores or RecessesScores
        On the phantoms that were not trained on.

    Raises
    ------
    ConfigError
        If ``out`` is the base itself, holds views or checkpoints of other settings, or the view is none for the net.
    """
    _check(out, config, base)
    kind = RoomKind.FORAMINA if isinstance(config, ForaminaTraining) else RoomKind.RECESSES
    work = out / "training" / kind.value
    work.mkdir(parents=True, exist_ok=True)
    slices = make_room_slices(
        work / "views", kind, config.data, patients=patients, seed=seed, workers=workers, progress=progress
    )
    net = fit_net(slices, config, work / "net", progress)
    graph = write_net(net, out / f"{kind.value}-net.onnx", config.view)
    made = _made(net, slices, config, graph)
    record = {
        "training": {"patients": patients, "phantom_seed": seed, **as_plain(config)},
        "base": as_plain(base.stamp),
        "scores": as_plain(made.scores),
    }
    table = replace(base.table, version=version("stenograde"), **made.entry)
    section = made.section(patients, seed)
    written = {
        BUNDLE_FILE: as_toml(as_plain(asdict(table))),
        "card.md": with_section(base.card, made.headline, section),
        f"{kind.value}-training.json": json.dumps({"versions": versions(), **record}, indent=1),
    }
    copy_with(base.folder, out, written, kept=(graph.file,))
    load_bundle(out)
    return made.scores


@dataclass(frozen=True, eq=False)
class _Made:
    """What a fitted net brings to a bundle."""

    scores: ForaminaScores | RecessesScores
    entry: dict[str, Any]
    """What changes in the table."""
    headline: str
    section: Callable[[int, int], str]
    """Text of the card, from the number of phantoms and their seed."""


def _made(
    net: UNet, slices: RoomSlices, config: ForaminaTraining | RecessesTraining, graph: WeightFile
) -> _Made:
    if isinstance(config, ForaminaTraining):
        found = foramina.scores_of(net, slices, config)
        entry = {"foramina": foramina.entry_of(graph, config, found)}
        headline, section = predicted_foramina.HEADLINE, partial(foramina.section, config, found)
        return _Made(found, entry, headline, section)
    heights = recesses.scores_of(net, slices, config)
    held = {"recesses": recesses.entry_of(graph, config)}
    return _Made(heights, held, predicted_recesses.HEADLINE, partial(recesses.section, config, heights))


def _check(out: Path, config: RoomTraining, base: Bundle) -> None:
    if out.resolve() == base.folder.resolve():
        msg = f"--out must be another folder than the base, got {out} for both"
        raise ConfigError(msg)
    if config.view.size_px % stride_of(config.widths):
        msg = f"view.size_px must be a multiple of {stride_of(config.widths)}, got {config.view.size_px}"
        raise ConfigError(msg)


def write_net(net: UNet, graph: Path, view: RoomView) -> WeightFile:
    """Write the net's graph with kernels in 16 bits.

    Raises
    ------
    BundleError
        If the graph does not give what the net gives.
    """
    round_to_half(net)

    def fed(n: int) -> dict[str, torch.Tensor]:
        noise = torch.Generator().manual_seed(n)
        return {PICTURES: torch.randn(n, 1, view.size_px, view.size_px, generator=noise)}

    write_graph(net.eval(), graph, fed, outputs=(MAPS,))
    halve(graph)
    return weight_file(graph)
