"""A frozen encoder's middle maps to a bundle's graph, with kernels in 16 bits."""

from __future__ import annotations

from pathlib import Path

import torch

from stenograde.nets.middle_maps import MiddleMaps
from stenograde.nets.weights import Start
from stenograde.predict.middle_maps import PICTURES, MiddleMapsEntry
from stenograde.train.weights.bundle_toml import weight_file
from stenograde.train.weights.export import check_export, halve


def export_middle_maps(
    folder: Path, encoder: str, stages: tuple[int, ...], weights: Start = "imagenet"
) -> MiddleMapsEntry:
    """Write the graph ``middle-maps.onnx`` and check that it gives what the net with weights of 16 bits gives.

    Raises
    ------
    BundleError
        If they differ, or the weights do not fit.
    MissingDependencyError
        If the package of the weights is not installed.
    """
    net = MiddleMaps(encoder, stages)
    report = net.start_from(weights)
    for value in net.state_dict().values():
        if value.ndim > 1:  # what is kept of them: the check must compare equal weights
            value.copy_(value.half())
    graph = folder / "middle-maps.onnx"
    outputs = [f"stage_{stage}" for stage in stages]
    axes = {name: {0: "batch", 2: f"rows_{name}", 3: f"columns_{name}"} for name in (PICTURES, *outputs)}
    torch.onnx.export(
        net,
        (torch.zeros(2, 1, 96, 64),),
        graph,
        input_names=[PICTURES],
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
        do_constant_folding=False,
    )
    halve(graph)
    noise = torch.rand(3, 1, 80, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    check_export(net, graph, {PICTURES: noise})
    return MiddleMapsEntry(weight_file(graph), encoder, stages, report.source)
