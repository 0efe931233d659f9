"""The grid as data: which vectors, which head, how classes are balanced, and what the document reports of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stenograde.experiments.recipes.read import Size
from stenograde.experiments.vectors.embed import EmbedConfig
from stenograde.images.pictures import Intensity
from stenograde.nets.series_fusion import Pooling
from stenograde.tabular.balance import Balance
from stenograde.tabular.heads import Head, HeadConfig

NETWORK = "network"
"""The head that is no classical one: an independent network for each condition, cross-entropy of yes or no."""

HeadName = Literal["svc", "lightgbm", "xgboost", "bagged_xgboost", "network"]


@dataclass(frozen=True)
class GridRow:
    """One row of the document's table."""

    width: int
    """Numbers of a vector."""
    intensity: Intensity
    encoder: str
    """A name of the recipe's encoders."""
    pooling: Pooling
    head: HeadName
    balance: Balance
    keep: float = 1.0
    """Share of the most frequent class that stays."""
    ordinal: bool = False
    """Whether a head is asked for "at least moderate" and "severe" instead of three classes."""
    published: tuple[float, ...] = ()
    """Accuracy, F1 and AUC as shares of one; empty for a row that is not in the table."""

    def __post_init__(self) -> None:
        if len(self.published) not in {0, 3}:
            msg = f"published must be accuracy, F1 and AUC, or nothing, got {self.published}"
            raise ValueError(msg)
        if self.ordinal and self.head in {"svc", NETWORK}:
            msg = f"ordinal must be false for {self.head}; choose a head of trees"
            raise ValueError(msg)

    @property
    def key(self) -> str:
        """Name for files."""
        parts = (self.width, self.intensity, self.encoder, self.pooling, self.head, self.balance)
        more = ([f"keep{self.keep:g}"] if self.keep < 1 else []) + (["ordinal"] if self.ordinal else [])
        return "-".join([*(str(part) for part in parts), *more])

    @property
    def cohort(self) -> tuple[str, Intensity]:
        """What the row's slices are embedded by."""
        return self.encoder, self.intensity

    @property
    def vectors(self) -> tuple[str, Intensity, Pooling, int]:
        """What the row's vectors are made by; rows that share it share vectors."""
        return self.encoder, self.intensity, self.pooling, self.width


@dataclass(frozen=True)
class EncoderChoice:
    """How a recipe's encoder is run."""

    size_px: int
    precision: Literal["32", "bf16"] = "32"
    encoder: str = ""
    """Another encoder in its place, where it is too slow; empty for itself."""


@dataclass(frozen=True)
class NetworkConfig:
    """The head that is a network, and the trained pooling."""

    hidden: int = 128
    epochs: int = 60
    learning_rate: float = 2e-3
    dropout: float = 0.3
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        if min(self.hidden, self.epochs) < 1 or self.learning_rate <= 0 or not 0 <= self.dropout < 1:
            msg = (
                f"a network needs hidden, epochs and learning_rate above 0 and dropout in [0, 1), got {self}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class GridRecipe:
    """The grid, ready to run."""

    name: str
    title: str
    document: str
    shown_task: str
    data: str
    rows: tuple[GridRow, ...]
    encoders: Mapping[str, EncoderChoice]
    kind: Literal["grid"] = "grid"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    folds: int = 5
    seed: int = 0
    trees: int = 100
    bags: int = 10
    liberties: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
    size: Size = "published"
    changed: tuple[str, ...] | None = None
    """Settings that are others than those of the size; None where there are none."""

    def __post_init__(self) -> None:
        unknown = sorted({row.encoder for row in self.rows} - set(self.encoders))
        keys = [row.key for row in self.rows]
        if not self.rows or unknown or len(set(keys)) < len(keys):
            what = f"no settings for {', '.join(unknown)}" if unknown else "none, or some twice"
            msg = f"rows must be different and of the encoders {', '.join(self.encoders)}, got {what}"
            raise ValueError(msg)
        if self.folds < 2:
            msg = f"folds must be at least 2, got {self.folds}"
            raise ValueError(msg)

    def embedding(self, row: GridRow) -> EmbedConfig:
        """Return how the slices of a row are embedded."""
        chosen = self.encoders[row.encoder]
        return EmbedConfig(
            encoder=chosen.encoder or row.encoder,
            intensity=row.intensity,
            size_px=chosen.size_px,
            seed=self.seed,
            precision=chosen.precision,
        )

    def head(self, row: GridRow) -> HeadConfig:
        """Return the classical head of a row."""
        return HeadConfig(
            Head(row.head),
            row.balance,
            keep=row.keep,
            ordinal=row.ordinal,
            trees=self.trees,
            bags=self.bags,
            seed=self.seed,
        )
