"""A frozen encoder's middle maps to a bundle's graph, with kernels in 16 bits."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import helper

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
    pad_within(graph)
    for size in ((80, 112), (83, 97)):
        noise = torch.rand(3, 1, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        check_export(net, graph, {PICTURES: noise})
    return MiddleMapsEntry(weight_file(graph), encoder, stages, report.source)


def pad_within(graph: Path) -> None:
    """Let convolutions pad by themselves, as TensorFlow does, where a graph works it out and pads before them.

    That is a fourth of the time of such a network: each map that is padded is copied, in another order of channels.
    ``SAME_UPPER`` of ONNX is what timm's ``pad_same`` does; compare the graph with the net afterwards.
    """
    model = onnx.load(graph)
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        before = makers.get(node.input[0]) if node.op_type == "Conv" else None
        if before is not None and before.op_type == "Pad":
            node.input[0] = before.input[0]
            kept = [one for one in node.attribute if one.name not in {"pads", "auto_pad"}]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("auto_pad", "SAME_UPPER")])
    needed = [one.name for one in model.graph.output]
    used: set[str] = set()
    while needed:
        node = makers.get(needed.pop())
        if node is not None and not used.intersection(node.output):
            used.update(node.output)
            needed += node.input
    nodes = [node for node in model.graph.node if used.intersection(node.output)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, graph)
