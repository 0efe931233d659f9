"""A spatial transformer before a residual network, after doi:10.3390/electronics12010195.

The document places a spatial transformer network (Jaderberg et al., arXiv:1506.02025) before a pre-trained ResNet50 and
compares it with the plain one; the layers of the localisation network are not in its abstract and are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from stenograde.nets.encoder import SmallResnet, SmallResnetConfig
from stenograde.nets.head import ClassifierHead, check_picture_shape, check_share
from stenograde.nets.library_encoders import TimmEncoder

_HIDDEN = 32
"""Neurons between the maps of the localisation network and theta; our choice, like its layers."""


@dataclass(frozen=True)
class StnResnetConfig:
    """Shape of the network; the document compares it with and without the transformer."""

    classes: int = 2
    """Number of logits."""
    channels: int = 3
    """Channels of a picture, 1 or 3."""
    size_px: tuple[int, int] = (224, 224)
    """Rows and columns of a picture."""
    extra: int = 0
    """Number of further inputs (such as level and side), joined to the features before the last layer."""
    transformer: bool = True
    """Whether the spatial transformer is used."""
    variant: Literal["resnet50", "small"] = "resnet50"
    """The residual network: ResNet50, for which published weights exist, or our own small one."""
    localisation: tuple[int, ...] = (16, 32, 32)
    """Channels of the convolutions of the localisation network, each of which halves rows and columns twice:
    by its stride and by pooling."""
    small: SmallResnetConfig | None = None
    """Shape of the small variant; None for the default."""
    dropout: float = 0.0
    """Drop-out rate of the features before the last layer."""

    def __post_init__(self) -> None:
        check_picture_shape(self, "stn_resnet", stride=4 ** len(self.localisation))
        check_share("stn_resnet.dropout", self.dropout)
        if not self.localisation or min(self.localisation) < 1:
            msg = f"stn_resnet.localisation must be positive channel counts, got {self.localisation}"
            raise ValueError(msg)
        if self.variant != "small" and self.small is not None:
            msg = f"stn_resnet.small must be left out for the variant {self.variant}, got {self.small}"
            raise ValueError(msg)


class StnResnet(nn.Module):
    """Spatial transformer, residual network, linear layer.

    The transformer starts as the identity: an untrained net sees the unchanged picture.

    Raises
    ------
    MissingDependencyError
        If the variant is ``resnet50`` and timm is not installed.
    """

    def __init__(self, config: StnResnetConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = SpatialTransformer(config) if config.transformer else None
        self.encoder: TimmEncoder | SmallResnet = (
            SmallResnet(config.small or SmallResnetConfig(), config.channels)
            if config.variant == "small"
            else TimmEncoder("resnet50", channels=config.channels, size_px=config.size_px)
        )
        self.head = ClassifierHead(
            self.encoder.width, config.classes, extra=config.extra, dropout=config.dropout
        )

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose maps show where the net looks, in the transformed picture."""
        return self.encoder.cam_layer

    @property
    def weights_prefix(self) -> str:
        """Prefix of the weights of the residual network."""
        return "encoder." if self.config.variant == "small" else "encoder.net."

    @property
    def hub_id(self) -> str | None:
        """Repository of the residual network's published weights on the hub; None if there is none."""
        return None if isinstance(self.encoder, SmallResnet) else self.encoder.hub_id

    def theta(self, images: Tensor) -> Tensor:
        """Return the affine map of each picture, shape (n, 2, 3).

        It maps a position (x, y, 1) of the output to the position of the input shown there; x and y run from -1 to 1
        between the edges of the picture. It is the identity if the net has no transformer.
        """
        if self.transformer is None:
            return torch.eye(2, 3, dtype=images.dtype, device=images.device).expand(images.shape[0], 2, 3)
        return self.transformer.theta(images)

    def transformed(self, images: Tensor) -> Tensor:
        """Return the pictures as seen by the residual network, same shape."""
        return images if self.transformer is None else self.transformer(images)

    def penalty(self, images: Tensor) -> Tensor:
        """Return the mean square difference of theta from the identity, a scalar.

        Add it, with a weight, to the loss, so that the transformer does not rotate or shrink pictures out of view.
        """
        theta = self.theta(images).float()
        return (theta - torch.eye(2, 3, device=theta.device)).square().mean()

    def forward(self, images: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : tensor of shape (n, channels, rows, columns), float
            Normalised intensities; rows and columns are ``config.size_px``.
        extra : tensor of shape (n, config.extra), optional

        Returns
        -------
        logits : tensor of shape (n, classes)
        """
        return self.head(self.encoder(self.transformed(images)), extra)


class SpatialTransformer(nn.Module):
    """Localisation network, and resampling of the picture by its affine map."""

    places: Tensor

    def __init__(self, config: StnResnetConfig) -> None:
        super().__init__()
        self.size_px = config.size_px
        layers: list[nn.Module] = []
        for before, after in pairwise((config.channels, *config.localisation)):
            layers += [
                nn.Conv2d(before, after, 5, stride=2, padding=2),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ]
        self.localisation = nn.Sequential(*layers, nn.Flatten())
        flat = self.localisation(torch.zeros(1, config.channels, *config.size_px)).shape[1]
        last = nn.Linear(_HIDDEN, 6)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.eye(2, 3).flatten())
        self.regression = nn.Sequential(nn.Linear(flat, _HIDDEN), nn.ReLU(inplace=True), last)
        self.register_buffer("places", _pixel_centres(config.size_px), persistent=False)

    def theta(self, images: Tensor) -> Tensor:
        """Return the affine map of each picture, shape (n, 2, 3)."""
        return self.regression(self.localisation(images)).unflatten(1, (2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return the resampled pictures, same shape; outside a picture, its edge is repeated."""
        # written out, since torch.nn.functional.affine_grid cannot be exported to ONNX before opset 20
        grid = self.places @ self.theta(images).float().transpose(1, 2)
        grid = grid.unflatten(1, self.size_px)
        return nn.functional.grid_sample(
            images, grid.to(images.dtype), mode="bilinear", padding_mode="border", align_corners=False
        )


def _pixel_centres(size_px: tuple[int, int]) -> Tensor:
    """Return (x, y, 1) of each pixel centre, shape (rows * columns, 3), row by row, from -1 to 1 between edges."""
    rows, columns = ((2 * torch.arange(size) + 1) / size - 1 for size in size_px)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((x, y, torch.ones_like(x)), dim=-1).flatten(0, 1)
