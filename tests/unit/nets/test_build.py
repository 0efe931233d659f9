"""Networks come from tables, with every mistake named before training begins."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.errors import ConfigError  # noqa: E402
from stenograde.nets.build import NETS, build_net, net_config  # noqa: E402
from stenograde.nets.encoder import SmallResnetConfig  # noqa: E402
from stenograde.nets.five_block_cnn import FiveBlockConfig  # noqa: E402

SMALL = {"widths": [16, 32], "depths": [1, 1]}
TABLES: dict[str, dict[str, Any]] = {
    "five_block_cnn": {"widths": [4, 6], "dense": [8]},
    "multi_attention_cnn": {"encoder": SMALL, "heads": 2},
    "stn_resnet": {"variant": "small", "small": SMALL, "localisation": [4, 4]},
    "slice_classifier": {"encoder": "resnet_tiny", "source": "own", "own": SMALL},
}


def test_there_is_a_table_for_every_net() -> None:
    # middle maps have a head that is not trained step by step; see their own tests
    assert TABLES.keys() | {"middle_maps"} == NETS.keys()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("channels", "extra"), [(1, 0), (3, 4)])
def test_every_net_has_one_form(name: str, channels: int, extra: int) -> None:
    net = build_net(name, TABLES[name], classes=3, channels=channels, size_px=(32, 48), extra=extra)
    found: list[torch.Tensor] = []
    net.cam_layer.register_forward_hook(lambda _module, _inputs, maps: found.append(maps))
    net.eval()
    logits = net(torch.rand(2, channels, 32, 48), torch.rand(2, extra) if extra else None)
    assert logits.shape == (2, 3)
    assert found[0].ndim == 4
    head = {id(weight) for weight in net.head.parameters()}
    assert head < {id(weight) for weight in net.parameters()}
    assert (net.config.classes, net.config.channels, net.config.extra) == (3, channels, extra)


def test_a_table_becomes_the_settings_of_its_net() -> None:
    config = net_config("five_block_cnn", {"dense": [8]}, classes=2, channels=1, size_px=(64, 64), extra=3)
    assert config == FiveBlockConfig(classes=2, channels=1, size_px=(64, 64), extra=3, dense=(8,))
    nested = net_config("multi_attention_cnn", {"encoder": SMALL}, classes=2, channels=1, size_px=(64, 64))
    assert nested.encoder == SmallResnetConfig(widths=(16, 32), depths=(1, 1))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("six_block_cnn", {}, "net must be one of five_block_cnn, .*, got 'six_block_cnn'"),
        ("five_block_cnn", {"width": [4]}, "net.five_block_cnn has no setting 'width'; it has: "),
        ("five_block_cnn", {"classes": 3}, "net.classes must be left out, as the data decides it, got 3"),
        ("five_block_cnn", {"block_dropout": 2.0}, "block_dropout must be from 0 to below 1"),
        ("slice_classifier", {"encoder": "resnet_tiny"}, "net.slice_classifier must set source"),
        (
            "slice_classifier",
            {"encoder": "x", "source": "monai"},
            "net.slice_classifier: encoder must be one of",
        ),
        ("stn_resnet", {"variant": "resnet18"}, "must be one of 'resnet50', 'small', got 'resnet18'"),
    ],
)
def test_mistakes_in_a_table_are_named(name: str, table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_net(name, table, classes=3, channels=1, size_px=(64, 64))
