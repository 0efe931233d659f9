"""The locator: marks vertebra, disc and canal on one sagittal slice, and the centres of discs as heat maps.

A small U-Net (Ronneberger et al., doi:10.1007/978-3-319-24574-4_28) that works on a half-resolution copy of
its input grid: the input is folded two by two into channels (Shi et al., doi:10.1109/CVPR.2016.207) and the
output is unfolded again, so borders are drawn on the fine grid at the cost of the coarse one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from stenograde.terms import Structure

N_CLASSES = len(Structure) + 1
"""Number of classes: background, then each :class:`~stenograde.terms.Structure` at its code."""

N_HEAT_MAPS = 2
"""Number of heat maps: centres of all discs, then the centre of the lumbosacral disc alone."""


@dataclass(frozen=True)
class LocatorConfig:
    """Shape of the locator."""

    widths: tuple[int, ...] = (20, 32, 64, 96, 128)
    """Channels of each scale, finest first."""
    spacing_mm: float = 0.6
    """Pixel spacing of the input grid, mm."""

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            msg = f"locator.widths must be two or more positive channel counts, got {self.widths}"
            raise ValueError(msg)
        if not 0.2 <= self.spacing_mm <= 2.0:
            msg = f"locator.spacing_mm must be from 0.2 to 2.0, got {self.spacing_mm}"
            raise ValueError(msg)

    @property
    def stride(self) -> int:
        """Factor by which rows and columns of an input must be divisible."""
        return 2 ** len(self.widths)


class Locator(nn.Module):
    """A U-Net over one slice."""

    def __init__(self, config: LocatorConfig) -> None:
        super().__init__()
        widths = config.widths
        self.fold = nn.PixelUnshuffle(2)
        self.encoder = nn.ModuleList(
            _double_conv(before, width) for before, width in zip((4, *widths), widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.lift = nn.ModuleList(nn.Conv2d(below, width, 1) for width, below in pairwise(widths))
        self.decoder = nn.ModuleList(_double_conv(width, width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4 * (N_CLASSES + N_HEAT_MAPS), 1)
        self.unfold = nn.PixelShuffle(2)

    def forward(self, slices: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        slices : tensor of shape (batch, 1, rows, columns), float32
            Intensities normalised to about zero mean and unit standard deviation on a grid of
            ``config.spacing_mm``; rows and columns are multiples of ``config.stride``.

        Returns
        -------
        logits : tensor of shape (batch, N_CLASSES + N_HEAT_MAPS, rows, columns)
            Class logits (soft-max over the first ``N_CLASSES``), then heat-map logits (sigmoid each).
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


def _double_conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
