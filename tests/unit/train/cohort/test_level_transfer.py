"""The grader on a pre-trained encoder: mirroring, absence, mixing, and its graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.level_transfer import (  # noqa: E402
    FromMaps,
    LevelTransfer,
    LevelTransferConfig,
    Mixed,
    TransferGraph,
    looked_at,
)
from stenograde.train.weights.export import check_export, halve, write_graph  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # the exporter without dynamo warns of its age
    pytest.mark.filterwarnings("default::UserWarning"),
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),  # sizes of crops are fixed
]

TINY = LevelTransferConfig(frozen=True, stages=(2,), grid=3, slices=4, size_px=32, kept=4, features=8)


def made(seed: int = 0, look_px: int = 0) -> LevelTransfer:
    torch.manual_seed(seed)
    net = LevelTransfer(replace(TINY, look_px=look_px, stages=(1,) if look_px else TINY.stages))
    torch.nn.init.normal_(net.judge.of_level.weight)
    return net.eval()


def given(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(seed)
    crops = torch.randn(n, 2, 4, 4, 32, 32, generator=noise).clamp(-4, 4)
    known = torch.cat([torch.ones(n, 8), torch.eye(5)[torch.arange(n) % 5]], dim=1)
    return crops, known


def test_mirroring_a_patient_swaps_left_and_right() -> None:
    net, (crops, known) = made(), given(3)
    with torch.no_grad():
        said, mirrored = net(crops, known), net(crops.flip(1), known)
    torch.testing.assert_close(mirrored, said[:, [0, 2, 1, 4, 3]])
    assert float((said[:, 1] - said[:, 2]).abs().max()) > 1e-3


def test_absent_crops_do_not_matter() -> None:
    net, (crops, known) = made(), given(2)
    known[:, 1] = known[:, 6] = 0
    other = crops.clone()
    other[:, 0, 1], other[:, 1, 2] = 3.0, -3.0
    with torch.no_grad():
        torch.testing.assert_close(net(crops, known), net(other, known))


def test_the_level_matters_and_absence_too() -> None:
    net, (crops, known) = made(), given(1)
    other = known.clone()
    other[:, 8:] = torch.eye(5)[4]
    fewer = known.clone()
    fewer[:, 0] = 0
    with torch.no_grad():
        said = net(crops, known)
        assert float((net(crops, other) - said).abs().max()) > 1e-3
        assert float((net(crops, fewer) - said).abs().max()) > 1e-4


def test_maps_and_crops_give_the_same() -> None:
    net, (crops, known) = made(), given(2)
    with torch.no_grad():
        torch.testing.assert_close(FromMaps(net)(net.maps(crops), known), net(crops, known))


def test_mixing_is_of_the_features_of_the_one_before() -> None:
    net, (crops, known) = made(), given(3)
    mixed = Mixed(net)
    own = torch.full((3, 1), 0.7)
    with torch.no_grad():
        features = net.features(net.maps(crops))
        wanted = net.judge(0.7 * features + 0.3 * features.roll(1, 0), known)
        mixed.train()
        net.eval()  # no drop-out, only the mixing is asked about
        torch.testing.assert_close(mixed(crops, torch.cat([known, own], dim=1)), wanted)
        mixed.eval()
        torch.testing.assert_close(mixed(crops, torch.cat([known, own], dim=1)), net(crops, known))


def test_the_graph_is_the_mean_of_the_nets_and_keeps_halves(tmp_path: Path) -> None:
    nets = [made(0), made(1)]
    nets[1].encoder.load_state_dict(nets[0].encoder.state_dict())
    graph = TransferGraph(nets).eval()
    with torch.no_grad():
        for value in graph.state_dict().values():
            if value.ndim > 1 and value.is_floating_point():
                value.copy_(value.half())
        crops, known = given(2)
        wanted = (nets[0](crops, known) + nets[1](crops, known)) / 2
        said, strange = graph(crops, known[:, :8].unflatten(1, (2, 4)), known[:, 8:])
    torch.testing.assert_close(said, wanted)
    assert strange.shape == (2, 2, 4)

    def fed(n: int) -> dict[str, torch.Tensor]:
        crops, known = given(n, seed=n)
        return {"crops": crops, "present": known[:, :8].unflatten(1, (2, 4)), "level": known[:, 8:]}

    path = tmp_path / "grader.onnx"
    write_graph(graph, path, fed, outputs=("logits", "strangeness"), folded=False)
    before = path.stat().st_size
    halve(path)
    assert path.stat().st_size < 0.8 * before
    assert check_export(graph, path, fed(3)) < 1e-3


def test_the_graph_is_the_mean_of_five_looks_at_crops_that_are_shifted(tmp_path: Path) -> None:
    net, (crops, known) = made(look_px=2), given(3)
    present, level = known[:, :8].unflatten(1, (2, 4)), known[:, 8:]
    looks = [crops]
    for axis, by in ((-2, 2), (-2, -2), (-1, 2), (-1, -2)):
        shifted = crops.roll(by, axis)
        shifted.narrow(axis, 0 if by > 0 else 30, 2).zero_()  # nothing comes in
        looks.append(shifted)
    with torch.no_grad():
        each = [net(look, known) for look in looks]
        strange = [net.strangeness(net.features(net.maps(look))) for look in looks]
        said = TransferGraph([net]).eval()(crops, present, level)
        for look, by in zip(looks, net.config.looks, strict=True):
            torch.testing.assert_close(looked_at(crops, by), look)
    torch.testing.assert_close(said[0], torch.stack(each).mean(dim=0))
    torch.testing.assert_close(said[1], torch.stack(strange).mean(dim=0))
    assert float((said[0] - each[0]).abs().max()) > 1e-4

    def fed(n: int) -> dict[str, torch.Tensor]:
        crops, known = given(n, seed=n)
        return {"crops": crops, "present": known[:, :8].unflatten(1, (2, 4)), "level": known[:, 8:]}

    path = tmp_path / "grader.onnx"
    write_graph(TransferGraph([net]).eval(), path, fed, outputs=("logits", "strangeness"), folded=False)
    assert check_export(TransferGraph([net]).eval(), path, fed(4)) < 1e-3


@pytest.mark.parametrize(
    "wrong", [{"look_px": -1}, {"look_px": 80}, {"slices": 2}, {"grid": 0}, {"dropout": 1.0}]
)
def test_shapes_must_make_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        LevelTransferConfig(**wrong)  # type: ignore[arg-type]


def test_strangeness_is_one_for_the_usual() -> None:
    from stenograde.nets.level_grader import usual_of

    net = made()
    values = torch.from_numpy(np.random.default_rng(0).normal(3, 2, (400, 8))).float()
    for kind in range(4):
        net.feature_mean[kind], net.whitening[kind] = usual_of(values)
    features = values[:, None, None, None].expand(-1, 2, 4, 2, -1)
    found = net.strangeness(features).square().mean()
    assert float(found) == pytest.approx(1, abs=0.1)
    assert float(net.strangeness(features + 40).min()) > 5
