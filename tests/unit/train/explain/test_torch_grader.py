"""The net that is explained is the net that grades, of either kind; its attention sums to one over what is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("captum", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from stenograde.config import as_plain  # noqa: E402
from stenograde.errors import BundleError  # noqa: E402
from stenograde.nets.level_transfer import LevelTransfer, LevelTransferConfig, TransferGraph  # noqa: E402
from stenograde.predict.bundle import default_bundle  # noqa: E402
from stenograde.predict.weight_files import WeightFile  # noqa: E402
from stenograde.train.explain.torch_grader import TorchGrader, check_same, open_torch_grader  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default::UserWarning")

CONFIG = LevelTransferConfig(frozen=True, stages=(1,), grid=2, slices=5, size_px=32, kept=4, features=8)


def fed(size_px: int, n: int = 2) -> dict[str, torch.Tensor]:
    noise = torch.Generator().manual_seed(0)
    crops = torch.randn(n, 2, 4, 5, size_px, size_px, generator=noise).clamp(-4, 4)
    present = torch.ones(n, 2, 4)
    present[0, 0, 1] = present[0, 1, 3] = 0
    return {"crops": crops, "present": present, "level": torch.eye(5)[:n]}


def written(
    folder: Path, *, frozen: bool = True, shape: dict[str, object] | None = None
) -> tuple[object, TransferGraph]:
    """A bundle as 'train rsna2024' keeps its grader: weights of all nets, a frozen encoder once, the shape beside."""
    config = replace(CONFIG, frozen=frozen)
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = LevelTransfer(config)
        for value in (net.judge.over_slices, net.judge.over_kinds):
            torch.nn.init.normal_(value)
        nets.append(net)
    if frozen:
        nets[1].encoder.load_state_dict(nets[0].encoder.state_dict())
    graph = TransferGraph(nets).eval()
    state = {
        name: value.contiguous()
        for name, value in graph.state_dict().items()
        if not (frozen and ".encoder." in name and not name.startswith("nets.0."))
    }
    save_file(state, folder / "grader.safetensors")
    net_shape = as_plain(config) | (shape or {})
    (folder / "training.json").write_text(json.dumps({"training": {"net": net_shape}}), encoding="utf-8")
    entry = SimpleNamespace(takes_level=True, weights=WeightFile("grader.safetensors", ""), onnx=None)
    return SimpleNamespace(folder=folder, table=SimpleNamespace(grader=entry, name="made")), graph


@pytest.mark.parametrize("frozen", [True, False])
def test_the_net_of_a_cohort_bundle_is_read_back(tmp_path: Path, frozen: bool) -> None:
    bundle, graph = written(tmp_path, frozen=frozen)
    given = fed(32)
    grader = open_torch_grader(bundle)  # type: ignore[arg-type]
    with torch.no_grad():
        wanted = graph(*given.values())[0]
        for i in range(2):
            one = {name: value[i : i + 1] for name, value in given.items()}
            torch.testing.assert_close(grader.logits(*one.values()), wanted[i : i + 1], atol=1e-5, rtol=1e-4)


def test_attention_sums_to_one_over_the_crops_that_are_there(tmp_path: Path) -> None:
    grader = open_torch_grader(written(tmp_path)[0])  # type: ignore[arg-type]
    found = grader.attention(*(value[:1] for value in fed(32).values()))
    torch.testing.assert_close(found.crops.sum(dim=1), torch.ones(2, 3))
    assert not found.crops[0, 1].any()
    assert not found.crops[1, 3].any()
    assert found.slices is not None
    assert found.slices.shape == (2, 4, 5, 3)
    torch.testing.assert_close(found.slices.sum(dim=2), torch.ones(2, 4, 3))
    assert not found.slices[:, :, [0, -1]].any(), "the outermost slices are only looked at beside others"
    assert float(found.slices[0, 0, 1:-1].std()) > 1e-3


def test_the_shipped_grader_is_read_back_and_weighs_crops_alone() -> None:
    bundle = default_bundle()
    grader, given = open_torch_grader(bundle), fed(80)
    check_same(bundle, grader, given)
    found = grader.attention(*(value[:1] for value in given.values()))
    torch.testing.assert_close(found.crops.sum(dim=1), torch.ones(2, 3))
    assert not found.crops[0, 1].any()
    assert found.slices is None


def test_another_net_than_the_one_that_grades_is_refused() -> None:
    bundle = default_bundle()
    grader = open_torch_grader(bundle)
    with torch.no_grad():
        grader.graph.net.heads[0].bias += 0.1  # type: ignore[union-attr, operator]
    with pytest.raises(BundleError, match="graph must give what the net gives"):
        check_same(bundle, TorchGrader(grader.graph), fed(80))


@pytest.mark.parametrize("shape", [{"features": 16}, {"colours": 3}])
def test_weights_of_another_shape_are_refused(tmp_path: Path, shape: dict[str, object]) -> None:
    bundle, _ = written(tmp_path, shape=shape)
    with pytest.raises(BundleError, match=r"grader.safetensors must be of a net .* train the grader again"):
        open_torch_grader(bundle)  # type: ignore[arg-type]


def test_a_bundle_without_a_grader_is_refused() -> None:
    bundle = SimpleNamespace(table=SimpleNamespace(grader=None, name="plain"))
    with pytest.raises(BundleError, match="bundle 'plain' must have a grader, got none"):
        open_torch_grader(bundle)  # type: ignore[arg-type]
