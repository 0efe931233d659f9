"""Maps from the middle of an encoder of timm: features for small heads, or what is trained on together with them.

The middle keeps where things are, and knows shapes rather than things: heads on it carry from simulated patients to
real ones where a net that was trained to believe the simulator does not, and global pooling of the last maps loses
most of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stenograde.images.resample import shares_of_parts
from stenograde.nets.library_encoders import TimmEncoder
from stenograde.nets.weights import Start, WeightReport, load_weights


class MiddleMaps(nn.Module):
    """The maps of some stages of an EfficientNet, from grey pictures, or from as many slices as it takes channels.

    Parameters
    ----------
    encoder : str
        Name of an EfficientNet of timm, such as ``tf_efficientnet_lite0``.
    stages : sequence of int
        Which of its stages, from 0; those behind the last are left out. Of ``tf_efficientnet_lite0`` stages 2, 3 and 4
        have 40, 80 and 112 channels, one value per 8, 16 and 16 pixels.
    channels : int
    frozen : bool
        Whether its weights and statistics stay as they are.

    Raises
    ------
    ValueError
        If the encoder has no such stages.
    """

    def __init__(
        self,
        encoder: str = "tf_efficientnet_lite0",
        stages: Sequence[int] = (2, 4),
        *,
        channels: int = 1,
        frozen: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = TimmEncoder(encoder, channels=channels, size_px=(64, 64))
        blocks = getattr(self.encoder.net, "blocks", ())
        if not stages or min(stages) < 0 or max(stages) >= len(blocks):
            msg = f"stages must be from 0 to {len(blocks) - 1} of an EfficientNet, got {tuple(stages)} of {encoder}"
            raise ValueError(msg)
        self.stages = tuple(stages)
        self.frozen = frozen
        net = self.encoder.net
        net.blocks = blocks[: max(stages) + 1]
        net.conv_head = net.bn2 = nn.Identity()
        with torch.no_grad():
            shown = self.eval()(torch.zeros(1, channels, 64, 64))
        self.width = sum(one.shape[1] for one in shown)
        """Channels of the maps of all stages."""
        self.train().requires_grad_(not frozen)

    def start_from(self, weights: Start) -> WeightReport:
        """Load the encoder's weights; see :func:`stenograde.nets.weights.load_weights`."""
        return load_weights(self.encoder, weights)

    def train(self, mode: bool = True) -> MiddleMaps:
        """Stay in evaluation mode if frozen: what is frozen keeps its statistics."""
        return super().train(mode and not self.frozen)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of each stage, shape (n, channels, rows, columns).

        Parameters
        ----------
        pictures : tensor of shape (n, channels, rows, columns), float
            Grey values from -1 to 1, the middle at 0, as ImageNet's were shown to it.
        """
        net = self.encoder.net
        values = net.bn1(net.conv_stem(pictures))
        maps = []
        for stage, block in enumerate(net.blocks):
            values = block(values)
            if stage in self.stages:
                maps.append(values)
        return tuple(maps)


def pooled(maps: Sequence[Tensor], grid: int) -> Tensor:
    """Return means of maps on a grid, shape (n, channels of all maps, grid, grid).

    Parts are those of ``adaptive_avg_pool2d``, by products of matrices, which every graph can hold.
    """
    parts = []
    for one in maps:
        down, across = (torch.from_numpy(shares_of_parts(int(n), grid)).to(one) for n in one.shape[2:])
        parts.append(down @ one @ across.T)
    return torch.cat(parts, dim=1)
