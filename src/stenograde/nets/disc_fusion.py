"""A net from crops of one disc, of whichever series are available, to yes or no for each finding.

Each crop becomes a vector; trained attention weights those present (Ilse et al. 2018, as in
:mod:`stenograde.nets.series_fusion`), and the level of the disc is appended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from stenograde.nets.encoder import SmallResnet, SmallResnetConfig
from stenograde.nets.middle_maps import MiddleMaps, pooled
from stenograde.nets.series_fusion import GatedAttentionPool
from stenograde.nets.weights import Start

_FULL_SCALE = 3.0
"""So many standard deviations are the ends of the scale that a frozen encoder is shown."""

_START = 0.02
"""Initial standard deviation of learned tables."""


@dataclass(frozen=True)
class DiscFusionConfig:
    """Shape of the net."""

    encoder_of_series: tuple[int, ...] = (0, 1, 1)
    """Index of the encoder for each series; series of similar contrast share one."""
    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Of the small residual encoders; the last is the length of a vector."""
    frozen: str = ""
    """EfficientNet of timm whose middle maps are looked at instead, for all series; it is not trained."""
    grid: int = 4
    """Rows and columns that the frozen encoder's maps are averaged to."""
    levels: int = 5
    questions: int = 7
    hidden: int = 64
    dropout: float = 0.4

    def __post_init__(self) -> None:
        sizes = (len(self.encoder_of_series), self.levels, self.questions, self.hidden, self.grid)
        if min(sizes) < 1 or not 0 <= self.dropout < 1:
            msg = (
                f"disc fusion needs series, levels, questions, hidden and grid of 1 or more and dropout in [0, 1), got "
                f"{sizes}, {self.dropout}"
            )
            raise ValueError(msg)
        if sorted(set(self.encoder_of_series)) != list(range(max(self.encoder_of_series) + 1)):
            msg = f"encoder_of_series must count from 0 without gaps, got {self.encoder_of_series}"
            raise ValueError(msg)


class DiscFusion(nn.Module):
    """A net from crops of a disc to logits of yes."""

    def __init__(self, config: DiscFusionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.widths[-1]
        self.maps = MiddleMaps(config.frozen) if config.frozen else None
        self.encoders = nn.ModuleList(
            SmallResnet(
                SmallResnetConfig(
                    config.widths, depths=(1,) * len(config.widths), norm="group", start="random"
                )
            )
            if self.maps is None
            else _OnMaps(self.maps.width * config.grid**2, width, config.dropout)
            for _ in range(max(config.encoder_of_series) + 1)
        )
        self.kinds = nn.Parameter(torch.randn(len(config.encoder_of_series), width) * _START)
        self.pool = GatedAttentionPool(width, config.hidden)
        self.head = nn.Sequential(
            nn.LayerNorm(width + config.levels),
            nn.Dropout(config.dropout),
            nn.Linear(width + config.levels, config.questions),
        )

    def start_from(self, weights: Start) -> None:
        """Load the weights of the frozen encoder.

        Raises
        ------
        BundleError
            If they do not fit.
        ValueError
            If no encoder is frozen.
        """
        if self.maps is None:
            msg = "weights are for a frozen encoder, got none; set net.frozen, such as tf_efficientnet_lite0"
            raise ValueError(msg)
        self.maps.start_from(weights)

    def forward(self, crops: Tensor, extra: Tensor) -> Tensor:
        """Return logits, shape (n, questions).

        Parameters
        ----------
        crops : tensor of shape (n, series, rows, columns), float
            Crops, in standard deviations of their slices; the values of a missing one do not matter as long as they
            are finite.
        extra : tensor of shape (n, series + levels), float
            1 where there is a crop, otherwise 0; then the level, one-hot.
        """
        return self.answer(self.vectors(crops), extra)

    def vectors(self, crops: Tensor) -> Tensor:
        """Return the vector of each crop, shape (n, series, width)."""
        each = [
            self.encoders[encoder](self._seen(crops[:, k : k + 1])) + self.kinds[k]
            for k, encoder in enumerate(self.config.encoder_of_series)
        ]
        return torch.stack(each, dim=1)

    def _seen(self, crop: Tensor) -> Tensor:
        if self.maps is None:
            return crop
        return pooled(self.maps((crop / _FULL_SCALE).clamp(-1, 1)), self.config.grid).flatten(1)

    def answer(self, vectors: Tensor, extra: Tensor) -> Tensor:
        """Return logits, shape (n, questions), from the vectors of the crops present."""
        series = len(self.config.encoder_of_series)
        joined, _ = self.pool(vectors, extra[:, :series] > 0)
        return self.head(torch.cat([joined, extra[:, series:].to(joined.dtype)], dim=1))


class _OnMaps(nn.Sequential):
    """A vector from the averages of frozen maps, each in standard deviations of the crops that train."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__(
            nn.BatchNorm1d(features, affine=False), nn.Dropout(dropout), nn.Linear(features, width)
        )


class EverySubset(nn.Module):
    """Answers for each disc from every subset of its series; the crops are encoded once.

    Parameters
    ----------
    net : DiscFusion
    series : sequence of bool
        Whether each series takes part in the fit.
    """

    subsets: Tensor

    def __init__(self, net: DiscFusion, series: Sequence[bool]) -> None:
        super().__init__()
        self.net = net
        kept = [
            keep
            for keep in product((1.0, 0.0), repeat=len(series))
            if any(keep) and all(fitted or not one for one, fitted in zip(keep, series, strict=True))
        ]
        self.register_buffer("subsets", torch.tensor(kept), persistent=False)

    def forward(self, crops: Tensor, extra: Tensor) -> Tensor:
        """Return logits, shape (n, subsets, questions), all series first; NaN if no series of a subset is present."""
        vectors = self.net.vectors(crops)
        there, level = extra.split([self.subsets.shape[1], extra.shape[1] - self.subsets.shape[1]], dim=1)
        said = []
        for keep in self.subsets:
            left = there * keep
            logits = self.net.answer(vectors, torch.cat([left, level], dim=1))
            said.append(torch.where((left > 0).any(dim=1, keepdim=True), logits, torch.nan))
        return torch.stack(said, dim=1)
