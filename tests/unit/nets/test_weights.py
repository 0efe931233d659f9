"""Stored weights fill a network with an account of what fitted; code is never run and nothing is silent."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("safetensors", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from stenograde.errors import BundleError  # noqa: E402
from stenograde.nets.build import build_net  # noqa: E402
from stenograde.nets.encoder import SmallResnet, SmallResnetConfig  # noqa: E402
from stenograde.nets.weights import LEAST_SHARE, load_weights, read_weights  # noqa: E402
from stenograde.train.loop.checkpoint import write_weights  # noqa: E402

SHAPE = SmallResnetConfig(widths=(16, 32), depths=(1, 1))
TABLE: dict[str, Any] = {
    "encoder": "resnet_tiny",
    "source": "own",
    "own": {"widths": [16, 32], "depths": [1, 1]},
}


def _net(*, classes: int = 3, channels: int = 1) -> torch.nn.Module:
    return build_net("slice_classifier", TABLE, classes=classes, channels=channels, size_px=(32, 32))


def _saved(path: Path, state: dict[str, torch.Tensor]) -> Path:
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


def test_weights_kept_in_half_the_size_start_a_net_that_says_nearly_the_same(tmp_path: Path) -> None:
    first, second = _net().eval(), _net().eval()
    whole, half = (
        write_weights(first, tmp_path / f"{half}.safetensors", half=half) for half in (False, True)
    )
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert load_weights(second, half).missing == ()
    assert {weight.dtype for weight in second.parameters()} == {torch.float32}
    images = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(second(images), first(images), atol=5e-3, rtol=5e-3)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def test_a_network_takes_its_own_weights_back(tmp_path: Path) -> None:
    first, second = _net(), _net()
    path = _saved(tmp_path / "net.safetensors", first.state_dict())
    report = load_weights(second, path)
    assert all(value.equal(first.state_dict()[name]) for name, value in second.state_dict().items())
    assert set(report.matched) == {name for name in first.state_dict() if not _is_counter(name)}
    assert report.missing == report.unexpected == report.reshaped == report.dropped == ()
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    n = len(report.matched)
    assert report.pretrained == f"pre-trained: yes, {n} of {n} tensors from net.safetensors"


def test_weights_of_an_encoder_alone_fill_the_encoder_and_leave_the_head(tmp_path: Path) -> None:
    encoder, net = SmallResnet(SHAPE), _net()
    head = net.head.linear.weight.detach().clone()
    report = load_weights(net, _saved(tmp_path / "encoder.safetensors", encoder.state_dict()))
    assert net.encoder.stem[0].weight.equal(encoder.stem[0].weight)
    assert net.head.linear.weight.equal(head)
    assert report.missing == ("head.linear.weight", "head.linear.bias")
    assert all(name.startswith("encoder.") for name in report.matched)
    filled = len(report.matched)
    assert report.pretrained.startswith(f"pre-trained: yes, {filled} of {filled + 2} tensors")


def test_a_head_for_other_classes_is_left_as_it_is(tmp_path: Path) -> None:
    net = _net(classes=2)
    head = net.head.linear.weight.detach().clone()
    report = load_weights(net, _saved(tmp_path / "net.safetensors", _net(classes=3).state_dict()))
    assert report.dropped == ("head.linear.bias", "head.linear.weight")
    assert set(report.missing) == set(report.dropped)
    assert net.head.linear.weight.equal(head)


def test_a_stem_for_three_channels_gives_for_one_what_it_gave_for_three_equal_ones(tmp_path: Path) -> None:
    colour, grey = _net(channels=3).eval(), _net(channels=1).eval()
    report = load_weights(grey, _saved(tmp_path / "net.safetensors", colour.state_dict()))
    assert report.reshaped == ("encoder.stem.0.weight",)
    images = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)


def test_a_stem_for_one_channel_gives_the_same_for_three_equal_ones(tmp_path: Path) -> None:
    colour, grey = _net(channels=3).eval(), _net(channels=1).eval()
    load_weights(colour, _saved(tmp_path / "net.safetensors", grey.state_dict()))
    images = torch.randn(2, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(colour(images.expand(-1, 3, -1, -1)), grey(images), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", ""])
def test_checkpoints_of_trainers_are_unwrapped(wrapper: str, prefix: str, tmp_path: Path) -> None:
    first, second = _net(), _net()
    state = {f"{prefix}{name}": value for name, value in first.state_dict().items()}
    torch.save({"epoch": 3, wrapper: state, "optimizer": {"lr": 0.1}}, tmp_path / "last.pth")
    assert load_weights(second, tmp_path / "last.pth").missing == ()
    assert second.head.linear.weight.equal(first.head.linear.weight)


def test_half_precision_is_read_and_old_files_may_lack_counters(tmp_path: Path) -> None:
    first, second = _net(), _net()
    state = {n: v.to(torch.bfloat16) for n, v in first.state_dict().items() if not _is_counter(n)}
    report = load_weights(second, _saved(tmp_path / "net.safetensors", state))
    assert report.missing == ()
    assert second.head.linear.weight.dtype == torch.float32
    torch.testing.assert_close(second.head.linear.weight, first.head.linear.weight, atol=1e-3, rtol=1e-2)


class _Code:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_with_code_is_refused_and_its_code_not_run(tmp_path: Path, legacy: bool) -> None:
    trap = tmp_path / "sprung"
    torch.save(
        {"state_dict": _net().state_dict(), "extra": _Code(trap)},
        tmp_path / "evil.pth",
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(BundleError, match=r"must be tensors alone, got evil\.pth, which asks to run code"):
        load_weights(_net(), tmp_path / "evil.pth")
    assert not trap.exists()


@pytest.mark.parametrize("name", ["noise.safetensors", "noise.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights", bytes(range(256)) * 8])
def test_damaged_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"weights must be .*, got {name}"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("keep", [20, 2000])
def test_a_file_cut_short_is_refused(keep: int, tmp_path: Path) -> None:
    torch.save(_net().state_dict(), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:keep])
    with pytest.raises(BundleError, match=r"weights must be .*, got cut\.pth"):
        read_weights(tmp_path / "cut.pth")


def test_a_missing_file_and_one_without_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="which does not exist"):
        read_weights(tmp_path / "none.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(BundleError, match=r"must hold tensors by name, got empty\.pth"):
        read_weights(tmp_path / "empty.pth")


def test_weights_of_another_network_are_refused_and_change_nothing(tmp_path: Path) -> None:
    other = SmallResnet(SmallResnetConfig(widths=(16, 32, 32), depths=(2, 2, 1)))
    larger = build_net(
        "slice_classifier",
        {**TABLE, "own": {"widths": [16, 32, 64], "depths": [2, 2, 2]}},
        classes=3,
        channels=1,
        size_px=(32, 32),
    )
    before = {name: value.clone() for name, value in larger.state_dict().items()}
    path = _saved(tmp_path / "other.safetensors", other.state_dict())
    with pytest.raises(BundleError, match=rf"must fill {LEAST_SHARE:.0%} .* those of another network"):
        load_weights(larger, path)
    assert all(value.equal(before[name]) for name, value in larger.state_dict().items())


def test_values_that_are_not_finite_are_refused_and_change_nothing(tmp_path: Path) -> None:
    state, net = _net().state_dict(), _net()
    state["head.linear.bias"] = torch.tensor([0.0, float("nan"), 0.0])
    before = net.encoder.stem[0].weight.detach().clone()
    with pytest.raises(BundleError, match=r"must be finite, got head\.linear\.bias of net\.safetensors"):
        load_weights(net, _saved(tmp_path / "net.safetensors", state))
    assert net.encoder.stem[0].weight.equal(before)


def test_tensors_without_a_place_are_reported(tmp_path: Path) -> None:
    state = {**_net().state_dict(), "projector.weight": torch.zeros(2)}
    report = load_weights(_net(), _saved(tmp_path / "net.safetensors", state))
    assert report.unexpected == ("projector.weight",)


def test_a_net_whose_dense_layer_depends_on_the_size_keeps_its_blocks(tmp_path: Path) -> None:
    table = {"widths": [4, 6, 8], "dense": [8]}
    small, large = (
        build_net("five_block_cnn", table, classes=3, channels=1, size_px=(size, size)) for size in (32, 64)
    )
    report = load_weights(large, _saved(tmp_path / "net.safetensors", small.state_dict()))
    assert report.dropped == ("dense.1.0.weight",)
    assert large.blocks[0][0].weight.equal(small.blocks[0][0].weight)


def _timm_net(name: str, size_px: tuple[int, int]) -> torch.nn.Module:
    return build_net(
        "slice_classifier", {"encoder": name, "source": "timm"}, classes=3, channels=1, size_px=size_px
    )


def test_a_transformer_takes_its_positions_to_another_size(tmp_path: Path) -> None:
    square, oblong = _timm_net("test_vit", (64, 64)), _timm_net("test_vit", (64, 96))
    with torch.no_grad():  # positions that grow by one from row to row
        rows = torch.arange(4.0).repeat_interleave(4)[None, :, None].expand(1, 16, 64)
        square.encoder.net.pos_embed[:, 1:] = rows
        square.encoder.net.pos_embed[:, :1] = 7.0
    report = load_weights(oblong, _saved(tmp_path / "vit.safetensors", square.encoder.net.state_dict()))
    assert report.reshaped == ("encoder.net.pos_embed",)
    found = oblong.encoder.net.pos_embed[0].detach()
    torch.testing.assert_close(found[0], torch.full((64,), 7.0))
    torch.testing.assert_close(found[1:, 0].unflatten(0, (4, 6)), torch.arange(4.0)[:, None].expand(4, 6))


def _hub_cache(folder: Path, repository: str, state: dict[str, torch.Tensor]) -> None:
    """Lay out one repository as the hub's client keeps it."""
    kept = folder / f"models--{repository.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0123")
    (kept / "snapshots" / "0123").mkdir(parents=True)
    _saved(kept / "snapshots" / "0123" / "model.safetensors", state)


