"""The five-block network of Garcia de Celis and Bukaita (doi:10.18103/mra.v13i7.6660), layer by layer.

Published: 256 x 256 x 3 input; five blocks of two 3x3 convolutions (32 to 512 filters) with ReLU, batch
normalisation after each, max-pooling and drop-out; flatten; dense 512 and 256 with ReLU, batch normalisation and
drop-out 0.5; three outputs. Not published, and chosen here: the drop-out of the blocks (0.25) and Keras' defaults
for everything else ('same' padding, momentum and epsilon of the norms, initial weights).

The order is convolution, ReLU, norm. The document builds a Keras ``Sequential`` in which ReLU belongs to the
convolution (``Conv2D(activation="relu")``) and puts the norm "immediately after each convolutional layer", so the
norm sees the output of ReLU. This also means that the biases of the convolutions are not redundant and are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from stenograde.nets.head import ClassifierHead, check_picture_shape, check_share

NORM_EPSILON = 1e-3
"""Added to the variance by Keras' BatchNormalization (https://keras.io/api/layers/normalization_layers, default)."""


@dataclass(frozen=True)
class FiveBlockConfig:
    """Shape of the five-block network; the defaults are the published ones."""

    classes: int = 3
    """Number of logits."""
    channels: int = 3
    """Channels of a picture, 1 or 3."""
    size_px: tuple[int, int] = (256, 256)
    """Rows and columns of a picture; the first dense layer depends on them."""
    extra: int = 0
    """Number of further inputs (such as the level), joined to the last dense layer's output; the document has none."""
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Filters of each block."""
    dense: tuple[int, ...] = (512, 256)
    """Neurons of each dense layer."""
    block_dropout: float = 0.25
    """Drop-out rate after each block; the document names the layer but not its rate."""
    dense_dropout: float = 0.5
    """Drop-out rate after each dense layer."""
    norm_momentum: float = 0.01
    """Weight of a new batch in the running statistics of the norms; Keras states it as 0.99 for the old ones. Short
    runs (a few hundred steps) need more, such as 0.1, or validation uses statistics from the start of training."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1 or not self.dense or min(self.dense) < 1:
            msg = f"five_block_cnn.widths and .dense must be positive counts, got {self.widths}, {self.dense}"
            raise ValueError(msg)
        check_picture_shape(self, "five_block_cnn", stride=2 ** len(self.widths))
        check_share("five_block_cnn.block_dropout", self.block_dropout)
        check_share("five_block_cnn.dense_dropout", self.dense_dropout)
        if not 0.0 < self.norm_momentum <= 1.0:
            msg = f"five_block_cnn.norm_momentum must be above 0 and at most 1, got {self.norm_momentum}"
            raise ValueError(msg)


class FiveBlockCnn(nn.Module):
    """The published network; it returns logits and leaves the document's soft-max to loss and inference."""

    weights_prefix = ""
    """Prefix of the weights of the feature extractor."""

    def __init__(self, config: FiveBlockConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.Sequential(
            *(_block(before, after, config) for before, after in pairwise((config.channels, *config.widths)))
        )
        scale = 2 ** len(config.widths)
        flat = config.widths[-1] * (config.size_px[0] // scale) * (config.size_px[1] // scale)
        layers = [_dense(before, after, config) for before, after in pairwise((flat, *config.dense))]
        self.dense = nn.Sequential(nn.Flatten(), *layers)
        self.head = ClassifierHead(config.dense[-1], config.classes, extra=config.extra)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)  # Keras' default, glorot_uniform
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose maps show where the net looks: the last norm of the last block, before pooling."""
        return self.blocks.get_submodule(f"{len(self.blocks) - 1}.5")

    def forward(self, images: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images : tensor of shape (n, channels, rows, columns), float
            Intensities from 0 to 1; rows and columns as in ``config.size_px``.
        extra : tensor of shape (n, config.extra), optional

        Returns
        -------
        logits : tensor of shape (n, classes)
        """
        return self.head(self.dense(self.blocks(images)), extra)


def _block(before: int, after: int, config: FiveBlockConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(after, eps=NORM_EPSILON, momentum=config.norm_momentum),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(after, eps=NORM_EPSILON, momentum=config.norm_momentum),
        nn.MaxPool2d(2),
        nn.Dropout(config.block_dropout),
    )


def _dense(before: int, after: int, config: FiveBlockConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(before, after),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(after, eps=NORM_EPSILON, momentum=config.norm_momentum),
        nn.Dropout(config.dense_dropout),
    )
