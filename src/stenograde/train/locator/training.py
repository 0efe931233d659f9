"""Train the locator on SPIDER and on phantoms: patient-disjoint folds for the scores, then one net on all.

One net is fitted on phantoms alone, whose masks are true in every contrast. Each net starts from there, in
three stages: on slices with masks; with the mid-sagittal slices that have none, marked by the net so far
(self-training, Xie et al., doi:10.1109/CVPR42600.2020.01070); on slices with masks again, hardly changed. Each epoch
also shows some phantoms. The marks for a fold come from a net that never saw the fold's test patients, and
those patients' slices are left out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stenograde.datasets.marked_slice import UNKNOWN, MarkedSlice
from stenograde.datasets.spider import SpiderSlices
from stenograde.datasets.split import folds_by_patient
from stenograde.heap import keep_freed_memory
from stenograde.nets.locator import Locator, LocatorConfig
from stenograde.predict.marks import mark
from stenograde.terms import Structure
from stenograde.train.locator.augment import AugmentConfig
from stenograde.train.locator.bundle import write_bundle
from stenograde.train.locator.phantom_slices import PhantomSlicesConfig, make_phantom_slices
from stenograde.train.locator.samples import LocatorSamples, locator_batches, loss_of
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import FitConfig
from stenograde.train.weights.export import export_locator
from stenograde.workers import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocatorTraining:
    """How the locator is trained."""

    net: LocatorConfig = field(default_factory=lambda: LocatorConfig(widths=(24, 48, 96, 144, 192)))
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    virtual: PhantomSlicesConfig = field(default_factory=PhantomSlicesConfig)
    virtual_share: float = 0.5
    """Slices of phantoms in an epoch, for each slice with a mask."""
    finish_virtual_share: float = 0.33
    """The same in the last stage."""
    start: FitConfig = field(default_factory=lambda: FitConfig(epochs=6, seed=6))
    """Fit on phantoms alone."""
    first: FitConfig = field(default_factory=lambda: FitConfig(epochs=8))
    """First stage, on slices with masks."""
    second: FitConfig = field(default_factory=lambda: FitConfig(epochs=6, seed=8))
    """Second stage, with slices marked by the net so far."""
    finish: FitConfig = field(default_factory=lambda: FitConfig(epochs=64, learning_rate=2e-3, seed=9))
    """Last stage, on slices with masks once more, hardly changed, so that borders are learnt as they are."""
    finish_augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(mild_share=0.8, turn_deg=8.0, log_scale=0.12, bend_mm=6.0)
    )
    folds: int = 3
    fold_seed: int = 0
    own_marks_weight: float = 0.5
    """How much a slice marked by the first net counts."""
    own_marks_certain: float = 0.7
    """Pixels marked with less probability are unknown."""

    def __post_init__(self) -> None:
        if self.folds == 1 or self.folds < 0:
            msg = f"folds must be 0 (none) or at least 2, got {self.folds}"
            raise ValueError(msg)
        if min(self.virtual_share, self.finish_virtual_share) < 0:
            got = f"{self.virtual_share}, {self.finish_virtual_share}"
            msg = f"virtual_share and finish_virtual_share must be 0 or more, got {got}"
            raise ValueError(msg)


def train_locator(
    data: SpiderSlices,
    out: Path,
    config: LocatorTraining,
    *,
    processes: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Render phantoms, train, score by fold, and write a bundle; started again with the same ``out`` it resumes.

    Parameters
    ----------
    data : SpiderSlices
    out : Path
        Becomes the bundle; slices of phantoms, checkpoints and fold scores lie in ``out/training``.
    config : LocatorTraining
        Without phantoms, each net starts at random.
    processes : int
        Processes that render phantoms; 0 for this one alone.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If ``out`` holds slices or checkpoints of other settings.
    DatasetError
        If there are too few patients for the folds.
    """
    keep_freed_memory()
    space, unmarked = data.space, data.midsagittal
    folds = folds_by_patient([one.patient for one in space], folds=config.folds, seed=config.fold_seed)
    work = out / "training"
    work.mkdir(parents=True, exist_ok=True)
    phantoms = make_phantom_slices(work / "virtual", config.virtual, workers=processes, progress=progress)
    stages = _Stages(config, phantoms, progress)
    start = stages.fit(work / "start", [], [], config.start, turn=len(phantoms)) if phantoms else None
    # whose patients the coloured slices show is unknown, so they are left out of the folds
    net = stages.fit_all([*space, *data.coloured], unmarked, work / "all", start)
    scores = []
    for number, fold in enumerate(folds, start=1):
        result = work / f"fold-{number}.json"
        if not result.is_file():
            kept, tested = ([space[place] for place in places] for places in fold)
            held_out = {s.patient for s in tested}
            others = [s for s in unmarked if s.patient not in held_out]
            of_fold = stages.fit_all(kept, others, work / f"fold-{number}", start)
            result.write_text(json.dumps({s.name: dice_of(of_fold, config.net, s) for s in tested}, indent=1))
        scores.append(json.loads(result.read_text()))
    entry = export_locator(net, config.net, out)
    write_bundle(out, entry, asdict(config), scores)
    return out


