"""How a cohort of patients is trained on: two sizes that ship, each a file that a copy of may change."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from stenograde.levels.crop import LIMIT, CropConfig, CropKind
from stenograde.nets.level_transfer import LevelTransferConfig
from stenograde.nets.point_finder import PointFinderConfig
from stenograde.predict.point_finder import N_ASKED
from stenograde.train.grader.batches import CropAugment
from stenograde.train.loop.fit_config import FitConfig

Size = Literal["quick", "published"]


@dataclass(frozen=True)
class Mixing:
    """How the levels of a batch are mixed, each with the one before it; shares of batches."""

    cutmix: float = 0.5
    """With a rectangle of the other's crops (Yun et al., arXiv:1905.04899)."""
    mixup: float = 0.25
    """With the other's features (Verma et al., arXiv:1806.05236)."""
    alpha: float = 0.4
    """Of the beta distribution of the mix-up's shares."""

    def __post_init__(self) -> None:
        if min(self.cutmix, self.mixup) < 0 or self.cutmix + self.mixup > 1 or self.alpha <= 0:
            msg = f"mixing needs shares of 0 to 1 together and alpha above 0, got {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class PointTraining:
    """How it is learnt where experts mark the points of cells."""

    crops: CropConfig = field(default_factory=lambda: CropConfig(size_px=48, grid_mm=1.2, about_middles=True))
    """Views in which points are looked for: wide enough for what the locator is off by."""
    widths: tuple[int, ...] = (24, 48, 96)
    """Channels of the net from fine to coarse."""
    augment: CropAugment = field(
        default_factory=lambda: CropAugment(shift_px=4, turn_deg=12.0, zoom_log=0.12)
    )
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=8, batch=48, weight_decay=1e-2, average=0.98, precision="32", learning_rate=4e-3
        )
    )
    folds: int = 3
    least_studies: int = 20
    """Studies with marks from which it is learnt."""

    def __post_init__(self) -> None:
        if self.folds < 2 or self.least_studies < 2 * self.folds:
            msg = (
                f"points need folds of 2 or more and least_studies of two for each fold, got {self.folds}, "
                f"{self.least_studies}"
            )
            raise ValueError(msg)
        _ = self.net  # refuses what does not fit

    @property
    def net(self) -> PointFinderConfig:
        """Shape of the net."""
        cut = self.crops
        return PointFinderConfig(
            slices=cut.slices,
            size_px=cut.size_px,
            slice_mm=cut.slice_mm,
            grid_mm=cut.grid_mm,
            asked=N_ASKED,
            widths=self.widths,
        )


@dataclass(frozen=True)
class CohortTraining:
    """How a bundle is made from a cohort of patients."""

    points: PointTraining = field(default_factory=PointTraining)
    crops: CropConfig = field(default_factory=lambda: CropConfig(about_middles=True))
    net: LevelTransferConfig = field(default_factory=LevelTransferConfig)
    augment: CropAugment = field(default_factory=CropAugment)
    mixing: Mixing = field(default_factory=Mixing)
    fit: FitConfig = field(default_factory=FitConfig)
    """First step: the whole net, every cell alike."""
    head: FitConfig = field(default_factory=FitConfig)
    """Second step: the judge alone, with the weights of RSNA 2024 and any severe canal."""
    copies: int = 4
    """Changed copies of each crop whose maps are kept, where the encoder is frozen."""
    folds: int = 5
    seeds: tuple[int, ...] = (7,)
    """Each gives a net for each fold; all are averaged."""
    coverage: float = 0.9
    """Share of cells of each severity whose set of possible severities holds it."""
    usual_share: float = 0.995
    """Share of the crops of a kind that count as usual; no grade rests on stranger ones."""

    def __post_init__(self) -> None:
        cut = (len(CropKind), self.crops.slices, self.crops.size_px, LIMIT)
        taken = (self.net.kinds, self.net.slices, self.net.size_px, self.net.limit)
        if cut != taken:
            msg = f"net must take the crops that are cut: kinds, slices, size_px, limit {cut}, got {taken}"
            raise ValueError(msg)
        if self.copies < 1 or self.folds < 2 or not self.seeds:
            got = f"{self.copies}, {self.folds}, {self.seeds}"
            msg = f"copies must be 1 or more, folds 2 or more and seeds some, got {got}"
            raise ValueError(msg)
        if not 0 < self.coverage < 1 or not 0 < self.usual_share <= 1:
            msg = f"coverage and usual_share must be between 0 and 1, got {self.coverage}, {self.usual_share}"
            raise ValueError(msg)


def read_size(size: Size) -> dict[str, Any]:
    """Return the settings of a size that ships, as its TOML file holds them."""
    text = (files("stenograde.train.cohort") / "sizes" / f"{size}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
