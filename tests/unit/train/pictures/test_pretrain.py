"""Pre-training brings two views of a picture together without collapsing, and what it writes can be loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from scipy import ndimage  # noqa: E402

from stenograde.images.pictures import PictureConfig  # noqa: E402
from stenograde.nets.encoder import SmallResnet, SmallResnetConfig  # noqa: E402
from stenograde.train.loop.fit_config import FitConfig  # noqa: E402
from stenograde.train.pictures.augment import PictureAugment  # noqa: E402
from stenograde.train.pictures.pretrain import (  # noqa: E402
    PretrainConfig,
    Pretrained,
    Projected,
    effective_rank,
    pretrain,
    two_views,
    vicreg_loss,
    write_pretrained,
)

CONFIG = PretrainConfig(
    encoder=SmallResnetConfig(widths=(16, 32), depths=(1, 1)),
    picture=PictureConfig(size_px=(32, 32)),
    augment=PictureAugment(shift=0.1, zoom=0.1, turn_deg=5, contrast=0.2, noise=0.03),
    projector=(64, 64),
    fit=FitConfig(
        epochs=30, batch=32, learning_rate=1e-2, precision="32", workers=0, average=0.0, accelerator="cpu"
    ),
)


def _pictures(n: int = 64) -> np.ndarray:
    """Blobs of many sizes and places."""
    noise = np.random.default_rng(0).random((n, 32, 32))
    smooth = np.stack([ndimage.gaussian_filter(one, 1.5 + place % 4) for place, one in enumerate(noise)])
    low, high = smooth.min(axis=(1, 2), keepdims=True), smooth.max(axis=(1, 2), keepdims=True)
    return np.rint(255 * (smooth - low) / (high - low)).astype(np.uint8)


def _found_again(net: Projected) -> float:
    """Share of first views whose nearest second view, by embedding, is of the same picture."""
    batch = next(two_views(_pictures(), replace(CONFIG, fit=replace(CONFIG.fit, batch=64))).batches(99, 0, 1))
    with torch.no_grad():
        first, second = net.eval()(batch["input"]).chunk(2)
    return float((torch.cdist(first, second).argmin(1) == torch.arange(64)).float().mean())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pretrained, Path]:
    folder = tmp_path_factory.mktemp("fit")
    return pretrain(_pictures(), CONFIG, folder=folder), folder


def test_views_of_a_picture_find_each_other_better_than_before(done: tuple[Pretrained, Path]) -> None:
    torch.manual_seed(CONFIG.fit.seed)
    net = Projected(SmallResnet(CONFIG.encoder), CONFIG.projector)
    before = _found_again(net)
    net.load_state_dict(torch.load(done[1] / "checkpoint.pt", weights_only=True)["net"])
    assert _found_again(net) > before + 0.3


def test_features_do_not_collapse_and_the_report_says_so(done: tuple[Pretrained, Path]) -> None:
    report = done[0].report
    assert report["features_effective_rank"] > 8
    assert report["pictures"] == 64
    assert report["losses"][-1] < 0.8 * report["losses"][0]
    assert report["settings"]["encoder"]["widths"] == (16, 32)


def test_written_weights_fill_an_encoder_whole(done: tuple[Pretrained, Path], tmp_path: Path) -> None:
    from stenograde.nets.weights import load_weights

    told = write_pretrained(done[0], tmp_path / "encoder.safetensors", {"folders": ["a"]})
    fresh = SmallResnet(CONFIG.encoder)
    report = load_weights(fresh, tmp_path / "encoder.safetensors")
    assert report.missing == report.unexpected == ()
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        # layouts of memory differ, and with them the order of sums
        assert torch.allclose(fresh.eval()(images), done[0].encoder(images), atol=1e-5)
    assert json.loads(told.read_text())["folders"] == ["a"]


def test_loss_is_that_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    views = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.1, 1.0, 3.0])
    got = float(vicreg_loss(views.reshape(12, 3), CONFIG))
    a, b = views.numpy()
    wanted = 25 * float(((a - b) ** 2).mean())
    for one in (a, b):
        wanted += 25 * np.maximum(0, 1 - np.sqrt(one.var(axis=0, ddof=1) + 1e-4)).mean() / 2
        covariance = np.cov(one.T)
        wanted += (covariance[~np.eye(3, dtype=bool)] ** 2).sum() / 3
    assert got == pytest.approx(wanted)


def test_collapsed_embeddings_cost_more_than_spread_ones() -> None:
    spread = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)).repeat(2, 1)
    assert float(vicreg_loss(torch.zeros(16, 4), CONFIG)) > float(vicreg_loss(spread, CONFIG)) + 10


def test_views_of_an_epoch_are_the_same_again_and_pair_up() -> None:
    views = two_views(_pictures(), replace(CONFIG, augment=PictureAugment(shift=0, zoom=0)))
    first, again = (next(views.batches(1, 0, 1))["input"] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(*first.chunk(2))
    changed = next(two_views(_pictures(), CONFIG).batches(1, 0, 1))["input"]
    assert not torch.equal(*changed.chunk(2))


def test_effective_rank_counts_directions() -> None:
    line = np.outer(np.arange(10.0), np.ones(5))
    assert effective_rank(line) == pytest.approx(1)
    assert effective_rank(np.zeros((4, 3))) == pytest.approx(1)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="a batch of at least 2"):
        PretrainConfig(fit=FitConfig(batch=1))
    with pytest.raises(ValueError, match="weights of the loss must be 0 or more"):
        PretrainConfig(covariance=-1.0)
    with pytest.raises(ValueError, match="at least 2 pictures, got 1"):
        two_views(_pictures(1), CONFIG)
