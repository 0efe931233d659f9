"""Self-attention sees all places and where they are, slots compete and are steady, CBAM only weakens."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import nn  # noqa: E402

from stenograde.nets.attention import Cbam, GatedUpdate, MultiHeadSelfAttention, SlotAttention  # noqa: E402


def _opened(block: MultiHeadSelfAttention) -> MultiHeadSelfAttention:
    """Return the block with an output layer that is no longer zero."""
    nn.init.normal_(block.joined.weight)
    return block


def test_self_attention_starts_by_changing_nothing() -> None:
    maps = torch.randn(2, 8, 3, 5)
    assert MultiHeadSelfAttention(8, 2, (3, 5))(maps).equal(maps)


def test_self_attention_is_that_of_torch() -> None:
    block = _opened(MultiHeadSelfAttention(8, 2, (3, 5)))
    theirs = nn.MultiheadAttention(8, 2, batch_first=True)
    layers = (block.queries, block.keys, block.values)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in layers]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in layers]))
        theirs.out_proj.weight.copy_(block.joined.weight)
        theirs.out_proj.bias.copy_(block.joined.bias)
    maps = torch.randn(2, 8, 3, 5)
    places = block.norm((maps + block.positions).flatten(2).transpose(1, 2))
    wanted = maps + theirs(places, places, places)[0].transpose(1, 2).unflatten(2, (3, 5))
    torch.testing.assert_close(block(maps), wanted)


def test_self_attention_carries_news_to_every_place() -> None:
    block = _opened(MultiHeadSelfAttention(8, 2, (3, 5)))
    maps = torch.randn(1, 8, 3, 5)
    changed = maps.clone()
    changed[0, :, 2, 4] += torch.randn(8)
    assert bool((block(changed) - block(maps)).abs().amax(dim=1).gt(0).all())


def test_self_attention_knows_left_from_right() -> None:
    block = _opened(MultiHeadSelfAttention(8, 2, (3, 5)))
    nn.init.normal_(block.positions)
    maps = torch.randn(1, 8, 3, 5)
    assert not torch.allclose(block(maps.flip(3)).flip(3), block(maps), atol=1e-4)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide the map's 8 channels, got 3"):
        MultiHeadSelfAttention(8, 3, (2, 2))


def test_gated_update_is_the_gru_cell_of_torch() -> None:
    ours, theirs = GatedUpdate(6), nn.GRUCell(6, 6)
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.of_news.weight)
        theirs.bias_ih.copy_(ours.of_news.bias)
        theirs.weight_hh.copy_(ours.of_state.weight)
        theirs.bias_hh.copy_(ours.of_state.bias)
    news, state = torch.randn(4, 6), torch.randn(4, 6)
    torch.testing.assert_close(ours(news, state), theirs(news, state))


def test_slots_are_drawn_in_training_and_steady_at_evaluation() -> None:
    slots, maps = SlotAttention(8, 3, (4, 4)), torch.randn(2, 8, 4, 4)
    assert not slots(maps).equal(slots(maps))
    slots.eval()
    assert slots(maps).equal(slots(maps))
    assert slots.start(2).equal(slots.mean.expand(2, -1, -1))


def test_slots_are_drawn_from_the_learned_distribution() -> None:
    slots = SlotAttention(4, 2, (2, 2))
    with torch.no_grad():
        slots.mean.copy_(torch.tensor([[1.0] * 4, [-1.0] * 4]))
        slots.log_sigma.copy_(torch.tensor([[0.0] * 4, [-2.0] * 4]))
    drawn = slots.start(4000)
    torch.testing.assert_close(drawn.mean(dim=0), slots.mean.detach(), atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.std(dim=0), slots.log_sigma.detach().exp(), atol=0.05, rtol=0)


def test_slots_share_each_place_and_differ_from_one_another() -> None:
    slots = SlotAttention(8, 3, (4, 5)).eval()
    with torch.inference_mode():
        maps = torch.randn(2, 8, 4, 5)
        shares, found = slots.shares(maps), slots(maps)
    assert shares.shape == (2, 3, 4, 5)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, 4, 5))
    assert float((found[:, 0] - found[:, 1]).abs().max()) > 0.01


def test_slots_take_as_many_rounds_as_they_are_told() -> None:
    one, three = SlotAttention(8, 3, (4, 4), iterations=1).eval(), SlotAttention(8, 3, (4, 4)).eval()
    three.load_state_dict(one.state_dict())
    maps = torch.randn(1, 8, 4, 4)
    assert not torch.allclose(one(maps), three(maps), atol=1e-3)


def test_the_distribution_of_slots_learns() -> None:
    slots = SlotAttention(8, 3, (4, 4))
    slots(torch.randn(2, 8, 4, 4)).square().mean().backward()
    assert all(weight.grad is not None and bool(weight.grad.any()) for weight in slots.parameters())


def test_cbam_weakens_each_value_by_its_channel_and_its_place() -> None:
    maps = torch.rand(2, 32, 5, 7) + 0.5
    scale = Cbam(32).eval()(maps) / maps
    assert bool(((scale > 0) & (scale < 1)).all())
    # one factor for each channel times one for each place: every scale map is the first, times a number
    ratio = scale / scale[:, :1]
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))


def test_weights_of_cbam_are_those_of_a_hand_count() -> None:
    channels = (32 * 2 + 2) + (2 * 32 + 32)
    places = 2 * 7 * 7 + 2
    assert sum(weight.numel() for weight in Cbam(32).parameters()) == channels + places