def dice_of(net: Locator, config: LocatorConfig, one: MarkedSlice) -> dict[str, float]:
    """Dice overlap of each structure on the slice's own grid."""
    assert one.mask is not None
    return dice(mark_slice(net, config, one)[0], one.mask)


def dice(mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Dice overlap of each structure of two masks of one shape; 1 where neither has any."""
    scores = {}
    for structure in Structure:
        ours, theirs = mask == structure.code, truth == structure.code
        total = int(ours.sum() + theirs.sum())
        scores[structure.value] = 2 * int((ours & theirs).sum()) / total if total else 1.0
    return scores


def mark_slice(
    net: Locator, config: LocatorConfig, one: MarkedSlice
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mark a slice with a net; mask and its probability, each (rows, columns) on the slice's own grid."""

    @torch.inference_mode()
    def run(slices: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(net(torch.from_numpy(slices)).float().numpy())

    marks = mark(one.picture[None], one.spacing_mm, run, grid_mm=config.spacing_mm, stride=config.stride)
    fine = marks.fine()[0]
    return np.argmax(fine, axis=0).astype(np.uint8), fine.max(axis=0)


@dataclass(frozen=True)
class _Stages:
    """Fits one net after the other, each with a checkpoint of its own."""

    config: LocatorTraining
    phantoms: Sequence[MarkedSlice]
    progress: Progress | None

    def fit_all(
        self,
        marked: Sequence[MarkedSlice],
        unmarked: Sequence[MarkedSlice],
        work: Path,
        start: Locator | None,
    ) -> Locator:
        """Fit the three stages on real slices."""
        config, alone = self.config, [1.0] * len(marked)
        turn = round(config.virtual_share * len(marked))

        def folder(stage: str) -> Path:
            return work.with_name(f"{work.name}.{stage}")

        net = self.fit(folder("first"), marked, alone, config.first, turn=turn, start=start)
        if unmarked:
            own = [_with_own_mark(net, one, config) for one in unmarked]
            weights = alone + [config.own_marks_weight] * len(own)
            net = self.fit(folder("second"), [*marked, *own], weights, config.second, turn=turn, start=net)
        return self.fit(
            folder("finish"),
            marked,
            alone,
            config.finish,
            turn=round(config.finish_virtual_share * len(marked)),
            start=net,
            augment=config.finish_augment,
        )

    def fit(
        self,
        folder: Path,
        slices: Sequence[MarkedSlice],
        weights: Sequence[float],
        how: FitConfig,
        *,
        turn: int,
        start: Locator | None = None,
        augment: AugmentConfig | None = None,
    ) -> Locator:
        """Fit a net, from the weights of another if there is one; ``turn`` slices of phantoms are in each epoch."""
        config = self.config
        samples = LocatorSamples(
            slices,
            weights,
            augment or config.augment,
            grid_mm=config.net.spacing_mm,
            seed=how.seed,
            in_turn=self.phantoms,
            turn=turn,
        )
        torch.manual_seed(how.seed)
        net = Locator(config.net)
        if start is not None:
            net.load_state_dict(start.state_dict())
        batches = locator_batches(samples, how)
        fitted = fit(net, batches, how, loss_of=loss_of, folder=folder, progress=self.progress).net
        assert isinstance(fitted, Locator)
        return fitted.to("cpu")


def _with_own_mark(net: Locator, one: MarkedSlice, config: LocatorTraining) -> MarkedSlice:
    mask, certainty = mark_slice(net, config.net, one)
    mask[certainty < config.own_marks_certain] = UNKNOWN
    return replace(one, mask=mask)
