"""Every net becomes an ONNX graph of any batch size that gives what the net gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnxruntime = pytest.importorskip("onnxruntime")

from stenograde.nets.build import build_net  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # the exporter without dynamo warns of its age
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),  # timm checks the size that it was given
]

SMALL = {"widths": [16, 32], "depths": [1, 1]}
BLURRED = {"widths": [16, 32], "depths": [1, 1], "norm": "group", "downsampling": "blurred"}
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("five_block_cnn", {"widths": [4, 6], "dense": [8]}, 0),
    ("five_block_cnn", {"widths": [4, 6], "dense": [8]}, 3),
    ("multi_attention_cnn", {"encoder": SMALL, "heads": 2}, 0),
    ("multi_attention_cnn", {"encoder": SMALL, "heads": 2}, 3),
    ("stn_resnet", {"variant": "small", "small": SMALL, "localisation": [4, 4]}, 0),
    ("slice_classifier", {"encoder": "resnet_tiny", "source": "own", "own": SMALL}, 3),
    ("slice_classifier", {"encoder": "resnet_tiny", "source": "own", "own": BLURRED}, 0),
    ("slice_classifier", {"encoder": "resnet_fine", "source": "own"}, 0),
    ("slice_classifier", {"encoder": "test_resnet", "source": "timm"}, 3),
    ("slice_classifier", {"encoder": "test_vit", "source": "timm"}, 0),
    (
        "middle_maps",
        {"encoder": "tf_efficientnet_lite0", "stages": [1, 2], "grid": 2, "look_px": 64, "closer": [0.5]},
        0,
    ),
    (
        "middle_maps",
        {"encoder": "tf_efficientnet_lite0", "stages": [2], "grid": 3, "look_px": 96, "ordinal": True},
        3,
    ),
]


@pytest.mark.parametrize(("name", "table", "extra"), CASES)
def test_graph_gives_what_the_net_gives(name: str, table: dict[str, Any], extra: int, tmp_path: Path) -> None:
    size_px = (40, 56) if table.get("source") == "own" or name == "multi_attention_cnn" else (64, 96)
    net = build_net(name, table, classes=3, channels=1, size_px=size_px, extra=extra)
    _unsettle(net)
    inputs = ["images", "extra"] if extra else ["images"]
    graph = tmp_path / "net.onnx"
    torch.onnx.export(
        net.eval(),
        tuple(_batch(2, size_px, extra).values()),
        graph,
        input_names=inputs,
        output_names=["logits"],
        dynamic_axes={place: {0: "batch"} for place in (*inputs, "logits")},
        opset_version=17,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    for n in (1, 5):
        batch = _batch(n, size_px, extra)
        with torch.inference_mode():
            wanted = net(**batch)
        got = session.run(None, {place: value.numpy() for place, value in batch.items()})[0]
        assert float(wanted.std()) > 1e-3
        torch.testing.assert_close(torch.from_numpy(got), wanted, atol=2e-4, rtol=1e-3)


def _unsettle(net: torch.nn.Module) -> None:
    """Give every weight and every running statistic a value of its own: nothing may agree by being zero."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        for name, statistic in net.named_buffers():
            if name.endswith("running_mean"):
                statistic.add_(0.1 * torch.randn_like(statistic))


def _batch(n: int, size_px: tuple[int, int], extra: int) -> dict[str, torch.Tensor]:
    images = {"images": torch.randn(n, 1, *size_px)}
    return {**images, "extra": torch.rand(n, extra)} if extra else images
