"""A small U-Net (Ronneberger et al., doi:10.1007/978-3-319-24574-4_28) that works on a half-resolution copy of a slice.

The input is folded two by two into channels (Shi et al., doi:10.1109/CVPR.2016.207) and the output is unfolded again,
so borders are drawn on the fine grid at the cost of the coarse one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class UNet(nn.Module):
    """A U-Net over one slice.

    Parameters
    ----------
    widths : sequence of int
        Channels of each scale, finest first.
    n_maps : int
        Maps that come out.
    """

    def __init__(self, widths: Sequence[int], n_maps: int) -> None:
        super().__init__()
        self.fold = nn.PixelUnshuffle(2)
        self.encoder = nn.ModuleList(
            _double_conv(before, width) for before, width in zip((4, *widths), widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.lift = nn.ModuleList(nn.Conv2d(below, width, 1) for width, below in pairwise(widths))
        self.decoder = nn.ModuleList(_double_conv(width, width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4 * n_maps, 1)
        self.unfold = nn.PixelShuffle(2)

    def forward(self, slices: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        slices : tensor of shape (batch, 1, rows, columns), float32
            Intensities normalised to about zero mean and unit standard deviation; rows and columns are multiples of
            :func:`stride_of` the widths.

        Returns
        -------
        logits : tensor of shape (batch, n_maps, rows, columns)
        """
        x = self.fold(slices)
        kept: list[Tensor] = []
        for depth, block in enumerate(self.encoder):
            x = block(self.pool(x) if depth else x)
            kept.append(x)
        for depth in reversed(range(len(self.decoder))):
            up = nn.functional.interpolate(self.lift[depth](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[depth](kept[depth] + up)
        return self.unfold(self.head(x))


def stride_of(widths: Sequence[int]) -> int:
    """Return the factor by which rows and columns of an input must be divisible."""
    return int(2 ** len(widths))


def _double_conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
