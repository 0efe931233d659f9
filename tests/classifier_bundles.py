"""A small classifier bundle whose answers can be told by hand: logits linear in mean brightness and level."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stenograde.images.pictures import InputConfig, PictureConfig
from stenograde.predict.classifier import ClassifierTable
from stenograde.terms import Level
from stenograde.train.weights.bundle_toml import as_toml, weight_file

SIZE = (16, 16)
SLOPE = np.array([[4.0, 0.0, -4.0]], np.float32)
OFFSET = np.array([0.0, 1.0, 0.5], np.float32)
OF_LEVEL = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]], np.float32)
LEVELS = (Level.L3_L4, Level.L4_L5)


def expected(means: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Probabilities of pictures of these mean brightnesses (0 to 1) and places of levels."""
    logits = means[:, None] * SLOPE + OFFSET + OF_LEVEL[levels]
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


def write_classifier(folder: Path, **changes: Any) -> Path:
    """Write the bundle; settings of its table can be changed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.onnx").write_bytes(_graph().SerializeToString())
    (folder / "net.safetensors").write_bytes(b"weights")
    settings: dict[str, Any] = {
        "kind": "classifier",
        "name": "brightness",
        "version": "0",
        "task": "how bright a picture is",
        "classes": ("no", "mild", "serious"),
        "graphs": (weight_file(folder / "net.onnx"),),
        "weights": (weight_file(folder / "net.safetensors"),),
        "picture": PictureConfig(size_px=SIZE),
        "input": InputConfig(channels=1),
        "levels": LEVELS,
        "level_names": {"D3": Level.L3_L4, "D4": Level.L4_L5},
        "level_pattern": r"_(D[345])",
    }
    table = asdict(ClassifierTable(**(settings | changes)))
    (folder / "bundle.toml").write_text(as_toml(table), encoding="utf-8")
    (folder / "card.md").write_text("# brightness\n", encoding="utf-8")
    return folder


def _graph() -> onnx.ModelProto:
    tensors = {"slope": SLOPE, "offset": OFFSET, "of_level": OF_LEVEL}
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
            helper.make_node("Gemm", ["mean", "slope", "offset"], ["of_picture"]),
            helper.make_node("MatMul", ["extra", "of_level"], ["of_extra"]),
            helper.make_node("Add", ["of_picture", "of_extra"], ["logits"]),
        ],
        "brightness",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, *SIZE]),
            helper.make_tensor_value_info("extra", TensorProto.FLOAT, ["n", 2]),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
