"""Crops of one disc, of whichever series there are, to yes or no for each finding.

Each crop becomes a vector; trained attention weighs those that are there (Ilse et al. 2018, as in
:mod:`stenograde.nets.series_fusion`), and the disc's level stands beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from stenograde.nets.encoder import SmallResnet, SmallResnetConfig
from stenograde.nets.series_fusion import GatedAttentionPool

_START = 0.02
"""Deviation of learned tables at the start."""


@dataclass(frozen=True)
class DiscFusionConfig:
    """Shape of the net."""

    encoder_of_series: tuple[int, ...] = (0, 1, 1)
    """Which encoder sees each series; series of like contrast share one."""
    widths: tuple[int, ...] = (32, 64, 96, 128)
    levels: int = 5
    questions: int = 7
    hidden: int = 64
    dropout: float = 0.4

    def __post_init__(self) -> None:
        sizes = (len(self.encoder_of_series), self.levels, self.questions, self.hidden)
        if min(sizes) < 1 or not 0 <= self.dropout < 1:
            msg = (
                f"disc fusion needs series, levels, questions and hidden of 1 or more and dropout in [0, 1), got "
                f"{sizes}, {self.dropout}"
            )
            raise ValueError(msg)
        if sorted(set(self.encoder_of_series)) != list(range(max(self.encoder_of_series) + 1)):
            msg = f"encoder_of_series must count from 0 without gaps, got {self.encoder_of_series}"
            raise ValueError(msg)


class DiscFusion(nn.Module):
    """Crops of a disc to logits of yes.

    Parameters
    ----------
    config : DiscFusionConfig
    """

    def __init__(self, config: DiscFusionConfig) -> None:
        super().__init__()
        self.config = config
        shape = SmallResnetConfig(
            config.widths, depths=(1,) * len(config.widths), norm="group", start="random"
        )
        self.encoders = nn.ModuleList(SmallResnet(shape) for _ in range(max(config.encoder_of_series) + 1))
        width = config.widths[-1]
        self.kinds = nn.Parameter(torch.randn(len(config.encoder_of_series), width) * _START)
        self.pool = GatedAttentionPool(width, config.hidden)
        self.head = nn.Sequential(
            nn.LayerNorm(width + config.levels),
            nn.Dropout(config.dropout),
            nn.Linear(width + config.levels, config.questions),
        )

    def forward(self, crops: Tensor, extra: Tensor) -> Tensor:
        """Return logits, shape (n, questions).

        Parameters
        ----------
        crops : tensor of shape (n, series, rows, columns), float
            What a missing crop holds does not matter, as long as it is finite.
        extra : tensor of shape (n, series + levels), float
            1 where there is a crop, else 0; then the level, one of them 1.
        """
        return self.answer(self.vectors(crops), extra)

    def vectors(self, crops: Tensor) -> Tensor:
        """Return the vector of each crop, shape (n, series, width)."""
        each = [
            self.encoders[encoder](crops[:, k : k + 1]) + self.kinds[k]
            for k, encoder in enumerate(self.config.encoder_of_series)
        ]
        return torch.stack(each, dim=1)

    def answer(self, vectors: Tensor, extra: Tensor) -> Tensor:
        """Return logits, shape (n, questions), from the vectors of the crops that are there."""
        series = len(self.config.encoder_of_series)
        joined, _ = self.pool(vectors, extra[:, :series] > 0)
        return self.head(torch.cat([joined, extra[:, series:].to(joined.dtype)], dim=1))


class EverySubset(nn.Module):
    """Answers each disc with all its series and with every smaller set of them; the crops are looked at once.

    Parameters
    ----------
    net : DiscFusion
    series : sequence of bool
        Which series it is fitted on.
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
        """Return logits, shape (n, subsets, questions), all series first; NaN where none of a subset is there."""
        vectors = self.net.vectors(crops)
        there, level = extra.split([self.subsets.shape[1], extra.shape[1] - self.subsets.shape[1]], dim=1)
        said = []
        for keep in self.subsets:
            left = there * keep
            logits = self.net.answer(vectors, torch.cat([left, level], dim=1))
            said.append(torch.where((left > 0).any(dim=1, keepdim=True), logits, torch.nan))
        return torch.stack(said, dim=1)
