"""How far phantom slices are from real ones: histograms, spectra, contrast, and discriminators.

    python benchmarks/realism.py ../shared/data/spider_midsagittal --axial ../shared/data/sudirman_axial_t1

Real slices are SPIDER's, mid-sagittal (CC BY 4.0): the patients whose number is divisible by three, which phantoms
are not tuned on; with ``--tuning`` the others. With ``--axial`` the Sudirman set's axial T1 slices are compared, too,
cut out about the canal (``axial_t1.py``); with ``--study FOLDER`` the contrast of one further real study is measured.
No picture is written. Needs torch and scikit-learn.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import axial_t1
import numpy as np
import torch
from scipy.stats import wasserstein_distance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from stenograde.datasets.picture_files import read_picture
from stenograde.evaluate.intervals import interval_of, patient_weights
from stenograde.evaluate.metrics import weighted_auc
from stenograde.images.resample import resample
from stenograde.phantom import (
    ContrastMode,
    ProtocolMix,
    draw_protocol,
    make_patient,
    plan_study,
    render_series,
)
from stenograde.predict.bundle import default_bundle
from stenograde.predict.fixed_heads import RANGE
from stenograde.predict.locate import mark_picture
from stenograde.terms import LUMBAR_MRI, Role, Structure

KINDS = {"t1": Role.SAGITTAL_T1, "t2": Role.SAGITTAL_T2_STIR}
PIXEL_MM, SIZE_PX = 0.8, (208, 144)
CLIP_PERCENT = 95.0
"""SPIDER's pictures were windowed so that about 5 % of their pixels are white; so is everything here."""
FOLDS, EPOCHS, SEED = 5, 12, 0
TRAININGS = 5
"""Trainings of the network, from other weights and folds: one tells little, their AUC differ by up to 0.3."""
KEPT_OUT = 3
"""Patients whose number is divisible by this are kept out of all tuning."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice on the common grid, 0 to 1, and the contrast of what the locator finds in it."""

    patient: int
    pixels: np.ndarray
    ratio: float
    """Median signal of the canal over that of the vertebrae."""


def prepared(picture: np.ndarray, spacing_mm: tuple[float, float], patient: int) -> Slice | None:
    """Put a slice on the common grid, centred on its vertebrae; None where the field does not cover it."""
    picture = np.asarray(picture, np.float32)
    picture = np.minimum(picture, np.percentile(picture, CLIP_PERCENT))
    mask = mark_picture(picture, spacing_mm, BUNDLE).mask
    bone, canal = mask == Structure.VERTEBRA.code, mask == Structure.CANAL.code
    if bone.sum() < 500 or canal.sum() < 200:
        return None
    ratio = float(np.median(picture[canal]) / max(np.median(picture[bone]), 1e-6))
    small = resample(picture, spacing_mm, (PIXEL_MM, PIXEL_MM))
    centre = np.argwhere(bone).mean(axis=0) * spacing_mm / PIXEL_MM
    first = np.round(centre - np.array(SIZE_PX) / 2).astype(int)
    first[0] = np.clip(first[0], 0, max(small.shape[0] - SIZE_PX[0], 0))
    crop = small[tuple(slice(max(a, 0), a + n) for a, n in zip(first, SIZE_PX, strict=True))]
    if crop.shape != SIZE_PX:
        return None
    pixels = np.clip(crop / max(float(picture.max()), 1e-6), 0, 1)
    return Slice(patient, np.round(255 * pixels).astype(np.uint8), ratio)


