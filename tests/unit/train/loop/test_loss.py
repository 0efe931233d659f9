"""Losses against their formulas and against torch's own."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch.nn import functional  # noqa: E402

from stenograde.train.loop.loss import LossConfig, build_loss, inverse_frequencies, with_questions  # noqa: E402

CODES = np.repeat([0, 1, 2], [6, 3, 1])
LOGITS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
BATCH = {"input": torch.zeros(10), "target": torch.from_numpy(CODES)}


def test_cross_entropy_is_torchs() -> None:
    got = build_loss(LossConfig(smoothing=0.1), CODES, 3)(LOGITS, BATCH)
    wanted = functional.cross_entropy(LOGITS, BATCH["target"], label_smoothing=0.1)
    assert float(got) == pytest.approx(float(wanted))


def test_class_weights_let_each_class_count_alike() -> None:
    each = functional.cross_entropy(LOGITS, BATCH["target"], reduction="none")
    got = build_loss(LossConfig(class_weights="inverse_frequency"), CODES, 3)(LOGITS, BATCH)
    by_class = [each[code == CODES].mean() for code in range(3)]
    assert float(got) == pytest.approx(float(torch.stack(by_class).mean()))


def test_class_that_never_occurs_weighs_nothing() -> None:
    assert inverse_frequencies(np.array([0, 0, 2, 2]), 4).tolist() == [1, 0, 1, 0]


def test_focal_without_discount_is_cross_entropy_and_discounts_easy_pictures_by_the_formula() -> None:
    plain = build_loss(LossConfig(), CODES, 3)(LOGITS, BATCH)
    assert float(build_loss(LossConfig("focal", focal_gamma=0.0), CODES, 3)(LOGITS, BATCH)) == pytest.approx(
        float(plain)
    )
    p = LOGITS.softmax(1)[torch.arange(10), BATCH["target"]]
    wanted = (-((1 - p) ** 2) * p.log()).mean()
    assert float(build_loss(LossConfig("focal"), CODES, 3)(LOGITS, BATCH)) == pytest.approx(float(wanted))


def test_ordinal_is_the_sum_of_its_yes_no_questions() -> None:
    p = LOGITS.softmax(1)
    target = BATCH["target"]
    wanted = sum(
        functional.binary_cross_entropy(p[:, k + 1 :].sum(1), (target > k).float()) for k in range(2)
    )
    assert float(build_loss(LossConfig("ordinal"), CODES, 3)(LOGITS, BATCH)) == pytest.approx(float(wanted))


def test_ordinal_charges_more_for_two_classes_off_than_for_one() -> None:
    loss = build_loss(LossConfig("ordinal"), CODES, 3)
    severe = {"target": torch.tensor([2])}
    near, far = torch.tensor([[0.0, 4.0, 1.0]]), torch.tensor([[4.0, 0.0, 1.0]])
    assert float(loss(far, severe)) > float(loss(near, severe)) + 1
    plain = build_loss(LossConfig(), CODES, 3)
    assert float(plain(far, severe)) == pytest.approx(float(plain(near, severe)))


@pytest.mark.parametrize("kind", ["cross_entropy", "focal", "ordinal"])
def test_losses_stay_finite_when_the_net_is_wholly_sure(kind: str) -> None:
    logits = torch.tensor([[100.0, -100.0, 0.0], [-100.0, 100.0, 0.0]], requires_grad=True)
    build_loss(LossConfig(kind), CODES, 3)(logits, {"target": torch.tensor([1, 1])}).backward()  # type: ignore[arg-type]
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_weights_of_pictures_count() -> None:
    batch = BATCH | {"weight": torch.zeros(10)}
    batch["weight"][3] = 10.0
    each = functional.cross_entropy(LOGITS, BATCH["target"], reduction="none")
    assert float(build_loss(LossConfig(), CODES, 3)(LOGITS, batch)) == pytest.approx(float(each[3]))


def test_questions_add_the_cross_entropy_of_the_answers_that_are_known() -> None:
    plain = build_loss(LossConfig(), np.array([0, 1, 2]), 3)
    output = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    batch = {
        "target": torch.tensor([0, 1, 2, 1]),
        "also": torch.tensor([[1.0], [0.0], [float("nan")], [1.0]]),
    }
    known = [0, 1, 3]
    asked = functional.binary_cross_entropy_with_logits(output[known, 3], batch["also"][known, 0])
    wanted = plain(output[:, :3], {"target": batch["target"]}) + 0.5 * asked
    torch.testing.assert_close(with_questions(plain, 0.5)(output, batch), wanted)
    none = {**batch, "also": torch.full((4, 1), float("nan"))}
    torch.testing.assert_close(with_questions(plain, 0.5)(output, none), plain(output[:, :3], none))
    # what is only checked is not asked
    checked = {"target": batch["target"]}
    torch.testing.assert_close(
        with_questions(plain, 0.5)(output[:, :3], checked), plain(output[:, :3], checked)
    )


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="smoothing < 1"):
        LossConfig(smoothing=1.0)
