"""Any encoder by name followed by a linear layer: the form of most image classifiers, and of S4.

S4 (Natalia and Sudirman) retrains all of timm's ``inception_resnet_v2``; here it is one encoder among those of timm,
MONAI and our own small one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from stenograde.nets.encoder import SmallResnet, SmallResnetConfig
from stenograde.nets.head import ClassifierHead, check_picture_shape, check_share
from stenograde.nets.library_encoders import MonaiEncoder, TimmEncoder

OWN_ENCODERS: dict[str, SmallResnetConfig] = {
    "resnet_tiny": SmallResnetConfig(widths=(32, 64, 96, 128), depths=(1, 1, 1, 1)),
    "resnet_small": SmallResnetConfig(widths=(32, 64, 128, 256), depths=(2, 2, 2, 2)),
    "resnet_fine": SmallResnetConfig(
        widths=(32, 64, 128, 192), depths=(1, 1, 1, 1), first_stage="keeps", start="random"
    ),
    "resnet_medium": SmallResnetConfig(widths=(64, 128, 256, 512), depths=(2, 2, 2, 2)),
}
"""Named shapes of our own encoder."""


@dataclass(frozen=True)
class SliceClassifierConfig:
    """Encoder, and the layer after it."""

    encoder: str
    """Name of the encoder within its source."""
    source: Literal["timm", "monai", "own"]
    """Source of the encoder."""
    classes: int = 3
    """Number of logits."""
    channels: int = 1
    """Channels of a picture, 1 or 3."""
    size_px: tuple[int, int] = (224, 224)
    """Rows and columns of a picture; transformers depend on them, convolutional encoders do not."""
    extra: int = 0
    """Number of further inputs (such as the level), joined to the features before the last layer."""
    questions: int = 0
    """Number of further yes-or-no questions, asked in training only: what they teach also helps with the classes."""
    dropout: float = 0.0
    """Drop-out rate of the features before the last layer."""
    own: SmallResnetConfig | None = None
    """Shape of our own encoder, replacing the named one; for source 'own' only."""

    def __post_init__(self) -> None:
        check_picture_shape(
            self, "slice_classifier", stride=32
        )  # stride of the coarsest maps of nearly all encoders
        check_share("slice_classifier.dropout", self.dropout)
        if self.questions < 0:
            msg = f"slice_classifier.questions must be 0 or more, got {self.questions}"
            raise ValueError(msg)
        if self.source == "own" and self.own is None and self.encoder not in OWN_ENCODERS:
            msg = f"slice_classifier.encoder must be one of ours, {', '.join(OWN_ENCODERS)}, got {self.encoder!r}"
            raise ValueError(msg)
        if self.source != "own" and self.own is not None:
            msg = f"slice_classifier.own must be left out for an encoder of {self.source}, got {self.own}"
            raise ValueError(msg)


class SliceClassifier(nn.Module):
    """Encoder, average over its maps, linear layer.

    Raises
    ------
    ValueError
        If the source has no encoder of that name.
    MissingDependencyError
        If the source is a package that is not installed.
    """

    def __init__(self, config: SliceClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.head = ClassifierHead(
            self.encoder.width, config.classes + config.questions, extra=config.extra, dropout=config.dropout
        )

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose maps show where the net looks: the last of the encoder."""
        return self.encoder.cam_layer

    @property
    def weights_prefix(self) -> str:
        """Prefix of the weights of the encoder."""
        return "encoder." if self.config.source == "own" else "encoder.net."

    @property
    def hub_id(self) -> str | None:
        """Repository of the encoder's published weights on the hub; None if there is none."""
        return None if isinstance(self.encoder, SmallResnet) else self.encoder.hub_id

    def forward(self, images: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : tensor of shape (n, channels, rows, columns), float
            Normalised intensities.
        extra : tensor of shape (n, config.extra), optional

        Returns
        -------
        logits : tensor of shape (n, classes), in training (n, classes + questions)
        """
        logits = self.head(self.encoder(images), extra)
        return logits if self.training else logits[:, : self.config.classes]


def _encoder(config: SliceClassifierConfig) -> TimmEncoder | MonaiEncoder | SmallResnet:
    if config.source == "timm":
        return TimmEncoder(config.encoder, channels=config.channels, size_px=config.size_px)
    if config.source == "monai":
        return MonaiEncoder(config.encoder, channels=config.channels)
    return SmallResnet(config.own or OWN_ENCODERS[config.encoder], config.channels)
