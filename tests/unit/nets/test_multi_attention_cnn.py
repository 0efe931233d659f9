"""Each of the three attention modules can be switched by itself, and counts when it is on."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.encoder import SmallResnetConfig  # noqa: E402
from stenograde.nets.multi_attention_cnn import MultiAttentionCnn, MultiAttentionConfig  # noqa: E402

TINY = MultiAttentionConfig(
    size_px=(40, 56), encoder=SmallResnetConfig(widths=(16, 32), depths=(1, 1)), heads=4, n_slots=3
)
SETTINGS = list(product((False, True), repeat=3))


def _switched(self_attention: bool, slots: bool, cbam: bool) -> MultiAttentionCnn:
    torch.manual_seed(1)
    return MultiAttentionCnn(replace(TINY, self_attention=self_attention, slots=slots, cbam=cbam))


def test_all_eight_settings_differ_by_the_weights_of_their_modules() -> None:
    rows, columns = TINY.map_size
    assert (rows, columns) == (5, 7)
    width, places = 32, rows * columns
    linear = width * width
    of_self = width * places + 2 * width + 4 * (linear + width)
    of_slots = (
        2 * 3 * width + width * places + 2 * 2 * width + 3 * linear  # distribution, positions, norms, q k v
        + 2 * (3 * linear + 3 * width)  # the gated update
        + 2 * width + (2 * linear + 2 * width) + (2 * linear + width)  # refinement
        + 3 * width * TINY.classes  # the slots in the last layer
    )  # fmt: skip
    of_cbam = (width * 2 + 2) + (2 * width + width) + 2 * 49 + 2
    counts = {
        switches: sum(weight.numel() for weight in _switched(*switches).parameters()) for switches in SETTINGS
    }
    plain = counts[False, False, False]
    for switches in SETTINGS:
        added = sum(size for on, size in zip(switches, (of_self, of_slots, of_cbam), strict=True) if on)
        assert counts[switches] == plain + added
    assert len(set(counts.values())) == 8


@pytest.mark.parametrize("switches", SETTINGS)
def test_every_weight_of_every_setting_has_a_gradient(switches: tuple[bool, bool, bool]) -> None:
    net = _switched(*switches)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    images = torch.randn(6, 1, 40, 56)
    for _ in range(2):  # blocks that start as nothing let gradients through from the second step
        optimiser.zero_grad()
        net(images).square().mean().backward()
        optimiser.step()
    idle = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    # soft-max over places does not see what a bias adds to every key alike
    assert [name for name in idle if not name.endswith("keys.bias")] == []


def test_evaluation_gives_the_same_answer_twice_and_alone() -> None:
    net = _switched(True, True, True).eval()
    images = torch.randn(3, 1, 40, 56)
    with torch.inference_mode():
        together = net(images)
        assert together.equal(net(images))
        torch.testing.assert_close(net(images[1:2]), together[1:2], atol=1e-5, rtol=1e-4)


def test_cam_layer_gives_the_attended_maps() -> None:
    net, found = _switched(True, True, True).eval(), []
    net.cam_layer.register_forward_hook(lambda _module, _inputs, maps: found.append(maps))
    images = torch.randn(2, 1, 40, 56)
    logits = net(images)
    assert found[0].equal(net.attended(images))
    assert bool(torch.autograd.grad(logits[:, 0].sum(), found[0])[0].any())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 5}, "heads must divide the encoder's last width, 256, got 5"),
        ({"n_slots": 0}, "n_slots and .slot_iterations must be 1 or more, got 0 and 3"),
        ({"size_px": (16, 224)}, "size_px must be 32 or more"),
        ({"dropout": -0.1}, r"dropout must be from 0 to below 1, got -0\.1"),
    ],
)
def test_impossible_shapes_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiAttentionConfig(**settings)  # type: ignore[arg-type]
