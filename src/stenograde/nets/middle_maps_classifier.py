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

STRIDE = 16
"""Pixels per value of the coarsest maps of the middle."""

LAST_STAGE = 4
"""The last stage, from 0, whose maps have one value per :data:`STRIDE` pixels or more."""

_LEAST_PROBABILITY = 1e-4
"""Of a class between two questions whose answers cross."""


@dataclass(frozen=True)
class MiddleMapsConfig:
    """Which maps are looked at, and on how fine a grid."""

    encoder: str
    """Name of an EfficientNet of timm."""
    stages: tuple[int, ...] = (3, 4)
    """Its stages whose maps are taken, from 0 to 4."""
    grid: int = 6
    """Rows and columns over which the maps are averaged."""
    look_px: int = 192
    """Side of the square to which a picture is enlarged before it is looked at."""
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
        if not self.stages or min(self.stages) < 0 or max(self.stages) > LAST_STAGE:
            msg = f"middle_maps.stages must be some of 0 to {LAST_STAGE}, got {self.stages}"
            raise ValueError(msg)
        if self.grid < 1 or self.look_px < 1 or self.look_px % (STRIDE * self.grid):
            msg = (
                f"middle_maps.look_px must be a multiple of {STRIDE} px for each of the grid's rows, "
                f"got {self.look_px} px for a grid of {self.grid}"
            )
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
        self.width = int(seen.flatten(1).shape[1])
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
        side = self.config.look_px
        if tuple(self.config.size_px) != (side, side):
            grey = nn.functional.interpolate(grey, size=(side, side), mode="bilinear", align_corners=False)
        maps = self.maps(grey)
        grids = [nn.functional.avg_pool2d(one, one.shape[-1] // self.config.grid) for one in maps]
        return torch.cat(grids, dim=1).flatten(1)

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
