"""Fit the net that outlines foramina, and take what is usual in foramina without narrowing as the net outlines them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stenograde.errors import ConfigError
from stenograde.evaluate.metrics import weighted_auc
from stenograde.levels.foramen_room import ForamenModel, ForamenTissue, ForamenView, normalised, room_of
from stenograde.nets.u_net import UNet
from stenograde.predict.foramina import UsualRoom
from stenograde.terms import LUMBAR_MRI
from stenograde.train.foramina.slices import ForamenSlices, ForamenSlicesConfig
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import Batch, FitConfig
from stenograde.workers import Progress

_RARE = (1.5, 3.0, 1.0, 1.0, 1.0)
"""Weight of each tissue in the loss: roots cover few pixels."""

_SMALL_PX = 5.0
"""Keeps the overlap of a tissue that is hardly there from counting, px."""


@dataclass(frozen=True)
class ForamenAugment:
    """How strongly views are changed; each number is the end of a range around no change."""

    turn_deg: float = 12.0
    log_scale: float = 0.2
    shift_mm: float = 6.0
    gamma_log: float = 0.6
    bias: float = 0.5
    blur: float = 1.0
    """Share of a mean over three by three pixels; below 0 it sharpens."""
    noise: float = 0.15


@dataclass(frozen=True)
class ForaminaTraining:
    """How the net that outlines foramina is trained."""

    data: ForamenSlicesConfig = field(default_factory=ForamenSlicesConfig)
    view: ForamenView = field(default_factory=ForamenView)
    """What the net is shown."""
    widths: tuple[int, ...] = (24, 48, 96, 128)
    augment: ForamenAugment = field(default_factory=ForamenAugment)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=16, batch=32, average=0.995, precision="32")
    )
    model: ForamenModel = field(default_factory=ForamenModel)
    tested_share: float = 0.15
    """Share of the patients that are not trained on: what is usual, and the scores of the card, are theirs."""

    def __post_init__(self) -> None:
        if not 0 < self.tested_share < 1 or self.view.grid_mm != self.data.view.grid_mm:
            msg = (
                f"foramina need a tested_share between 0 and 1 and one grid_mm, got {self.tested_share}, "
                f"{self.view.grid_mm} and {self.data.view.grid_mm}"
            )
            raise ValueError(msg)


def fit_net(
    slices: ForamenSlices, config: ForaminaTraining, folder: Path, progress: Progress | None = None
) -> UNet:
    """Fit the net on the patients to train on; a fit that was cut short resumes."""
    torch.manual_seed(config.fit.seed)
    places = np.flatnonzero(~is_tested(slices, config))
    net = UNet(config.widths, len(ForamenTissue))
    batches = _batches(slices, places, config)
    fitted = fit(net, batches, config.fit, loss_of=loss_of, folder=folder, progress=progress).net
    assert isinstance(fitted, UNet)
    return fitted.to("cpu").eval()


def is_tested(slices: ForamenSlices, config: ForaminaTraining) -> NDArray[np.bool_]:
    """Return which views are of patients that are not trained on: the last ones."""
    n = int(slices.patients.max()) + 1
    return np.asarray(slices.patients >= n - max(1, round(config.tested_share * n)))


def _batches(slices: ForamenSlices, places: NDArray[np.int64], config: ForaminaTraining) -> SeededBatches:
    seed = config.fit.seed

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def make(at: NDArray[np.int64], number: int) -> Batch:
            rng = np.random.default_rng([seed, epoch, number])
            pictures = torch.from_numpy(slices.pictures[at].astype(np.float32))[:, None]
            shares = torch.from_numpy(slices.tissues[at].astype(np.float32)) / 255
            return changed(pictures, shares, config.augment, config.view.size_px, rng)

        return shuffled(places, seed, epoch), make

    return SeededBatches(len(places), config.fit, begin)


def changed(
    pictures: Tensor, shares: Tensor, how: ForamenAugment, size_px: int, rng: np.random.Generator
) -> Batch:
    """Return views that were turned, scaled, shifted and recoloured at random, with their tissues.

    Parameters
    ----------
    pictures : tensor of shape (n, 1, rows, columns)
    shares : tensor of shape (n, tissues but the last, rows, columns)
    how : ForamenAugment
    size_px : int
        Rows and columns of what comes out.
    rng : numpy.random.Generator
    """
    n, kept = len(pictures), pictures.shape[-1]

    def drawn(reach: float) -> Tensor:
        return torch.from_numpy(rng.uniform(-reach, reach, n).astype(np.float32))

    turn, scale = drawn(np.deg2rad(how.turn_deg)), torch.exp(drawn(how.log_scale)) * size_px / kept
    shift = 2 * how.shift_mm / (kept * ForamenView().grid_mm)
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
    target = torch.cat([both[:, 1:], (1 - both[:, 1:].sum(1, keepdim=True)).clamp(min=0)], 1)
    return {"input": _recoloured(both[:, :1], how, rng), "target": target / target.sum(1, keepdim=True)}


def _recoloured(views: Tensor, how: ForamenAugment, rng: np.random.Generator) -> Tensor:
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

    The output has shape (n, tissues, rows, columns).
    """
    target, weight = batch["target"], torch.tensor(_RARE, device=output.device)[None, :, None, None]
    cross = -(weight * target * functional.log_softmax(output, 1)).sum(1).mean()
    said = output.softmax(1)
    overlap = 2 * (said * target).sum((2, 3)) + _SMALL_PX
    apart = 1 - overlap / ((said + target).sum((2, 3)) + _SMALL_PX)
    return cross + apart[:, [ForamenTissue.FAT, ForamenTissue.ROOT]].mean()


