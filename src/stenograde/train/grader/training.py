"""Train the 25-cell grader on phantoms: make crops, fit, calibrate on others, write a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from stenograde.config import as_plain
from stenograde.levels.crop import CropKind
from stenograde.nets.level_grader import LevelGrader, LevelGraderConfig
from stenograde.predict.bundle import Bundle
from stenograde.terms import Condition
from stenograde.train.grader.batches import CropAugment, EveryPattern, every_pattern_loss, grader_batches
from stenograde.train.grader.bundle import calibrate, export_grader, write_bundle
from stenograde.train.grader.crops import CropsConfig, CropSet, Part, make_crops
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import FitConfig
from stenograde.workers import Progress, named


@dataclass(frozen=True)
class GraderTraining:
    """How the grader is trained."""

    data: CropsConfig = field(default_factory=CropsConfig)
    net: LevelGraderConfig = field(default_factory=LevelGraderConfig)
    augment: CropAugment = field(default_factory=CropAugment)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=24,
            batch=16,
            learning_rate=2e-3,
            weight_decay=1e-2,
            average=0.995,
        )
    )
    validation_patients: int = 60
    """Patients to choose the epoch by."""
    calibration_patients: int = 150
    usual_share: float = 0.995
    """Share of the calibration crops of a kind that count as usual; no grade rests on stranger ones."""
    tempered: Mapping[str, float] = field(
        default_factory=lambda: {
            Condition.SPINAL_CANAL_STENOSIS.value: 1.16,
            Condition.NEURAL_FORAMINAL_NARROWING.value: 1.92,
            Condition.SUBARTICULAR_STENOSIS.value: 1.32,
        }
    )
    """How many times the temperature that fits phantoms each condition gets: what phantoms of another anatomy cost.

    A grader that was trained on phantoms whose arches were boxes needed so many times its temperature on those whose
    arches were measured (docs/experiments/fixed-heads.md); from phantoms to patients the step is no smaller.
    """

    def __post_init__(self) -> None:
        if min(self.validation_patients, self.calibration_patients) < 1 or not 0 < self.usual_share <= 1:
            msg = (
                f"grader training needs validation and calibration patients and a usual_share up to 1, got "
                f"{self.validation_patients}, {self.calibration_patients}, {self.usual_share}"
            )
            raise ValueError(msg)
        if set(self.tempered) - set(Condition) or min(self.tempered.values(), default=1) < 1:
            msg = f"tempered must give conditions factors of 1 or more, got {dict(self.tempered)}"
            raise ValueError(msg)
        cut = (len(CropKind), self.data.crops.slices, self.data.crops.size_px)
        taken = (self.net.kinds, self.net.slices, self.net.size_px)
        if cut != taken:
            msg = f"net must take the crops that are cut: kinds, slices, size_px {cut}, got {taken}"
            raise ValueError(msg)


Crops = Mapping[Part, CropSet]
"""Crops of phantoms by what they are for."""


def make_training_crops(
    out: Path,
    config: GraderTraining,
    *,
    patients: int,
    seed: int,
    processes: int = 0,
    progress: Progress | None = None,
) -> Crops:
    """Make the crops of all parts that are still to be made in ``out/training``, and map them all.

    ``patients`` are those to train on; those to validate and calibrate on are added. With 0 ``processes``, this one
    renders.

    Raises
    ------
    ConfigError
        If ``out`` holds crops of other settings.
    """
    counts = {
        Part.TRAIN: patients,
        Part.VALIDATION: config.validation_patients,
        Part.CALIBRATION: config.calibration_patients,
    }
    return {
        part: make_crops(
            out / "training" / f"crops-{part.value}",
            config.data,
            part=part,
            patients=count,
            seed=seed,
            workers=processes,
            progress=progress,
        )
        for part, count in counts.items()
    }


def train_grader(
    out: Path,
    config: GraderTraining,
    crops: Crops,
    *,
    seed: int,
    base: Bundle,
    progress: Progress | None = None,
    tested: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Fit, calibrate and write a bundle; started again with the same ``out`` it resumes.

    Parameters
    ----------
    out : Path
        Becomes the bundle; the checkpoint lies in ``out/training``.
    config : GraderTraining
    crops : mapping
        By :func:`make_training_crops`.
    seed : int
        Seed of the fit; replaces the one in ``config.fit``.
    base : Bundle
        Bundle whose locator and canal model are taken over.
    progress : callable, optional
    tested : sequence of mapping
        What ``stenograde score --json`` printed of a bundle made before by the same settings, for the card.

    Raises
    ------
    ConfigError
        If ``out`` holds a checkpoint of other settings.
    """
    net = _fit(out, config, crops, seed=seed, progress=progress)
    train, calibration = crops[Part.TRAIN], crops[Part.CALIBRATION]
    calibrated = calibrate(
        net,
        train,
        calibration,
        usual_share=config.usual_share,
        added_noise=config.augment.noise,
        tempered=config.tempered,
    )
    entry = export_grader(net, out, calibrated=calibrated, crops=config.data.crops)
    training = {"patients": len(train.present), "seed": seed, **as_plain(config)}
    write_bundle(out, base, entry, training=training, calibrated=calibrated, tested=tested)
    return out


def _fit(
    out: Path, config: GraderTraining, crops: Crops, *, seed: int, progress: Progress | None
) -> LevelGrader:
    how = replace(config.fit, seed=seed)
    torch.manual_seed(seed)
    net = EveryPattern(LevelGrader(config.net))

    fitted = fit(
        net,
        grader_batches(crops[Part.TRAIN], how, config.augment),
        how,
        loss_of=every_pattern_loss,
        folder=out / "training" / "fit",
        validation=grader_batches(crops[Part.VALIDATION], how, None),
        progress=named(progress, "grader"),
    ).net
    assert isinstance(fitted, EveryPattern)
    assert isinstance(fitted.net, LevelGrader)
    return fitted.net.to("cpu")
