"""Our own picture encoder: a small residual network that trains on two cores and scales by its configuration.

Residual blocks after He et al. (doi:10.1109/CVPR.2016.90), averaging shortcuts after He et al.
(doi:10.1109/CVPR.2019.00065), blurred downsampling after Zhang (arXiv:1904.11486).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

_GROUP_WIDTH = 16
"""Channels per group of a group norm (Wu and He, doi:10.1007/978-3-030-01261-8_1, table 3)."""


@dataclass(frozen=True)
class SmallResnetConfig:
    """Shape of the small residual encoder.

    Widths that are multiples of 32 suit the bfloat16 kernels of CPUs; others work but are slower.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each stage; each stage halves rows and columns, as does the stem before."""
    first_stage: Literal["halves", "keeps"] = "halves"
    """Whether the first stage also halves rows and columns; keeping them gives finer maps, for small pictures."""
    depths: tuple[int, ...] = (2, 2, 2, 2)
    """Number of residual blocks in each stage."""
    norm: Literal["batch", "group"] = "batch"
    """Normalisation; group norms do not depend on the batch and suit batches below 8."""
    start: Literal["shortcuts", "random"] = "shortcuts"
    """Initial state of the blocks: the identity of their shortcuts (stable if deep), or torch's own random start
    (which learns faster if shallow)."""
    downsampling: Literal["strided", "blurred"] = "strided"
    """How rows and columns are halved; blurred is more stable under small shifts, but slower."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < _GROUP_WIDTH or any(w % _GROUP_WIDTH for w in self.widths):
            msg = f"small_resnet.widths must be multiples of {_GROUP_WIDTH}, got {self.widths}"
            raise ValueError(msg)
        if len(self.depths) != len(self.widths) or min(self.depths) < 1:
            msg = f"small_resnet.depths must be {len(self.widths)} positive counts, got {self.depths}"
            raise ValueError(msg)

    @property
    def stride(self) -> int:
        """Pixels of a picture per position of the last map."""
        return 2 ** (len(self.widths) + (self.first_stage == "halves"))


class SmallResnet(nn.Module):
    """Encoder from picture to feature vector.

    Parameters
    ----------
    config : SmallResnetConfig
    channels : int
        Channels of a picture.
    """

    def __init__(self, config: SmallResnetConfig, channels: int = 1) -> None:
        super().__init__()
        self.config = config
        first = config.widths[0]
        self.stem = nn.Sequential(
            *_halving(channels, first, config.downsampling), _norm(first, config.norm), nn.ReLU(inplace=True)
        )
        self.stages = nn.Sequential(
            *(
                _stage(
                    before,
                    after,
                    depth,
                    config,
                    stride=1 if number == 0 and config.first_stage == "keeps" else 2,
                )
                for number, ((before, after), depth) in enumerate(
                    zip(pairwise((first, *config.widths)), config.depths, strict=True)
                )
            )
        )
        if config.start == "random":
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.last_norm.weight)  # each block starts as its shortcut

    @property
    def width(self) -> int:
        """Length of the feature vector."""
        return self.config.widths[-1]

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose output is the last maps."""
        return self.stages

    def maps(self, images: Tensor) -> Tensor:
        """Return the last maps.

        Parameters
        ----------
        images : tensor of shape (n, channels, rows, columns), float

        Returns
        -------
        maps : tensor of shape (n, width, rows / stride, columns / stride), rounded up
        """
        return self.stages(self.stem(images))

    def forward(self, images: Tensor) -> Tensor:
        """Return the average of the maps, shape (n, width), for images of shape (n, channels, rows, columns)."""
        return self.maps(images).mean(dim=(2, 3))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut.

    Parameters
    ----------
    before, after : int
        Channels of the input and output maps.
    config : SmallResnetConfig
    stride : {1, 2}
        Stride; 2 halves rows and columns.
    """

    def __init__(self, before: int, after: int, config: SmallResnetConfig, *, stride: int) -> None:
        super().__init__()
        first = [_conv(before, after)] if stride == 1 else _halving(before, after, config.downsampling)
        self.body = nn.Sequential(
            *first, _norm(after, config.norm), nn.ReLU(inplace=True), _conv(after, after)
        )
        self.last_norm = _norm(after, config.norm)
        shortcut: list[nn.Module] = []
        if stride == 2:
            shortcut.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
        if before != after:
            shortcut += [nn.Conv2d(before, after, 1, bias=False), _norm(after, config.norm)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of shape (n, after, rows / stride, columns / stride), rounded up."""
        return nn.functional.relu(self.last_norm(self.body(maps)) + self.shortcut(maps))


class Blur(nn.Sequential):
    """Halving of rows and columns, rounded up, after a 3x3 binomial filter, so that fine detail cannot alias.

    The filter consists of two averages over 2x2, the first of which ignores what is outside the edge.
    """

    def __init__(self) -> None:
        super().__init__(nn.AvgPool2d(2, stride=1, padding=1, count_include_pad=False), nn.AvgPool2d(2))


class GroupNorm(nn.GroupNorm):
    """torch's group norm without its check of the batch, which ONNX export cannot trace."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the shape of ``maps``, (n, channels, rows, columns)."""
        return torch.group_norm(maps, self.num_groups, self.weight, self.bias, self.eps)


def _stage(before: int, after: int, depth: int, config: SmallResnetConfig, *, stride: int) -> nn.Sequential:
    blocks = [ResidualBlock(before, after, config, stride=stride)]
    blocks += [ResidualBlock(after, after, config, stride=1) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def _halving(before: int, after: int, downsampling: Literal["strided", "blurred"]) -> list[nn.Module]:
    if downsampling == "strided":
        return [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)]
    return [_conv(before, after), Blur()]


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


def _norm(width: int, norm: Literal["batch", "group"]) -> nn.BatchNorm2d | GroupNorm:
    return nn.BatchNorm2d(width) if norm == "batch" else GroupNorm(width // _GROUP_WIDTH, width)
