"""Self-supervised pre-training of the small encoder on slices without labels: VICReg.

Two changed views of a slice are to have the same embedding, while each embedded variable keeps its spread and shares
nothing with the others (Bardes et al., arXiv:2105.04906). Nothing is pushed apart, so neighbouring slices of one
patient are no false negatives, and batches of 64 do, which fits hundreds to thousands of slices on two cores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stenograde.heap import keep_freed_memory
from stenograde.images.pictures import InputConfig, PictureConfig
from stenograde.nets.encoder import SmallResnet, SmallResnetConfig
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.checkpoint import write_weights
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import Batch, FitConfig, Fitted
from stenograde.train.pictures.augment import PictureAugment, apply_changes, sample_changes
from stenograde.train.pictures.batches import as_input
from stenograde.workers import Progress, named

SPREAD = 1.0
"""Standard deviation that each embedded variable is to keep (ibid., section 4.1)."""

PROBED = 1024
"""Most pictures whose features the report rests on."""


@dataclass(frozen=True)
class PretrainConfig:
    """How an encoder is pre-trained."""

    encoder: SmallResnetConfig = field(default_factory=SmallResnetConfig)
    picture: PictureConfig = field(default_factory=lambda: PictureConfig(size_px=(128, 128)))
    input: InputConfig = field(default_factory=lambda: InputConfig(channels=1))
    augment: PictureAugment = field(
        default_factory=lambda: PictureAugment(
            shift=0.15,
            zoom=0.35,
            turn_deg=15.0,
            flip="horizontal",
            brightness=0.2,
            contrast=0.4,
            gamma_log=0.5,
            noise=0.06,
            erase=0.3,
        )
    )
    """How the two views are changed; a flip does no harm here, as nothing depends on the side."""
    projector: tuple[int, ...] = (512, 512)
    """Widths of the layers behind the features; the last is that of the embedding."""
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=100, batch=64, learning_rate=1e-3, weight_decay=1e-4)
    )
    invariance: float = 25.0
    """Weight of the distance of two views (ibid., section 4.2)."""
    variance: float = 25.0
    """Weight of the spread that is missing (ibid.)."""
    covariance: float = 1.0
    """Weight of what variables share (ibid.)."""

    def __post_init__(self) -> None:
        if not self.projector or min(self.projector) < 2 or self.fit.batch < 2:
            msg = f"pretrain needs projector widths and a batch of at least 2, got {self.projector}, {self.fit.batch}"
            raise ValueError(msg)
        if min(self.invariance, self.variance, self.covariance) < 0:
            msg = (
                f"weights of the loss must be 0 or more, got {self.invariance}, {self.variance}, "
                f"{self.covariance}"
            )
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A pre-trained encoder and what is known of it."""

    encoder: SmallResnet
    report: Mapping[str, Any]
    """For people and for JSON: pictures, settings, losses, and how rich the features are."""


def two_views(pictures: NDArray[np.uint8], config: PretrainConfig) -> SeededBatches:
    """Return batches of two changed views of each picture: the first views of all, then the second ones.

    Raises
    ------
    ValueError
        If there are fewer than two pictures.
    """
    if len(pictures) < 2:
        msg = f"pre-training must have at least 2 pictures, got {len(pictures)}"
        raise ValueError(msg)
    seed = config.fit.seed

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def make(at: NDArray[np.int64], number: int) -> Batch:
            chosen = np.tile(at, 2)
            changes = sample_changes(
                np.random.default_rng([seed, epoch, number]), len(chosen), config.augment
            )
            return {"input": as_input(apply_changes(changes, pictures[chosen]), config.input)}

        return shuffled(len(pictures), seed, epoch), make

    return SeededBatches(len(pictures), config.fit, begin)


