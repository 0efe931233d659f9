"""Fit a net that tells tissues apart on slices through foramina or the canal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stenograde.levels.rooms import RoomTissue, RoomView, normalised
from stenograde.nets.u_net import UNet
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import Batch, FitConfig
from stenograde.train.rooms.slices import RoomSlices, RoomSlicesConfig
from stenograde.workers import Progress

_RARE = (1.5, 3.0, 1.0, 1.0, 1.0)
"""Weight of each tissue in the loss: roots cover few pixels."""

_RECESSES = 10.0
"""Weight of the recesses themselves in the loss: they cover few pixels."""

_SMALL_PX = 5.0
"""Keeps the overlap of a tissue that is hardly there from counting, px."""

POINT_ERROR_MM = 2.0
"""Standard deviation of a locator's points along each axis, by which views are shifted in tests, mm."""


FIT: Final = FitConfig(epochs=16, batch=32, average=0.995, precision="32")
"""How such a net is fitted where nothing else is said."""


@dataclass(frozen=True)
class RoomAugment:
    """How strongly views are changed; each number is the end of a range around no change."""

    turn_deg: float = 12.0
    log_scale: float = 0.2
    shift_mm: float = 6.0
    gamma_log: float = 0.6
    bias: float = 0.5
    blur: float = 1.0
    """Share of a mean over three by three pixels; below 0 it sharpens."""
    noise: float = 0.15
    mirrored: bool = False
    """Whether left and right are exchanged in half of the batches."""


@dataclass(frozen=True)
class RoomTraining:
    """How a net is trained."""

    data: RoomSlicesConfig = field(default_factory=RoomSlicesConfig)
    view: RoomView = field(default_factory=RoomView)
    """What the net is shown."""
    widths: tuple[int, ...] = (24, 40, 64, 80)
    augment: RoomAugment = field(default_factory=RoomAugment)
    fit: FitConfig = FIT
    tested_share: float = 0.15
    """Share of the patients that are not trained on; the scores of the card are theirs."""

    def __post_init__(self) -> None:
        if not 0 < self.tested_share < 1 or self.view.grid_mm != self.data.view.grid_mm:
            msg = (
                f"a net of rooms needs a tested_share between 0 and 1 and one grid_mm, got {self.tested_share}, "
                f"{self.view.grid_mm} and {self.data.view.grid_mm}"
            )
            raise ValueError(msg)


def fit_net(slices: RoomSlices, config: RoomTraining, folder: Path, progress: Progress | None = None) -> UNet:
    """Fit the net on the patients to train on; a fit that was cut short resumes."""
    torch.manual_seed(config.fit.seed)
    places = np.flatnonzero(~is_tested(slices, config))
    net = UNet(config.widths, slices.tissues.shape[1] + 1)
    batches = _batches(slices, places, config)
    fitted = fit(net, batches, config.fit, loss_of=loss_of, folder=folder, progress=progress).net
    assert isinstance(fitted, UNet)
    return fitted.to("cpu").eval()


def is_tested(slices: RoomSlices, config: RoomTraining) -> NDArray[np.bool_]:
    """Return which views are of patients that are not trained on: the last ones."""
    n = int(slices.patients.max()) + 1
    return np.asarray(slices.patients >= n - max(1, round(config.tested_share * n)))


def _batches(slices: RoomSlices, places: NDArray[np.int64], config: RoomTraining) -> SeededBatches:
    seed = config.fit.seed

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def make(at: NDArray[np.int64], number: int) -> Batch:
            rng = np.random.default_rng([seed, epoch, number])
            pictures = torch.from_numpy(slices.pictures[at].astype(np.float32))[:, None]
            shares = torch.from_numpy(slices.tissues[at].astype(np.float32)) / 255
            return changed(pictures, shares, config.augment, config.view, rng)

        return shuffled(places, seed, epoch), make

    return SeededBatches(len(places), config.fit, begin)


_HALF = 0.5


def changed(
    pictures: Tensor, shares: Tensor, how: RoomAugment, view: RoomView, rng: np.random.Generator
) -> Batch:
    """Return views that were turned, scaled, shifted and recoloured at random, with their tissues.

    Parameters
    ----------
    pictures : tensor of shape (n, 1, rows, columns)
    shares : tensor of shape (n, tissues, rows, columns)
        As in :class:`~.slices.RoomSlices`.
    how : RoomAugment
    view : RoomView
        Size of what comes out, on the grid of what is given.
    rng : numpy.random.Generator
    """
    n, kept, size_px = len(pictures), pictures.shape[-1], view.size_px

    def drawn(reach: float) -> Tensor:
        return torch.from_numpy(rng.uniform(-reach, reach, n).astype(np.float32))

    turn, scale = drawn(np.deg2rad(how.turn_deg)), torch.exp(drawn(how.log_scale)) * size_px / kept
    shift = 2 * how.shift_mm / (kept * view.grid_mm)
    way = torch.stack(
        [
            torch.stack([scale * torch.cos(turn), -scale * torch.sin(turn), drawn(shift)], 1),
            torch.stack([scale * torch.sin(turn), scale * torch.cos(turn), drawn(shift)], 1),
        ],
        1,
    )
    grid = functional.affine_grid(way, [n, 1, size_px, size_px], align_corners=False)
    both = torch.cat([pictures, shares], 1)
    both = functional.grid_sample(both, grid, padding_mode="border", align_corners=False)
    if how.mirrored and rng.random() < _HALF:
        both = both.flip(-1)
    picture, told, recesses = both.tensor_split([1, 1 + RoomTissue.OTHER], 1)
    tissues = torch.cat([told, (1 - told.sum(1, keepdim=True)).clamp(min=0)], 1)
    target = torch.cat([tissues / tissues.sum(1, keepdim=True), recesses], 1)
    return {"input": _recoloured(picture, how, rng), "target": target}


