"""The grader of a bundle as a net of torch again, so that it can be asked for gradients and attention."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stenograde.config import build
from stenograde.errors import BundleError, ConfigError
from stenograde.levels.crop import CropKind
from stenograde.nets.level_grader import GraderGraph, LevelGrader, LevelGraderConfig
from stenograde.nets.level_transfer import LevelTransfer, LevelTransferConfig, TransferGraph
from stenograde.predict.bundle import Bundle
from stenograde.predict.grader import CROPS, LEVEL, PRESENT, GraderEntry
from stenograde.train.weights.export import check_export


@dataclass(frozen=True, eq=False)
class Attention:
    """How much crops and slices of one level count for each question (canal, near foramen, near recess)."""

    crops: Tensor
    """Shape (2 views, kinds, questions); sums to 1 over the crops of a view that are there."""
    slices: Tensor | None
    """Shape (2 views, kinds, slices, questions); sums to 1 over the slices of a crop. None for a net that takes the
    slices of a crop as channels and weighs none of them."""


class TorchGrader:
    """A grader as a net: logits of one level, with gradients, and its attention.

    Parameters
    ----------
    graph : GraderGraph or TransferGraph
        Set to evaluation mode; its weights ask for no gradient.
    """

    def __init__(self, graph: GraderGraph | TransferGraph) -> None:
        # twice as fast where each channel is filtered alone
        self.graph = graph.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def logits(self, crops: Tensor, present: Tensor, level: Tensor) -> Tensor:
        """Return logits, shape (n, cells, severities).

        Parameters
        ----------
        crops : tensor of shape (n, 2 views, kinds, slices, rows, columns)
        present : tensor of shape (1, 2 views, kinds)
        level : tensor of shape (1, levels)
            One-hot.
        """
        known = present.expand(len(crops), -1, -1)
        if isinstance(self.graph, TransferGraph):
            return self.graph(crops, known, level.expand(len(crops), -1))[0]
        return self.graph(crops, known)[0]

    @torch.inference_mode()
    def attention(self, crops: Tensor, present: Tensor, level: Tensor) -> Attention:
        """Return the attention of one level, the mean over nets; see :meth:`logits`."""
        if isinstance(self.graph, GraderGraph):
            there = present[..., None]
            active = torch.relu(self.graph.net.features(crops)) * there
            return Attention(self.graph.net.kind_weights(active, there)[0], None)
        known = torch.cat([present.flatten(1), level], dim=1)
        of_crops, of_slices = [], []
        for net in self.graph.nets:
            assert isinstance(net, LevelTransfer)
            places, kinds = net.judge.attention(net.features(net.maps(crops)), known)
            of_crops.append(kinds[0])
            of_slices.append(places[0])
        slices = torch.stack(of_slices).mean(dim=0)
        # a place is a slice with its two neighbours, and counts for the one in the middle
        return Attention(torch.stack(of_crops).mean(dim=0), nn.functional.pad(slices, (0, 0, 1, 1)))


def open_torch_grader(bundle: Bundle) -> TorchGrader:
    """Return the net of a bundle's grader.

    Raises
    ------
    BundleError
        If the bundle has no grader, or one that is not of a known shape.
    """
    entry = bundle.table.grader
    if entry is None:
        msg = f"bundle {bundle.table.name!r} must have a grader, got none; make one with 'stenograde train rsna2024'"
        raise BundleError(msg)
    state = load_file(bundle.folder / entry.weights.file)
    try:
        graph = _transfer(bundle, state) if entry.takes_level else _level_grader(entry, state)
    except (ConfigError, KeyError, RuntimeError, ValueError) as exc:
        msg = (
            f"{entry.weights.file} must be of a net that 'stenograde train rsna2024' or 'train grader' makes, with its "
            f"shape in bundle.toml or training.json, got another ({type(exc).__name__}); train the grader again"
        )
        raise BundleError(msg) from exc
    return TorchGrader(graph)


def check_same(bundle: Bundle, grader: TorchGrader, fed: Mapping[str, Tensor]) -> None:
    """Check that the net gives what the bundle's graph gives: what is explained must be what grades.

    Parameters
    ----------
    bundle : Bundle
    grader : TorchGrader
    fed : mapping
        Crops, presence and levels of a study, by the names of the graph's inputs.

    Raises
    ------
    BundleError
        If they differ.
    """
    entry = bundle.table.grader
    assert entry is not None, "a grader was opened"
    names = (CROPS, PRESENT, LEVEL) if entry.takes_level else (CROPS, PRESENT)
    check_export(grader.graph, bundle.folder / entry.onnx.file, {name: fed[name] for name in names})


def _level_grader(entry: GraderEntry, state: Mapping[str, Tensor]) -> GraderGraph:
    config = LevelGraderConfig(
        kinds=len(CropKind),
        slices=entry.crops.slices,
        size_px=entry.crops.size_px,
        widths=entry.widths,
        kept=entry.kept,
        features=entry.features,
    )
    net = LevelGrader(config)
    net.load_state_dict(state)
    return GraderGraph(net)


def _transfer(bundle: Bundle, state: Mapping[str, Tensor]) -> TransferGraph:
    made_by: Any = json.loads((bundle.folder / "training.json").read_text(encoding="utf-8"))
    config = build(LevelTransferConfig, made_by["training"]["net"], where="training.json: training.net")
    n_nets = 1 + max(int(name.split(".")[1]) for name in state)
    first_net = LevelTransfer(config)
    graph = TransferGraph([first_net, *(deepcopy(first_net) for _ in range(n_nets - 1))])
    whole = dict(state)
    if graph.is_shared:  # kept once, with the first net
        first = "nets.0.encoder."
        shared = {name.removeprefix(first): one for name, one in state.items() if name.startswith(first)}
        for number in range(1, n_nets):
            whole |= {f"nets.{number}.encoder.{name}": one for name, one in shared.items()}
    graph.load_state_dict(whole)
    return graph
