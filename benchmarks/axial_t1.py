"""What was learnt from simulated axial slices alone says of real axial T1: the Sudirman set's canal labels.

    python benchmarks/axial_t1.py ../shared/data/sudirman_axial_t1 --patients 200

Each phantom's axial slices through its discs are rendered with T1 timing and cut out about the canal; real slices are
cut out by a template that was fitted without labels. Two heads (as by ``stenograde train heads``) are fitted to the
phantoms' own answers: one on fixed ImageNet features, one on area, depth and width of the sac as the bundle's net
outlines it (``stenograde train recesses``); features of real slices are told from the usual ones of their own level
there. No real label is used but, where it says so, how common the classes are at each level in the other patients.
Prints AUCs with intervals over patients. Needs the extra 'train'.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from skimage.transform import resize

import stenograde
from stenograde.datasets.sudirman import CLASSES, read_sudirman
from stenograde.evaluate.intervals import interval_of, patient_weights
from stenograde.evaluate.metrics import weighted_auc
from stenograde.images.align import AlignConfig, aligned, read_template
from stenograde.images.resample import resample
from stenograde.levels.rooms import RoomTissue, sac_of
from stenograde.phantom import (
    ContrastMode,
    Population,
    ProtocolMix,
    draw_protocol,
    make_patient,
    plan_study,
    render_series,
)
from stenograde.predict.bundle import Bundle, bundle_at
from stenograde.predict.fixed_heads import answered, crop_features
from stenograde.predict.room_net import maps_of
from stenograde.terms import LUMBAR_MRI, Condition, Level, Role
from stenograde.train.heads.fit import fit_head
from stenograde.workers import in_processes, n_cores

CELLS = LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)
SIZE_PX, FIELD_MM, GRID = 160, 56.0, 5
REAL_LEVELS = (Level.L3_L4, Level.L4_L5, Level.L5_S1)
ALIGN = AlignConfig(usual=(0.485, 0.5), template_share=0.4, rounds=4, share=0.27, offset=(0.1, 0.0))
"""Cuts out as much of a real slice as :data:`FIELD_MM` of a phantom's, by eye."""
WORSE = 0.8
"""How much worse than the population the phantoms are, standard deviations, as for the shipped heads."""
STRENGTH = 0.01
"""Hold on the weights of both heads, that of the shipped ones."""
FOLDS = 10


def normalised(crops: np.ndarray) -> np.ndarray:
    """Bring the crops of a study to the range of the shipped heads'."""
    low, middle, high = np.percentile(crops, (2, 50, 98))
    return np.clip((crops - middle) * 4 / max(high - low, 1e-6), -4, 4).astype(np.float32)


def simulated(seed: int) -> tuple[np.ndarray, list[int]] | None:
    """Return crops (levels, rows, columns) of one phantom and the ranks of its canal, where every disc is shown."""
    rng = np.random.default_rng([seed, 31])
    phantom = make_patient(seed, population=Population().worse(WORSE))
    mode = ContrastMode.RANDOMISED if rng.random() < 0.5 else ContrastMode.CLINICAL
    protocol = draw_protocol(rng, ProtocolMix(mode, stir_share=0))
    plans = plan_study(phantom, protocol)
    t1 = next(plan for plan in plans if plan.role is Role.SAGITTAL_T1)
    axial = [plan for plan in plans if plan.role is Role.AXIAL_T2]
    shown = []
    for cell in CELLS:
        point = np.array(phantom.point(cell))
        found = [(plan.planes[near[0]], near) for plan in axial if (near := plan.nearest(point)) is not None]
        if not found:
            return None
        shown.append(found[0])
    # one series, so that its look is the same at all levels
    plan = replace(axial[0], planes=tuple(plane for plane, _ in shown), echo=t1.echo, look=t1.look)
    pictures = render_series(phantom, plan, layers=protocol.layers, rng=rng).astype(np.float32)
    crops, step, half = [], FIELD_MM / SIZE_PX, SIZE_PX // 2
    for picture, (plane, (_, row, column)) in zip(pictures, shown, strict=True):
        fine = resample(picture[None], (plane.pixel_mm,) * 2, (step, step))[0]
        first, left = (round(place * plane.pixel_mm / step) for place in (row, column))
        crops.append(np.pad(fine, half, mode="edge")[first : first + SIZE_PX, left : left + SIZE_PX])
    return normalised(np.stack(crops)), [phantom.severity(cell).rank for cell in CELLS]