def real_slices(folder: Path, kind: str, tuning: bool) -> list[Slice]:
    """Read SPIDER's mid-sagittal slices of one weighting; 3D series are left out.

    Those that phantoms are tuned on, or else those kept out of all tuning.
    """
    with (folder / "overview.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["new_file_name"].endswith(f"_{kind}")]
    out = []
    for row in rows:
        path = folder / "images" / f"{row['new_file_name']}.webp"
        if not path.exists() or float(row["SliceThickness"]) < 2:
            continue
        across, down = (float(part) for part in row["PixelSpacing"].strip("[] ").split(","))
        patient = int(row["new_file_name"].split("_")[0])
        if (patient % KEPT_OUT == 0) is tuning:
            continue
        out.append(prepared(read_picture(path), (across, down), patient))
    return [one for one in out if one is not None]


def phantom_slices(kind: str, patients: int, mode: ContrastMode) -> list[Slice]:
    """Render the middle slice of each patient under a protocol of its own."""
    out = []
    for k in range(patients):
        patient = make_patient(900_000 + k)
        protocol = draw_protocol(np.random.default_rng([k, 77]), ProtocolMix(mode, stir_share=0))
        plan = next(plan for plan in plan_study(patient, protocol) if plan.role is KINDS[kind])
        middle = len(plan.planes) // 2
        plan = replace(plan, planes=plan.planes[middle : middle + 1])
        picture = render_series(patient, plan, layers=protocol.layers, rng=np.random.default_rng([k, 78]))[0]
        out.append(prepared(picture, (plan.planes[0].pixel_mm,) * 2, 100_000 + k))
    return [one for one in out if one is not None]


def axial_slices(folder: Path, patients: int) -> tuple[list[Slice], list[Slice]]:
    """Return crops of phantoms and of real axial T1 slices, one in three of each."""
    made = [axial_t1.simulated(910_000 + k) for k in range(patients)]
    ours = [
        Slice(100_000 + k, _as_bytes(one[0][2 + k % 3]), float("nan")) for k, one in enumerate(made) if one
    ]
    crops, levels, _, whose = axial_t1.real(folder)
    wanted = np.array([LUMBAR_MRI.levels.index(axial_t1.REAL_LEVELS[patient % 3]) for patient in whose])
    theirs = [
        Slice(int(whose[k]), _as_bytes(crops[k]), float("nan")) for k in np.flatnonzero(levels == wanted)
    ]
    return ours, theirs


def _as_bytes(crop: np.ndarray) -> np.ndarray:
    return np.round(255 * np.clip(crop / (2 * RANGE) + 0.5, 0, 1)).astype(np.uint8)


def spectrum(pixels: np.ndarray) -> np.ndarray:
    """Return the power of a slice in 24 bands of radial frequency, dB, shape (24,)."""
    picture = pixels / 255.0
    shade = np.outer(np.hanning(picture.shape[0]), np.hanning(picture.shape[1]))
    power = np.abs(np.fft.fft2((picture - picture.mean()) * shade)) ** 2
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in picture.shape), indexing="ij"))
    band = np.digitize(radius, np.linspace(0, 0.5, 25)) - 1
    mean = np.bincount(band.ravel(), power.ravel(), 25)[:24] / np.bincount(band.ravel(), minlength=25)[:24]
    return 10 * np.log10(mean + 1e-6)


def gradients(pixels: np.ndarray) -> np.ndarray:
    """Return the size of the gradient at each pixel, per mm, shape (n,)."""
    down, across = np.gradient(pixels / 255.0, PIXEL_MM)
    return np.hypot(down, across).ravel()


