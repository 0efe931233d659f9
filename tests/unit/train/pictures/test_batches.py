"""Batches depend on seed, epoch and number alone, are balanced as asked, and hold what a net takes."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.images.pictures import InputConfig  # noqa: E402
from stenograde.train.loop.batches import SeededBatches  # noqa: E402
from stenograde.train.loop.fit import FitConfig  # noqa: E402
from stenograde.train.pictures.augment import PictureAugment  # noqa: E402
from stenograde.train.pictures.batches import BatchConfig, as_input, picture_batches, plain_batches  # noqa: E402

FIT = FitConfig(batch=4, workers=0, seed=5)
CODES = np.repeat([0, 1, 2], [12, 5, 2])
PICTURES = np.random.default_rng(0).integers(0, 256, (19, 8, 10)).astype(np.uint8)
NUMBERS = np.arange(19, dtype=np.float32)[:, None]


def _targets(batches: SeededBatches, epoch: int = 0) -> list[int]:
    return [int(code) for batch in batches.batches(epoch, 0, 1) for code in batch["target"]]


def _equal(a: list[dict[str, torch.Tensor]], b: list[dict[str, torch.Tensor]]) -> bool:
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x) for x, y in zip(a, b, strict=True)
    )


def test_the_same_epoch_gives_the_same_batches_with_any_number_of_threads() -> None:
    config = BatchConfig(balance="augmentation", augment=PictureAugment(noise=0.1))
    one = picture_batches(PICTURES, CODES, config, fit=FIT)
    many = picture_batches(PICTURES, CODES, config, fit=replace(FIT, workers=3))
    assert _equal(list(one.batches(2, 0, 1)), list(many.batches(2, 0, 1)))
    assert not _equal(list(one.batches(2, 0, 1)), list(one.batches(3, 0, 1)))


def test_processes_share_the_batches_out() -> None:
    batches = picture_batches(PICTURES, CODES, BatchConfig(balance="augmentation"), fit=FIT)
    alone = list(batches.batches(1, 0, 1))
    shared = [list(batches.batches(1, rank, 2)) for rank in (0, 1)]
    assert _equal(alone[0::2], shared[0])
    assert _equal(alone[1::2], shared[1])
    assert len(alone) == len(batches) == 9


def test_augmentation_gives_each_class_as_many_as_the_largest() -> None:
    batches = picture_batches(
        PICTURES, CODES, BatchConfig(balance="augmentation"), fit=replace(FIT, batch=36)
    )
    assert np.bincount(_targets(batches)).tolist() == [12, 12, 12]


def test_sampling_gives_classes_alike_and_no_more_than_there_are() -> None:
    batches = picture_batches(PICTURES, CODES, BatchConfig(balance="sampling"), fit=replace(FIT, batch=21))
    assert np.bincount(_targets(batches)).tolist() == [7, 7, 7]


def test_without_balance_every_picture_comes_once() -> None:
    batches = picture_batches(
        PICTURES, CODES, BatchConfig(augment=None), fit=replace(FIT, batch=19), extra=NUMBERS
    )
    (batch,) = batches.batches(0, 0, 1)
    order = batch["extra"][:, 0].long().numpy()
    assert sorted(order) == list(range(19))
    assert list(order) != list(range(19))
    assert np.array_equal(batch["target"].numpy(), CODES[order])
    assert torch.equal(batch["input"], as_input(PICTURES[order], InputConfig()))


def test_copies_made_once_are_the_same_in_every_epoch() -> None:
    once = picture_batches(
        PICTURES, CODES, BatchConfig(balance="augmentation", copies="once"), fit=replace(FIT, batch=36)
    )
    first, second = (next(once.batches(epoch, 0, 1))["input"] for epoch in (0, 1))
    seen = {bytes(picture.numpy()) for picture in first}
    assert {bytes(picture.numpy()) for picture in second} == seen
    assert len(seen) == 36
    assert not torch.equal(first, second)


def test_a_mirrored_picture_takes_its_side_along() -> None:
    """A bright left half is class 0 and a bright right half class 1, mirrored or not."""
    pictures = np.zeros((40, 4, 8), np.uint8)
    codes = np.arange(40) % 2
    for picture, code in zip(pictures, codes, strict=True):
        picture[:, 4 * code : 4 * code + 4] = 255
    config = BatchConfig(
        augment=PictureAugment(shift=0, zoom=0, flip="horizontal"),
        side_classes=((0, 1),),
        side_extras=((0, 1),),
    )
    extra = np.stack([1 - codes, codes], axis=1).astype(np.float32)
    batches = picture_batches(pictures, codes, config, fit=replace(FIT, batch=40), extra=extra)
    (batch,) = batches.batches(0, 0, 1)
    is_right = (batch["input"][:, 0, 0, 7] == 1).long()
    assert torch.equal(batch["target"], is_right)
    assert torch.equal(batch["extra"].argmax(dim=1), is_right)


def test_input_is_normalised_and_its_channel_repeated() -> None:
    inputs = as_input(np.full((2, 3, 5), 51, np.uint8), InputConfig(3, (0.1, 0.2, 0.3), (0.5, 0.25, 0.1)))
    assert inputs.shape == (2, 3, 3, 5)
    assert inputs[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.0, -1.0], abs=1e-6)


def test_plain_batches_give_every_picture_once_in_order() -> None:
    plain = plain_batches(PICTURES, CODES, InputConfig(1), batch=8, extra=NUMBERS)
    made = list(plain.batches(3, 0, 1))
    assert len(made) == len(plain) == 3
    assert torch.cat([batch["extra"] for batch in made])[:, 0].tolist() == list(range(19))
    assert torch.equal(torch.cat([b["input"] for b in made]), as_input(PICTURES, InputConfig(1)))


def test_weights_come_along() -> None:
    weights = np.linspace(0, 1, 19, dtype=np.float32)
    batches = picture_batches(PICTURES, CODES, BatchConfig(), fit=FIT, extra=NUMBERS, weights=weights)
    for batch in batches.batches(0, 0, 1):
        assert torch.equal(batch["weight"], torch.from_numpy(weights)[batch["extra"][:, 0].long()])


def test_threads_end_when_batches_are_not_wanted_any_more() -> None:
    before = threading.active_count()
    made = picture_batches(PICTURES, CODES, BatchConfig(), fit=replace(FIT, workers=2)).batches(0, 0, 1)
    next(made)
    assert threading.active_count() > before
    made.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("targets", "config", "match"),
    [
        (CODES[:-1], BatchConfig(), "as many targets"),
        (CODES - 1, BatchConfig(balance="sampling"), "must be class codes"),
        (NUMBERS, BatchConfig(balance="augmentation"), "must be class codes"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: np.ndarray, config: BatchConfig, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        picture_batches(PICTURES, targets, config, fit=FIT)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="one value or one for each channel"):
        InputConfig(3, (0.1, 0.2))
    with pytest.raises(ValueError, match="must have augment settings"):
        BatchConfig(balance="augmentation", augment=None)
