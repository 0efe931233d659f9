"""Slices of every series of a cohort to vectors, by an encoder that is not trained here; kept on disk study by study.

Slices go in geometric order. A series angled disc by disc is several stacks: each is embedded by itself, and their
vectors follow one another, the stack nearest the head first. Where a study has several series of a role, all are taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.random_projection import GaussianRandomProjection

from stenograde.datasets.rsna2024 import AnsweredStudy, read_answered_studies
from stenograde.datasets.study_files import patient_folders
from stenograde.errors import ConfigError, DatasetError, StudyError
from stenograde.files import keep_settings, whole_file, write_whole
from stenograde.images.pictures import Intensity, PictureConfig, prepare_picture
from stenograde.nets.volume_encoder import StackEncoder
from stenograde.nets.weights import NOT_PRETRAINED, Start, load_weights
from stenograde.study import Study, Volume
from stenograde.terms import Role
from stenograde.train.made_once import SETTINGS
from stenograde.workers import Progress

Vectors = NDArray[np.float32]

STUDIES = "studies.json"
"""Names of the studies in a folder, and what was left out, once all are there."""

WEIGHTS = "weights.json"
"""Which tensors the weights filled."""

MOST_LEFT_OUT = 0.1
"""Share of studies that may be left out because they cannot be read."""

_AT_ONCE = 16
"""Slices that go through an encoder at once."""


@dataclass(frozen=True)
class EmbedConfig:
    """How slices become vectors."""

    encoder: str = "resnet50"
    """See :class:`stenograde.nets.volume_encoder.StackEncoder`."""
    intensity: Intensity = "minmax"
    """``minmax`` is the document's grayscale normalisation, ``equalise`` its histogram equalisation."""
    size_px: int = 224
    seed: int = 0
    """Seed of the random start, where no weights are given."""
    precision: Literal["32", "bf16"] = "32"

    def __post_init__(self) -> None:
        if self.size_px < 32:
            msg = f"size_px must be at least 32, got {self.size_px}"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class StudyVectors:
    """The vectors of one study."""

    name: str
    vectors: Mapping[Role, Vectors]
    """Vectors of each series that is there, shape (tokens, width)."""
    severities: NDArray[np.int64]
    """Ranks of the cells of :data:`~stenograde.terms.LUMBAR_MRI`, ``UNKNOWN`` without a label."""
    metadata: Mapping[str, str | float | None]
    """How each series was acquired, by :func:`metadata_of`; None for a missing series."""


@dataclass(frozen=True, eq=False)
class CohortVectors:
    """The vectors of a cohort."""

    studies: tuple[StudyVectors, ...]
    start: str
    """What the encoder started from, in words."""
    notes: tuple[str, ...] = ()
    """Which studies were left out, and why."""

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return next(one.shape[1] for study in self.studies for one in study.vectors.values())

    def projected(self, width: int, *, seed: int) -> CohortVectors:
        """Return the cohort with vectors of ``width`` numbers.

        Fewer numbers than the encoder gives come from a random projection (Johnson and Lindenstrauss), which is what an
        untrained linear layer is.

        Raises
        ------
        ConfigError
            If the encoder gives fewer.
        """
        if self.width < width:
            msg = f"vectors must have {width} numbers, got an encoder of {self.width}; choose a wider one"
            raise ConfigError(msg)
        if self.width == width:
            return self
        projection = GaussianRandomProjection(width, random_state=seed).fit(
            np.zeros((1, self.width), np.float32)
        )
        studies = (
            replace(
                study,
                vectors={
                    role: projection.transform(own).astype(np.float32) for role, own in study.vectors.items()
                },
            )
            for study in self.studies
        )
        return replace(self, studies=tuple(studies))


def embed_cohort(
    data: Path,
    config: EmbedConfig,
    folder: Path,
    *,
    weights: Start | None = None,
    progress: Progress | None = None,
) -> CohortVectors:
    """Embed the slices of every labelled study, on a GPU where there is one; vectors made before are read.

    Parameters
    ----------
    data : Path
        Cohort in the layout of RSNA 2024.
    config : EmbedConfig
    folder : Path
        Gets one file per study.
    weights : Path or {"hub", "imagenet"}, optional
        What the encoder starts from; without, a random start.
    progress : callable, optional
        Counts the studies that are looked through.

    Raises
    ------
    BundleError
        If the weights do not fit the encoder.
    ConfigError
        If there is no such encoder, or the folder holds vectors of other settings, data or weights.
    DatasetError
        If a table or the pictures are missing, no study has labels, or more than :data:`MOST_LEFT_OUT` of the studies
        cannot be read.
    """
    keep_settings(folder / SETTINGS, _settings(data, config, weights), what="vectors")
    listed = folder / STUDIES
    if not listed.is_file():
        start = _embed_all(data, config, folder, weights, progress)
        write_whole(listed, json.dumps(start))
    said = json.loads(listed.read_text(encoding="utf-8"))
    studies = tuple(_stored(folder, name) for name in said["names"])
    return CohortVectors(studies, said["start"], tuple(said["notes"]))