def real(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return crops of real slices, their levels (places among the lumbar ones), ranks (-1: no label) and patients."""
    template = read_template(Path(stenograde.__file__).parent / "bundles/axial-canal-t1/template.npz")
    of_patient = defaultdict(dict)
    for sample in read_sudirman(folder).samples:
        of_patient[sample.patient][sample.level] = sample
    crops, levels, ranks, patients = [], [], [], []
    for patient, samples in of_patient.items():
        seen = [samples[level] for level in REAL_LEVELS if level in samples]
        cut = [aligned(one.picture.read(), template, ALIGN) for one in seen]
        cut = [resize(one, (SIZE_PX,) * 2, order=1, anti_aliasing=False, preserve_range=True) for one in cut]
        crops.extend(normalised(np.stack(cut)))
        levels += [LUMBAR_MRI.levels.index(one.level) for one in seen]
        ranks += [CLASSES.index(one.label) if one.label else -1 for one in seen]
        patients += [int(patient)] * len(seen)
    return np.stack(crops), np.array(levels), np.array(ranks), np.array(patients)


def fixed_features(crops: np.ndarray, bundle: Bundle) -> np.ndarray:
    """Return features of crops (n, rows, columns), the mean over a crop and its mirror image."""
    both = np.stack([crops, crops[..., ::-1]], axis=1)[:, :, None]
    return crop_features(np.ascontiguousarray(both), GRID, bundle.middle_maps).mean(axis=1)


def sac_features(crops: np.ndarray, bundle: Bundle) -> np.ndarray:
    """Return area (mm2), depth and width (mm) of the sac in crops (n, rows, columns); 0 where none is seen."""
    entry = bundle.table.recesses
    assert entry is not None
    grid, step = entry.view.grid_mm, FIELD_MM / SIZE_PX
    out = []
    for crop in crops:
        middle = (SIZE_PX - 1) / 2
        view = entry.view.cut(crop.astype(np.float32), middle, middle, (step, step))
        sac = sac_of(maps_of(bundle.recesses, entry.onnx, view[None])[0][RoomTissue.NERVE], grid)
        if sac is None:
            out.append((0.0, 0.0, 0.0))
            continue
        rows, columns = np.nonzero(sac)
        out.append((len(rows) * grid**2, np.ptp(rows) * grid, np.ptp(columns) * grid))
    return np.array(out, np.float32)


def off_own_usual(features: np.ndarray, levels: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return how far features lie from the mean of their own level in their own set."""
    usual = {level: features[levels == level].mean(axis=0) for level in np.unique(levels)}
    return (features - np.stack([usual[level] for level in levels])) / spread


def main() -> None:
    """Print the scores as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sudirman", type=Path)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--workers", type=int, default=n_cores())
    args = parser.parse_args()
    bundle = bundle_at(args.bundle)
    seeds = range(args.seed * 100_000, args.seed * 100_000 + args.patients)
    made = [one for one in in_processes(simulated, seeds, args.workers) if one is not None]
    train_crops = np.concatenate([crops for crops, _ in made])
    train_levels = np.tile(np.arange(len(CELLS)), len(made))
    train_ranks = np.concatenate([ranks for _, ranks in made])
    shares = np.maximum(Population().worse(WORSE).severity_shares[Condition.SPINAL_CANAL_STENOSIS], 1e-4)
    shares /= shares.sum(axis=1, keepdims=True)
    crops, levels, ranks, patients = real(args.sudirman)
    known = ranks >= 0
    scores: dict[str, np.ndarray] = {}
    for name, of in (
        ("ImageNet features", fixed_features),
        ("sac outlined", sac_features),
    ):
        head = fit_head(of(train_crops, bundle), train_levels, train_ranks, shares=shares, strength=STRENGTH)
        off = off_own_usual(of(crops, bundle), levels, head.spread)
        scores[name] = (off @ head.weights).astype(np.float64)
    scores["both"] = sum(scores.values()) / len(scores)
    scores["level alone"] = np.zeros(len(ranks))
    own = shares_of_others(levels, ranks, patients)
    weights = list(patient_weights(np.unique(patients[known], return_inverse=True)[1], draws=1000, seed=0))
    table: dict[str, object] = {
        "phantoms": len(made),
        "slices": int(known.sum()),
        "patients": len(np.unique(patients[known])),
    }
    for whose, of_level in (
        ("shares of the phantoms", shares[levels]),
        ("shares of the other patients", own),
    ):
        for name, score in scores.items():
            said = answered(score, np.zeros(3), of_level)[known]
            for what, values, least in (("any", 1 - said[:, 0], 1), ("serious", said[:, 2], 2)):
                once = float(weighted_auc(values, ranks[known] >= least, np.ones((1, known.sum())))[0])
                drawn = np.concatenate([weighted_auc(values, ranks[known] >= least, w) for w in weights])
                table[f"AUC of {what}, {name}, {whose}"] = str(interval_of(once, drawn))
    for name, score in scores.items():
        within = [
            float(weighted_auc(score[at], ranks[at] > 0, np.ones((1, at.sum())))[0])
            for at in (known & (levels == LUMBAR_MRI.levels.index(level)) for level in REAL_LEVELS)
        ]
        table[f"AUC of any within L3/L4, L4/L5, L5/S1, {name}"] = [round(value, 3) for value in within]
    print(json.dumps(table, indent=1))


def shares_of_others(levels: np.ndarray, ranks: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return how common each class is at a slice's level, in ten folds by patient the slice is not in."""
    fold = np.unique(patients, return_inverse=True)[1] % FOLDS
    out = np.empty((len(ranks), 3))
    for k in range(len(ranks)):
        others = (fold != fold[k]) & (levels == levels[k]) & (ranks >= 0)
        counts = np.bincount(ranks[others], minlength=3) + 1.0
        out[k] = counts / counts.sum()
    return out


if __name__ == "__main__":
    main()
