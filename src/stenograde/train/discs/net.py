"""A small net on crops of discs, fitted beside the heads on fixed features: what it is fitted on, loss, and graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stenograde.levels.disc_crop import FULL_SCALE, DiscCropConfig
from stenograde.nets.disc_fusion import DiscFusion, DiscFusionConfig, EverySubset
from stenograde.predict.disc_net import CROPS, EXTRA, LOGITS, SERIES, DiscNetEntry, beside
from stenograde.predict.discs import ABOVE
from stenograde.terms import LUMBAR_MRI
from stenograde.train.discs.features import QUESTIONS, DiscTable
from stenograde.train.loop.batches import Make, SeededBatches, shuffled
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import Batch, FitConfig
from stenograde.train.pictures.augment import PictureAugment, apply_changes, sample_changes
from stenograde.train.weights.bundle_toml import weight_file
from stenograde.train.weights.export import halve, round_to_half, write_graph
from stenograde.workers import Progress

MID_GREY: Final = 128
GREY_PER_DEVIATION: Final = 42.0
"""A crop's grey values are this many per standard deviation of its slice around :data:`MID_GREY`."""


@dataclass(frozen=True)
class DiscNetFit:
    """The net and how it is fitted; the settings are those of the recipe s3-spider, for encoders that are smaller."""

    view: DiscCropConfig = field(
        default_factory=lambda: DiscCropConfig(rows=64, columns=80, pixel_mm=0.75, behind_mm=4.0)
    )
    net: DiscFusionConfig = field(
        default_factory=lambda: DiscFusionConfig(
            encoder_of_series=(0, 1),
            widths=(16, 32, 64, 96),
            levels=len(LUMBAR_MRI.levels),
            questions=len(QUESTIONS),
        )
    )
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=30, batch=32, learning_rate=2e-3, weight_decay=2e-2, average=0.98, precision="32"
        )
    )
    questions: tuple[str, ...] = ("narrowing", "bulging", "modic_change", *ABOVE)
    """What it answers in a bundle. It learns all, but where findings are rare or small it is less sure than the heads
    without reason: on other folds of SPIDER's patients the log loss of the four others rose."""
    augment: PictureAugment = field(
        default_factory=lambda: PictureAugment(
            shift=0.06,
            zoom=0.12,
            turn_deg=8.0,
            brightness=0.08,
            contrast=0.25,
            gamma_log=0.2,
            noise=0.03,
            erase=0.25,
        )
    )

    def __post_init__(self) -> None:
        got = len(self.net.encoder_of_series), self.net.levels, self.net.questions
        wanted = len(SERIES), len(LUMBAR_MRI.levels), len(QUESTIONS)
        if got != wanted:
            msg = f"net must take {wanted[0]} series and {wanted[1]} levels to {wanted[2]} answers, got {got}"
            raise ValueError(msg)


def fit_disc_net(
    table: DiscTable, places: Sequence[int], how: DiscNetFit, folder: Path, progress: Progress | None = None
) -> DiscFusion:
    """Fit a net on the discs at some places; a fit that was cut short resumes.

    Parameters
    ----------
    table : DiscTable
    places : sequence of int
    how : DiscNetFit
    folder : Path
        Gets checkpoints.
    progress : callable, optional
    """
    assert table.crops is not None  # read with the view of the net
    torch.manual_seed(how.fit.seed)
    crops = np.rint(MID_GREY + GREY_PER_DEVIATION * FULL_SCALE * table.crops.astype(np.float32)).astype(
        np.uint8
    )
    extra = torch.from_numpy(beside(table.there, table.levels))
    answers = table.answers.astype(np.float32)
    batches = disc_batches(crops, extra, answers, places, how.fit, how.augment)
    net = EverySubset(DiscFusion(how.net), [True] * len(SERIES))
    fitted = fit(net, batches, how.fit, loss_of=yes_or_no_loss, folder=folder, progress=progress).net
    assert isinstance(fitted, EverySubset)
    return fitted.net.to("cpu").eval()


