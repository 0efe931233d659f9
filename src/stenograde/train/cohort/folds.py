"""The fourth and fifth steps: a net for each fold and seed in two steps, and what it says of patients it never saw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from stenograde.config import as_plain
from stenograde.datasets.split import folds_by_patient
from stenograde.files import keep_settings, whole_file
from stenograde.nets.level_grader import usual_of
from stenograde.nets.level_transfer import FromMaps, LevelTransfer, Mixed, looked_at
from stenograde.nets.weights import NOT_PRETRAINED, Start
from stenograde.terms import Severity
from stenograde.train.cohort.batches import (
    LevelSource,
    WholeStudies,
    known_of,
    level_batches,
    plain_loss,
    study_batches,
    study_loss,
)
from stenograde.train.cohort.config import CohortTraining
from stenograde.train.cohort.cut import CohortCrops
from stenograde.train.cohort.kept_maps import keep_maps
from stenograde.train.grader.batches import changed
from stenograde.train.grader.crops import as_values
from stenograde.train.loop.fit import fit
from stenograde.train.loop.processes import is_first, one_by_one
from stenograde.train.made_once import SETTINGS
from stenograde.workers import Progress, named

_AT_ONCE = {True: 8, False: 1}
"""Studies whose features are taken at once, from kept maps and from crops."""


@dataclass(frozen=True, eq=False)
class FoldNets:
    """The nets of a cohort, and what each said of the patients of its fold."""

    nets: tuple[LevelTransfer, ...]
    logits: NDArray[np.float64]
    """Out of fold, mean over seeds; shape (studies, levels, cells of a level, severities)."""
    strangeness: NDArray[np.float64]
    """Of each crop, out of fold, mean over seeds; shape (studies, levels, 2, kinds)."""
    fold: NDArray[np.int64]
    """Fold in which each study was tested, shape (studies,)."""
    start: str
    """What the encoder started from, in words."""
    folder: Path
    """Where the nets and logits lie."""


def fit_folds(
    crops: CohortCrops,
    out: Path,
    config: CohortTraining,
    *,
    weights: Start | None,
    progress: Progress | None = None,
) -> FoldNets:
    """Fit a net for each fold and seed; what was fitted before is read.

    Where torchrun started several processes, they fit together, and the first one writes.

    Parameters
    ----------
    crops : CohortCrops
    out : Path
        Gets a folder ``folds-HASH`` for each setting and set of labels.
    config : CohortTraining
    weights : path, "hub", "imagenet" or None
        What the encoder starts from; None for a random start.
    progress : callable, optional

    Raises
    ------
    DatasetError
        If there are fewer than two studies for each fold.
    BundleError
        If the weights do not fit the encoder.
    """
    folds = folds_by_patient(crops.names, folds=config.folds, seed=config.seeds[0], what="studies")
    settings = {
        "training": as_plain(config),
        "weights": _digest_of(weights),
        "crops": crops.key,
        "labels": hashlib.sha256(crops.set.severities.tobytes()).hexdigest(),
        "studies": hashlib.sha256("\n".join(crops.names).encode()).hexdigest(),
    }
    folder = out / f"folds-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}"
    with one_by_one("maps"):
        keep_settings(folder / SETTINGS, settings, what="folds")
        first, start = _started(config, weights, config.seeds[0])
        source = source_of(crops, first, out, config, progress)
    nets, fold_of = [], np.zeros(len(crops.names), np.int64)
    logits = np.zeros((*crops.set.severities.shape, len(Severity)))
    strangeness = np.zeros(crops.set.present.shape)
    for number, fold in enumerate(folds):
        fold_of[fold.test] = number
        for seed in config.seeds:
            told = named(progress, f"fold {number + 1} of {config.folds}")
            one = _Fold(folder / f"fold-{number + 1}-seed-{seed}", config, seed, fold.train, fold.test)
            net, _ = _started(config, weights, seed)
            said = one.done(net) or one.fitted(net, source, told)
            nets.append(said.net)
            logits[fold.test] += said.logits / len(config.seeds)
            strangeness[fold.test] += said.strangeness / len(config.seeds)
    return FoldNets(tuple(nets), logits, strangeness, fold_of, start, folder)


def _digest_of(weights: Start | None) -> str:
    """Return what tells weights apart: their word, or the content of their file."""
    if isinstance(weights, Path):
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    return str(weights)


@dataclass(frozen=True, eq=False)
class Source:
    """Where values come from: for training with changes, and as they are."""

    changed: LevelSource
    looks: Sequence[NDArray[np.generic]]
    """For each look at a study of the test fold, crops (studies, levels, 2, kinds, slices, rows, columns) as stored, or
    maps of shifted crops."""
    copies: Sequence[NDArray[np.generic]]
    """What the second step takes features of: the plain ones, and where maps are kept their copies."""
    is_maps: bool


def source_of(
    crops: CohortCrops, net: LevelTransfer, out: Path, config: CohortTraining, progress: Progress | None
) -> Source:
    """Return where values come from: the kept maps of a frozen encoder in ``out``, or the crops."""
    known, severities = known_of(crops.set.present), crops.set.severities
    looks = config.net.looks
    if config.net.frozen:
        device = device_of(config.fit.accelerator)
        maps = keep_maps(crops, net, out, config, device=device, progress=progress)

        def kept(study: int, level: int, rng: np.random.Generator) -> NDArray[np.generic]:
            return np.asarray(maps[int(rng.integers(len(maps))), study, level])

        return Source(
            LevelSource(kept, known, severities), list(maps[: len(looks)]), list(maps), is_maps=True
        )

    def cut(study: int, level: int, rng: np.random.Generator) -> NDArray[np.generic]:
        stored, present = crops.set.crops[study, level], crops.set.present[study, level]
        return changed(as_values(stored), present, config.augment, rng)

    return Source(
        LevelSource(cut, known, severities), [crops.set.crops] * len(looks), [crops.set.crops], is_maps=False
    )


def _started(config: CohortTraining, weights: Start | None, seed: int) -> tuple[LevelTransfer, str]:
    torch.manual_seed(seed)
    net = LevelTransfer(config.net)
    return net, NOT_PRETRAINED if weights is None else net.encoder.start_from(weights).pretrained


def device_of(accelerator: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device of a setting."""
    wanted = accelerator != "cpu" and (accelerator == "cuda" or torch.cuda.is_available())
    return torch.device("cuda" if wanted else "cpu")


