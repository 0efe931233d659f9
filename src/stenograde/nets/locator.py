"""The locator: marks vertebra, disc and canal on one sagittal slice, and the centres of discs as heat maps."""

from __future__ import annotations

from dataclasses import dataclass

from stenograde.nets.u_net import UNet, stride_of
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
        return stride_of(self.widths)


class Locator(UNet):
    """A U-Net over one slice on a grid of ``config.spacing_mm``.

    Its maps are class logits (soft-max over the first :data:`N_CLASSES`), then heat-map logits (sigmoid each).
    """

    def __init__(self, config: LocatorConfig) -> None:
        super().__init__(config.widths, N_CLASSES + N_HEAT_MAPS)