def disc_batches(
    crops: NDArray[np.uint8],
    extra: Tensor,
    answers: NDArray[np.float32],
    places: Sequence[int],
    how: FitConfig,
    augment: PictureAugment,
) -> SeededBatches:
    """Return batches of shuffled, changed discs.

    Parameters
    ----------
    crops : ndarray of shape (discs, series, rows, columns), uint8
    extra : tensor of shape (discs, series + levels), float
        As :class:`~stenograde.nets.disc_fusion.DiscFusion` takes it.
    answers : ndarray of shape (discs, questions), float32
        1, 0 or NaN.
    places : sequence of int
        Discs that are taken.
    how : FitConfig
    augment : PictureAugment
    """

    def begin(epoch: int) -> tuple[NDArray[np.int64], Make]:
        def make(at: NDArray[np.int64], number: int) -> Batch:
            rng = np.random.default_rng([how.seed, epoch, number])
            taken = crops[at]
            changes = sample_changes(rng, len(at) * taken.shape[1], augment)
            changed = apply_changes(changes, taken.reshape(-1, *taken.shape[2:])).reshape(taken.shape)
            return {
                "input": as_input(changed),
                "extra": extra[torch.from_numpy(at)],
                "target": torch.from_numpy(answers[at]),
            }

        return shuffled(np.asarray(places), how.seed, epoch), make

    return SeededBatches(len(places), how, begin, whole=False)


def as_input(crops: NDArray[np.uint8]) -> Tensor:
    """Return grey crops in standard deviations of their slices."""
    return (torch.from_numpy(crops).float() - MID_GREY) / GREY_PER_DEVIATION


def yes_or_no_loss(output: Tensor, batch: Batch) -> Tensor:
    """Return the mean logarithmic loss of yes or no: all series count as much as all smaller sets together.

    Questions that nobody answered, and sets of which no series is there, do not count.

    Parameters
    ----------
    output : tensor of shape (n, subsets, questions)
        By :class:`~stenograde.nets.disc_fusion.EverySubset`.
    batch : dict
        ``target`` of shape (n, questions), NaN without an answer.
    """
    target = batch["target"][:, None].expand_as(output)
    known = ~torch.isnan(target) & ~torch.isnan(output)
    # replaced before the loss, as a NaN that is left out still spoils the gradient
    said, wanted = torch.where(known, output, 0), torch.where(known, target, 0)
    each = functional.binary_cross_entropy_with_logits(said, wanted, reduction="none") * known
    whole = each[:, 0].sum() / known[:, 0].sum().clamp(min=1)
    if output.shape[1] == 1:
        return whole
    return (whole + each[:, 1:].sum() / known[:, 1:].sum().clamp(min=1)) / 2


def write_disc_net(
    net: DiscFusion, graph: Path, questions: Sequence[str], view: DiscCropConfig
) -> DiscNetEntry:
    """Write the graph of a net's answers to some of :data:`QUESTIONS`, with kernels in 16 bits.

    Raises
    ------
    BundleError
        If the graph does not give what the net gives.
    """
    round_to_half(net)

    def fed(n: int) -> dict[str, Tensor]:
        noise = torch.Generator().manual_seed(n)
        crops = torch.randn(n, len(SERIES), view.rows, view.columns, generator=noise)
        there = np.array([[True, k % 2 == 0] for k in range(n)])
        return {CROPS: crops, EXTRA: torch.from_numpy(beside(there, np.arange(n)))}

    places = [tuple(QUESTIONS).index(name) for name in questions]
    write_graph(_Asked(net, places).eval(), graph, fed, outputs=(LOGITS,))
    halve(graph)
    return DiscNetEntry(weight_file(graph), view, tuple(questions))


class _Asked(nn.Module):
    """Answers of a net to some questions."""

    def __init__(self, net: DiscFusion, questions: Sequence[int]) -> None:
        super().__init__()
        self.net = net
        self.questions = list(questions)

    def forward(self, crops: Tensor, extra: Tensor) -> Tensor:
        return self.net(crops, extra)[:, self.questions]
