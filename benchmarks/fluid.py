"""Fits and measures the network that tells bright from dark fluid, and writes ``images/fluid_net.json``.

    python benchmarks/fluid.py ../shared/data/spider_midsagittal --write

Folds are by patient; the shipped weights are fitted to all slices afterwards. Needs torch and scikit-learn.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from sklearn.model_selection import GroupKFold
from torch import nn

from stenograde.images import contrast
from stenograde.images.resample import resample

EPOCHS, BATCH, FOLDS, SEED = 80, 32, 5, 0
TARGET = Path(contrast.__file__).with_name("fluid_net.json")


class FluidNet(nn.Module):
    """The network that ``images/contrast.py`` computes with numpy."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 5)
        self.second = nn.Conv2d(8, 12, 5, stride=2)
        self.third = nn.Conv2d(12, 16, 5)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log odds that fluid is bright, shape (n,)."""
        x = nn.functional.avg_pool2d(torch.relu(self.first(x)), 2)
        x = torch.relu(self.third(torch.relu(self.second(x))))
        return self.head(self.drop(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))[:, 0]


def augmented(small: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Zoom, turn, shift, mirror, shade, change gamma, blur and add noise; then take local contrast."""
    size = contrast.SIZE_PX
    angle = np.deg2rad(rng.uniform(-12, 12))
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / rng.uniform(
        0.8, 1.25
    )
    centre = np.array(small.shape) * (0.5 + rng.uniform(-0.12, 0.12, 2))
    picture = ndimage.affine_transform(
        small, matrix, centre - matrix @ [size / 2, size / 2], (size, size), order=1
    )
    highest = max(float(np.percentile(picture, 99.5)), 1e-6)
    picture = np.clip(picture / highest, 0, 1.2) ** np.exp(rng.uniform(-0.4, 0.4))
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    picture = picture * np.exp(rng.normal(0, 0.5) * x + rng.normal(0, 0.4) * y + rng.normal(0, 0.3) * x * y)
    picture = picture + rng.normal(0, rng.uniform(0, 0.03), picture.shape)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < 0.4:
        picture = ndimage.gaussian_filter(picture, rng.uniform(0, 0.6))
    return contrast.local_contrast(picture.astype(np.float32), contrast.PIXEL_MM)


def fit(smalls: list[np.ndarray], is_bright: np.ndarray, seed: int) -> FluidNet:
    """Fit one network."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = FluidNet()
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-2)
    n_batches = -(-len(smalls) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=EPOCHS * n_batches)
    for _ in range(EPOCHS):
        for chosen in np.array_split(rng.permutation(len(smalls)), n_batches):
            x = torch.tensor(np.stack([augmented(smalls[one], rng) for one in chosen]))[:, None]
            wanted = torch.tensor(is_bright[chosen].astype(np.float32)) * 0.96 + 0.02
            loss = nn.functional.binary_cross_entropy_with_logits(net(x), wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def probabilities(net: FluidNet, smalls: list[np.ndarray]) -> np.ndarray:
    """P(fluid is bright) of pictures as they are."""
    inputs = [contrast.local_contrast(contrast.centred(small), contrast.PIXEL_MM) for small in smalls]
    with torch.no_grad():
        return torch.sigmoid(net(torch.tensor(np.stack(inputs))[:, None])).numpy()


def spider(folder: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, list[str]]:
    """Slices on 3 mm pixels, whether T2, patient numbers and names."""
    with (folder / "overview.csv").open(newline="") as stream:
        spacing = {
            row["new_file_name"]: ast.literal_eval(row["PixelSpacing"]) for row in csv.DictReader(stream)
        }
    smalls, names = [], []
    for path in sorted((folder / "images").glob("*.webp")):
        picture = np.asarray(Image.open(path).convert("L"), np.float32)
        smalls.append(resample(picture, tuple(spacing[path.stem]), (contrast.PIXEL_MM, contrast.PIXEL_MM)))
        names.append(path.stem)
    is_bright = np.array([name.endswith("_t2") for name in names])
    patients = np.array([int(name.split("_")[0]) for name in names])
    return smalls, is_bright, patients, names


def scores(p_bright: np.ndarray, is_bright: np.ndarray) -> dict[str, float | int]:
    """How often the picture decides, and how often it is right."""
    decided = np.maximum(p_bright, 1 - p_bright) >= contrast.CERTAIN
    right = (p_bright > 0.5) == is_bright
    return {
        "slices": len(is_bright),
        "accuracy": round(float(right.mean()), 4),
        "decided": round(float(decided.mean()), 4),
        "wrong_when_decided": int((decided & ~right).sum()),
    }


def main() -> None:
    """Measure by patient folds, then fit to all and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    smalls, is_bright, patients, names = spider(arguments.folder)
    p_bright = np.zeros(len(smalls))
    for fold, (fitted, held) in enumerate(GroupKFold(FOLDS).split(smalls, is_bright, patients)):
        net = fit([smalls[one] for one in fitted], is_bright[fitted], SEED + fold)
        p_bright[held] = probabilities(net, [smalls[one] for one in held])
        print("fold", fold, scores(p_bright[held], is_bright[held]), flush=True)
    measured = scores(p_bright, is_bright)
    print("all folds", measured)
    wrong = np.flatnonzero((p_bright > 0.5) != is_bright)
    print("wrong:", ", ".join(f"{names[one]} {p_bright[one]:.2f}" for one in wrong))
    if arguments.write:
        net = fit(smalls, is_bright, SEED)
        weights = {
            **{f"kernel_{k}": layer.weight for k, layer in enumerate((net.first, net.second, net.third), 1)},
            **{f"bias_{k}": layer.bias for k, layer in enumerate((net.first, net.second, net.third), 1)},
            "head": net.head.weight[0],
            "head_bias": net.head.bias[0],
        }
        card = {
            "what": "bright or dark fluid on sagittal MR slices of the lumbar spine",
            "fitted_to": "317 mid-sagittal slices of SPIDER, 10.5281/zenodo.10159290, CC BY 4.0",
            "by": "benchmarks/fluid.py",
            "patient_disjoint_folds": measured,
        }
        rounded = {
            name: np.round(one.detach().numpy().astype(float), 4).tolist() for name, one in weights.items()
        }
        TARGET.write_text(json.dumps({"card": card, "weights": rounded}, separators=(",", ":")) + "\n")
        print("wrote", TARGET, TARGET.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