def test_the_cache_of_the_hub_is_used_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = _timm_net("test_resnet", (64, 64))
    state = {name: torch.ones_like(value) for name, value in net.encoder.net.state_dict().items()}
    state["conv1.0.weight"] = torch.ones(net.encoder.net.conv1[0].weight.shape[0], 3, 3, 3)
    _hub_cache(tmp_path, "timm/test_resnet.r160_in1k", {**state, "fc.weight": torch.zeros(1000, 96)})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    report = load_weights(net, "hub")
    assert report.source == "timm/test_resnet.r160_in1k (hub)"
    assert report.unexpected == ("encoder.net.fc.weight",)
    assert report.reshaped == ("encoder.net.conv1.0.weight",)
    assert bool((net.encoder.net.conv1[0].weight == 3).all())  # the sum over three channels of ones


@pytest.mark.parametrize(
    ("offline", "message"),
    [(True, "when HF_HUB_OFFLINE is set"), (False, "the hub must answer within 5 s")],
)
def test_a_hub_out_of_reach_is_said_at_once(
    offline: bool, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = _timm_net("test_resnet", (64, 64))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(BundleError, match=message):
        load_weights(net, "hub")
    assert sum(slept) < 10


def test_our_own_encoder_has_nothing_on_the_hub() -> None:
    with pytest.raises(BundleError, match="a file for SliceClassifier, got 'hub'"):
        load_weights(_net(), "hub")