def _recoloured(views: Tensor, how: RoomAugment, rng: np.random.Generator) -> Tensor:
    n, size = len(views), views.shape[-1]

    def each(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).reshape(n, 1, 1, 1)

    def shown(values: Tensor) -> Tensor:
        return torch.from_numpy(normalised(values[:, 0].numpy()))[:, None]

    grey = ((shown(views) + 1) / 2).clamp(min=0) ** each(
        np.exp(rng.uniform(-how.gamma_log, how.gamma_log, n))
    )
    line = torch.linspace(-1, 1, size)
    slope = each(rng.uniform(-how.bias, how.bias, n)) * line[None, None, :, None]
    grey = grey * (1 + slope + each(rng.uniform(-how.bias, how.bias, n)) * line).clamp(min=0.3)
    mean = functional.avg_pool2d(functional.pad(grey, (1, 1, 1, 1), mode="replicate"), 3, 1)
    grey = grey + (mean - grey) * each(rng.uniform(-how.blur, how.blur, n))
    noise = torch.from_numpy(rng.standard_normal((n, 1, size, size), dtype=np.float32))
    return shown(grey + noise * each(how.noise * rng.uniform(0, 1, n) ** 2))


def loss_of(output: Tensor, batch: Batch) -> Tensor:
    """Return cross-entropy with shares of tissues, roots weighing more, and the overlap of fat and root.

    The output has shape (n, maps, rows, columns). Of recesses only the cross-entropy counts, so that areas, which are
    sums of probabilities, are neither too large nor too small.
    """
    (logits, recesses), (target, own) = (
        one.tensor_split([len(RoomTissue)], 1) for one in (output, batch["target"])
    )
    weight = torch.tensor(_RARE, device=output.device)[None, :, None, None]
    cross = -(weight * target * functional.log_softmax(logits, 1)).sum(1).mean()
    said = logits.softmax(1)
    overlap = 2 * (said * target).sum((2, 3)) + _SMALL_PX
    apart = 1 - overlap / ((said + target).sum((2, 3)) + _SMALL_PX)
    loss = cross + apart[:, [RoomTissue.FAT, RoomTissue.NERVE]].mean()
    if not own.shape[1]:
        return loss
    return loss + _RECESSES * functional.binary_cross_entropy_with_logits(recesses, own)


@dataclass(frozen=True, eq=False)
class Tested:
    """What a net says of views that it was not fitted to, shifted as far as a locator is off.

    Parameters
    ----------
    at : ndarray of shape (n,), int64
        Places of the views.
    said, own : ndarray of shape (n, maps, rows, columns), float32
        By the net, and as they are: tissues, and the recesses themselves.
    """

    at: NDArray[np.int64]
    said: NDArray[np.float32]
    own: NDArray[np.float32]

    def dice(self, at: int) -> float:
        """Return the overlap of one map over all views."""
        said, own = self.said[:, at], self.own[:, at]
        return float(2 * np.minimum(said, own).sum() / max(float(said.sum() + own.sum()), 1e-9))


@torch.inference_mode()
def tested(net: UNet, slices: RoomSlices, config: RoomTraining, among: NDArray[np.bool_]) -> Tested:
    """Look at those among some views that a net was not fitted to."""
    at = np.flatnonzero(is_tested(slices, config) & among)
    rng, size = np.random.default_rng(config.fit.seed), config.view.size_px
    reach = (config.data.view.size_px - size) // 2
    shift = np.rint(rng.normal(0, POINT_ERROR_MM, (len(at), 2)) / config.view.grid_mm).astype(int)
    said, own = [], []
    for k, (row, column) in zip(at, np.clip(reach + shift, 0, 2 * reach), strict=True):
        window = np.s_[..., row : row + size, column : column + size]
        picture = slices.pictures[k][window].astype(np.float32)
        logits = net(torch.from_numpy(normalised(picture[None]))[None])[0]
        logits, recesses = logits.tensor_split([len(RoomTissue)])
        said.append(torch.cat([logits.softmax(0), recesses.sigmoid()]).numpy())
        shares, own_recesses = np.split(
            slices.tissues[k][window].astype(np.float32) / 255, [RoomTissue.OTHER]
        )
        other = np.maximum(1 - shares.sum(axis=0, keepdims=True), 0)
        own.append(np.concatenate([shares, other, own_recesses]))
    return Tested(at, np.stack(said), np.stack(own))
