"""The comparison as data: vectors, nets, imputation, and how each is fitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stenograde.experiments.fusion.pseudo_modality import ImputationConfig
from stenograde.experiments.recipes.read import Size
from stenograde.experiments.vectors.embed import EmbedConfig
from stenograde.levels.crop import CropConfig
from stenograde.nets.level_fusion import LevelFusionConfig
from stenograde.train.grader.batches import CropAugment
from stenograde.train.loop.fit_config import FitConfig


@dataclass(frozen=True)
class FusionRecipe:
    """Ways to fuse series, ready to compare."""

    name: str
    title: str
    document: str
    shown_task: str
    data: str
    kind: Literal["fusion"] = "fusion"
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    """Vectors of slices, for the published ways."""
    width: int = 512
    """Numbers of a vector; fewer than the encoder gives come from a random projection."""
    hidden: int = 64
    dropout: float = 0.3
    """Dropout of the published ways."""
    fit: FitConfig = field(default_factory=FitConfig)
    """How the published ways are fitted."""
    crops: CropConfig = field(default_factory=CropConfig)
    """How each level is cut out, for ours."""
    level: LevelFusionConfig = field(default_factory=LevelFusionConfig)
    level_fit: FitConfig = field(default_factory=FitConfig)
    augment: CropAugment = field(default_factory=CropAugment)
    imputation: ImputationConfig = field(default_factory=ImputationConfig)
    bundle: Path | None = None
    """Bundle whose locator finds the levels; the shipped one if not given."""
    folds: int = 3
    validation_share: float = 0.15
    """Share of the training patients that is kept for choosing the epoch of the published ways."""
    seed: int = 0
    liberties: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    size: Size = "published"
    changed: tuple[str, ...] | None = None
    """Settings that are others than those of the size; None where there are none."""

    def __post_init__(self) -> None:
        if self.folds < 2 or not 0 < self.validation_share < 0.5:
            got = f"{self.folds}, {self.validation_share}"
            msg = f"folds must be at least 2 and validation_share above 0 and below 0.5, got {got}"
            raise ValueError(msg)
        wanted = (self.crops.slices, self.crops.size_px)
        if (self.level.slices, self.level.size_px) != wanted:
            got = f"{self.level.slices}, {self.level.size_px}"
            msg = f"level.slices and level.size_px must be those of the crops {wanted}, got {got}"
            raise ValueError(msg)
