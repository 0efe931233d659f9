"""Three kinds of attention over a map: between positions, of slots for positions, and of channels and positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOT_ITERATIONS = 3
"""Rounds of slot attention (Locatello et al., arXiv:2006.15055, section 4)."""

CBAM_REDUCTION = 16
"""Reduction of the hidden layer of the channel attention (Woo et al., doi:10.1007/978-3-030-01234-2_1, section 4)."""

CBAM_KERNEL = 7
"""Kernel size of the spatial attention, rows and columns (same, table 2)."""

_POSITION_DEVIATION = 0.02
"""Initial standard deviation of position tables (Dosovitskiy et al., arXiv:2010.11929, reference code)."""


class MultiHeadSelfAttention(nn.Module):
    """Attention between all positions of a map (Vaswani et al., arXiv:1706.03762), added to the map itself.

    Position embeddings are learned; without them attention could not tell left from right. The block is pre-norm, and
    its output layer starts at zero, so it starts as the identity.

    Parameters
    ----------
    width : int
        Channels of the map.
    heads : int
        Number of heads; must divide ``width``.
    map_size : tuple of int
        Rows and columns of the map.

    Raises
    ------
    ValueError
        If ``heads`` does not divide ``width``.
    """

    def __init__(self, width: int, heads: int, map_size: tuple[int, int]) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            msg = f"heads must divide the map's {width} channels, got {heads}"
            raise ValueError(msg)
        self.heads = heads
        self.positions = _positions(width, map_size)
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Linear(width, width)
        self.keys = nn.Linear(width, width)
        self.values = nn.Linear(width, width)
        self.joined = nn.Linear(width, width)
        nn.init.zeros_(self.joined.weight)
        nn.init.zeros_(self.joined.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the shape of ``maps``, (n, width, rows, columns)."""
        places = self.norm(_places(maps + self.positions))
        per_head = [
            layer(places).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.queries, self.keys, self.values)
        ]
        seen = nn.functional.scaled_dot_product_attention(*per_head)
        change = self.joined(seen.transpose(1, 2).flatten(2))
        return maps + change.transpose(1, 2).unflatten(2, maps.shape[2:])


class SlotAttention(nn.Module):
    """Slots that compete for the positions of a map over some rounds (Locatello et al., arXiv:2006.15055).

    In training each slot starts as a draw from its own learned normal distribution; at evaluation it starts at the
    mean of that distribution, so that the same picture gets the same answer. Each slot has its own mean: the published
    form shares one mean, and slots that start alike stay alike.

    Parameters
    ----------
    width : int
        Channels of the map and of each slot.
    slots : int
    map_size : tuple of int
        Rows and columns of the map.
    iterations : int
    """

    def __init__(
        self, width: int, slots: int, map_size: tuple[int, int], *, iterations: int = SLOT_ITERATIONS
    ) -> None:
        super().__init__()
        self.iterations = iterations
        self.mean = nn.Parameter(torch.empty(slots, width))
        self.log_sigma = nn.Parameter(torch.zeros(slots, width))
        nn.init.xavier_uniform_(self.mean)
        self.positions = _positions(width, map_size)
        self.place_norm = nn.LayerNorm(width)
        self.slot_norm = nn.LayerNorm(width)
        self.queries = nn.Linear(width, width, bias=False)
        self.keys = nn.Linear(width, width, bias=False)
        self.values = nn.Linear(width, width, bias=False)
        self.update = GatedUpdate(width)
        self.refine = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.ReLU(inplace=True),
            nn.Linear(2 * width, width),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the slots.

        Parameters
        ----------
        maps : tensor of shape (n, width, rows, columns)

        Returns
        -------
        slots : tensor of shape (n, slots, width)
        """
        return self._rounds(maps)[0]

    def shares(self, maps: Tensor) -> Tensor:
        """Return the share of each slot in each position, shape (n, slots, rows, columns); shares sum to one."""
        return self._rounds(maps)[1].unflatten(2, maps.shape[2:])

    def start(self, n: int) -> Tensor:
        """Return the slots before the first round, shape (n, slots, width): drawn in training, otherwise the means."""
        mean = self.mean.expand(n, -1, -1)
        if not self.training:
            return mean
        return mean + self.log_sigma.exp() * torch.randn_like(mean)

    def _rounds(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        places = self.place_norm(_places(maps + self.positions))
        keys, values = self.keys(places), self.values(places)
        slots = self.start(maps.shape[0])
        shares = torch.zeros_like(keys)
        for _ in range(self.iterations):
            queries = self.queries(self.slot_norm(slots)) * keys.shape[-1] ** -0.5
            # over slots, not positions: a position that one slot takes is lost to the others
            shares = torch.softmax(queries @ keys.transpose(1, 2), dim=1)
            weights = (
                shares + 1e-8
            )  # a slot that wins no position must not divide by zero (same, algorithm 1)
            slots = self.update((weights / weights.sum(dim=2, keepdim=True)) @ values, slots)
            slots = slots + self.refine(slots)
        return slots, shares


class GatedUpdate(nn.Module):
    """The gated recurrent unit (Cho et al., doi:10.3115/v1/D14-1179), computed as in torch's GRUCell.

    It is written out because the ONNX exporter does not support ``torch.nn.GRUCell``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_news = nn.Linear(width, 3 * width)
        self.of_state = nn.Linear(width, 3 * width)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(width**-0.5), width**-0.5)

    def forward(self, news: Tensor, state: Tensor) -> Tensor:
        """Return the next state; all shapes are (..., width)."""
        reset_news, keep_news, change_news = self.of_news(news).chunk(3, dim=-1)
        reset_state, keep_state, change_state = self.of_state(state).chunk(3, dim=-1)
        reset, keep = torch.sigmoid(reset_news + reset_state), torch.sigmoid(keep_news + keep_state)
        change = torch.tanh(change_news + reset * change_state)
        return change + keep * (state - change)


class Cbam(nn.Module):
    """Channel attention, then spatial attention (Woo et al., doi:10.1007/978-3-030-01234-2_1).

    Parameters
    ----------
    width : int
        Channels of the map.
    reduction : int
        Reduction of the hidden layer of the channel attention.
    """

    def __init__(self, width: int, *, reduction: int = CBAM_REDUCTION) -> None:
        super().__init__()
        hidden = max(1, width // reduction)
        self.channels = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, width)
        )
        self.places = nn.Sequential(
            nn.Conv2d(2, 1, CBAM_KERNEL, padding=CBAM_KERNEL // 2, bias=False), nn.BatchNorm2d(1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the shape of ``maps``, (n, width, rows, columns), with values scaled by 0 to 1."""
        strength = self.channels(maps.mean(dim=(2, 3))) + self.channels(maps.amax(dim=(2, 3)))
        maps = maps * torch.sigmoid(strength)[:, :, None, None]
        summary = torch.cat((maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)), dim=1)
        return maps * torch.sigmoid(self.places(summary))


def _positions(width: int, map_size: tuple[int, int]) -> nn.Parameter:
    return nn.Parameter(torch.randn(1, width, *map_size) * _POSITION_DEVIATION)


def _places(maps: Tensor) -> Tensor:
    """Return the positions of maps as a sequence, shape (n, rows * columns, width)."""
    return maps.flatten(2).transpose(1, 2)
