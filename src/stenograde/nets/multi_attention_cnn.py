"""A CNN with three attention modules, after the multi-attention network of doi:10.3390/bioengineering11101021.

An interpretation, not a reproduction. The document's abstract names the parts (a CNN, multi-headed self-attention,
slot attention, channel and spatial attention) and publishes neither their order nor any size. Ours: the small
residual encoder; CBAM on its last maps; self-attention between the positions of the result; slots that compete for
those positions; a linear layer over the average of the maps and the slots. Each module can be left out separately,
which gives the eight settings of the ablation; without any, the net is the encoder and a linear layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stenograde.nets.attention import SLOT_ITERATIONS, Cbam, MultiHeadSelfAttention, SlotAttention
from stenograde.nets.encoder import SmallResnet, SmallResnetConfig
from stenograde.nets.head import ClassifierHead, check_picture_shape, check_share


@dataclass(frozen=True)
class MultiAttentionConfig:
    """Shape of the multi-attention network; none of the sizes comes from the document."""

    classes: int = 3
    """Number of logits."""
    channels: int = 1
    """Channels of a picture, 1 or 3."""
    size_px: tuple[int, int] = (224, 224)
    """Rows and columns of a picture; the position tables of the modules depend on them."""
    extra: int = 0
    """Number of further inputs (such as the level), joined to the features before the last layer."""
    self_attention: bool = True
    """Whether multi-head self-attention is used."""
    slots: bool = True
    """Whether slot attention is used."""
    cbam: bool = True
    """Whether channel and spatial attention is used."""
    encoder: SmallResnetConfig = field(
        default_factory=lambda: SmallResnetConfig(widths=(32, 64, 128, 256), depths=(2, 2, 2, 2))
    )
    """The CNN before the modules."""
    heads: int = 8
    """Number of heads of the self-attention; must divide the last width of the encoder."""
    n_slots: int = 4
    """Number of slots of the slot attention."""
    slot_iterations: int = SLOT_ITERATIONS
    """Number of rounds in which slots compete."""
    dropout: float = 0.3
    """Drop-out rate of the features before the last layer."""

    def __post_init__(self) -> None:
        check_picture_shape(self, "multi_attention_cnn", stride=self.encoder.stride)
        check_share("multi_attention_cnn.dropout", self.dropout)
        if self.heads < 1 or self.encoder.widths[-1] % self.heads:
            msg = (
                f"multi_attention_cnn.heads must divide the encoder's last width, {self.encoder.widths[-1]}, "
                f"got {self.heads}"
            )
            raise ValueError(msg)
        if self.n_slots < 1 or self.slot_iterations < 1:
            msg = (
                "multi_attention_cnn.n_slots and .slot_iterations must be 1 or more, "
                f"got {self.n_slots} and {self.slot_iterations}"
            )
            raise ValueError(msg)

    @property
    def map_size(self) -> tuple[int, int]:
        """Rows and columns of the encoder's last maps."""
        stride = self.encoder.stride
        return -(-self.size_px[0] // stride), -(-self.size_px[1] // stride)


class MultiAttentionCnn(nn.Module):
    """Encoder, up to three attention modules, linear layer."""

    weights_prefix = "encoder."
    """Prefix of the weights of the encoder."""

    def __init__(self, config: MultiAttentionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder.widths[-1]
        self.encoder = SmallResnet(config.encoder, config.channels)
        self.cbam = Cbam(width) if config.cbam else None
        self.self_attention = (
            MultiHeadSelfAttention(width, config.heads, config.map_size) if config.self_attention else None
        )
        self.maps = nn.Identity()
        self.slots = (
            SlotAttention(width, config.n_slots, config.map_size, iterations=config.slot_iterations)
            if config.slots
            else None
        )
        features = width * (1 + (config.n_slots if config.slots else 0))
        self.head = ClassifierHead(features, config.classes, extra=config.extra, dropout=config.dropout)

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose maps show where the net looks: the input of pooling and slots."""
        return self.maps

    def attended(self, images: Tensor) -> Tensor:
        """Return the maps after CBAM and self-attention, shape (n, width, rows, columns)."""
        maps = self.encoder.maps(images)
        if self.cbam is not None:
            maps = self.cbam(maps)
        if self.self_attention is not None:
            maps = self.self_attention(maps)
        return self.maps(maps)

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
        maps = self.attended(images)
        features = maps.mean(dim=(2, 3))
        if self.slots is not None:
            features = torch.cat((features, self.slots(maps).flatten(1).to(features.dtype)), dim=1)
        return self.head(features, extra)