def _pooled(slices: list[Slice], of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Values of all slices, every 17th, shape (n,)."""
    return np.concatenate([of(one.pixels)[::17] for one in slices])


def distances(ours: list[Slice], theirs: list[Slice]) -> dict[str, float]:
    """Return four distances between two sets of slices."""
    spectra = [np.mean([spectrum(one.pixels) for one in some], axis=0) for some in (ours, theirs)]
    ratios = [np.log([one.ratio for one in some]) for some in (ours, theirs)]
    contrast = {} if np.isnan(ratios[0]).any() else {"contrast": wasserstein_distance(*ratios)}
    return contrast | {
        "intensity": wasserstein_distance(
            *(_pooled(some, lambda p: p.ravel() / 255.0) for some in (ours, theirs))
        ),
        "gradient": wasserstein_distance(*(_pooled(some, gradients) for some in (ours, theirs))),
        "spectrum": float(np.sqrt(np.mean((spectra[0] - spectra[1]) ** 2))),
    }


def floor(slices: list[Slice]) -> dict[str, float]:
    """Return the distances between random halves of the real patients, means of ten."""
    rng, found = np.random.default_rng(SEED), []
    patients = np.unique([one.patient for one in slices])
    for _ in range(10):
        half = set(rng.permutation(patients)[: len(patients) // 2].tolist())
        parts = [[one for one in slices if (one.patient in half) is side] for side in (True, False)]
        found.append(distances(*parts))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def features(one: Slice) -> np.ndarray:
    """Return histogram, gradient histogram and spectrum of a slice: no anatomy."""
    levels = np.histogram(one.pixels, 24, (0, 256), density=True)[0] * 256
    steep = np.histogram(np.clip(gradients(one.pixels), 0, 0.999), 24, (0, 1))[0] / one.pixels.size
    return np.concatenate([levels, np.sqrt(steep), spectrum(one.pixels)])


class Discriminator(nn.Module):
    """Four convolutions, mean and maximum over the slice."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((1, 12, 5), (12, 24, 3), (24, 32, 3), (32, 32, 3))
        self.layers = nn.ModuleList(nn.Conv2d(a, b, k, stride=2, padding=k // 2) for a, b, k in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b, _ in sizes)
        self.head = nn.Linear(64, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log odds that slices are real, shape (n,)."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.relu(norm(layer(x)))
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))[:, 0]


def _by_network(train: np.ndarray, labels: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    torch.manual_seed(seed)
    rng, net = np.random.default_rng(seed), Discriminator()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
    for _ in range(EPOCHS):
        for batch in np.array_split(rng.permutation(len(train)), max(len(train) // 24, 1)):
            x = np.roll(train[batch], rng.integers(-6, 7, 2), (1, 2)) * rng.uniform(0.85, 1.15)
            x = torch.from_numpy(np.minimum(x, 1)[:, None].astype(np.float32))
            loss = nn.functional.binary_cross_entropy_with_logits(net(x), torch.from_numpy(labels[batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net.eval()
    with torch.no_grad():
        return net(torch.from_numpy(test[:, None])).numpy()


def _by_features(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=2000))
    return model.fit(train, labels).decision_function(test)


def separability(ours: list[Slice], theirs: list[Slice]) -> dict[str, str]:
    """Return the AUC of two discriminators, out of folds by patient.

    Of features, with its interval over patients; of the network, the mean of several trainings with their range.
    """
    slices = ours + theirs
    labels = np.array([0.0] * len(ours) + [1.0] * len(theirs), np.float32)
    units = np.unique([one.patient for one in slices], return_inverse=True)[1]
    pixels = np.stack([one.pixels for one in slices]).astype(np.float32) / 255
    known = np.stack([features(one) for one in slices])

    def scores(fitted: Callable[..., np.ndarray], values: np.ndarray, seed: int = SEED) -> np.ndarray:
        out = np.zeros(len(slices))
        for train, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(values, labels, units):
            out[test] = fitted(values[train], labels[train], values[test])
        return out

    def auc(said: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return weighted_auc(said, labels > 0, weights)

    same = np.ones((1, len(labels)))
    nets = [scores(partial(_by_network, seed=seed), pixels, seed) for seed in range(SEED, SEED + TRAININGS)]
    trained = [float(auc(one, same)[0]) for one in nets]
    said = scores(_by_features, known)
    drawn = [auc(said, weights) for weights in patient_weights(units, draws=1000, seed=SEED)]
    return {
        "network": f"{np.mean(trained):.3f} ({TRAININGS} trainings: {min(trained):.3f} to {max(trained):.3f})",
        "features": str(interval_of(float(auc(said, same)[0]), np.concatenate(drawn))),
    }


def _contrast(slices: list[Slice]) -> str:
    low, middle, high = np.percentile([one.ratio for one in slices], (5, 50, 95))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def study_contrast(folder: Path) -> dict[str, float]:
    """Return the contrast of the middle slice of each sagittal series of a study."""
    from stenograde.dicom.read.studies import read_study
    from stenograde.geometry import spacing_mm

    out = {}
    study = read_study(folder)
    for kind, role in KINDS.items():
        series = study.by_role(role)
        if series is not None:
            volume = max(series.volumes, key=lambda one: one.shape[0])
            picture = volume.slices([volume.shape[0] // 2])[0]
            one = prepared(picture, spacing_mm(volume.affine)[1:], 0)
            out[kind] = one.ratio if one else float("nan")
    return out


def compared(ours: list[Slice], theirs: list[Slice]) -> dict[str, object]:
    """Return how far two sets of slices are apart, and how well they are told apart."""
    return {
        "slices": {"phantom": len(ours), "real": len(theirs)},
        "distance": distances(ours, theirs),
        "real to real": floor(theirs),
        "discriminator AUC": separability(ours, theirs),
    }


def main() -> None:
    """Print the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spider", type=Path)
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--contrast", type=ContrastMode, default=ContrastMode.CLINICAL)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--axial", type=Path)
    parser.add_argument("--tuning", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = {}
    for kind in KINDS:
        theirs = real_slices(args.spider, kind, args.tuning)
        ours = phantom_slices(kind, args.patients, args.contrast)
        canal = {"phantom": _contrast(ours), "real": _contrast(theirs)}
        table[kind] = compared(ours, theirs) | {"canal over vertebra": canal}
    if args.axial:
        table["axial t1"] = compared(*axial_slices(args.axial, args.patients))
    if args.study:
        table["one more study, canal over vertebra"] = study_contrast(args.study)
    print(json.dumps(table, indent=1))


BUNDLE = default_bundle()

if __name__ == "__main__":
    main()
