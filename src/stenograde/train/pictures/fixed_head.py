"""The linear layer over a frozen encoder, fitted exactly: logistic regression, its penalty chosen by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax

from stenograde.datasets.split import Fold, folds_by_patient
from stenograde.files import whole_file
from stenograde.images.pictures import InputConfig
from stenograde.nets.middle_maps_classifier import MiddleMapsClassifier
from stenograde.train.pictures.batches import as_input

_AT_ONCE = 32
"""Pictures that go through the encoder at once."""

_NEVER = -20.0
"""Logit of a class that nothing was learnt of."""

_LEAST_PROBABILITY = 1e-4
"""Stands for a probability of 0: of a class between two questions whose answers cross, or that a fold lacks."""


@dataclass(frozen=True)
class FixedHeadConfig:
    """How the linear layer over fixed features is fitted."""

    strengths: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    """Inverse penalties to choose from, scikit-learn's ``C``; features are scaled to vectors of length 1 on average."""
    folds: int = 4
    """Folds by patient, within what is trained on, that choose."""
    extra_weight: float = 0.5
    """Length of the vector of further inputs beside that of the features: how freely they may be used."""

    def __post_init__(self) -> None:
        if not self.strengths or min(self.strengths) <= 0 or self.folds < 2 or not self.extra_weight > 0:
            msg = (
                f"a fixed head needs strengths > 0, folds >= 2 and extra_weight > 0, "
                f"got {self.strengths}, {self.folds}, {self.extra_weight}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class ChosenStrength:
    """What the folds within the training pictures said."""

    strength: float
    log_losses: tuple[float, ...]
    """Of each strength, in their order; empty where there was one to choose from."""


def kept_features(
    net: MiddleMapsClassifier,
    pictures: NDArray[np.uint8],
    config: InputConfig,
    folder: Path,
    *,
    mirrored: bool = False,
) -> NDArray[np.float32]:
    """Return the fixed features of pictures, from ``folder`` if they are kept there; shape (n, net.width).

    Parameters
    ----------
    net : MiddleMapsClassifier
    pictures : ndarray of shape (n, rows, columns), uint8
    config : InputConfig
        As the net is told by :meth:`MiddleMapsClassifier.takes`.
    folder : Path
        Gets a file, named by what went in.
    mirrored : bool
        The mean of the features of each picture and of its mirror image.
    """
    known = hashlib.sha256(f"{net.config}{config}{mirrored}".encode())
    known.update(pictures.tobytes())
    for name, value in net.maps.state_dict().items():
        known.update(name.encode() + value.numpy().tobytes())
    path = folder / f"features-{known.hexdigest()[:32]}.npy"
    if path.is_file():
        return np.load(path, mmap_mode="r", allow_pickle=False)
    views = [pictures, pictures[:, :, ::-1]] if mirrored else [pictures]
    features = np.asarray(np.mean([_features(net, view, config) for view in views], axis=0), np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.save(file, features)
    return features


def _features(
    net: MiddleMapsClassifier, pictures: NDArray[np.uint8], config: InputConfig
) -> NDArray[np.float32]:
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as predictions do; a third quicker
    with torch.inference_mode():
        parts = [
            net.features(as_input(pictures[first : first + _AT_ONCE], config)).numpy()
            for first in range(0, len(pictures), _AT_ONCE)
        ]
    return np.concatenate(parts)


def fit_head(
    net: MiddleMapsClassifier,
    features: NDArray[np.float32],
    codes: NDArray[np.int64],
    config: FixedHeadConfig,
    *,
    patients: Sequence[str],
    extra: NDArray[np.float32] | None = None,
    balanced: bool = False,
    seed: int = 0,
) -> ChosenStrength:
    """Fit the net's last layer to features of training pictures; the folds that choose its penalty are by patient.

    Logistic regression with a quadratic penalty has its solution among combinations of the training rows, so it is
    fitted in a basis of them: exact, and as quick as there are few pictures.

    Parameters
    ----------
    net : MiddleMapsClassifier
        Its head is changed.
    features : ndarray of shape (n, net.width)
        By :func:`kept_features`.
    codes : ndarray of shape (n,), int64
        Classes, each of them at least once.
    config : FixedHeadConfig
    patients : sequence of str
    extra : ndarray of shape (n, f), optional
        Inputs beside the picture.
    balanced : bool
        Whether each class counts alike.
    seed : int
        Of the folds.

    Raises
    ------
    DatasetError
        If there are too few patients for the folds.
    ValueError
        If a class has no picture.
    """
    if len(np.unique(codes)) != net.config.classes:
        msg = (
            f"each of {net.config.classes} classes must be trained on, got codes {np.unique(codes).tolist()}"
        )
        raise ValueError(msg)
    mean, std = features.mean(0), (features.std(0) + 1e-6) * np.sqrt(np.float32(features.shape[1]))
    basis, rows = _in_basis((features - mean) / std)
    beside = np.zeros((len(codes), 0)) if extra is None else extra.astype(np.float64) * config.extra_weight
    rows = np.concatenate([rows, beside], axis=1)
    asked = _Asked(codes, net.config.classes, net.config.ordinal, balanced)
    folds = folds_by_patient(patients, folds=config.folds, seed=seed) if len(config.strengths) > 1 else ()
    chosen = _chosen(rows, asked, config.strengths, folds)
    turned, offsets = _layer(rows, asked, chosen.strength)
    n = basis.shape[1]
    slopes = turned[:, :n] @ basis.T / std
    weight = np.concatenate([slopes, turned[:, n:] * config.extra_weight], axis=1)
    with torch.no_grad():
        net.head.linear.weight.copy_(torch.from_numpy(weight))
        net.head.linear.bias.copy_(torch.from_numpy(offsets - slopes @ mean))
    return chosen


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the layer is to answer."""

    codes: NDArray[np.int64]
    classes: int
    ordinal: bool
    balanced: bool

    def of(self, places: Sequence[int]) -> _Asked:
        return replace(self, codes=self.codes[places])

    @property
    def weights(self) -> NDArray[np.float64]:
        """How much each picture counts; 1 on average."""
        counts = np.bincount(self.codes)
        even = len(self.codes) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return even[self.codes] if self.balanced else np.ones(len(self.codes))


def _in_basis(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return an orthonormal basis of rows (n, f), shape (f, k), and the rows in it, shape (n, k)."""
    values, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    kept = values > values[-1] * 1e-7
    lengths = np.sqrt(values[kept])
    return rows.T @ (vectors[:, kept] / lengths).astype(np.float32), vectors[:, kept] * lengths


def _chosen(
    rows: NDArray[np.float64], asked: _Asked, strengths: tuple[float, ...], folds: Sequence[Fold]
) -> ChosenStrength:
    """Return the strength with the lowest log loss on patients that were left out; without folds the first."""
    places = np.arange(len(rows))
    losses = []
    for strength in strengths if folds else ():
        said = np.zeros((len(rows), asked.classes))
        for fold in folds:
            slopes, offsets = _layer(rows[fold.train], asked.of(fold.train), strength)
            logits = rows[fold.test] @ slopes.T + offsets
            said[fold.test] = _probabilities(logits, ordinal=asked.ordinal)
        true = np.maximum(said[places, asked.codes], _LEAST_PROBABILITY)
        losses.append(float(np.average(-np.log(true), weights=asked.weights)))
    return ChosenStrength(strengths[int(np.argmin(losses)) if losses else 0], tuple(losses))


def _probabilities(logits: NDArray[np.float64], *, ordinal: bool) -> NDArray[np.float64]:
    """Return the probabilities of classes, from what the layer gives."""
    if ordinal:
        worse = np.pad(expit(logits), ((0, 0), (1, 1)))
        worse[:, 0] = 1
        logits = np.log(np.maximum(worse[:, :-1] - worse[:, 1:], _LEAST_PROBABILITY))
    return softmax(logits, axis=1)


def _layer(
    rows: NDArray[np.float64], asked: _Asked, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slopes (answers, f) and offsets (answers,) of a layer."""
    if not asked.ordinal:
        return _regressed(rows, asked.codes, asked.classes, strength, asked.weights)
    each = [
        _regressed(rows, (asked.codes > k).astype(np.int64), 2, strength, asked.weights)
        for k in range(asked.classes - 1)
    ]
    # one logit for yes, none for no
    return np.stack([slopes[1] - slopes[0] for slopes, _ in each]), np.array([b[1] - b[0] for _, b in each])


def _regressed(
    rows: NDArray[np.float64],
    codes: NDArray[np.int64],
    classes: int,
    strength: float,
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slopes (classes, f) and offsets (classes,) of a fitted soft-max; a class without rows is never said."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  only these heads need it

    slopes, offsets = np.zeros((classes, rows.shape[1])), np.full(classes, _NEVER)
    present = np.unique(codes)
    if len(present) == 1:
        offsets[present] = 0
        return slopes, offsets
    model = LogisticRegression(C=strength, max_iter=1000).fit(rows, codes, weights)
    if len(present) == 2:  # scikit-learn gives one logit for two classes
        slopes[present] = np.concatenate([-model.coef_, model.coef_]) / 2
        offsets[present] = np.concatenate([-model.intercept_, model.intercept_]) / 2
    else:
        slopes[present], offsets[present] = model.coef_, model.intercept_
    return slopes, offsets
