"""The net that outlines recesses on axial slices: how well it measures them, and its card."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from stenograde.errors import ConfigError
from stenograde.evaluate.metrics import weighted_auc
from stenograde.levels.rooms import BESIDE_MM, RECESS_MAP, RecessModel, RoomTissue, RoomView, recesses_of
from stenograde.nets.u_net import UNet
from stenograde.predict.recesses import RecessesEntry
from stenograde.predict.weight_files import WeightFile
from stenograde.terms import Side
from stenograde.train.loop.fit_config import FitConfig
from stenograde.train.rooms.foramina import dice_of
from stenograde.train.rooms.slices import RoomSlices, RoomSlicesConfig
from stenograde.train.rooms.training import FIT, RoomAugment, RoomTraining, tested


@dataclass(frozen=True)
class RecessesTraining(RoomTraining):
    """How the net that outlines recesses and tells tissues of axial slices apart is trained."""

    data: RoomSlicesConfig = field(default_factory=lambda: RoomSlicesConfig(view=RoomView(size_px=144)))
    view: RoomView = field(default_factory=lambda: RoomView(size_px=112))
    augment: RoomAugment = field(default_factory=lambda: RoomAugment(mirrored=True))
    fit: FitConfig = field(default_factory=lambda: replace(FIT, epochs=32))
    model: RecessModel = field(default_factory=RecessModel)


@dataclass(frozen=True)
class RecessesScores:
    """What the patients that were not trained on say of a net."""

    patients: int
    recesses: int
    """Recesses whose slice shows a sac."""
    unseen: int
    """Recesses that could not be measured."""
    error_mm: float
    """Mean absolute error of the height."""
    correlation: float
    dice: dict[str, float]
    auc_any: float
    auc_severe: float

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Scores for a table."""
        return [
            ("recesses of phantoms not trained on", f"{self.recesses} of {self.recesses + self.unseen}"),
            ("mean absolute error of the height, mm", f"{self.error_mm:.2f}"),
            ("correlation of the height", f"{self.correlation:.3f}"),
            *((f"Dice, {name}", f"{value:.3f}") for name, value in self.dice.items()),
            ("AUC of any stenosis", f"{self.auc_any:.3f}"),
            ("AUC of severe", f"{self.auc_severe:.3f}"),
        ]


def scores_of(net: UNet, slices: RoomSlices, config: RecessesTraining) -> RecessesScores:
    """Score a net on the patients that it was not fitted to."""
    look = tested(net, slices, config, np.ones(len(slices.facts), bool))
    pairs = []
    for k, maps in zip(look.at, look.said, strict=True):
        found = recesses_of(maps, config.view.grid_mm)
        true = dict(zip((Side.LEFT, Side.RIGHT), slices.facts[k, 1:], strict=True))
        pairs += [(found[side].height_mm if found else np.nan, true[side]) for side in Side]
    both = np.array(pairs)
    seen = np.isfinite(both[:, 0])
    if not seen.any():
        msg = f"the net must find a dural sac on a phantom, got none of {len(look.at)}; train it on more or for longer"
        raise ConfigError(msg)
    heights, true_mm = both[seen].T
    one, scale = np.ones((1, len(heights))), config.model.height_mm
    return RecessesScores(
        len(np.unique(slices.patients[look.at])),
        int(seen.sum()),
        int((~seen).sum()),
        float(np.abs(heights - true_mm).mean()),
        float(np.corrcoef(heights, true_mm)[0, 1]),
        dice_of(
            look,
            fat=RoomTissue.FAT,
            nerves=RoomTissue.NERVE,
            bone=RoomTissue.BONE,
            disc=RoomTissue.DISC,
            recesses=RECESS_MAP,
        ),
        float(weighted_auc(-heights, true_mm < scale.moderate, one)[0]),
        float(weighted_auc(-heights, true_mm < scale.severe, one)[0]),
    )


def entry_of(graph: WeightFile, config: RecessesTraining) -> RecessesEntry:
    """Return what a bundle states of a net."""
    return RecessesEntry(graph, config.view, config.model)


def section(config: RecessesTraining, found: RecessesScores, patients: int, seed: int) -> str:
    """Return what the card says of a net."""
    scale = config.model.height_mm
    return _SECTION.format(
        patients=patients,
        seed=seed,
        tested=found.patients,
        recesses=found.recesses,
        unseen=found.unseen,
        error=f"{found.error_mm:.1f}",
        correlation=f"{found.correlation:.2f}",
        dice=", ".join(f"{name} {value:.2f}" for name, value in found.dice.items()),
        auc_any=f"{found.auc_any:.3f}",
        auc_severe=f"{found.auc_severe:.3f}",
        moderate=f"{scale.moderate:g}",
        severe=f"{scale.severe:g}",
        source=scale.source,
        first=f"{BESIDE_MM[0]:g}",
        last=f"{BESIDE_MM[1]:g}",
    )


_SECTION = """
A small U-Net looks at the axial T2 slice through each disc, outlines the recesses and tells fat, nerves (the sac with
all that is in it, and roots), bone and disc apart. A recess reaches from the disc to the ligament before the joint,
from {first} to {last} mm beside the sac; its height is its area over that width, and it is drawn in the report. The
net learnt from {patients} phantoms (seed {seed}) whose tissues are known at every point, under strongly changed
contrast and in part with T1 timing; it has seen no picture of a patient, so what it says is a draft like what it is
pooled with.

On {recesses} recesses of {tested} phantoms that it was not fitted to ({unseen} more showed no sac), the middle 2 mm
off: height within {error} mm (correlation {correlation}); Dice {dice}; AUC of any stenosis {auc_any}, of severe
{auc_severe}. P(at least moderate) and P(severe) are logistic curves through {moderate} and {severe} mm ({source});
their steepness is ours and fitted to no grade.
"""
