"""The three architectures of Abdullah et al., from slice embeddings of three series to one answer per cell.

The document shows three ways to fuse embeddings of sagittal T1, sagittal T2 and axial T2 (its architectures 1.1, 1.2
and 2) without sizes; the sizes here are ours. A missing series has no slices and no weight: it is masked wherever
series or slices are combined, never filled with zeros that a layer could read.

References
----------
Abdullah, Ali, Ahmed and Khan, "A novel approach for three-way classification of lumbar spine degeneration using
pseudo-modality learning to handle missing MRI data" (repository lumbar-spine-degenerative-classification).
Ilse, Tomczak and Welling, "Attention-based deep multiple instance learning", 2018, arXiv:1802.04712 (gated attention).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn


class Fusion(StrEnum):
    """Ways to fuse series into one answer; numbers as in the document."""

    LATE = "late"
    """1.1: slices are averaged, series weighted by attention, their vectors fused by a CNN, and one model answers."""
    EARLY = "early"
    """1.2: slices are pooled by attention, series fused by a CNN, and one model per condition answers."""
    SEPARATE = "separate"
    """2: slices are pooled by attention, one model per series answers, and the answers are averaged."""


class Pooling(StrEnum):
    """Ways to pool slice embeddings into one vector per series."""

    MEAN = "mean"
    ATTENTION = "attention"


@dataclass(frozen=True)
class SeriesFusionConfig:
    """Shape of a fusion net."""

    fusion: Fusion = Fusion.EARLY
    width: int = 512
    """Length of a slice embedding."""
    series: int = 3
    cells: int = 25
    severities: int = 3
    parts: tuple[int, ...] = (5, 10, 10)
    """Number of cells of each condition, in order; each part has its own model in :attr:`Fusion.EARLY`."""
    hidden: int = 64
    pooling: Pooling | None = None
    """Pooling of slices, replacing that of the architecture."""
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if min(self.width, self.series, self.cells, self.severities, self.hidden) < 1:
            msg = (
                f"series fusion needs width, series, cells, severities and hidden of 1 or more, got {self.width}, "
                f"{self.series}, {self.cells}, {self.severities}, {self.hidden}"
            )
            raise ValueError(msg)
        if sum(self.parts) != self.cells:
            msg = f"parts must add up to the {self.cells} cells, got {self.parts}"
            raise ValueError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"dropout must be from 0 to below 1, got {self.dropout}"
            raise ValueError(msg)

    @property
    def pooled_by(self) -> Pooling:
        """The pooling of slices that applies."""
        usual = Pooling.MEAN if self.fusion is Fusion.LATE else Pooling.ATTENTION
        return usual if self.pooling is None else self.pooling


class GatedAttentionPool(nn.Module):
    """Weighted sum of the slices of a series (Ilse et al. 2018, equation 9).

    Parameters
    ----------
    width, hidden : int
        Length of an embedding, and of the hidden layer that gives its weight.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.value = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, slices: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled vectors (..., width) and the weights of the slices (..., slices).

        Parameters
        ----------
        slices : tensor of shape (..., slices, width)
        there : tensor of shape (..., slices), bool
            Whether there is a slice; without any, vector and weights are zero.
        """
        scores = self.score(torch.tanh(self.value(slices)) * torch.sigmoid(self.gate(slices)))[..., 0]
        weights = masked_softmax(scores, there)
        return weighted_sum(weights, slices), weights


class SeriesFusion(nn.Module):
    """A net from slice embeddings of the series of a study to logits of its cells."""

    def __init__(self, config: SeriesFusionConfig) -> None:
        super().__init__()
        self.config = config
        if config.pooled_by is Pooling.ATTENTION:
            self.pools = nn.ModuleList(
                GatedAttentionPool(config.width, config.hidden) for _ in range(config.series)
            )
        each = config.cells * config.severities
        if config.fusion is Fusion.SEPARATE:
            self.models = nn.ModuleList(_model(config.width, each, config) for _ in range(config.series))
        else:
            if config.fusion is Fusion.LATE:
                self.importance = nn.ModuleList(nn.Linear(config.width, 1) for _ in range(config.series))
            self.join = _SeriesCnn(config)
            parts = (config.cells,) if config.fusion is Fusion.LATE else config.parts
            self.models = nn.ModuleList(
                _model(self.join.width, part * config.severities, config) for part in parts
            )

    def forward(self, slices: Tensor, there: Tensor) -> Tensor:
        """Return logits of shape (n, cells, severities).

        Parameters
        ----------
        slices : tensor of shape (n, series, slices, width)
            Embeddings, padded at the end of each series; padding values do not matter as long as they are finite.
        there : tensor of shape (n, series, slices), bool
        """
        vectors, _ = self.pooled(slices, there)
        present = there.any(dim=2)
        if self.config.fusion is Fusion.SEPARATE:
            answers = torch.stack([model(vectors[:, k]) for k, model in enumerate(self.models)], dim=1)
            share = masked_share(present)
            logits = weighted_sum(share, torch.log_softmax(self._cells(answers), dim=-1).flatten(2))
        else:
            joined = self.join(self._weighed(vectors, present), present)
            logits = torch.cat([model(joined) for model in self.models], dim=1)
        return self._cells(logits)

    def pooled(self, slices: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return series vectors (n, series, width) and the weight of each slice (n, series, slices)."""
        if self.config.pooled_by is Pooling.MEAN:
            weights = masked_share(there)
            return weighted_sum(weights, slices), weights
        pairs = [pool(slices[:, k], there[:, k]) for k, pool in enumerate(self.pools)]
        return torch.stack([one for one, _ in pairs], dim=1), torch.stack([one for _, one in pairs], dim=1)

    def _weighed(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Return vectors times the weight of their series, which is 1 on average over those present."""
        if self.config.fusion is not Fusion.LATE:
            return vectors
        scores = torch.cat([layer(vectors[:, k]) for k, layer in enumerate(self.importance)], dim=1)
        weights = masked_softmax(scores, present) * present.sum(dim=1, keepdim=True)
        return vectors * weights[..., None]

    def _cells(self, logits: Tensor) -> Tensor:
        return logits.unflatten(-1, (self.config.cells, self.config.severities))


class _SeriesCnn(nn.Module):
    """Convolutions along the embedding with the series as channels; a missing one adds nothing, not even a bias."""

    def __init__(self, config: SeriesFusionConfig) -> None:
        super().__init__()
        channels = 16
        self.first = nn.Conv1d(config.series, channels, 5, stride=2, padding=2, bias=False)
        self.second = nn.Conv1d(channels, channels, 5, stride=2, padding=2)
        self.norm = nn.GroupNorm(4, channels)
        self.told_by = nn.Linear(config.series, channels)
        self.width = channels * ((config.width + 3) // 4)

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Return fused vectors (n, width) of series vectors (n, series, width)."""
        seen = present.to(vectors.dtype)
        maps = self.first(vectors * seen[..., None]) + self.told_by(seen)[..., None]
        return torch.relu(self.norm(self.second(torch.relu(maps)))).flatten(1)


def masked_softmax(scores: Tensor, there: Tensor) -> Tensor:
    """Return weights over the last axis, zero where something is missing; all zero if everything is."""
    held = scores.masked_fill(~there, torch.finfo(scores.dtype).min)
    return torch.softmax(held, dim=-1) * there


def masked_share(there: Tensor) -> Tensor:
    """Return equal weights over what is present along the last axis, float32."""
    seen = there.float()
    return seen / seen.sum(dim=-1, keepdim=True).clamp(min=1)


def weighted_sum(weights: Tensor, values: Tensor) -> Tensor:
    """Return the sum of values (..., n, width) by weights (..., n); a weight of zero excludes even NaN."""
    kept = torch.where((weights > 0)[..., None], values, 0)
    return (weights[..., None].to(values.dtype) * kept).sum(dim=-2)


def _model(width: int, outputs: int, config: SeriesFusionConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, config.hidden),
        nn.ReLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, outputs),
    )