class Projected(nn.Module):
    """An encoder with the projector that pre-training needs and throws away.

    Parameters
    ----------
    encoder : SmallResnet
    widths : tuple of int
        Widths of the projector's layers.
    """

    def __init__(self, encoder: SmallResnet, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = encoder
        layers: list[nn.Module] = []
        for before, after in pairwise((encoder.width, *widths)):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
        self.projector = nn.Sequential(*layers[:-2])  # the embedding itself is neither normed nor cut off

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, shape (n, last width), of images of shape (n, channels, rows, columns)."""
        return self.projector(self.encoder(images))


def vicreg_loss(embeddings: Tensor, config: PretrainConfig) -> Tensor:
    """Return the loss of embeddings, shape (2n, width), of the first views, then of the second in the same order."""
    first, second = embeddings.chunk(2)
    distance = functional.mse_loss(first, second)
    missing, shared = embeddings.new_zeros(()), embeddings.new_zeros(())
    for views in (first, second):
        spread = torch.sqrt(views.var(dim=0) + 1e-4)
        missing = missing + functional.relu(SPREAD - spread).mean() / 2
        centred = views - views.mean(dim=0)
        covariance = centred.T @ centred / (len(views) - 1)
        shared = shared + (covariance.square().sum() - covariance.diagonal().square().sum()) / views.shape[1]
    return config.invariance * distance + config.variance * missing + config.covariance * shared


def pretrain(
    pictures: NDArray[np.uint8],
    config: PretrainConfig,
    *,
    folder: Path,
    progress: Progress | None = None,
) -> Pretrained:
    """Pre-train an encoder on pictures that ``config.picture`` prepared, shape (n, rows, columns), uint8.

    The folder gets checkpoint and logs; started again with the same one, it resumes.
    """
    keep_freed_memory()
    torch.manual_seed(config.fit.seed)
    net = Projected(SmallResnet(config.encoder, config.input.channels), config.projector)
    fitted = fit(
        net,
        two_views(pictures, config),
        config.fit,
        loss_of=lambda output, _: vicreg_loss(output, config),
        folder=folder,
        progress=named(progress, "encoder"),
    )
    assert isinstance(fitted.net, Projected)
    encoder = fitted.net.encoder.cpu()
    return Pretrained(encoder, _report(encoder, fitted, pictures, config))


def write_pretrained(done: Pretrained, weights: Path, extra: Mapping[str, Any]) -> Path:
    """Write an encoder as safetensors, and beside it a report as JSON; gives the report's path.

    Names of tensors are the encoder's own. The report gains versions of packages and the ``extra`` facts, such as where
    the pictures came from.
    """
    write_weights(done.encoder, weights.with_suffix(".partial")).replace(weights)
    report = weights.with_suffix(".json")
    versions = {name: version(name) for name in ("stenograde", "torch", "numpy", "opencv-python-headless")}
    told = {**done.report, **extra, "versions": versions}
    report.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return report


def effective_rank(features: NDArray[np.float64]) -> float:
    """Return how many directions features spread over: 1 when they have collapsed.

    The exponential of the entropy of the singular values' shares (Roy and Vetterli, EUSIPCO 2007; as a measure of
    pre-training: Garrido et al., arXiv:2210.02885). Features have shape (n, width).

    Examples
    --------
    >>> round(effective_rank(np.eye(4)), 6)
    4.0
    """
    values = np.linalg.svd(features, compute_uv=False)
    shares = values / max(float(values.sum()), 1e-12)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _report(
    encoder: SmallResnet, fitted: Fitted, pictures: NDArray[np.uint8], config: PretrainConfig
) -> dict[str, Any]:
    chosen = np.linspace(0, len(pictures) - 1, min(PROBED, len(pictures))).astype(int)
    with torch.inference_mode():
        parts = [
            encoder(as_input(np.ascontiguousarray(pictures[chosen[start : start + 64]]), config.input))
            for start in range(0, len(chosen), 64)
        ]
    features = torch.cat(parts).double().numpy()
    return {
        "method": "VICReg (arXiv:2105.04906)",
        "pictures": len(pictures),
        "settings": asdict(config),
        "losses": [record.loss for record in fitted.history],
        "seconds": round(sum(record.seconds for record in fitted.history), 1),
        "features": int(features.shape[1]),
        "features_effective_rank": round(effective_rank(features - features.mean(axis=0)), 2),
        "features_dead": int((features.std(axis=0) < 1e-6).sum()),
    }
