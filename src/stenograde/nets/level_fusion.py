"""A net from the crops of one level, of all series, to its cells: each cell attends to the crops, then to other cells.

This is our counterpart to the three published ways to fuse series (:mod:`stenograde.nets.series_fusion`). Those average
whole series first, and what happens at one level is lost in the mean. Here a level is graded from its own crops: each
cell is a query that attends to the crops (cross-attention), and then the cells of the level attend to one another,
because canal, recess and foramen of one level narrow together. A missing crop is masked.

References
----------
Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762 (attention, pre-norm blocks).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stenograde.nets.encoder import SmallResnet, SmallResnetConfig
from stenograde.nets.level_grader import N_QUESTIONS

QUESTION_OF_CELL = (0, 1, 1, 2, 2)
"""Question for each cell of a level: canal; foramen, left and right; recess, left and right."""

_START = 0.02
"""Initial standard deviation of learned tables (Dosovitskiy et al., arXiv:2010.11929, reference code)."""

N_VIEWS = 2
"""Views of a level, from its left and from its right; they are mirrored, so that one net sees both."""


@dataclass(frozen=True)
class LevelFusionConfig:
    """Shape of the net."""

    kinds: int = 4
    """Number of kinds of crop, that of :class:`stenograde.levels.crop.CropKind` has."""
    slices: int = 5
    size_px: int = 80
    widths: tuple[int, ...] = (32, 64, 96, 128)
    grid: int = 3
    """Rows and columns of tokens per crop."""
    features: int = 96
    heads: int = 4
    dropout: float = 0.2
    severities: int = 3

    def __post_init__(self) -> None:
        if min(self.kinds, self.slices, self.size_px, self.grid, self.features, self.heads) < 1:
            msg = (
                f"level fusion needs kinds, slices, size_px, grid, features and heads of 1 or more, got {self.kinds}, "
                f"{self.slices}, {self.size_px}, {self.grid}, {self.features}, {self.heads}"
            )
            raise ValueError(msg)
        if self.features % self.heads or not 0 <= self.dropout < 1:
            got = f"{self.heads}, {self.features}, {self.dropout}"
            msg = f"heads must divide features and dropout be in [0, 1), got {got}"
            raise ValueError(msg)


class LevelFusion(nn.Module):
    """A net from the crops of a level to logits of its cells."""

    def __init__(self, config: LevelFusionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.features
        shape = SmallResnetConfig(
            config.widths, first_stage="keeps", depths=(1,) * len(config.widths), norm="group", start="random"
        )
        self.encoders = nn.ModuleList(SmallResnet(shape, config.slices) for _ in range(config.kinds))
        self.squeeze = nn.ModuleList(nn.Conv2d(config.widths[-1], width, 1) for _ in range(config.kinds))
        self.places = nn.Parameter(torch.randn(config.kinds, config.grid**2, width) * _START)
        self.queries = nn.Parameter(torch.randn(N_QUESTIONS, width) * _START)
        self.look = _Attention(config)
        self.talk = _Attention(config)
        self.heads = nn.ModuleList(nn.Linear(width, config.severities) for _ in range(N_QUESTIONS))

    def forward(self, crops: Tensor, present: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        crops : tensor of shape (n, views, kinds, slices, rows, columns), float
            Crops; the values of an absent one do not matter as long as they are finite.
        present : tensor of shape (n, views, kinds), float
            1 where there is a crop, otherwise 0.

        Returns
        -------
        logits : tensor of shape (n, cells, severities)
            Logits of canal, left foramen, right foramen, left recess, right recess.
        """
        return self.answer(self.features(crops), present)

    def features(self, crops: Tensor) -> Tensor:
        """Return the tokens of each crop, shape (n, views, kinds, tokens, features)."""
        tokens = []
        for kind, (encoder, squeeze) in enumerate(zip(self.encoders, self.squeeze, strict=True)):
            assert isinstance(encoder, SmallResnet)
            maps = squeeze(encoder.maps(crops[:, :, kind].flatten(0, 1)))
            small = nn.functional.adaptive_avg_pool2d(maps, self.config.grid)
            tokens.append(small.flatten(2).transpose(1, 2).unflatten(0, (-1, N_VIEWS)) + self.places[kind])
        return torch.stack(tokens, dim=2)

    def answer(self, features: Tensor, present: Tensor) -> Tensor:
        """Return logits, shape (n, cells, severities), from the tokens of the crops."""
        there = present > 0
        said = []
        for view in range(N_VIEWS):
            seen = there[:, view, :, None].expand(features[:, view].shape[:-1]).flatten(1)
            queries = self.queries.expand(len(features), -1, -1)
            said.append(self.look(queries, features[:, view].flatten(1, 2), seen))
        cells = torch.stack(said, dim=1)
        canal = cells[:, :, 0].mean(dim=1)
        # the canal from both views, then foramen and recess of each side from its own view
        fellows = torch.cat([canal[:, None], cells[:, :, 1], cells[:, :, 2]], dim=1)
        everyone = fellows.new_ones(fellows.shape[:2], dtype=torch.bool)
        joined = self.talk(fellows, fellows, everyone)
        return torch.stack(
            [self.heads[question](joined[:, place]) for place, question in enumerate(QUESTION_OF_CELL)], dim=1
        )


class _Attention(nn.Module):
    """Attention of queries to tokens, then a small network, each added to the queries (pre-norm)."""

    def __init__(self, config: LevelFusionConfig) -> None:
        super().__init__()
        width = config.features
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.seen = nn.LayerNorm(width)
        self.attend = nn.MultiheadAttention(width, config.heads, dropout=config.dropout, batch_first=True)
        self.think = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(2 * width, width)
        )

    def forward(self, queries: Tensor, tokens: Tensor, there: Tensor) -> Tensor:
        """Return queries (n, queries, width) after attending to tokens (n, tokens, width) where ``there`` is true.

        If nothing is there, only the small network changes the queries.
        """
        keys = self.seen(torch.where(there[..., None], tokens, 0))
        nothing = ~there.any(dim=1)
        # attention over nothing would be NaN: it attends to zeros, and the result is dropped
        hidden = ~there & ~nothing[:, None]
        seen, _ = self.attend(self.before(queries), keys, keys, key_padding_mask=hidden, need_weights=False)
        queries = queries + torch.where(nothing[:, None, None], 0, seen)
        return queries + self.think(self.between(queries))