@dataclass(frozen=True, eq=False)
class _Said:
    """A fitted net and what it says of the patients of its fold."""

    net: LevelTransfer
    logits: NDArray[np.float64]
    strangeness: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Fold:
    """One net to be fitted."""

    folder: Path
    config: CohortTraining
    seed: int
    train: list[int]
    test: list[int]

    def done(self, net: LevelTransfer) -> _Said | None:
        """Return the net and what it said, if it was fitted before."""
        path = self.folder / "said.npz"
        if not path.is_file():
            return None
        net.load_state_dict(load_file(self.folder / "net.safetensors"))
        with np.load(path) as said:
            return _Said(net.eval(), said["logits"], said["strangeness"])

    def fitted(self, net: LevelTransfer, source: Source, progress: Progress | None) -> _Said:
        """Fit the whole net, then the judge alone, and keep what it says of the others."""
        first, second = (replace(one, seed=self.seed) for one in (self.config.fit, self.config.head))
        batches = level_batches(source.changed, self.train, first, self.config.mixing)
        start = Mixed(FromMaps(net) if source.is_maps else net)
        whole = fit(
            start, batches, first, loss_of=plain_loss, folder=self.folder / "net", progress=progress
        ).net
        assert isinstance(whole, Mixed)
        net = whole.whole.eval()
        known, severities = source.changed.known, source.changed.severities
        copies = torch.stack([features_of(net, one, self.train, source.is_maps) for one in source.copies])
        tested = [
            features_of(net, one, self.test, source.is_maps, look)
            for one, look in zip(source.looks, net.config.looks, strict=True)
        ]
        judged = fit(
            WholeStudies(net.judge),
            study_batches(copies, known[self.train], severities[self.train], second),
            second,
            loss_of=study_loss,
            folder=self.folder / "head",
            progress=progress,
        ).net
        assert isinstance(judged, WholeStudies)
        net.judge.load_state_dict(judged.judge.state_dict())
        net = net.to("cpu").eval()
        _set_usual(net, copies[0].to("cpu"), known[self.train])
        each = [self._said(net, one, known) for one in tested]
        logits, strange = (np.mean(of, axis=0) for of in zip(*each, strict=True))
        said = _Said(net, logits, strange)
        if not is_first():
            return said
        save_file({k: v.contiguous() for k, v in net.state_dict().items()}, self.folder / "net.safetensors")
        with whole_file(self.folder / "said.npz") as file:
            np.savez(file, logits=said.logits, strangeness=said.strangeness)
        return said

    def _said(
        self, net: LevelTransfer, features: Tensor, known: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return logits and strangeness of a look."""
        with torch.inference_mode():
            logits = WholeStudies(net.judge).eval()(features, torch.from_numpy(known[self.test]))
            strange = net.strangeness(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return logits.double().numpy(), strange.double().numpy()


def features_of(
    net: LevelTransfer,
    values: NDArray[np.generic],
    places: Sequence[int],
    is_maps: bool,
    look: tuple[int, int] = (0, 0),
) -> Tensor:
    """Return the features of studies, shape (studies, levels, 2, kinds, places, features), on the CPU.

    Parameters
    ----------
    net : LevelTransfer
        In evaluation mode.
    values : ndarray
        Stored crops or maps, studies and levels first.
    places : sequence of int
        Of the studies that are wanted.
    is_maps : bool
    look : tuple of int
        Rows and columns by which crops are shifted; maps already are.
    """
    device = next(net.judge.parameters()).device
    parts = []
    step = _AT_ONCE[is_maps]
    for start in range(0, len(places), step):
        some = values[list(places[start : start + step])]
        flat = some.reshape(-1, *some.shape[2:])
        with torch.inference_mode():
            if is_maps:
                maps = torch.from_numpy(np.ascontiguousarray(flat)).to(device).float()
            else:
                seen = torch.from_numpy(as_values(flat)).to(device)  # type: ignore[arg-type]
                maps = net.maps(looked_at(seen, look))
            parts.append(net.features(maps).cpu().unflatten(0, some.shape[:2]))
    return torch.cat(parts).clone()


def _set_usual(net: LevelTransfer, features: Tensor, known: NDArray[np.float32]) -> None:
    kinds = net.config.kinds
    there = torch.from_numpy(known[..., : 2 * kinds].reshape(*known.shape[:2], 2, kinds) > 0)
    for kind in range(kinds):
        usual = features.mean(dim=4)[:, :, :, kind][there[..., kind]]
        if len(usual) > 1:
            net.feature_mean[kind], net.whitening[kind] = usual_of(usual)
