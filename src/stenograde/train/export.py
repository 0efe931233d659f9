"""A trained locator to files: ONNX for inference and safetensors for more training, compared before they are kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file, save_file

from stenograde.errors import BundleError
from stenograde.nets.locator import Locator, LocatorConfig
from stenograde.predict.bundle import LocatorEntry, WeightFile

TOLERANCE = 1e-3
"""Largest difference between the logits of net and graph."""


def export_locator(net: Locator, config: LocatorConfig, folder: Path) -> LocatorEntry:
    """Write a locator's weights and graph, and check that the graph gives what the net gives.

    Parameters
    ----------
    net : Locator
    config : LocatorConfig
        That the net was made with.
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
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, weights)
    weights.chmod(0o644)  # safetensors writes for the owner alone
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
    check_export(net, graph, stride)
    return LocatorEntry(
        onnx=_entry(graph),
        weights=_entry(weights),
        widths=config.widths,
        grid_mm=config.spacing_mm,
        stride=stride,
    )


def check_export(net: Locator, graph: Path, stride: int) -> float:
    """Return the largest difference between net and graph on noise.

    Raises
    ------
    BundleError
        If it is above :data:`TOLERANCE`.
    """
    noise = np.random.default_rng(0).normal(size=(1, 1, 5 * stride, 7 * stride)).astype(np.float32)
    with torch.inference_mode():
        wanted = net(torch.from_numpy(noise)).numpy()
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    got = session.run(None, {"slices": noise})[0]
    difference = float(np.abs(wanted - got).max())
    if difference > TOLERANCE:
        msg = f"graph must give the net's logits within {TOLERANCE}, got a difference of {difference:.2g}"
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


def _entry(path: Path) -> WeightFile:
    return WeightFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
