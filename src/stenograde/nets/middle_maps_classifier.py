"""A linear layer over the middle maps of a frozen EfficientNet, averaged on a grid: only that layer is fitted.

The maps of the last stages, averaged over the picture, say which things are there; those of the middle, on a grid,
say which shapes are where.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stenograde.nets.head import ClassifierHead, check_picture_shape
from stenograde.nets.middle_maps import MiddleMaps, pooled

STRIDES = (2, 4, 8, 16, 16, 32, 32)
"""Pixels per value of the maps of each stage of an EfficientNet."""

_LEAST_PROBABILITY = 1e-4
"""Of a class between two questions whose answers cross."""


@dataclass(frozen=True)
class MiddleMapsConfig:
    """Which maps are looked at, and on how fine a grid."""

    encoder: str
    """Name of an EfficientNet of timm."""
    stages: tuple[int, ...] = (3, 4)
    """Its stages whose maps are taken, from 0."""
    grid: int = 6
    """Rows and columns over which the maps are averaged."""
    look_px: int = 192
    """Side of the square to which a picture is enlarged before it is looked at."""
    closer: tuple[float, ...] = ()
    """Shares of the picture's sides, around its middle, that are enlarged and looked at beside the whole."""
    ordinal: bool = False
    """The layer answers 'worse than class k?' instead of giving each class its logit; classes must then ascend."""
    classes: int = 3
    """Number of logits."""
    channels: int = 1
    """Channels of a picture; all but the first are ignored, as pictures are grey."""
    size_px: tuple[int, int] = (96, 96)
    """Rows and columns of a picture."""
    extra: int = 0
    """Number of further inputs (such as the level), joined to the features before the last layer."""

    def __post_init__(self) -> None:
        check_picture_shape(self, "middle_maps")
        if not self.stages or min(self.stages) < 0 or max(self.stages) >= len(STRIDES):
            msg = f"middle_maps.stages must be some of 0 to {len(STRIDES) - 1}, got {self.stages}"
            raise ValueError(msg)
        stride = STRIDES[max(self.stages)]
        if self.grid < 1 or self.look_px < 1 or self.look_px % (stride * self.grid):
            msg = (
                f"middle_maps.look_px must be a multiple of {stride} px for each of the grid's rows, "
                f"got {self.look_px} px for a grid of {self.grid}"
            )
            raise ValueError(msg)
        if not all(0 < share < 1 for share in self.closer):
            msg = f"middle_maps.closer must be shares between 0 and 1, got {self.closer}"
            raise ValueError(msg)


class MiddleMapsClassifier(nn.Module):
    """Frozen middle maps, averages on a grid, linear layer.

    Raises
    ------
    ValueError
        If timm has no such EfficientNet.
    MissingDependencyError
        If timm is not installed.
    """

    weights_prefix = "maps.encoder.net."
    mean: Tensor
    std: Tensor

    def __init__(self, config: MiddleMapsConfig) -> None:
        super().__init__()
        self.config = config
        self.maps = MiddleMaps(config.encoder, config.stages)
        net = self.maps.encoder.net
        net.blocks = net.blocks[: max(config.stages) + 1]
        net.conv_head, net.bn2 = nn.Identity(), nn.Identity()
        seen = pooled(self.maps(torch.zeros(1, 1, config.look_px, config.look_px)), config.grid)
        self.width = int(seen.flatten(1).shape[1]) * (1 + len(config.closer))
        answers = config.classes - 1 if config.ordinal else config.classes
        self.head = ClassifierHead(self.width, answers, extra=config.extra)
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("std", torch.ones(1))

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose maps show where the net looks: the last stage that it takes."""
        last: nn.Module = self.maps.encoder.net.blocks[-1]
        return last

    @property
    def hub_id(self) -> str | None:
        """Repository of the encoder's published weights on the hub; None if there is none."""
        return self.maps.encoder.hub_id

    def takes(self, mean: float, std: float) -> None:
        """Tell the net how its pictures are normalised: what is subtracted from grey values of 0 to 1, and divides."""
        self.mean.fill_(mean)
        self.std.fill_(std)

    def features(self, images: Tensor) -> Tensor:
        """Return what the last layer sees of pictures, shape (n, width).

        Parameters
        ----------
        images : tensor of shape (n, channels, rows, columns), float
            Normalised as :meth:`takes` was told.
        """
        grey = (images[:, :1] * self.std + self.mean) * 2 - 1
        looks = [self._enlarged(grey, share) for share in (1.0, *self.config.closer)]
        maps = self.maps(torch.cat(looks))
        grids = [nn.functional.avg_pool2d(one, one.shape[-1] // self.config.grid) for one in maps]
        seen = torch.cat(grids, dim=1).flatten(1)
        return seen.view(len(looks), -1, seen.shape[1]).transpose(0, 1).flatten(1)

    def _enlarged(self, grey: Tensor, share: float) -> Tensor:
        """Return the middle of pictures, a share of their sides, as squares of ``config.look_px``."""
        side = self.config.look_px
        margins = [round(size * (1 - share) / 2) for size in self.config.size_px]
        kept = [size - 2 * margin for size, margin in zip(self.config.size_px, margins, strict=True)]
        part = grey.narrow(2, margins[0], kept[0]).narrow(3, margins[1], kept[1])
        if kept == [side, side]:
            return part
        return nn.functional.interpolate(part, size=(side, side), mode="bilinear", align_corners=False)

    def forward(self, images: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : tensor of shape (n, channels, rows, columns), float
            Normalised as :meth:`takes` was told.
        extra : tensor of shape (n, config.extra), optional

        Returns
        -------
        logits : tensor of shape (n, classes)
        """
        return self.logits(self.features(images), extra)

    def logits(self, features: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return the logits for features, shape (n, classes).

        References
        ----------
        Frank and Hall, doi:10.1007/3-540-44795-4_13: a class is 'worse than the class below' and not 'worse than it'.
        """
        said = self.head(features, extra)
        if not self.config.ordinal:
            return said
        worse = said.sigmoid()
        known = torch.ones_like(worse[:, :1])
        worse = torch.cat((known, worse, torch.zeros_like(known)), dim=1)
        return (worse[:, :-1] - worse[:, 1:]).clamp_min(_LEAST_PROBABILITY).log()
