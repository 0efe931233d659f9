"""Crops of one disc, of whichever series there are, to yes or no for each finding.

Each crop becomes a vector; trained attention weighs those that are there (Ilse et al. 2018, as in
:mod:`stenograde.nets.series_fusion`), and the disc's level stands beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        series = len(self.config.encoder_of_series)
        there, level = extra[:, :series] > 0, extra[:, series:]
        vectors = torch.stack(
            [
                self.encoders[encoder](crops[:, k : k + 1]) + self.kinds[k]
                for k, encoder in enumerate(self.config.encoder_of_series)
            ],
            dim=1,
        )
        joined, _ = self.pool(vectors, there)
        return self.head(torch.cat([joined, level.to(joined.dtype)], dim=1))
