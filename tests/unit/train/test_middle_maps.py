"""Middle maps of a frozen encoder: the graph gives what timm's whole network computes on its way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="needs the extra 'train'")

from stenograde.errors import BundleError  # noqa: E402
from stenograde.nets.efficientnet_lite import PACKAGES  # noqa: E402
from stenograde.nets.library_encoders import TimmEncoder  # noqa: E402
from stenograde.nets.middle_maps import MiddleMaps  # noqa: E402
from stenograde.nets.weights import load_weights  # noqa: E402
from stenograde.predict.middle_maps import MiddleMapsEntry, features_of, open_middle_maps, pooled  # noqa: E402
from stenograde.predict.weight_files import WeightFile  # noqa: E402
from stenograde.train.weights.middle_maps import export_middle_maps  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # the exporter without dynamo warns of its age
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),  # timm checks the size that it was given
]

LITE = "tf_efficientnet_lite0"


@pytest.mark.parametrize(("size", "grid"), [((20, 20), 5), ((11, 13), 5), ((10, 8), 6), ((3, 4), 6)])
def test_pooling_is_torchs(size: tuple[int, int], grid: int) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    wanted = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(maps), grid)
    np.testing.assert_allclose(pooled(maps, grid), wanted.numpy(), atol=1e-6)


def test_the_graph_gives_the_maps_of_the_whole_network(tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[LITE], reason="needs the extra 'weights'")
    entry = export_middle_maps(tmp_path, LITE, (2, 4))
    assert (tmp_path / entry.onnx.file).stat().st_size < 2e6
    kinds = {node.op_type for node in onnx.load(tmp_path / entry.onnx.file).graph.node}
    assert "Conv" in kinds
    assert "Pad" not in kinds, "convolutions pad by themselves"
    pictures = np.random.default_rng(1).uniform(-1, 1, (3, 64, 96)).astype(np.float32)
    found = features_of(open_middle_maps(tmp_path, entry), entry, pictures, (4, 6))

    whole = TimmEncoder(LITE, channels=3, size_px=(64, 96)).eval()
    load_weights(whole, "imagenet")
    seen: dict[int, torch.Tensor] = {}
    for stage in (2, 4):
        whole.net.blocks[stage].register_forward_hook(
            lambda _, __, output, stage=stage: seen.update({stage: output})
        )
    with torch.no_grad():
        whole(torch.from_numpy(pictures)[:, None].expand(-1, 3, -1, -1))
    wanted = torch.cat([torch.nn.functional.adaptive_avg_pool2d(seen[stage], (4, 6)) for stage in (2, 4)], 1)
    assert found.shape == wanted.shape == (3, 152, 4, 6)
    # kernels are kept in 16 bits
    np.testing.assert_allclose(found, wanted.numpy(), atol=0.02 * float(wanted.std()))


def test_what_is_frozen_stays_so() -> None:
    net = MiddleMaps(LITE, (1,))
    net.train()
    assert not any(module.training for module in net.modules())
    assert not any(value.requires_grad for value in net.parameters())


@pytest.mark.parametrize("stages", [(), (7,), (-1, 2)])
def test_stages_must_be_those_of_the_network(stages: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="stages must be from 0 to 6 of an EfficientNet"):
        MiddleMaps(LITE, stages)


def test_a_graph_of_something_else_is_refused(tmp_path: Path) -> None:
    net = torch.nn.Conv2d(3, 1, 1)
    torch.onnx.export(net, (torch.zeros(1, 3, 4, 4),), tmp_path / "x.onnx", input_names=["x"], dynamo=False)
    entry = MiddleMapsEntry(WeightFile("x.onnx", ""), LITE, (2,), "")
    with pytest.raises(BundleError, match=r"x.onnx must take grey 'pictures' and give the maps of 1 stages"):
        open_middle_maps(tmp_path, entry)
