"""Disc instances, heat maps and the loss with partial labels."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.spider_files import picture_and_mask  # noqa: E402

from stenograde.datasets.marked_slice import NOT_VERTEBRA, UNKNOWN, MarkedSlice  # noqa: E402
from stenograde.train.locator.augment import AugmentConfig  # noqa: E402
from stenograde.train.locator.samples import LocatorSamples, disc_instances, heat_maps, loss_of  # noqa: E402


def _batch(mask: np.ndarray, *, discs_known: bool = True) -> dict[str, torch.Tensor]:
    return {
        "mask": torch.from_numpy(mask.astype(np.int64))[None],
        "heat": torch.zeros(1, 2, *mask.shape),
        "heat_known": torch.tensor([float(discs_known)]),
        "weight": torch.ones(1),
    }


def _sure(mask: np.ndarray) -> torch.Tensor:
    logits = torch.full((1, 6, *mask.shape), -20.0)
    logits.scatter_(1, torch.from_numpy(mask.astype(np.int64))[None, None], 20.0)
    logits[:, 4:] = -20.0
    return logits


def test_discs_are_numbered_from_the_lowest() -> None:
    instances = disc_instances(picture_and_mask()[1], (0.6, 0.6))
    rows = [np.argwhere(instances == number)[:, 0].mean() for number in (1, 2, 3, 4)]
    assert rows == sorted(rows, reverse=True)
    assert instances.max() == 4


def test_pieces_of_one_disc_share_a_number() -> None:
    mask = picture_and_mask()[1]
    mask[:, 48:52][mask[:, 48:52] == 2] = 0
    assert disc_instances(mask, (0.8, 0.8)).max() == 4


def test_specks_are_no_discs() -> None:
    mask = np.zeros((50, 50), np.uint8)
    mask[10:13, 10:13] = 2
    assert disc_instances(mask, (0.6, 0.6)).max() == 0


def test_heat_peaks_at_disc_centres_and_the_second_map_at_the_lowest_alone() -> None:
    instances = disc_instances(picture_and_mask()[1], (0.6, 0.6))
    heat = heat_maps(instances, 0.6)
    row, column = np.argwhere(instances == 1).mean(axis=0)
    assert heat[:, round(row), round(column)] == pytest.approx([1.0, 1.0], abs=0.02)
    upper = np.argwhere(instances == 3).mean(axis=0)
    assert heat[0, round(upper[0]), round(upper[1])] > 0.98
    assert heat[1, round(upper[0]), round(upper[1])] < 1e-6


def test_a_right_answer_costs_next_to_nothing_and_a_wrong_one_much() -> None:
    mask = picture_and_mask()[1]
    right = float(loss_of(_sure(mask), _batch(mask)))
    wrong = float(loss_of(_sure(np.where(mask == 3, 2, mask)), _batch(mask)))
    assert right < 1e-3
    assert wrong > 0.5


def test_unknown_pixels_do_not_count() -> None:
    mask = np.full((32, 32), UNKNOWN, np.uint8)
    mask[:8] = 1
    logits = torch.randn(1, 6, 32, 32, requires_grad=True)
    loss_of(logits, _batch(mask, discs_known=False)).backward()
    assert logits.grad is not None
    assert bool((logits.grad[:, :4, 8:] == 0).all())
    assert bool(logits.grad[:, :4, :8].any())


def test_not_vertebra_is_content_with_any_other_class() -> None:
    mask = np.full((16, 16), NOT_VERTEBRA, np.uint8)
    batch = _batch(mask, discs_known=False)
    for other in (0, 2, 3):
        assert float(loss_of(_sure(np.full((16, 16), other, np.uint8)), batch)) < 1e-3
    assert float(loss_of(_sure(np.full((16, 16), 1, np.uint8)), batch)) > 5


def test_samples_depend_on_epoch_and_index_alone() -> None:
    picture, mask = picture_and_mask()
    one = MarkedSlice("a", "a", picture.astype(np.float32), mask, (0.6, 0.6))
    samples = LocatorSamples([one], [0.5], AugmentConfig(size_px=(64, 64)), grid_mm=0.6, seed=3)
    again, first = samples[(2, 0)], samples[(2, 0)]
    assert all(torch.equal(again[name], first[name]) for name in first)
    assert not torch.equal(samples[(3, 0)]["input"], first["input"])
    assert float(first["weight"]) == 0.5


def test_a_slice_without_mask_cannot_be_trained_on() -> None:
    one = MarkedSlice("a", "a", np.zeros((4, 4), np.float32), None, (1.0, 1.0))
    with pytest.raises(ValueError, match="slice a must have a mask"):
        LocatorSamples([one], [1.0], AugmentConfig(), grid_mm=0.6, seed=0)


def test_slices_in_turn_are_all_shown_before_one_comes_again() -> None:
    mask = np.zeros((16, 16), np.uint8)
    slices = [
        MarkedSlice(str(k), str(k), np.full((16, 16), k, np.float32), mask, (1.0, 1.0)) for k in range(6)
    ]
    samples = LocatorSamples(
        slices[:1], [1.0], AugmentConfig(size_px=(16, 16)), grid_mm=1.0, seed=3, in_turn=slices[1:], turn=2
    )
    assert len(samples) == 3
    shown = [samples._slice(epoch, index).picture[0, 0] for epoch in range(5) for index in (1, 2)]
    assert sorted(shown[:5]) == sorted(shown[5:]) == [1, 2, 3, 4, 5]
    assert all(samples._slice(epoch, 0).picture[0, 0] == 0 for epoch in range(3))
