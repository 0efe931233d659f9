"""A graph's convolutions in 8 bits: post-training static quantization by ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

Fed = Mapping[str, NDArray[np.float32]]
"""What a graph is given, by the names of its inputs."""


def quantize(graph: Path, out: Path, seen: Iterable[Fed]) -> None:
    """Write a graph whose convolutions, all but the first and the last, calculate in 8 bits.

    Weights have a scale for each channel and 7 bits, so that sums of products fit on processors without instructions
    for 8 bits (AVX2) as on those with them (VNNI); activations have one scale and 8 bits, from the least to the most
    that is seen. The first convolution reads the picture and the last says what it shows: both stay exact.

    Parameters
    ----------
    graph : Path
        ONNX, in 32 bits.
    out : Path
        Where it is written; may be ``graph``.
    seen : iterable of mapping
        Inputs such as the graph will be given, which the scales of activations are taken from.
    """
    with TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(graph, prepared, skip_symbolic_shape=True)
        convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
        level, root = logging.getLogger().level, logging.getLogger()
        root.setLevel(logging.ERROR)  # (it warns that it was given what it asks for)
        try:
            quantize_static(
                prepared,
                out,
                _Reader(seen),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
                calibrate_method=CalibrationMethod.MinMax,
                nodes_to_exclude=[convolutions[0], convolutions[-1]],
            )
        finally:
            root.setLevel(level)


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # (untyped)
    """Gives inputs one by one, then None."""

    def __init__(self, seen: Iterable[Fed]) -> None:
        self._left = iter(seen)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input."""
        given = next(self._left, None)
        return None if given is None else dict(given)