@dataclass(frozen=True)
class ForaminaScores:
    """What the patients that were not trained on say of a net, and what is usual in their open foramina."""

    usual: dict[str, UsualRoom]
    patients: int
    foramina: int
    area_error_mm2: float
    """Mean absolute error of the area of fat and root, against the phantoms' own."""
    area_correlation: float
    dice: dict[str, float]
    """Of fat and root, over all views."""
    auc_any: float
    auc_severe: float


@torch.inference_mode()
def scores_of(net: UNet, slices: ForamenSlices, config: ForaminaTraining) -> ForaminaScores:
    """Score a net on the nearest slices of the patients that it was not fitted to, as far off as a locator is."""
    at = np.flatnonzero(is_tested(slices, config) & (slices.beside == 0))
    rng = np.random.default_rng(config.fit.seed)
    shift = np.rint(rng.normal(0, _POINT_ERROR_MM, (len(at), 2)) / config.view.grid_mm).astype(int)
    views = np.stack([_window(slices.pictures[k], config, s) for k, s in zip(at, shift, strict=True)])
    said = np.concatenate(
        [
            net(torch.from_numpy(normalised(one[None].astype(np.float32)))[None]).softmax(1).numpy()
            for one in views
        ]
    )
    own = np.stack([_window(slices.tissues[k], config, s) for k, s in zip(at, shift, strict=True)]) / 255
    grid = config.view.grid_mm
    found, true = [room_of(one, grid) for one in said], [room_of(one, grid) for one in own.astype(np.float32)]
    levels, ranks = slices.levels[at], slices.ranks[at]
    usual = {}
    for place, level in enumerate(LUMBAR_MRI.levels):
        open_ones = [room for room, k, r in zip(found, levels, ranks, strict=True) if k == place and r == 0]
        if not open_ones:
            msg = f"phantoms that are not trained on must have an open foramen at {level.shown}, got none; make more"
            raise ConfigError(msg)
        fat = float(np.median([room.fat_mm2 for room in open_ones]))
        usual[level.value] = UsualRoom(fat, float(np.median([room.root_mm2 for room in open_ones])))
    narrowing = np.array(
        [
            config.model.narrowing(room, usual[LUMBAR_MRI.levels[k].value].as_room())
            for room, k in zip(found, levels, strict=True)
        ]
    )
    one, areas = (
        np.ones((1, len(at))),
        np.array([[a.area_mm2, b.area_mm2] for a, b in zip(found, true, strict=True)]),
    )
    dice = {
        tissue.name.lower(): float(
            2
            * np.minimum(said[:, tissue], own[:, tissue]).sum()
            / (said[:, tissue].sum() + own[:, tissue].sum())
        )
        for tissue in (ForamenTissue.FAT, ForamenTissue.ROOT)
    }
    return ForaminaScores(
        usual,
        len(np.unique(slices.patients[at])),
        len(at),
        float(np.abs(areas[:, 0] - areas[:, 1]).mean()),
        float(np.corrcoef(areas.T)[0, 1]),
        dice,
        float(weighted_auc(narrowing, ranks > 0, one)[0]),
        float(weighted_auc(narrowing, ranks > 1, one)[0]),
    )


_POINT_ERROR_MM = 2.0
"""Standard deviation of a locator's points beside a foramen's middle, along each axis, mm."""


def _window(
    kept: NDArray[np.generic], config: ForaminaTraining, shift: NDArray[np.int64]
) -> NDArray[np.generic]:
    size = config.view.size_px
    reach = (config.data.view.size_px - size) // 2
    row, column = np.clip(reach + shift, 0, 2 * reach)
    return kept[..., row : row + size, column : column + size]
