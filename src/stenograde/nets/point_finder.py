"""A small U-Net that says where in a crop the point of a cell lies: a heat map over slices, and its soft-argmax.

Heat maps keep places where regressed coordinates lose them, and their mean is differentiable and finer than a pixel
(Nibali et al., arXiv:1801.07372). All conditions share one net, which is told what is asked and at which level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class PointFinderConfig:
    """Shape of the net, and the crops it takes."""

    slices: int = 5
    size_px: int = 48
    slice_mm: float = 4.0
    grid_mm: float = 1.2
    asked: int = 8
    """Conditions and levels."""
    widths: tuple[int, ...] = (24, 48, 96)
    """Channels from fine to coarse; the finest has half the resolution of the crop."""

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(*self.widths, self.slices, self.asked) < 1:
            msg = f"a point finder needs two widths or more, slices and asked of 1 or more, got {self}"
            raise ValueError(msg)
        if self.size_px % (1 << len(self.widths)):
            msg = f"size_px must be a multiple of {1 << len(self.widths)}, got {self.size_px}"
            raise ValueError(msg)

    @property
    def steps_mm(self) -> tuple[float, float, float]:
        """Between slices, rows and columns of the heat map."""
        return self.slice_mm, 2 * self.grid_mm, 2 * self.grid_mm


class PointFinder(nn.Module):
    """A net from crops, and what is asked of them, to the logits of heat maps."""

    def __init__(self, config: PointFinderConfig) -> None:
        super().__init__()
        self.config = config
        before = config.slices
        self.down = nn.ModuleList()
        for depth, width in enumerate(config.widths):
            self.down.append(_convolved(before, width, stride=1 if depth else 2))
            before = width
        self.told = nn.Linear(config.asked, config.widths[-1])
        self.up = nn.ModuleList(
            _convolved(fine + coarse, fine)
            for fine, coarse in zip(config.widths[:-1], config.widths[1:], strict=True)
        )
        self.heat = nn.Conv2d(config.widths[0], config.slices, 1)
        for start in self.heat.parameters():
            nn.init.zeros_(start)  # the middle, until something is learnt

    def forward(self, crops: Tensor, asked: Tensor) -> Tensor:
        """Return the logits of heat maps, shape (n, slices, rows / 2, columns / 2).

        Parameters
        ----------
        crops : tensor of shape (n, slices, rows, columns), float
        asked : tensor of shape (n, conditions + levels), float
            One-hot each.
        """
        x, kept = crops, []
        for depth, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if depth else x)
            kept.append(x)
        x = x + self.told(asked)[:, :, None, None]
        for depth in reversed(range(len(self.up))):
            x = self.up[depth](torch.cat([kept[depth], functional.interpolate(x, scale_factor=2.0)], dim=1))
        heat: Tensor = self.heat(x)
        return heat

    def places_mm(self, heat: Tensor) -> Tensor:
        """Return the means of heat maps along slices, rows and columns, mm from the crop's centre, shape (n, 3)."""
        return soft_argmax(heat, self.config.steps_mm)


class PointFinders(nn.Module):
    """The mean of what several nets say, as a graph."""

    def __init__(self, nets: Sequence[PointFinder]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, crops: Tensor, asked: Tensor) -> Tensor:
        """Return places, mm from the crop's centre along slices, rows and columns, shape (n, 3)."""
        said = [net.places_mm(net(crops, asked)) for net in self.nets]  # type: ignore[operator]
        return torch.stack(said).mean(dim=0)


def soft_argmax(heat: Tensor, steps_mm: Sequence[float]) -> Tensor:
    """Return the means of heat maps, mm from their middle, shape (n, 3).

    Parameters
    ----------
    heat : tensor of shape (n, slices, rows, columns)
        Logits.
    steps_mm : sequence of float
        Between slices, rows and columns.
    """
    share = heat.flatten(1).softmax(dim=1).view_as(heat)
    means = []
    for axis, step_mm in enumerate(steps_mm, start=1):
        n = heat.shape[axis]
        places = (torch.arange(n, dtype=heat.dtype, device=heat.device) - (n - 1) / 2) * step_mm
        others = [a for a in (1, 2, 3) if a != axis]
        means.append((share.sum(dim=others) * places).sum(dim=1))
    return torch.stack(means, dim=1)


def _convolved(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
