"""The recipe as data: how discs are cut out, the net, and how it is fitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stenograde.datasets.spider_discs import LEVELS, SERIES
from stenograde.experiments.discs.crops import QUESTIONS, DiscCropConfig
from stenograde.experiments.recipes.read import Size
from stenograde.nets.disc_fusion import DiscFusionConfig
from stenograde.train.loop.fit_config import FitConfig
from stenograde.train.pictures.augment import PictureAugment


@dataclass(frozen=True)
class DiscRecipe:
    """Findings of discs from the series there are, ready to run."""

    name: str
    title: str
    document: str
    shown_task: str
    data: str
    net: DiscFusionConfig
    fit: FitConfig
    crops: DiscCropConfig = field(default_factory=DiscCropConfig)
    augment: PictureAugment = field(default_factory=PictureAugment)
    kind: Literal["discs"] = "discs"
    bundle: Path | None = None
    """Bundle whose locator finds the discs; the shipped one if not given."""
    folds: int = 5
    seed: int = 0
    liberties: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    size: Size = "published"
    changed: tuple[str, ...] | None = None
    """Settings that are others than those of the size; None where there are none."""

    def __post_init__(self) -> None:
        wanted = (len(SERIES), len(LEVELS), len(QUESTIONS))
        got = (len(self.net.encoder_of_series), self.net.levels, self.net.questions)
        if got != wanted:
            msg = f"the net must take {wanted[0]} series and {wanted[1]} levels to {wanted[2]} answers, got {got}"
            raise ValueError(msg)
        if self.folds < 2:
            msg = f"folds must be at least 2, got {self.folds}"
            raise ValueError(msg)
        if self.augment.flip != "none":
            msg = "augment.flip must be none: a mirrored sagittal slice has its back in front"
            raise ValueError(msg)
