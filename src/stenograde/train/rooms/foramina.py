"""The net that outlines foramina: what is usual in open ones as it outlines them, its scores, and its card."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stenograde.errors import ConfigError
from stenograde.evaluate.metrics import weighted_auc
from stenograde.levels.rooms import ForamenModel, ForamenRoom, RoomTissue, room_of
from stenograde.nets.u_net import UNet
from stenograde.predict.foramina import ForaminaEntry
from stenograde.predict.weight_files import WeightFile
from stenograde.report.markdown import markdown_table
from stenograde.terms import LUMBAR_MRI
from stenograde.train.rooms.slices import RoomSlices
from stenograde.train.rooms.training import RoomTraining, Tested, tested


@dataclass(frozen=True)
class ForaminaTraining(RoomTraining):
    """How the net that outlines foramina is trained."""

    model: ForamenModel = field(default_factory=ForamenModel)


@dataclass(frozen=True)
class ForaminaScores:
    """What the patients that were not trained on say of a net, and what is usual in their open foramina."""

    usual: dict[str, ForamenRoom]
    patients: int
    foramina: int
    area_error_mm2: float
    """Mean absolute error of the area of fat and root, against the phantoms' own."""
    area_correlation: float
    dice: dict[str, float]
    """Of fat and root, over all views."""
    auc_any: float
    auc_severe: float

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Scores for a table."""
        return [
            ("foramina of phantoms not trained on", str(self.foramina)),
            ("mean absolute error of the area, mm2", f"{self.area_error_mm2:.1f}"),
            ("correlation of the area", f"{self.area_correlation:.3f}"),
            *((f"Dice, {name}", f"{value:.3f}") for name, value in self.dice.items()),
            ("AUC of any narrowing", f"{self.auc_any:.3f}"),
            ("AUC of severe", f"{self.auc_severe:.3f}"),
        ]


def scores_of(net: UNet, slices: RoomSlices, config: ForaminaTraining) -> ForaminaScores:
    """Score a net on the nearest slices of the patients that it was not fitted to."""
    look, grid = tested(net, slices, config, slices.facts[:, 2] == 0), config.view.grid_mm
    found, true = ([room_of(one, grid) for one in maps] for maps in (look.said, look.own))
    levels, ranks = slices.levels[look.at], slices.facts[look.at, 1]
    usual = {
        level.value: _usual(
            [room for room, k, r in zip(found, levels, ranks, strict=True) if (k, r) == (place, 0)],
            level.shown,
        )
        for place, level in enumerate(LUMBAR_MRI.levels)
    }
    narrowing = np.array(
        [
            config.model.narrowing(room, usual[LUMBAR_MRI.levels[k].value])
            for room, k in zip(found, levels, strict=True)
        ]
    )
    one = np.ones((1, len(ranks)))
    areas = np.array([[a.area_mm2, b.area_mm2] for a, b in zip(found, true, strict=True)])
    return ForaminaScores(
        usual,
        len(np.unique(slices.patients[look.at])),
        len(look.at),
        float(np.abs(areas[:, 0] - areas[:, 1]).mean()),
        float(np.corrcoef(areas.T)[0, 1]),
        dice_of(look, fat=RoomTissue.FAT, root=RoomTissue.NERVE),
        float(weighted_auc(narrowing, ranks > 0, one)[0]),
        float(weighted_auc(narrowing, ranks > 1, one)[0]),
    )


def dice_of(look: Tested, **maps: int) -> dict[str, float]:
    """Return the overlap of some maps by name."""
    return {name: look.dice(at) for name, at in maps.items()}


def _usual(rooms: list[ForamenRoom], level: str) -> ForamenRoom:
    if not rooms:
        msg = f"phantoms that are not trained on must have an open foramen at {level}, got none; make more"
        raise ConfigError(msg)
    fat, root = np.median([(room.fat_mm2, room.root_mm2) for room in rooms], axis=0)
    return ForamenRoom(float(fat), float(root))


def entry_of(graph: WeightFile, config: ForaminaTraining, found: ForaminaScores) -> ForaminaEntry:
    """Return what a bundle states of a net."""
    return ForaminaEntry(graph, found.usual, config.view, config.model)


def section(config: ForaminaTraining, found: ForaminaScores, patients: int, seed: int) -> str:
    """Return what the card says of a net."""
    usual = [
        (level.shown, f"{found.usual[level.value].fat_mm2:.0f}", f"{found.usual[level.value].root_mm2:.0f}")
        for level in LUMBAR_MRI.levels
    ]
    scales = [
        (name, f"{scale.moderate:.2f}", f"{scale.severe:.2f}", f"{scale.weight:g}", scale.source)
        for name, scale in (("fat", config.model.fat_ratio), ("fat and root", config.model.area_ratio))
    ]
    head = ("share of what is usual", "moderate below", "severe below", "weight", "source")
    return _SECTION.format(
        patients=patients,
        seed=seed,
        tested=found.patients,
        foramina=found.foramina,
        error=f"{found.area_error_mm2:.0f}",
        correlation=f"{found.area_correlation:.2f}",
        dice=", ".join(f"{name} {value:.2f}" for name, value in found.dice.items()),
        auc_any=f"{found.auc_any:.3f}",
        auc_severe=f"{found.auc_severe:.3f}",
        usual=markdown_table(("level", "fat, mm²", "root, mm²"), usual),
        scales=markdown_table(head, scales),
    )


_SECTION = """
A small U-Net looks at each foramen on the sagittal T1 slices about it and tells fat, root, bone and disc apart; the
areas of fat, and of fat and root, within 10 mm above and below and 6.5 mm before and behind the foramen's middle are
its room, and are drawn in the report. Slices that run between the pedicles count most, and tell where the foramen lies.
The net learnt from {patients} phantoms (seed {seed}) whose tissues are known at every point, under strongly changed
contrast; it has seen no picture of a patient, so what it says is a draft like what it is pooled with.

On {foramina} foramina of {tested} phantoms that it was not fitted to, its middle 2 mm off: area of fat and root within
{error} mm² (correlation {correlation}); Dice {dice}; AUC of any narrowing {auc_any}, of severe {auc_severe}. Usual
areas, medians of those of them without narrowing:

{usual}

Each share of what is usual is put on a scale of narrowing, 0 at its moderate and 1 at its severe threshold;
P(at least moderate) and P(severe) are logistic curves through 0 and 1 of their weighted mean. The thresholds are
published, weights and steepness ours and fitted to no grade.

{scales}
"""
