"""Measures the arches of real vertebrae: fits rounded cones to their surfaces, for ``arches.csv`` of the phantom.

    python benchmarks/bones.py --bones FOLDER --out src/stenograde/phantom/body/arches.csv

FOLDER is that of :func:`stenograde.phantom.body.surfaces.read_surfaces`. Printed: how far the surfaces of the cones are
from those of the bones, and the overlap (Dice) of both behind the bodies. Needs the extra 'train'.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stenograde.phantom.body.surfaces import GRID_MM, read_surfaces

Array = NDArray[np.float64]

HEAD = ("vertebra", "part", "left1", "behind1", "up1", "left2", "behind2", "up2", "radius1", "radius2")

_STEPS, _BATCH = 1500, 5000

START = {
    "pedicle": [((13, -3, 6), (14, 12, 6), 5, 5), ((13, -3, 2), (14.5, 12, 3), 4, 4)],
    "superior": [
        ((16, 13, 6), (17, 13, 18), 5, 3),
        ((19, 15, 8), (20, 15, 16), 4, 3),
        ((13, 12, 12), (14, 11, 20), 3, 2.5),
        ((17, 15, 8), (18, 14, 20), 3, 2.5),
    ],
    "pars": [((14, 15, 2), (11, 20, -8), 4.5, 4), ((16, 17, 4), (13, 21, -6), 4, 3.5)],
    "inferior": [
        ((10, 20, -10), (11, 18, -26), 4, 3.5),
        ((13, 22, -10), (14, 22, -24), 3.5, 3.5),
        ((8, 21, -12), (8, 21, -20), 3, 3),
    ],
    "lamina": [((2, 23, -4), (10, 19, -4), 3.5, 3.5), ((2, 25, -12), (8, 22, -12), 3.5, 3.5)],
    "spinous": [((0, 26 + k, -2 - 4 * k), (0, 48, -6 - 3.5 * k), 3, 3) for k in range(5)],
    "transverse": [((17, 12, 6), (30, 17, 7), 4, 3), ((30, 17, 7), (42, 20, 8), 3, 3)],
}
"""Where the cones of each part begin to be fitted: both ends (left, behind the wall, up) and radii, mm."""

START_S1 = {
    "superior": [
        ((19, 10, -28), (20, 10, -14), 5, 3),
        ((23, 11, -28), (22, 12, -10), 5, 3),
        ((15, 10, -30), (15, 8, -18), 5, 3),
    ],
    "pedicle": [((17, 4, -34), (19, 8, -26), 6, 5), ((13, 12, -36), (13, 14, -26), 6, 5)],
}
"""The same of the first sacral arch, in the frame of L5."""


class Arch(torch.nn.Module):
    """Cones, fitted."""

    def __init__(self, start: dict[str, list[tuple[object, ...]]], blend_mm: float) -> None:
        super().__init__()
        self.parts = [part for part, cones in start.items() for _ in cones]
        rows = [[*a, *b, r, q] for cones in start.values() for a, b, r, q in cones]  # type: ignore[misc]
        self.rows = torch.nn.Parameter(torch.tensor(rows, dtype=torch.float32))
        self.blend = blend_mm
        keep = torch.ones(len(rows), 8)
        keep[[part == "spinous" for part in self.parts]] *= torch.tensor([0.0, 1, 1, 0, 1, 1, 1, 1])
        self.register_buffer("keep", keep)
        self.register_buffer("flip", torch.tensor([-1.0, 1, 1, -1, 1, 1, 1, 1]))
        self.both = [part == "lamina" for part in self.parts]

    def cones(self) -> torch.Tensor:
        """Return the cones of one side, shape (n, 8); spinous ones lie in the midline."""
        return torch.cat([self.rows[:, :6], self.rows[:, 6:].clamp_min(1.0)], dim=1) * self.keep

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Return the distance to the arch at points, shape (n,), mm."""
        cones = self.cones()
        cones = torch.cat([cones, cones[self.both] * self.flip])
        way = cones[:, 3:6] - cones[:, :3]
        off = points[:, None] - cones[:, :3]
        along = ((off * way).sum(-1) / (way**2).sum(-1).clamp_min(1e-3)).clamp(0, 1)
        radius = cones[:, 6] + along * (cones[:, 7] - cones[:, 6])
        distance = (off - along[..., None] * way).norm(dim=-1) - radius
        return -self.blend * torch.logsumexp(-distance / self.blend, dim=1)


def fit(points: Array, distance: Array, arch: Arch, *, is_sacral: bool) -> tuple[float, float, float]:
    """Fit cones to distances; return mean and 95th percentile of the error at the surface, mm, and the Dice."""
    behind, up = points[:, 1], points[:, 2]
    mine = (up > -34) & (up < -4) & (points[:, 0] < 30) if is_sacral else np.full(len(points), True)
    free = behind > (3.0 if is_sacral else 1.5)  # (further in front, the body itself is)
    sets = [
        mine & free & (np.abs(distance) < 6),
        mine & free & (distance >= 6),
        mine & ~free & (distance > 1),
    ]
    x, far, beside = (torch.tensor(points[one], dtype=torch.float32) for one in sets)
    y = torch.tensor(distance[sets[0]], dtype=torch.float32)
    optimiser = torch.optim.Adam(arch.parameters(), lr=0.15)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS, 0.01)
    for _ in range(_STEPS):
        some = torch.randint(len(x), (_BATCH,))
        error = (arch(x[some]).clamp(-5, 7) - y[some].clamp(-5, 7)).abs()
        loss = (torch.exp(-y[some].abs() / 2.5) * error).mean()
        for others, least in ((far, 3.0), (beside, 1.0)):
            loss = loss + 2 * (least - arch(others[torch.randint(len(others), (1000,))])).clamp_min(0).mean()
        loss = loss + 0.1 * (-3 - arch.cones()[:, [1, 4]]).clamp_min(0).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        found = torch.cat([arch(part) for part in x.split(20_000)])
    error = (found - y)[y.abs() < 1].abs()
    both = ((found < 0) & (y < 0)).sum()
    dice = 2 * both / ((found < 0).sum() + (y < 0).sum())
    return float(error.mean()), float(error.quantile(0.95)), float(dice)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bones", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--blend", type=float, default=1.5, help="mm over which parts pass into one another")
    told = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rows = []
    points = np.stack(np.meshgrid(*GRID_MM, indexing="ij"), axis=-1).reshape(-1, 3)
    half = points[:, 0] >= 0
    for name, surface in read_surfaces(told.bones).items():
        distance = (surface.distance + surface.distance[::-1]).ravel()[half] / 2
        arch = Arch(START_S1 if name == "S1" else START, told.blend)
        mean, most, dice = fit(points[half], distance, arch, is_sacral=name == "S1")
        print(
            f"{name}  half height {surface.half_height_mm:.1f} mm  surface {mean:.2f} (95 %: {most:.2f}) mm  "
            f"Dice {dice:.3f}"
        )
        cones = arch.cones().detach().numpy()
        rows += [
            [name, part, *(f"{mm:.1f}" for mm in cone)] for part, cone in zip(arch.parts, cones, strict=True)
        ]
    with told.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
