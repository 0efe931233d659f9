"""Trained nets to files: ONNX for inference and safetensors for more training, compared before they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file

from stenograde.errors import BundleError
from stenograde.nets.build import PictureNet
from stenograde.nets.locator import Locator, LocatorConfig
from stenograde.predict.bundle import LocatorEntry
from stenograde.predict.classifier import EXTRA, IMAGES, LOGITS
from stenograde.predict.weight_files import WeightFile
from stenograde.train.loop.checkpoint import write_weights
from stenograde.train.weights.bundle_toml import weight_file

TOLERANCE = 1e-3
"""Largest difference between what net and graph give; of values above 1, as a share of them."""


def export_locator(net: Locator, config: LocatorConfig, folder: Path) -> LocatorEntry:
    """Write a locator's weights and graph, and check that the graph gives what the net gives.

    Parameters
    ----------
    net : Locator
    config : LocatorConfig
        What the net was made with.
    folder : Path
        Must exist.

    Returns
    -------
    entry : LocatorEntry
        File names, hashes and shape, for ``bundle.toml``.

    Raises
    ------
    BundleError
        If net and graph differ by more than :data:`TOLERANCE` at a size other than that of export.
    """
    net = net.eval().to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    weights, graph = folder / "locator.safetensors", folder / "locator.onnx"
    write_weights(net, weights, half=True)
    stride = config.stride
    torch.onnx.export(
        net,
        (torch.zeros(2, 1, 8 * stride, 6 * stride),),
        graph,
        input_names=["slices"],
        output_names=["logits"],
        dynamic_axes={"slices": {0: "batch", 2: "rows", 3: "columns"}, "logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    noise = torch.randn(1, 1, 5 * stride, 7 * stride, generator=torch.Generator().manual_seed(0))
    check_export(net, graph, {"slices": noise})
    return LocatorEntry(
        onnx=weight_file(graph),
        weights=weight_file(weights),
        widths=config.widths,
        grid_mm=config.spacing_mm,
        stride=stride,
    )


def export_classifier(
    net: PictureNet, folder: Path, stem: str, *, size_px: tuple[int, int]
) -> tuple[WeightFile, WeightFile]:
    """Write a classifier's graph and weights, in 16 bits, and check that the graph gives what the net gives.

    The net's kernels and matrices are rounded to what is kept of them.

    Parameters
    ----------
    net : PictureNet
    folder : Path
        Must exist.
    stem : str
        Stem of the two files' names.
    size_px : tuple of int
        Rows and columns of the pictures it takes.

    Raises
    ------
    BundleError
        If net and graph differ by more than :data:`TOLERANCE` on a batch of another size than that of export.
    """
    net = net.eval().to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    graph, weights = folder / f"{stem}.onnx", folder / f"{stem}.safetensors"
    round_to_half(net)
    write_weights(net, weights, half=True)

    def fed(n: int) -> dict[str, torch.Tensor]:
        noise = torch.Generator().manual_seed(n)
        images = torch.randn(n, net.config.channels, *size_px, generator=noise)
        extra = {EXTRA: torch.rand(n, net.config.extra, generator=noise)} if net.config.extra else {}
        return {IMAGES: images, **extra}

    write_graph(net, graph, fed, outputs=(LOGITS,), folded=False)
    halve(graph)
    check_export(net, graph, fed(3))
    return weight_file(graph), weight_file(weights)


def write_graph(
    net: torch.nn.Module,
    graph: Path,
    fed: Callable[[int], Mapping[str, torch.Tensor]],
    *,
    outputs: Sequence[str],
    folded: bool = True,
) -> None:
    """Write a net as ONNX for batches of any size, and check that the graph gives what the net gives.

    Parameters
    ----------
    net : Module
        In evaluation mode, on the CPU.
    graph : Path
    fed : callable
        Gives inputs by name for a number of samples, each with the samples along its first axis.
    outputs : sequence of str
    folded : bool
        Whether what is constant is worked out, so that the graph's weights are others than the net's.

    Raises
    ------
    BundleError
        If net and graph differ by more than :data:`TOLERANCE` on a batch of another size than that of export.
    """
    inputs = fed(2)
    torch.onnx.export(
        net,
        tuple(inputs.values()),
        graph,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
        opset_version=17,
        dynamo=False,
        do_constant_folding=folded,
    )
    check_export(net, graph, fed(3))


def round_to_half(net: torch.nn.Module) -> None:
    """Round a net's kernels and matrices to what :func:`halve` keeps of them."""
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.ndim > 1 and value.is_floating_point():
                value.copy_(value.half())


def halve(graph: Path) -> None:
    """Keep a graph's kernels and matrices in 16 bits; it computes in 32 all the same."""
    model = onnx.load(graph)
    casts = []
    for kept in model.graph.initializer:
        if kept.data_type == TensorProto.FLOAT and len(kept.dims) > 1:
            name = kept.name
            values = numpy_helper.to_array(kept).astype(np.float16)
            kept.CopyFrom(numpy_helper.from_array(values, f"{name}.half"))
            casts.append(helper.make_node("Cast", [kept.name], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    onnx.save(model, graph)


def check_export(net: torch.nn.Module, graph: Path, fed: Mapping[str, torch.Tensor]) -> float:
    """Return the largest difference between what net and graph give, of values above 1 as a share of them.

    Parameters
    ----------
    net : Module
    graph : Path
    fed : mapping
        Tensors by the names of the graph's inputs, in the order in which the net takes them.

    Raises
    ------
    BundleError
        If it is above :data:`TOLERANCE`.
    """
    with torch.inference_mode():
        given = net(*fed.values())
    wanted = given if isinstance(given, tuple) else (given,)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    got = session.run(None, {name: value.numpy() for name, value in fed.items()})
    difference = max(
        float((np.abs(ours.numpy() - theirs) / np.maximum(1, np.abs(theirs))).max())
        for ours, theirs in zip(wanted, got, strict=True)
    )
    if difference > TOLERANCE:
        msg = f"graph must give what the net gives within {TOLERANCE}, got a difference of {difference:.2g}"
        raise BundleError(msg)
    return difference


def load_locator(entry: LocatorEntry, folder: Path) -> Locator:
    """Return the net of a bundle, for more training.

    Raises
    ------
    BundleError
        If the weights do not fit the shape that the bundle states.
    """
    net = Locator(LocatorConfig(widths=entry.widths, spacing_mm=entry.grid_mm))
    try:
        net.load_state_dict(load_file(folder / entry.weights.file))
    except RuntimeError as exc:
        msg = f"{entry.weights.file} must fit a locator of widths {entry.widths}, got other tensors"
        raise BundleError(msg) from exc
    return net