def _embed_all(
    data: Path,
    config: EmbedConfig,
    folder: Path,
    weights: Start | None,
    progress: Progress | None,
) -> dict[str, Any]:
    torch.manual_seed(config.seed)
    try:
        net = StackEncoder(config.encoder)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    start = NOT_PRETRAINED
    if weights is not None:
        report = load_weights(net, weights)
        start = report.pretrained
        write_whole(folder / WEIGHTS, json.dumps(asdict(report), indent=1))
    net.to("cuda" if torch.cuda.is_available() else "cpu")
    notes: list[str] = []
    names: list[str] = []
    total, failed = len(patient_folders(data)), 0
    for one in read_answered_studies(data, notes=notes, progress=progress):
        path = folder / f"{one.name}.npz"
        if not path.is_file():
            try:
                _store(path, one, embed_study(one.study, net, config))
            except StudyError as exc:
                failed += 1
                notes.append(f"{one.name} was left out: {exc}")
                continue
        names.append(one.name)
    if not names:
        msg = f"{data} must hold studies with labels, got none" + "".join(f"; {note}" for note in notes[:3])
        raise DatasetError(msg)
    if failed > MOST_LEFT_OUT * total:
        msg = f"{failed} of {total} studies in {data} cannot be read; {'; '.join(notes[:3])}"
        raise DatasetError(msg)
    return {"names": names, "start": start, "notes": notes}


def embed_study(study: Study, net: StackEncoder, config: EmbedConfig) -> dict[Role, Vectors]:
    """Return the vectors of the series of a study, by role; a role without a series is absent.

    Raises
    ------
    UnreadableInstanceError
        If a slice cannot be decoded.
    """
    found: dict[Role, list[Volume]] = {}
    for series in study.series:
        if series.role is not None:
            found.setdefault(series.role, []).extend(series.volumes)
    return {
        role: np.concatenate([_of_stack(stack, net, config) for stack in stacks_of(found[role])])
        for role in Role
        if role in found
    }


def stacks_of(volumes: Sequence[Volume]) -> Iterator[NDArray[np.float32]]:
    """Give the slices of each stack, (n, rows, columns), slices in order, the stack nearest the head first."""
    for volume in sorted(volumes, key=lambda one: -float(one.affine[2, 3])):
        yield volume.pixels


METADATA_NUMBERS = tuple(
    f"{role.value}_{name}" for role in Role for name in ("slices", "step_mm", "pixel_mm")
)
"""Metadata that are numbers."""

METADATA_CATEGORIES = tuple(f"{role.value}_weighting" for role in Role)
"""Metadata that are words."""


def metadata_of(study: Study) -> dict[str, str | float | None]:
    """Return how the series of a study were acquired, as far as their geometry and weighting tell."""
    found: dict[str, str | float | None] = dict.fromkeys((*METADATA_NUMBERS, *METADATA_CATEGORIES))
    for role in Role:
        series = study.by_role(role)
        if series is None:
            continue
        largest = max(series.volumes, key=lambda one: one.shape[0])
        step_mm, pixel_mm, _ = largest.spacing_mm
        found |= {
            f"{role.value}_slices": float(series.n_slices),
            f"{role.value}_step_mm": round(step_mm, 3),
            f"{role.value}_pixel_mm": round(pixel_mm, 4),
            f"{role.value}_weighting": None if series.weighting is None else series.weighting.value,
        }
    return found


def _of_stack(slices: NDArray[np.float32], net: StackEncoder, config: EmbedConfig) -> Vectors:
    how = PictureConfig(size_px=(config.size_px, config.size_px), intensity=config.intensity)
    pictures = np.stack([prepare_picture(one, how) for one in slices]).astype(np.float32) / 255
    values = torch.from_numpy(pictures)
    parts = [values] if net.sees_stack else values.split(_AT_ONCE)
    half, device = config.precision == "bf16", net.mean.device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
        return torch.cat([net(part.to(device)).float().cpu() for part in parts]).numpy()


def _settings(data: Path, config: EmbedConfig, weights: Path | str | None) -> dict[str, Any]:
    """Return what vectors depend on: also which studies and labels there are, and what the weights' file holds."""
    labels = data / "train.csv"
    studies = json.dumps([folder.name for folder in patient_folders(data)]).encode()
    return {
        **asdict(config),
        "data": str(data.resolve()),
        "studies": hashlib.sha256(studies).hexdigest(),
        "labels": hashlib.sha256(labels.read_bytes()).hexdigest() if labels.is_file() else None,
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest() if isinstance(weights, Path) else weights,
    }


def _store(path: Path, one: AnsweredStudy, vectors: Mapping[Role, Vectors]) -> None:
    arrays: dict[str, Any] = {role.value: values.astype(np.float16) for role, values in vectors.items()}
    with whole_file(path) as file:
        told = json.dumps(metadata_of(one.study))
        np.savez(file, severities=one.ranks, metadata=np.array(told), **arrays)


def _stored(folder: Path, name: str) -> StudyVectors:
    with np.load(folder / f"{name}.npz") as stored:
        vectors = {role: stored[role.value].astype(np.float32) for role in Role if role.value in stored}
        return StudyVectors(name, vectors, stored["severities"], json.loads(str(stored["metadata"])))
